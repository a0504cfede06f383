"""Canaries: what a provider tells us in confidence, and what we tell it, is in no database, log or output.

The stand-ins fill every published field. Whatever they say under a name that is secret or personal is
collected from their own replies, and then looked for in all that real polls leave behind.
"""

import json
import os
import re
import sqlite3
import subprocess
import sys
import traceback
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from confided import cells
from sqlalchemy import text

from aggregator.errors import StoreError
from aggregator.simulator import Running, start
from aggregator.store import engine as engines

CONFIDENTIAL = re.compile(
    r"pin_passcode|attempted_pin|webhook_?url|person|entity_name|account_?n|tax_id|business_id|street_address"
    r"|extended_address|service_address|portaddress|contact|authorized_name|end_user_name|lsr|^loa$|invoice",
    re.IGNORECASE,
)
COMMENTED = "77-1234"  # an account number in the body of a comment
LISTS = ("/porting_orders", "/portouts", "/porting/events", "/portouts/events")


@dataclass
class Left:
    """What polls left behind: the outputs of each, and the files of the database."""

    secrets: set[str]
    pins: set[str]
    outputs: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    cells: list[tuple[str, str]] = field(default_factory=list)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    """A clean poll, one whose pages are spoiled, one whose keys are refused; all by the real command."""
    home = tmp_path_factory.mktemp("canary")
    database = home / "aggregator.db"
    with start("--require-auth", "--orders", "16", "--days", "40", "--speed", "0") as simulator:
        simulator.advance(40 * 86_400)
        found = Left(*confidences(simulator))
        keys = {"telnyx": simulator.telnyx_key, "fone": simulator.fonedynamics_token}
        configure(home, simulator, keys)
        found.outputs["clean"] = poll(home)
        with closing(sqlite3.connect(database)) as reader:
            # A reader that is connected keeps the write-ahead log in its place.
            reader.execute("pragma journal_mode=wal")
            reader.execute("select count(*) from v1_orders").fetchall()
            simulator.set_faults(cut=0.3, foreign=0.3, unreadable_item=0.5)
            for number in range(2):
                found.outputs[f"spoiled {number}"] = poll(home)
            simulator.set_faults(cut=0, foreign=0, unreadable_item=0)
            wrong = {name: f"WRONG-{key}-canary" for name, key in keys.items()}
            configure(home, simulator, wrong)
            found.outputs["refused"] = poll(home)
            for file in home.glob("aggregator.db*"):
                found.files[file.name] = file.read_bytes()
            found.cells = list(cells(reader))
    for key in (*keys.values(), *wrong.values()):
        found.secrets |= {key, b64encode(f"{simulator.account_sid}:{key}".encode()).decode()}
    return found


def configure(home: Path, simulator: Running, keys: dict[str, str]) -> None:
    """Lay the keys and a configuration that names them."""
    for name, key in keys.items():
        (home / name).touch(0o600)
        (home / name).write_text(f"{key}\n")
    (home / "aggregator.toml").write_text(
        f"""
[accounts.telnyx-main]
provider = "telnyx"
secret = "file:telnyx"
base_url = "{simulator.telnyx}"
feeds.porting_events.start = "100d"
feeds.portout_events.start = "100d"
[accounts.fone-au]
provider = "fonedynamics"
secret = "file:fone"
base_url = "{simulator.fonedynamics}"
account_sid = "{simulator.account_sid}"
min_interval = "0s"
feeds.porting_status.start = "100d"
feeds.porting_reconcile.start = "100d"
""",
        encoding="utf-8",
    )


def poll(home: Path) -> subprocess.CompletedProcess[str]:
    """The one-shot, as loud as it can be."""
    command = [sys.executable, "-m", "aggregator", "--config", str(home / "aggregator.toml")]
    command += ["--log-level", "debug", "--log-format", "json", "poll", "telnyx-main", "fone-au", "--json"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PORTING_")}
    return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=120)


def confidences(simulator: Running) -> tuple[set[str], set[str]]:
    """Everything the stand-ins say in confidence: long texts, and PINs."""
    said: set[tuple[str, str]] = set()
    for path in LISTS:
        query = {"page[size]": "250", "include_phone_numbers": "true"}
        said |= set(texts(ask(f"{simulator.telnyx}{path}?{urlencode(query)}", simulator)))
    status = f"{simulator.fonedynamics}/Accounts/{simulator.account_sid}/Porting/Status"
    query = {"From": "0", "To": "4000000000", "Results_Count": "500"}
    said |= set(texts(ask(f"{status}?{urlencode(query)}", simulator)))
    values = {value for name, value in said if CONFIDENTIAL.search(name) and len(value) > 3}
    pins = {value for value in values if re.fullmatch(r"\d{4,8}", value)}
    return values - pins, pins


def ask(url: str, simulator: Running) -> Any:
    """A reply of the stand-ins, by other means than ours."""
    basic = b64encode(f"{simulator.account_sid}:{simulator.fonedynamics_token}".encode()).decode()
    sent = f"Basic {basic}" if "/Porting/" in url else f"Bearer {simulator.telnyx_key}"
    with urlopen(Request(url, headers={"Authorization": sent}), timeout=30) as reply:
        return json.load(reply)


def texts(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a document with its name."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from texts(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner, name)
    elif isinstance(value, str):
        yield name, value


def test_the_canaries_are_there_to_be_found(left: Left) -> None:
    assert len(left.pins) > 5
    assert {"ACCT-CANARY-77", "TAX-CANARY-88", "canary.contact@example.com"} <= left.secrets
    assert {value for value in left.secrets if "hook-canary" in value and value.startswith("https://")}
    assert len({value for value in left.secrets if re.fullmatch("[A-Z][a-z]+ [A-Z][A-Za-z]+", value)}) > 2


def test_the_polls_did_what_they_were_to_do(left: Left) -> None:
    assert {name: done.returncode for name, done in left.outputs.items()} == {
        "clean": 0,
        "spoiled 0": 75,
        "spoiled 1": 75,
        "refused": 77,
    }
    assert all(done.stdout for done in left.outputs.values())
    assert all(done.stderr for name, done in left.outputs.items() if name != "clean")
    assert len(left.files["aggregator.db-wal"]) > 10_000
    filled = {column.split(".")[0] for column, _ in left.cells}
    assert {"quarantine", "comment"} <= filled
    assert len(left.cells) > 5_000


def test_no_secret_is_printed_or_logged(left: Left) -> None:
    for name, done in left.outputs.items():
        for printed in (done.stdout, done.stderr):
            assert "canary" not in printed.lower(), name
            assert [secret for secret in left.secrets if secret in printed] == [], name
            assert whole(left.pins, printed) == [], name


def test_no_secret_is_in_a_file_of_the_database(left: Left) -> None:
    for name, content in left.files.items():
        assert b"canary" not in content.lower(), name
        assert [secret for secret in left.secrets if secret.encode() in content] == [], name


def test_no_secret_is_in_a_value_of_the_database(left: Left) -> None:
    for column, value in left.cells:
        assert [secret for secret in left.secrets if secret in value] == [], column
        assert whole(left.pins, value) == [], column
        assert COMMENTED not in value, column


def whole(pins: set[str], written: str) -> list[str]:
    """The PINs that stand in a text by themselves, not as a part of a number, a time or an id."""
    return sorted(set(re.findall(r"(?<![\w.+-])\d{4,8}(?![\w-])", written)) & pins)


def test_an_error_of_the_database_shows_no_value(database_url: str) -> None:
    engine, customer = engines.connect(database_url), "-".join(("robin", "canary"))
    with pytest.raises(StoreError) as caught, engines.translated(), engine.begin() as transaction:
        transaction.execute(text("insert into nowhere values (:name)"), {"name": customer})
    engine.dispose()
    assert customer not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ('{"pin": "4711"}', ["4711"]),
        ("pin 4711", ["4711"]),
        ("+614711", []),
        ("2026-06-15T12:00:00.4711Z", []),
        ("12345678-4711-4234-8234-123456789012", []),
    ],
)
def test_a_pin_is_found_where_it_stands_by_itself(written: str, found: list[str]) -> None:
    assert whole({"4711"}, written) == found
