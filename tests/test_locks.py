"""The locks: whole, hashed, no more than is needed, and of packages that need no compiler."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from itertools import product
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
RUN, TEST, AUDIT = "requirements.txt", "requirements-test.txt", "requirements-audit.txt"
GROUPS = {RUN: ("project", "build"), TEST: ("project", "test"), AUDIT: ("audit",)}
MACHINES = [
    {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": machine,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    for python, machine in product(("3.11", "3.12", "3.13"), ("x86_64", "aarch64"))
]
ENTRY = re.compile(
    r"(?P<pin>[a-z0-9-]+==[0-9][A-Za-z0-9.+]*)(?P<marker> ; [^\\\n]+)?(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n"
)


def lock(name: str) -> dict[str, Requirement]:
    """Each package with its one version; a lock that holds anything but pins and hashes is refused."""
    text = (ROOT / name).read_text("utf-8")
    entries = list(ENTRY.finditer(text))
    assert "".join(entry[0] for entry in entries) == text, "nothing else stands in it, no address either"
    found = {
        one.name: one for one in (Requirement(entry["pin"] + (entry["marker"] or "")) for entry in entries)
    }
    assert len(found) == len(entries), "each package once"
    return found


def roots(name: str) -> list[Requirement]:
    """What the project itself asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    found: list[str] = []
    groups = [*GROUPS[name]]
    for group in groups:
        said = (
            project["project"]["dependencies"] if group == "project" else project["dependency-groups"][group]
        )
        groups += [one["include-group"] for one in said if isinstance(one, dict)]
        found += [one for one in said if isinstance(one, str)]
    return [Requirement(one) for one in found]


def needed(name: str, machine: dict[str, str]) -> set[str]:
    """All that one machine needs, by what the installed packages say of themselves."""
    seen, ahead = set[tuple[str, str]](), roots(name)
    while ahead:
        one = ahead.pop()
        for extra in ("", *one.extras):
            key = (canonicalize_name(one.name), extra)
            if key in seen or (one.marker and not one.marker.evaluate({**machine, "extra": ""})):
                continue
            seen.add(key)
            for line in requires(one.name):
                more = Requirement(line)
                if more.marker is None or more.marker.evaluate({**machine, "extra": extra}):
                    ahead.append(Requirement(str(more).partition(";")[0]))
    return {package for package, _ in seen}


def requires(name: str) -> list[str]:
    """What a package asks for; nothing is known of one that this Python does without."""
    try:
        return distribution(name).requires or []
    except PackageNotFoundError:
        return []


@pytest.mark.parametrize("name", [RUN, TEST, AUDIT])
def test_a_lock_pins_and_hashes_every_package_and_holds_what_the_project_asks_for(name: str) -> None:
    pins = lock(name)
    for root in roots(name):
        (version,) = pins[canonicalize_name(root.name)].specifier
        assert root.specifier.contains(version.version), root


@pytest.mark.parametrize("name", [RUN, TEST])
@pytest.mark.parametrize(
    "machine", MACHINES, ids=lambda one: f"{one['python_version']} {one['platform_machine']}"
)
def test_a_lock_is_all_that_a_machine_needs_and_no_more(name: str, machine: dict[str, str]) -> None:
    pins = lock(name)
    here = {name for name, pin in pins.items() if pin.marker is None or pin.marker.evaluate(machine)}
    assert here == needed(name, machine)


def test_tests_run_on_the_versions_that_run_in_earnest() -> None:
    run, test = lock(RUN), lock(TEST)
    assert {name: str(test[name]) for name in run} == {name: str(pin) for name, pin in run.items()}


def test_what_is_installed_here_is_what_is_locked_and_was_built_by_no_compiler_of_ours() -> None:
    for name, pin in lock(TEST).items():
        if pin.marker is not None and not pin.marker.evaluate():
            continue
        installed = distribution(name)
        assert pin.specifier.contains(installed.version, prereleases=True), name
        tags = re.findall(r"^Tag: \S+-\S+-(\S+)$", installed.read_text("WHEEL") or "", re.MULTILINE)
        assert tags, name
        for (
            platform
        ) in tags:  # a wheel that was built on this machine says linux_…, and nothing published may
            assert platform == "any" or platform.startswith(("manylinux", "musllinux", "macosx")), name


def test_nothing_is_installed_without_hashes_or_from_source() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "HASHED := --require-hashes --only-binary :all:\n" in makefile
    installer = (ROOT / "systemd/install.sh").read_text("utf-8")
    lines = f"{makefile}\n{installer}".replace("\\\n", " ").splitlines()
    installs = [
        line for line in lines if re.search(r"pip\b.* -r |PIP\).* -r ", line) and "pip-audit" not in line
    ]
    assert len(installs) >= 5
    for line in installs:
        assert "$(HASHED)" in line or "--require-hashes --only-binary :all:" in line, line
