"""What each recorded reply comes to in a database: the rows of the feed and of the views that an account has after
nothing but this reply. They stand beside the recording, in `<case>.views.json`, and are written anew with the
expected readings: `python tests/recordings.py`.
"""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from recordings import Recording, recordings

from aggregator.core.findings import Findings
from aggregator.core.model import Part
from aggregator.core.normalise import gathered
from aggregator.store import open_store
from aggregator.store.queries import Reader

SORTED: dict[str, tuple[str, ...]] = {
    "changes": ("seq",),
    "orders": ("order_id",),
    "numbers": ("order_id", "number_key"),
    "reasons": ("order_id", "number_key", "code", "raw_code", "from_at"),
    "events": ("event_id",),
    "comments": ("order_id", "comment_id"),
    "timeline": ("sort_at", "order_id", "number_key", "what", "detail"),
}
LEFT_OUT = frozenset(
    [
        "map_version",
        "needs_us",
        "urgency",
        "display_group",
        "deadline_at",
        "deadline_kind",
        "provider",
        "account",
    ]
)
"""What depends on the clock or on words that the reply does not have, and what all rows share."""
JSON_TEXTS = ("order_seen", "number_added")


def golden(recording: Recording) -> Path:
    """The file that holds what a reply comes to."""
    return recording.expected.with_name(f"{recording.name}.views.json")


def views_of(url: str) -> Iterator[tuple[Recording, str]]:
    """Each recording with its golden text. Each has an account of its own in the database, and counts from 1."""
    known = [
        (recording, replace(recording.account, name=f"{recording.provider}-{recording.name}"))
        for recording in recordings()
    ]
    store = open_store(url)
    try:
        reader = Reader(store.engine)
        now = known[0][0].fetched_at
        store.sync([account for _, account in known], timedelta(days=14), now)
        for recording, account in known:
            lease = store.take(account.name, recording.fetched_at)
            assert lease is not None
            said = recording.read()
            whole = all(fact.part is Part.NUMBERS for fact in said.facts)
            facts = gathered(said.facts) if whole else said.facts
            feed = next(iter(account.feeds))
            before = {view: _newest(reader, view) for view in ("changes", "events")}
            findings = Findings(feed, recording.fetched_at, facts, said.wants, said.skipped)
            store.record(account, lease, findings)
            yield recording, _text(_rows(reader, account.name, before))
    finally:
        store.close()


def _newest(reader: Reader, view: str) -> int:
    column = "seq" if view == "changes" else "event_id"
    (row,) = reader.query(f"select coalesce(max({column}), 0) as newest from v1_{view}", {})
    return int(row["newest"])


def _rows(reader: Reader, account: str, before: dict[str, int]) -> dict[str, list[dict[str, Any]]]:
    """The rows of each view, without what is null, and counted as in a database of their own."""
    found = {}
    batches: dict[int, int] = {}
    for view, columns in SORTED.items():
        query = f"select * from v1_{view} where order_id like :account order by {columns[0]}"
        rows = []
        for row in reader.query(query, {"account": f"{account}/%"}):
            if "batch" in row:
                row["batch"] = batches.setdefault(row["batch"], len(batches) + 1)
            for column in ("seq", "last_seq"):
                if column in row:
                    row[column] -= before["changes"]
            if "event_id" in row:
                row["event_id"] -= before["events"]
            if "payload" in row:
                row["payload"] = json.loads(json.dumps(row["payload"], sort_keys=True))
            if "entry_id" in row:
                del row["entry_id"]  # made of these and of the order's place in the database
            if row.get("kind") in JSON_TEXTS and str(row["new_value"]).startswith("{"):
                row["new_value"] = _told(json.loads(row["new_value"]))
            row["order_id"] = row["order_id"].partition("/")[2]
            rows.append(_told(row))
        found[view] = sorted(rows, key=lambda row: [row.get(column) or "" for column in columns])
    return found


def _told(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None and name not in LEFT_OUT}


def _text(views: dict[str, list[dict[str, Any]]]) -> str:
    """JSON with a line for each row, so that a difference is one."""
    parts = [
        f' "{view}": [' + ",".join(f"\n  {json.dumps(row, ensure_ascii=False)}" for row in rows) + "\n ]"
        for view, rows in views.items()
        if rows
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n" if parts else "{}\n"


def write() -> None:
    """Write every golden file anew."""
    with tempfile.TemporaryDirectory() as folder:
        for recording, text in views_of(f"sqlite:///{folder}/golden.db"):
            golden(recording).write_text(text, "utf-8")
