"""What is installed with the program: every licence that asks for more than a notice is named in the documentation."""

import re
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOTICE_ONLY = re.compile(
    r"MIT|MIT-0|BSD|Apache|ISC|PSF|Python Software Foundation|Zope|Dual License", re.IGNORECASE
)
ELSEWHERE = {"colorama", "greenlet", "tzdata"}
"""Packages that the lock has for other machines than this one."""


def pinned(lock: str) -> dict[str, str]:
    """Each package of a lock and its version."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", (ROOT / lock).read_text(), re.MULTILINE))


def licence(package: str) -> str:
    """What a package says of its licence."""
    said = metadata.metadata(package)
    texts = said.json  # one text for each key, a list for those that may be repeated
    classified = [one.rpartition(" :: ")[2] for one in texts.get("classifier", ()) if "License" in one]
    return " ".join(
        [*classified, str(texts.get("license_expression", "")), str(texts.get("license", ""))[:60]]
    )


def test_each_licence_that_asks_for_more_than_a_notice_is_named() -> None:
    documented = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    asks_more = {}
    for package in pinned("requirements.txt").keys() - ELSEWHERE:
        if not NOTICE_ONLY.search(found := licence(package)):
            asks_more[package] = found
    assert asks_more.keys() == {"certifi", "psycopg", "psycopg-binary"}
    for package, found in asks_more.items():
        (short,) = re.findall(r"(?:LGPL-3\.0|MPL-2\.0)", found)[:1]
        assert f"`{package}`" in documented and short in documented


def test_every_lock_has_its_list() -> None:
    made = set(re.findall(r"-o dist/\S+ (requirements\S*\.txt)", (ROOT / "Makefile").read_text()))
    assert made == {path.name for path in ROOT.glob("requirements*.txt")}
    assert "cyclonedx-bom" in pinned("requirements-audit.txt")
