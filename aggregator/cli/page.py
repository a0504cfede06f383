"""The page with orders: what waits for us, and how the polling goes, as plain HTML to be read. No script, no form,
no link; it is made anew for each who asks and asks itself again every half minute.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from html import escape
from typing import Any

from aggregator.cli import describing, lateness, output, setup, telling, worklist
from aggregator.config import Config

Row = dict[str, Any]
WAITING = (
    "urgency",
    "customer_reference",
    "numbers_text",
    "gaining_carrier",
    "pon",
    "provider",
    "direction",
    "state",
    "why",
    "waiting_since",
    "deadline_at",
    "provider_order_id",
)
FEEDS = (
    "account",
    "feed",
    "last_complete_at",
    "last_outcome",
    "failing_since",
    "last_error",
    "stale",
    "is_quiet",
)
MOST = 500
STYLE = """
:root{color-scheme:light dark;font:15px/1.4 system-ui,sans-serif}body{margin:1.5rem}
table{border-collapse:collapse;margin:0 0 2rem}caption{text-align:left;font-weight:600;padding:.4rem 0}
th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #8884}
th{font-weight:500;opacity:.7}.bad{font-weight:600;color:#c22}@media(prefers-color-scheme:dark){.bad{color:#f77}}
"""


def orders_page(config: Config) -> bytes:
    """The page as of now."""
    with setup.reader(config) as reader:
        waiting = [*map(worklist.without_numbers, reader.select("waiting", limit=MOST + 1))]
        feeds = [row for row in reader.select("feeds") if row["account"] in config.names]
    return "".join(_html(waiting, feeds, setup.now())).encode()


def _html(waiting: list[Row], feeds: list[Row], now: datetime) -> Iterator[str]:
    more = f", the first {MOST} of them" if len(waiting) > MOST else ""
    count = f"{min(len(waiting), MOST)} orders" if len(waiting) != 1 else "1 order"
    yield '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="30">'
    yield '<meta name="viewport" content="width=device-width"><title>'
    yield f"{len(waiting)} waiting · porting</title><style>{STYLE}</style><main>"
    yield f"<p>As of {_moment(now.isoformat())}.</p>"
    for account in sorted({row["account"] for row in feeds if row["stale"]}):
        theirs = [row for row in feeds if row["account"] == account]
        said = lateness.late(account, theirs, [row for row in theirs if row["stale"]])
        yield f'<p class="bad">Out of date: {escape(said)}</p>'
    yield from _table(f"What waits for us: {count}{more}", WAITING, waiting[:MOST], "urgency", 1)
    yield from _table("How the polling goes", FEEDS, feeds, "stale", True)
    yield "</main></html>"


def _table(title: str, columns: Sequence[str], rows: Iterable[Row], mark: str, bad: object) -> Iterator[str]:
    """A table; a row is marked where this column has the value that is bad."""
    yield f"<table><caption>{escape(title)}</caption><thead><tr>"
    for column in columns:
        yield f'<th scope="col">{escape(output.heading(column))}</th>'
    yield "</tr></thead><tbody>"
    for row in rows:
        yield '<tr class="bad">' if row[mark] == bad else "<tr>"
        for column in columns:
            yield f"<td>{_cell(row[column], column)}</td>"
        yield "</tr>"
    yield "</tbody></table>"


def _cell(value: Any, column: str) -> str:
    if value and column.endswith(("_at", "_since")):
        return _moment(value)
    if column == "provider":
        value = describing.provider_name(value)
    elif column in ("state", "direction", "last_outcome") and value:
        value = telling.plain(value)
    return escape(output.shown(value))


def _moment(at: str) -> str:
    return f'<time datetime="{escape(at)}">{escape(output.when(at))}</time>'
