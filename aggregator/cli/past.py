"""`orders` and `show` as of a moment: what we knew then, read with the words of today."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aggregator.cli.app import say
from aggregator.cli.filters import Filters, moment
from aggregator.cli.history import Life

if TYPE_CHECKING:
    from aggregator.store.past import Past, Then
    from aggregator.store.queries import Reader

Row = dict[str, Any]
LASTING = frozenset({"account", "provider", "direction"})
"""The filters on what never changes of an order."""


def _past(said: str) -> datetime:
    """A moment that has been."""
    from aggregator.cli import setup

    at = moment(said)
    if at > setup.now():
        raise typer.BadParameter(f"{said} is still to come")
    return at


AsOf = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        help="As we knew it then, in the words of today: 7d, 2026-01-31T00:00Z.",
        metavar="TIME",
        parser=_past,
    ),
]


HappenedBy = Annotated[
    datetime | None,
    typer.Option(
        "--happened-by",
        help="As it was then, by all that is known now, late news too: 7d, 2026-01-31T00:00Z.",
        metavar="TIME",
        parser=_past,
    ),
]


def one_past(as_of: datetime | None, happened_by: datetime | None) -> tuple[datetime | None, bool]:
    """The moment that is asked for, if any, and whether by what had happened."""
    if as_of is not None and happened_by is not None:
        raise typer.BadParameter("--as-of does not go with it", param_hint="--happened-by")
    return (as_of, False) if happened_by is None else (happened_by, True)


def past(reader: "Reader", at: datetime, happened: bool = False) -> "Past":
    """What the database knew at that moment; with `happened`, what had happened by then as far as is known now."""
    from aggregator.accounts import account_of
    from aggregator.cli import setup
    from aggregator.store.past import Past

    config = setup.configuration()
    accounts = {name: account_of(account) for name, account in config.accounts.items()}
    return Past(reader, accounts, at, config.waiting.keep_ended, happened=happened)


def orders_then(
    asked: Filters, at: datetime, wanted: Mapping[str, object], happened: bool = False
) -> tuple[list[Row], bool]:
    """The orders as they were known then (or were, with `happened`), those that are `wanted`, in the order of `orders`; and whether every one
    could be answered for. What cannot is said."""
    from aggregator.cli import setup

    if asked.since or asked.until:
        raise typer.BadParameter(
            "--since and --until do not go with it", param_hint="--happened-by" if happened else "--as-of"
        )
    lasting = {name: value for name, value in wanted.items() if name in LASTING}
    with setup.reader() as reader:
        then = past(reader, at, happened)
        rows = [
            known.order for known in then.orders(reader.each("orders", lasting)) if has(known.order, wanted)
        ]
    for why in then.unanswered:
        say(why)
    rows.sort(key=lambda row: str(row["order_id"]))
    rows.sort(key=lambda row: (row["is_open"], row["last_changed_at"] or ""), reverse=True)
    return rows[: asked.limit], not then.unanswered


def has(row: Row, wanted: Mapping[str, object]) -> bool:
    """Whether a row has all these values; of a list, any one of them."""
    return all(
        row[column] in value if isinstance(value, list) else row[column] == value
        for column, value in wanted.items()
    )


def life_then(reader: "Reader", then: "Then", at: datetime, happened: bool = False) -> Life:
    """One order's life as far as it was known at that moment, or had happened by then."""
    known = _known(reader, then, at, happened)
    events = [
        {**row, "raw_from": None, "raw_to": None, "payload": None, "payload_complete": False}
        if row["provider_event_id"] in then.owed
        else row
        for row in known("events", "first_seen_at")
    ]
    numbers = reader.select("numbers", {"order_id": then.order["order_id"]})
    comments, changes = known("comments", "observed_at"), known("changes", "observed_at")
    return Life(then.order, then.numbers(numbers), then.reasons(), comments, changes, events)


def timeline_then(timeline: list[Row], life: Life, at: datetime, happened: bool = False) -> list[Row]:
    """Of an order's timeline what was known at that moment, or had happened by then."""
    if happened:
        return [row for row in timeline if row["sort_at"] <= written(at)]
    owed = {f"e{row['event_id']}" for row in life.events if not row["payload_complete"]}
    return [
        {**row, "detail": None} if row["entry_id"].partition("/")[0] in owed else row
        for row in timeline
        if row["observed_at"] <= written(at)
    ]


def written(at: datetime) -> str:
    """A moment as the views write it."""
    return f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"


def _known(reader: "Reader", then: "Then", at: datetime, happened: bool) -> Callable[[str, str], list[Row]]:
    """The order's rows of a view that were there at that moment; with `happened`, those of what had happened."""

    def known(view: str, when: str) -> list[Row]:
        rows = reader.select(view, {"order_id": then.order["order_id"]})
        return [row for row in rows if ((happened and row["occurred_at"]) or row[when]) <= written(at)]

    return known
