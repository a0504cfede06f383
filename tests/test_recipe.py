"""The page about adding a provider, followed to the letter: its example passes the contract as printed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PAGE = (HERE.parent / "docs" / "providers.md").read_text(encoding="utf-8")


def block(kind: str) -> str:
    """The first block of this kind on the page."""
    found = re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_printed_provider_passes_the_contract_with_the_printed_recording(tmp_path: Path) -> None:
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "exampletel.py").write_text(block("python"), encoding="utf-8")
    told = tmp_path / "my_package-1.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: my_package\nVersion: 1\n")
    name, value = re.findall(r'^(exampletel) = "(.*)"$', block("toml"), re.MULTILINE)[0]
    (told / "entry_points.txt").write_text(f"[porting_aggregator.providers]\n{name} = {value}\n")
    tests = tmp_path / "tests"
    (tests / "fixtures" / "exampletel").mkdir(parents=True)
    (tests / "fixtures" / "exampletel" / "first.json").write_text(block("json"), encoding="utf-8")
    for copied in ("made.py", "recordings.py", "test_adapter_contract.py"):
        shutil.copy(HERE / copied, tests)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(HERE.parent)])}
    written = subprocess.run([sys.executable, str(tests / "recordings.py")], env=environ, capture_output=True)
    assert written.returncode == 0, written.stderr.decode()
    contract = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "-k", "exampletel"]
    judged = subprocess.run(
        [sys.executable, *contract, str(tests / "test_adapter_contract.py")],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert judged.returncode == 0, judged.stdout
    assert re.search(r"\b\d{2,} passed", judged.stdout)
