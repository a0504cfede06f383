"""`make install`, `make install` again and `make uninstall`, in a scratch root.

Everything is done for real but the download: the Python that is named makes venvs that find the locked packages where
these tests found them, so that pip, which may ask no index, has nothing to fetch.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = """#!/bin/sh
[ "$1 $2" = "-m venv" ] || exec {python} "$@"
{python} -m venv --without-pip "$3" && echo {packages} >"$(echo "$3"/lib/python*/site-packages)/beside.pth"
"""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A Python whose venvs have pip and the locked packages already."""
    path = tmp_path / "python"
    path.write_text(PYTHON.format(python=sys.executable, packages=sysconfig.get_path("purelib")), "utf-8")
    path.chmod(0o755)
    return path


def make(target: str, root: Path, python: Path, *variables: str, **environ: str) -> tuple[int, str]:
    """Type make in the checkout; the exit status and what is said."""
    command = ["make", "--no-print-directory", target, f"DESTDIR={root}", f"PYTHON={python}", *variables]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**clean, "PIP_NO_INDEX": "1", **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return ended.returncode, ended.stdout


def files(root: Path) -> set[str]:
    """What lies in a root, without what is inside the venv."""
    found = (path for path in root.rglob("*") if not path.is_dir() or path.is_symlink())
    names = {str(path.relative_to(root)) for path in found}
    return {name for name in names if not name.startswith("opt/ports/lib/porting-aggregator/")}


PROGRAM = {
    "opt/ports/bin/porting-aggregator",
    "opt/ports/lib/systemd/system/porting-aggregator.service",
    "opt/ports/lib/systemd/system/porting-aggregator-poll@.service",
    "opt/ports/lib/systemd/system/porting-aggregator-poll@.timer",
    "opt/ports/lib/sysusers.d/porting-aggregator.conf",
    "opt/ports/share/porting-aggregator/aggregator.example.toml",
    "opt/ports/share/porting-aggregator/strict.conf",
}
OURS = "etc/porting-aggregator/aggregator.toml"
KEY = "etc/porting-aggregator/credentials/telnyx-main"
DATA = "var/lib/porting-aggregator/aggregator.db"


def test_it_is_installed_upgraded_and_taken_away_again(tmp_path: Path, python: Path) -> None:
    root = tmp_path / "root"
    venv = root / "opt/ports/lib/porting-aggregator"
    code, said = make("install", root, python, "PREFIX=/opt/ports")
    assert code == 0, said
    assert files(root) == PROGRAM | {OURS}
    _lies_right(root, venv)
    _works(root, venv)

    # Again: a new program, and nothing of the operator's is touched. What one left behind is gone.
    for name, content in ((OURS, "# mine\n"), (KEY, "a key"), (DATA, "data")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, "utf-8")
    (venv / "of-the-old-one").touch()
    code, said = make("install", root, python, "PREFIX=/opt/ports")
    assert code == 0, said
    assert "Left as it is: /etc/porting-aggregator/aggregator.toml" in said
    assert not (venv / "of-the-old-one").exists()
    assert [(root / name).read_text("utf-8") for name in (OURS, KEY, DATA)] == ["# mine\n", "a key", "data"]
    assert files(root) == PROGRAM | {OURS, KEY, DATA}

    # One that fails leaves the old program whole.
    (venv / "of-the-old-one").touch()
    code, said = make("install", root, python, "PREFIX=/opt/ports", "PIP_ARGS=--no-such-option")
    assert code != 0
    assert "no such option" in said
    assert (venv / "of-the-old-one").exists()
    assert [path.name for path in venv.parent.iterdir() if path.name.startswith("porting")] == [venv.name]

    for _ in range(2):  # doing it again is harmless
        code, said = make("uninstall", root, python, "PREFIX=/opt/ports")
        assert code == 0, said
        assert "Kept: the configuration and the keys in /etc/porting-aggregator" in said
        assert files(root) == {OURS, KEY, DATA}
        assert not venv.exists()


def _lies_right(root: Path, venv: Path) -> None:
    """Modes, the link, and no word of the scratch root in anything that is read as text."""
    etc = root / "etc/porting-aggregator"
    modes = {
        name: oct((etc / name).stat().st_mode & 0o777) for name in (".", "credentials", "aggregator.toml")
    }
    assert modes == {".": "0o755", "credentials": "0o700", "aggregator.toml": "0o644"}
    link = root / "opt/ports/bin/porting-aggregator"
    assert os.readlink(link) == "/opt/ports/lib/porting-aggregator/bin/porting-aggregator"
    interpreter = "/opt/ports/lib/porting-aggregator/bin/python"  # behind a shell, where its path was long
    assert interpreter in (venv / "bin/porting-aggregator").read_text("utf-8").partition("\nimport ")[0]
    told = [*(venv / "bin").iterdir(), venv / "pyvenv.cfg", *(root / name for name in PROGRAM | {OURS})]
    for path in told:
        if not path.is_symlink():
            assert str(root).encode() not in path.read_bytes(), path
    for name in ("porting-aggregator.service", "porting-aggregator-poll@.service"):
        unit = (root / "opt/ports/lib/systemd/system" / name).read_text("utf-8")
        assert "\nExecStart=/opt/ports/bin/porting-aggregator " in unit
        shipped = (ROOT / "systemd" / name).read_text("utf-8")
        assert unit == shipped.replace("/usr/local/bin/", "/opt/ports/bin/")


def _works(root: Path, venv: Path) -> None:
    """The installed program runs, from its own venv, and takes the example that was put beside it."""

    def ask(*arguments: str) -> str:
        command = [str(venv / "bin/python"), "-I", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    assert ask("-c", "import aggregator; print(aggregator.__file__)").startswith(str(venv))
    shown = ask("-m", "aggregator", "--config", str(root / OURS), "config", "show")
    assert 'url = "sqlite:////var/lib/porting-aggregator/aggregator.db"' in shown


def test_only_root_installs_into_the_host(tmp_path: Path, python: Path) -> None:
    nobody = tmp_path / "id"
    nobody.write_text("#!/bin/sh\necho 1000\n")
    nobody.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    for target in ("install", "uninstall"):
        code, said = make(target, Path(), python, "DESTDIR=", f"PREFIX={tmp_path}/host", PATH=path)
        assert code != 0
        assert "must be typed as root" in said
    code, said = make("install", tmp_path / "root", python, "PREFIX=relative")
    assert code != 0
    assert "PREFIX must be an absolute path" in said
    assert not (tmp_path / "host").exists()
    assert not (tmp_path / "root").exists()
