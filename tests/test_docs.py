"""The documentation is true: every view and column with its type, every value of a closed set, every command."""

import json
import re
import shlex
import sqlite3
from collections.abc import Iterator
from datetime import date
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import filled
import psycopg
import pytest
import typer

from aggregator.cli import main
from aggregator.cli.app import app
from aggregator.core.diff import KINDS
from aggregator.core.model import Basis, Direction, State, Vocabulary, WaitingOn
from aggregator.core.why import REASON_WORDS
from aggregator.simulator.serve import parser as simulator_options

ROOT = Path(__file__).parents[1]
CONSUMERS = ROOT / "docs" / "consumers.md"
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
POSTGRES = {
    "timestamp with time zone": "instant",
    "date": "date",
    "boolean": "yes/no",
    "integer": "integer",
    "bigint": "integer",
    "text": "text",
    "character varying": "text",
}
CALL = re.compile(r"(?:^|&& |\* )(?:\S+/)?porting-aggregator( .*)$")
PIP_MB = 15
"""What a new venv holds before anything is installed into it."""
PROOF = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def is_object(value: object) -> bool:
    return isinstance(value, str) and isinstance(json.loads(value), dict)


SQLITE = {
    "instant": lambda value: isinstance(value, str) and INSTANT.fullmatch(value),
    "date": lambda value: isinstance(value, str) and date.fromisoformat(value).isoformat() == value,
    "yes/no": lambda value: value in (0, 1) and isinstance(value, int),
    "integer": lambda value: isinstance(value, int),
    "text": lambda value: isinstance(value, str),
    "list": lambda value: isinstance(value, str) and isinstance(json.loads(value), list),
    "object": is_object,
}

Columns = dict[str, tuple[str, bool]]


def documented() -> dict[str, Columns]:
    """Each view of the documentation with its columns in order: type, and whether it can be null."""
    found: dict[str, Columns] = {}
    for name, text in sections():
        lines = re.findall(r"^\| (\w+) \| ([\w/]+) \| (yes|no) \|", text, re.MULTILINE)
        assert len({line[0] for line in lines}) == len(lines), f"{name}: a column stands twice"
        found[name] = {column: (kind, null == "yes") for column, kind, null in lines}
    return found


def sections() -> Iterator[tuple[str, str]]:
    parts = re.split(r"^## ", CONSUMERS.read_text("utf-8"), flags=re.MULTILINE)
    return ((part.partition("\n")[0], part) for part in parts if part.startswith("v1_"))


def test_every_view_and_column_of_postgres_is_documented_in_order_with_its_type(postgres_url: str) -> None:
    query = (
        "select table_name, column_name, data_type from information_schema.columns "
        "where table_schema = 'porting' and table_name in (select viewname from pg_views) "
        "order by table_name, ordinal_position"
    )
    there: dict[str, list[tuple[str, str]]] = {}
    with psycopg.connect(postgres_url) as connection:
        for view, column, kind in connection.execute(query):
            there.setdefault(view, []).append((column, kind))
    said = documented()
    assert said.keys() == there.keys()
    for view, columns in there.items():
        json_kinds = {name: kind for name, (kind, _) in said[view].items() if kind in ("list", "object")}
        found = [
            (name, json_kinds.get(name, kind) if kind == "jsonb" else POSTGRES[kind])
            for name, kind in columns
        ]
        assert found == [(name, kind) for name, (kind, _) in said[view].items()], view


def test_every_view_and_column_of_sqlite_holds_what_the_documentation_says(tmp_path: Path) -> None:
    filled.fill(f"sqlite:///{tmp_path}/aggregator.db")
    said = documented()
    with sqlite3.connect(tmp_path / "aggregator.db") as database:
        views = {row[0] for row in database.execute("select name from sqlite_master where type = 'view'")}
        assert views == said.keys()
        for view, columns in said.items():
            found = database.execute(f"select * from {view}")
            assert [column[0] for column in found.description] == list(columns), view
            rows = found.fetchall()
            assert rows, view
            for row in rows:
                for value, (name, (kind, null)) in zip(row, columns.items(), strict=True):
                    assert null if value is None else SQLITE[kind](value), f"{view}.{name}: {value!r}"
    database.close()


def test_the_examples_are_of_the_type_they_stand_beside() -> None:
    as_stored: dict[str, Any] = {"true": 1, "false": 0}
    for view, text in sections():
        lines = re.findall(r"^\| (\w+) \| ([\w/]+) \| (?:yes|no) \| .* \| (.*?) ?\|$", text, re.MULTILINE)
        assert len(lines) == len(documented()[view])
        for column, kind, example in lines:
            if not example:
                continue
            value = as_stored.get(example, int(example) if example.isdigit() else example.strip("`"))
            assert SQLITE[kind](value), f"{view}.{column}: {example}"


def test_every_value_of_a_closed_or_known_set_is_documented() -> None:
    text = CONSUMERS.read_text("utf-8")
    words = {str(word) for kind in (State, WaitingOn, Basis, Direction, Vocabulary) for word in kind}
    words |= set(KINDS.values()) | set(REASON_WORDS)
    words |= {
        "order_seen",
        "number_added",
        "number_removed",
        "comment_added",
        "document_changed",
        "cancel_asked",
    }
    words |= {"order_deleted", "order_reappeared", "attribute_changed", "raw_status_changed"}
    assert {word for word in words if f"`{word}`" not in text} == set()


def test_the_states_of_the_documentation_are_the_states_there_are() -> None:
    table = CONSUMERS.read_text("utf-8").partition("### States\n")[2].partition("\n##")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [str(state) for state in State]


# --- commands -------------------------------------------------------------------------------------------


def commands() -> list[tuple[str, str]]:
    """Every line that calls the program in a fenced block, and every call that stands in a sentence."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text("utf-8")
        blocks = re.findall(r"^```(?:sh|console|text|)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        lines = [line for block in blocks for line in block.splitlines()]
        lines += re.findall(
            r"`((?:[\w./]+/)?porting-aggregator [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
        )
        calls = (CALL.search(line.partition(" # ")[0]) for line in lines)
        found += [(document.name, call[1].strip()) for call in calls if call]
    return found


def test_there_are_commands_to_look_at() -> None:
    documents = {document for document, _ in commands()}
    assert {"README.md", "consumers.md", "operations.md"} <= documents


@pytest.mark.parametrize(("document", "said"), sorted(set(commands())))
def test_every_command_that_is_printed_exists_with_its_options(document: str, said: str) -> None:
    main(["--version"])
    root: Any = typer.main.get_command(app)
    words = shlex.split(re.split(r" [|>&]{1,2} ?| \|\| ", said)[0].replace("…", "X"))
    command = root
    path: list[str] = []
    while words and hasattr(command, "commands"):
        word = words.pop(0)
        if word.startswith("-"):
            option = next(part for part in root.params if word.partition("=")[0] in part.opts)
            if not option.is_flag and "=" not in word:
                words.pop(0)
            continue
        if word == "VERB":
            return
        assert word in command.commands, f"{document}: no verb {' '.join([*path, word])}"
        path.append(word)
        command = command.commands[word]
    if path == ["simulate"]:  # its options are its own
        simulator_options().parse_args(words)
        return
    known = {name for part in command.params for name in (*part.opts, *part.secondary_opts)} | {
        "--help",
        "-h",
    }
    if not command.ignore_unknown_options:
        assert {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)} <= known, document


def test_what_the_texts_say_of_sizes_and_counts_is_so() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    count, block = re.search(r"(\w+) lines of configuration.*?```toml\n(.*?)```", readme, re.DOTALL).groups()  # type: ignore[union-attr]
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    assert words.index(count.lower()) == len(block.splitlines())
    names = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.txt").read_text("utf-8"), re.MULTILINE)
    there = [file.locate() for name in names for file in installed(name)]
    megabytes = sum(-(-Path(path).stat().st_size // 4096) * 4096 for path in map(str, there)) / 1_000_000
    for file in ("Makefile", "systemd/install.sh"):
        said = re.search(r"about \d+ seconds, (\d+) MB\.", (ROOT / file).read_text("utf-8"))
        assert said is not None
        assert 0.8 < int(said[1]) / (megabytes + PIP_MB) < 1.2, (megabytes, file)


def installed(name: str) -> list[Any]:
    """The files of a package that are there; none of one that this Python has no need of."""
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return []
    return [file for file in files if Path(str(file.locate())).is_file()]


# --- proofs ---------------------------------------------------------------------------------------------


def test_every_test_that_a_document_names_is_there() -> None:
    said = {name for document in DOCUMENTS for name in PROOF.findall(document.read_text("utf-8"))}
    assert len(said) > 60
    missing = {
        f"{file}::{test}"
        for file, test in said
        if not re.search(rf"^(?:async )?def {test}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE)
    }
    assert missing == set()
