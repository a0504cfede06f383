"""A canary in every field of every recording: what may not be kept is nowhere, whatever is done with it.

The real command polls the recordings over loopback, once as they are and once with every kept field broken
too, at debug, in both formats; then every verb that shows something is called. What was planted outside the
fields that an adapter keeps may stand in no file of the database, no line of a log and no output; remarks stand
in the table of comments and in what shows it.
"""

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from confided import RECORDINGS, Planter, Recorded, cells, fields

from aggregator import providers

KEY = "KEY-canary-0123456789"
CANARY = re.compile(r"(?:hidden|broken|remark)-\d+x\d+z")
CONFIDENTIAL = re.compile(
    r"pin(?!g)|passcode|password|secret|token|account|tax|e?mail|person|entity|subscriber|name|address|contact"
    r"|webhook|loa\b|lsr|invoice|user_id|feedback|documents|end_user|admin|location|zip|postal|city|body",
    re.IGNORECASE,
)
INNOCENT = {"carrier_name", "AccountSid"}
"""A carrier is no person, and the account is our own."""

SHOWING = (
    *("orders --all --json", "events --json", "changes --all --json", "waiting --json", "unknown --json"),
    *(
        "quarantine --json",
        "feeds --json",
        "accounts --json",
        "orders --all",
        "events",
        "changes",
        "quarantine",
    ),
    *("orders --all --as-of 1m", "replay --dry-run", "config show", "check", "db check", "db backup copy.db"),
    *("event r6 eef3340b-8903-4466-b445-89b697315a3a", "show r7/port_in", "number +13035550160"),
)
SHOW = """
import io, sys
from aggregator.cli import main
globals, verbs = sys.argv[1:-1], sys.argv[-1].splitlines()
printed = sys.stdout
for verb in verbs:
    sys.stdout = sys.stderr = io.StringIO()
    code = main([*globals, *verb.split()])
    printed.write(f"\\0{verb}\\n{code}\\n{sys.stdout.getvalue()}")
"""


@dataclass
class Left:
    """What a poll of all recordings left behind."""

    planters: dict[int, Planter]
    served: Mapping[int, int]
    outputs: dict[str, str]
    files: dict[str, bytes]
    cells: list[tuple[str, str]]
    codes: dict[str, int]

    @property
    def hidden(self) -> dict[str, str]:
        """What may be nowhere, and where it was planted."""
        return {mark: at for one in self.planters.values() for mark, at in one.where.items()}


@pytest.fixture(scope="module", params=[False, True], ids=["as recorded", "broken"])
def left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Left:
    """A poll of every recording, with everything that can be asked afterwards."""
    home = tmp_path_factory.mktemp("planted")
    planters = {number: Planter(one, number, request.param) for number, one in enumerate(RECORDINGS)}
    (home / "key").touch(0o600)
    (home / "key").write_text(f"{KEY}\n")
    outputs, codes, files = {}, {}, {}
    with ExitStack() as stack:
        server = stack.enter_context(Recorded(planters))
        (home / "aggregator.toml").write_text("".join(configured(server, planters)))
        for format in ("json", "console"):
            done = call(home, format, "-m", "aggregator", more=("poll", *map(name_of, planters), "--json"))
            outputs[f"poll, {format}"] = done.stdout + done.stderr
            codes[f"poll, {format}"] = done.returncode
            if format == "json":
                reader = stack.enter_context(closing(sqlite3.connect(home / "aggregator.db")))
                reader.execute("pragma journal_mode=wal")  # one that is connected keeps the log in its place
                reader.execute("select count(*) from v1_orders").fetchall()
        for shown in call(home, "json", "-c", SHOW, more=("\n".join(SHOWING),)).stdout.split("\0")[1:]:
            verb, code, outputs[verb] = shown.split("\n", 2)
            codes[verb] = int(code)
        for file in home.glob("*.db*"):
            files[file.name] = file.read_bytes()
        return Left(planters, server.served, outputs, files, list(cells(reader)), codes)


def name_of(number: int) -> str:
    """The account of a recording."""
    return f"r{number}"


def configured(server: Recorded, planters: Mapping[int, Planter]) -> Iterator[str]:
    """An account for each recording."""
    for number, planter in planters.items():
        one = planter.recording
        yield f'[accounts.{name_of(number)}]\nprovider = "{one.provider}"\nsecret = "file:key"\n'
        yield f'base_url = "{server.url(number)}"\n'
        if one.provider == "fonedynamics":
            yield 'min_interval = "0s"\naccount_sid = "A5EQ333XCXHTRHUS5DEOXLLA36ZQSZQQ"\n'
        yield from (f'{name} = "{value}"\n' for name, value in one.options.items())


def call(home: Path, format: str, *python: str, more: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """The program, as loud as it can be."""
    command = [sys.executable, *python, "--config", str(home / "aggregator.toml")]
    command += ["--log-level", "debug", "--log-format", format, *more]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PORTING_")}
    return subprocess.run(command, capture_output=True, text=True, cwd=home, env=environ, timeout=120)


# --- that it can be found -------------------------------------------------------------------------------


def test_every_recording_was_read_and_shown(left: Left) -> None:
    unread = [str(one.recording) for number, one in left.planters.items() if not left.served[number]]
    assert unread == []
    assert len(left.hidden) > 900
    assert {verb: code for verb, code in left.codes.items() if code not in (0, 1, 75)} == {}
    assert len(left.files["aggregator.db-wal"]) > 100_000 and len(left.files["copy.db"]) > 100_000
    assert all(
        left.outputs[verb] for verb in ("orders --all --json", "events --json", "changes --all --json")
    )


def test_a_broken_page_is_set_aside_or_refused_and_said(left: Left) -> None:
    is_broken = next(iter(left.planters.values())).broken
    refs = [value for column, value in left.cells if column == "quarantine.ref"]
    assert bool(refs) is is_broken
    polled = [json.loads(line) for line in left.outputs["poll, json"].splitlines() if '"set_aside"' in line]
    assert any(line["set_aside"] for line in polled) is is_broken
    assert bool(json.loads(left.outputs["quarantine --json"].partition("\n")[0] or "0")) is is_broken


# --- that it is nowhere ---------------------------------------------------------------------------------


def test_what_may_not_be_kept_is_in_no_file_log_or_output(left: Left) -> None:
    planted = left.hidden
    for name, content in left.files.items():
        assert {planted[mark.decode()] for mark in re.findall(rb"hidden-\d+x\d+z", content)} == set(), name
    for name, output in left.outputs.items():
        marks = {mark for mark in CANARY.findall(output) if mark.startswith("hidden")}
        assert {planted[mark] for mark in marks} == set(), name
        assert KEY not in output, name
    assert [name for name, content in left.files.items() if KEY.encode() in content] == []


def test_a_remark_is_kept_in_the_table_of_comments_and_its_secrets_nowhere(left: Left) -> None:
    remarks = {mark for one in left.planters.values() for mark in one.comments}
    where = {column for column, value in left.cells if remarks.intersection(CANARY.findall(value))}
    assert where <= {"comment.body"}
    assert where or next(iter(left.planters.values())).broken
    secret = [mark for mark, at in left.hidden.items() if at.endswith(("in a comment", "in free text"))]
    assert len(secret) > 20
    for column, value in left.cells:
        assert [mark for mark in secret if re.search(rf"(?<!\w){mark}(?!\w)", value)] == [], column
    for name, output in left.outputs.items():
        assert [mark for mark in secret if re.search(rf"(?<![\w.]){mark}(?!\w)", output)] == [], name
        if not name.startswith(("number", "show")):
            assert not remarks.intersection(CANARY.findall(output)), name


@pytest.mark.parametrize("format", ["json", "console"])
def test_a_log_line_or_an_error_repeats_nothing_that_was_read(left: Left, format: str) -> None:
    """Not even what may be kept: the log names places, the database holds what was said there. The id of an order
    is such a place."""
    orders = {value for column, value in left.cells if column == "port_order.provider_order_id"}
    assert set(CANARY.findall(left.outputs[f"poll, {format}"])) <= orders


@pytest.mark.parametrize("name", providers.names())
def test_no_field_that_an_adapter_keeps_is_secret_or_personal(name: str) -> None:
    kept = {field for tree in providers.load(name).keep.values() for field in fields(tree)}
    names = {part for field in kept for part in field.split(".")} - INNOCENT
    assert sorted(part for part in names if CONFIDENTIAL.search(part)) == []
