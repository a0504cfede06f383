"""What the demo's screen shows, as plain values read from the views."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aggregator.cli import telling

if TYPE_CHECKING:
    from aggregator.store.queries import Reader

Row = dict[str, Any]
TONES = {
    "exception": "bad",
    "rejected": "bad",
    "unknown": "bad",
    "reverted": "bad",
    "ported": "good",
    "partially_ported": "good",
}
"""How the states are coloured that an order goes to; what leaves one of `TROUBLE` and goes on is good news."""
TROUBLE = frozenset({"exception", "action_needed", "unknown"})


@dataclass(frozen=True, slots=True)
class Told:
    """One change in words: when it happened (as the views write it), to whom, what, and whether that is good or
    bad news (`good`, `bad`, or empty)."""

    at: str | None
    who: str
    what: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything the screen shows. `same_state`: a state, and whose words for how many orders it is."""

    now: datetime
    polls: int
    portouts: list[Row]
    waiting: list[Row]
    waiting_total: int
    same_state: tuple[str, list[tuple[str, str, int]]] | None
    changes: list[Told]
    outage: str
    unknown: list[Row]


def picture(reader: "Reader", now: datetime, polls: int, outage: str, after: int) -> Picture:
    """The picture of this moment, with the changes behind the position `after`."""
    waiting = reader.select("waiting")
    rows = reader.select("changes", after=after, limit=5_000)
    words = sorted(reader.select("unknown"), key=lambda row: row["vocabulary"] == "carrier_status")
    return Picture(
        now=now,
        polls=polls,
        portouts=[row for row in waiting if row["direction"] == "port_out"],
        waiting=_mixed([row for row in waiting if row["direction"] == "port_in"]),
        waiting_total=len(waiting),
        same_state=_same_state(reader),
        changes=told([row for row in rows if not row["initial"]]),
        outage=outage,
        unknown=words[:1],
    )


def _mixed(rows: list[Row]) -> list[Row]:
    """Both providers in turn, so that a short list shows both."""
    by: dict[str, list[Row]] = {}
    for row in rows:
        by.setdefault(row["provider"], []).append(row)
    columns = [by[name] for name in sorted(by, reverse=True)]
    longest = max(map(len, columns), default=0)
    return [column[at] for at in range(longest) for column in columns if at < len(column)]


def _same_state(reader: "Reader") -> tuple[str, list[tuple[str, str, int]]] | None:
    """One state that two providers' different words map to."""
    query = (
        "select state, provider, raw_status, count(*) as orders from v1_orders where is_open and "
        "state in ('with_provider', 'with_carrier', 'exception', 'scheduled') and raw_status is not null "
        "group by state, provider, raw_status order by state, provider desc"
    )
    found: dict[str, list[tuple[str, str, int]]] = {}
    for row in reader.query(query, {}):
        found.setdefault(row["state"], []).append((row["provider"], row["raw_status"], row["orders"]))
    for state, words in found.items():
        if len({provider for provider, *_ in words}) > 1:
            return state, words[:3]
    return None


def told(rows: list[Row]) -> list[Told]:
    """Changes in words, those that a coordinator looks at."""
    went = {(row["order_id"], row["batch"]): row["new_value"] for row in rows if _is_step(row)}
    found = []
    for row in rows:
        said = _said(row, went.get((row["order_id"], row["batch"])))
        if said is not None:
            what, tone = said
            who = row["customer_reference"] or _unnamed(row)
            found.append(Told(row["occurred_at"], who, what + " (late)" * row["late"], tone))
    return found


def _is_step(row: Row) -> bool:
    return row["kind"] == "state_changed" and row["number_key"] is None


def _said(row: Row, state: str | None) -> tuple[str, str] | None:
    """A change and its tone; None for what only follows from others. `state` is where the order went in the
    same read."""
    old, new = row["old_value"], row["new_value"]
    if _is_step(row):
        recovered = old in TROUBLE and new not in TROUBLE | {"cancelled"}
        tone = TONES.get(new, "good" if recovered else "")
        return telling.step("state", old, new), tone
    if row["field"] == "confirmed_foc_on" and old and new:
        return f"FOC date {_day(old)} → {_day(new)}", ""
    if row["field"] == "why" and new and row["kind"] == "attribute_changed":
        return new, "bad" if state in TROUBLE else ""
    if row["kind"] == "order_deleted":
        return telling.GONE, ""
    if row["kind"] == "order_seen" and row["direction"] == "port_out":
        return f"first seen: {telling.plain(json.loads(new).get('state'))}", "bad"
    return ("a new comment", "") if row["kind"] == "comment_added" else None


def _unnamed(row: Row) -> str:
    """An order without a customer's name: a port-out, usually."""
    return f"{row['direction'].replace('_', '-')} {row['order_id'].rsplit('/', 1)[1][:8]}"


def _day(text: str) -> str:
    return f"{datetime.fromisoformat(text):%a %d %b}"
