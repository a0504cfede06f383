"""The import rule: who may import whom, which library appears where, and where a clock may be read."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "aggregator"

MAY = {
    "errors": "",
    "core": "errors",
    "adapter": "core errors",
    "providers": "adapter errors",
    "paging": "core",
    "places": "core",
    "sweep": "core errors paging",
    "windows": "core errors sweep",
    "slices": "core errors sweep",
    "answers": "core errors sweep",
    "wants": "answers core errors slices sweep",
    "poll": "core errors places slices sweep wants windows",
    "backfill": "core errors poll slices sweep windows",
    "cancel": "core errors sweep",
    "once": "core errors poll slices sweep",
    "trust": "",
    "credentials": "errors trust",
    "logs": "errors",
    "systemd": "errors",
    "metrics": "core",
    "listeners": "",
    "hosts": "core errors",
    "health": "config errors listeners",
    "config": "core credentials errors trust",  # statuses and time zones are checked with the core's own words
    "deadlines": "",
    "descriptors": "",
    "decoding": "",
    "desk": "errors",
    "fetch": "config core deadlines decoding errors",
    "store": "config core errors",
    "publish": "config core errors",
    "accounts": "adapter config core credentials errors fetch providers trust",
    "simulator": "listeners",
}
MAY["daemon"] = " ".join(MAY)
MAY["cli"] = " ".join(MAY)
MAY["__main__"] = "cli"
"""For each part what else of ours it may import; `daemon` and `cli` stand above all the others."""

LIBRARIES = {
    "core": "phonenumbers holidays",
    "config": "pydantic pydantic_core pydantic_settings",
    "logs": "structlog",
    "fetch": "httpx tenacity",
    "store": "alembic psycopg sqlalchemy sqlmodel",
    "publish": "sqlalchemy structlog",
    "metrics": "prometheus_client",
    "hosts": "structlog",
    "listeners": "h11 starlette structlog uvicorn",
    "health": "starlette structlog",
    "simulator": "starlette uvicorn",
    "daemon": "apscheduler structlog",
    "desk": "structlog",
    "cli": "psycopg rich structlog typer",
}
"""For each part which libraries it may import; the others do with the standard library."""

PURE = ("core", "adapter", "providers")
WORLD = frozenset(
    {"asyncio", "glob", "io", "logging", "os", "pathlib", "random", "secrets", "shutil", "socket", "sqlite3"}
    | {"subprocess", "tempfile", "threading", "time", "uuid"}
)
CLOCKS = ("fetch.py", "daemon.py", "cli/", "simulator/clock.py", "simulator/serve.py")
NOW = frozenset(
    {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"}
)


def broken(root: Path) -> Iterator[str]:
    """Every place under `root` that breaks the rule."""
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        part = name.split("/")[0].removesuffix(".py")
        for node in _nodes(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in NOW and not name.startswith(CLOCKS):
                yield f"{name}: reads the clock"
            for module in _imported(node):
                if not _may(part, name, module):
                    yield f"{name}: imports {module}"


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All of a module but what is imported for types alone: that binds nobody."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _nodes(child)


def _imported(node: ast.AST) -> Iterator[str]:
    """The modules a statement imports; what is taken from the bare package is a module of ours too."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level:
        yield "." * node.level + (node.module or "")
    elif isinstance(node, ast.ImportFrom):
        modules = [f"aggregator.{alias.name}" for alias in node.names]
        yield from modules if node.module == "aggregator" else [node.module or ""]


def _may(part: str, name: str, module: str) -> bool:
    top, _, rest = module.partition(".")
    if top != "aggregator":
        pure = part in PURE and top in WORLD
        return (top in sys.stdlib_module_names and not pure) or top in LIBRARIES.get(part, "").split()
    theirs = rest.split(".")
    if part == theirs[0] == "providers" and len(theirs) > 1:
        return theirs[1] == name.split("/")[1]  # a provider's own folder, never another provider
    return theirs[0] in (part, "__version__") or theirs[0] in MAY.get(part, "").split()


def test_every_part_has_its_row() -> None:
    parts = {
        path.name.removesuffix(".py") for path in ROOT.iterdir() if path.suffix == ".py" or path.is_dir()
    }
    assert parts - {"__pycache__", "__init__"} <= set(MAY)


def test_nobody_breaks_the_import_rule() -> None:
    assert list(broken(ROOT)) == []


def test_nobody_imports_the_daemon_or_the_command_line() -> None:
    assert {part for part, others in MAY.items() if {"daemon", "cli"} & {*others.split()}} == {
        "cli",
        "__main__",
    }


PLANTED = [
    ("core/fold.py", "import httpx", "imports httpx"),
    ("core/fold.py", "from aggregator.store import record", "imports aggregator.store"),
    ("core/fold.py", "import logging", "imports logging"),
    ("core/fold.py", "from .. import store", "imports .."),
    ("core/due.py", "from datetime import datetime\nnow = datetime.now()", "reads the clock"),
    ("core/due.py", "from datetime import datetime\nclock = datetime.now", "reads the clock"),
    ("poll.py", "import time\nnow = time.time()", "reads the clock"),
    ("poll.py", "from aggregator import store", "imports aggregator.store"),
    ("poll.py", "def late():\n    from aggregator.fetch import Fetcher", "imports aggregator.fetch"),
    ("providers/telnyx/pages.py", "from aggregator.providers.fonedynamics import ADAPTER", "fonedynamics"),
    ("providers/telnyx/pages.py", "from aggregator.core.model import Fact", "imports aggregator.core.model"),
    ("providers/third.py", "import os.path", "imports os.path"),
    ("simulator/world.py", "from aggregator.core.model import State", "imports aggregator.core.model"),
    ("simulator/world.py", "from datetime import date\ntoday = date.today()", "reads the clock"),
    ("daemon.py", "import sqlmodel", "imports sqlmodel"),
    ("store/store.py", "from aggregator.cli import main", "imports aggregator.cli"),
    ("once.py", "import aggregator.daemon", "imports aggregator.daemon"),
    ("once.py", "if True:\n    from aggregator.store import store", "imports aggregator.store"),
    ("unheard_of.py", "from aggregator.core import model", "imports aggregator.core"),
    ("fetch.py", "import apscheduler.schedulers", "imports apscheduler.schedulers"),
]


@pytest.mark.parametrize(("name", "source", "fault"), PLANTED, ids=[f"{n}: {s}" for n, s, _ in PLANTED])
def test_a_planted_fault_is_found(tmp_path: Path, name: str, source: str, fault: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    (found,) = broken(tmp_path)
    assert found.startswith(f"{name}: ")
    assert fault in found


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("core/normalise.py", "import phonenumbers\nfrom aggregator.errors import PageChanged"),
        (
            "providers/telnyx/pages.py",
            "from aggregator.providers.telnyx import words\nfrom urllib.parse import quote",
        ),
        ("once.py", "if TYPE_CHECKING:\n    from aggregator.store import store"),
        ("fetch.py", "import httpx, time\nfrom aggregator import __version__\nnow = time.time()"),
        (
            "cli/setup.py",
            "from datetime import datetime\nfrom aggregator import daemon\nnow = datetime.now()",
        ),
    ],
)
def test_what_is_allowed_is_not_found(tmp_path: Path, name: str, source: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    assert list(broken(tmp_path)) == []
