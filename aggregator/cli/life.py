"""`show` and `number`: one order, one number, as a life story that can be pasted into a ticket."""

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aggregator.cli import describing, output
from aggregator.cli.app import BAD_NEWS, OK, READ, USAGE, app, say
from aggregator.cli.filters import Filters, filtered
from aggregator.cli.history import Life, Moment, history, read
from aggregator.cli.opening import opened, orders_named, say_which
from aggregator.cli.past import AsOf, HappenedBy, has, life_then, one_past, past, timeline_then

if TYPE_CHECKING:
    from aggregator.store.past import Then
    from aggregator.store.queries import Reader

Row = dict[str, Any]


@app.command(rich_help_panel=READ)
@filtered()
def show(
    asked: Filters,
    order: Annotated[
        str, typer.Argument(help="An order_id, a provider's id, a support key, or a unique prefix.")
    ],
    as_of: AsOf = None,
    happened_by: HappenedBy = None,
) -> int:
    """One order whole: how it stands, its numbers, its reasons, and what happened to it.

    Examples: [bold]porting-aggregator show sr_10b316[/] · [bold]porting-aggregator show 5c6263f1 --json[/]
    """
    at, happened = one_past(as_of, happened_by)
    with opened(asked) as (reader, _):
        rows = orders_named(reader, order)
        then: dict[str, Then] = {}
        if at is not None:
            known = past(reader, at, happened)
            then = {one.order["order_id"]: one for one in known.orders(rows)}
            rows = [one.order for one in then.values()]
            for why in known.unanswered:
                say(why)
        found = [row for row in rows if has(row, asked.columns())]
        if not found:
            say(f"no order {order}" + (" was known then" if at is not None else " with these filters"))
            return BAD_NEWS
        if len(found) > 1:
            say_which(order, found)
            return USAGE
        one = then.get(found[0]["order_id"])
        life = life_then(reader, one, at, happened) if one and at else read(reader, found[0])
        if asked.json:
            timeline = _timeline(reader, asked, order_id=life.order["order_id"])
            timeline = timeline_then(timeline, life, at, happened) if at else timeline
            own = _last(asked, [moment for moment in timeline if not _repeated(moment)])
            more = {"numbers": life.numbers, "reasons_held": life.reasons, "comments": life.comments}
            output.lines([{**life.order, **more, "timeline": own}])
            return OK
    _write(_told(life, asked))
    return OK


@app.command(rich_help_panel=READ)
@filtered()
def number(
    asked: Filters, number: Annotated[str, typer.Argument(help="The number, in any written form.")]
) -> int:
    """One number's life over orders and providers.

    Example: [bold]porting-aggregator number '+1 303 555 0123'[/]
    """
    with opened(asked) as (reader, _):
        keys = reader.number_keys(number)
        rows = [
            row for key in keys for row in reader.select("numbers", {**asked.columns(), "number_key": key})
        ]
        if not rows:
            say(f"no order has the number {number}")
            return BAD_NEWS
        if asked.json:
            for row in rows:
                here = {"order_id": row["order_id"], "number_key": row["number_key"]}
                output.lines([{**row, "timeline": _last(asked, _timeline(reader, asked, **here))}])
            return OK
        lives = []
        for row in rows:
            lives.append((row, read(reader, _order(reader, row["order_id"]), whole=False)))
    _write(_told_number(lives, asked))
    return OK


def _order(reader: "Reader", order_id: str) -> Row:
    (order,) = reader.query("select * from v1_orders where order_id = :id", {"id": order_id})
    return order


def _timeline(reader: "Reader", asked: Filters, **here: str) -> list[Row]:
    return reader.select("timeline", here, since=asked.since, until=asked.until)


def _last(asked: Filters, moments: list[Any]) -> list[Any]:
    """The moments that a limit leaves: the last ones."""
    return moments[-asked.limit :] if asked.limit else moments


def _repeated(moment: Row) -> bool:
    """Whether this is an order's moment as repeated for one of its numbers."""
    return bool(moment["number_key"]) and moment["entry_id"].endswith(f"/{moment['number_key']}")


def _write(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")


def _told(life: Life, asked: Filters) -> Iterator[str]:
    yield describing.title(life.order)
    yield from describing.order_lines(life.order)
    if life.before:
        yield describing.line("whose numbers", life.before)
    yield ""
    yield "Numbers" if life.numbers else "No numbers known"
    yield from describing.number_lines(life.numbers)
    if life.reasons:
        yield ""
        yield "Reasons given"
        yield from describing.reason_lines(life.reasons)
    yield ""
    yield from _story(history(life), asked)


def _told_number(lives: list[tuple[Row, Life]], asked: Filters) -> Iterator[str]:
    yield f"{lives[0][0]['number_key']}: in {len(lives)} order{'s' * (len(lives) != 1)}"
    moments = []
    for row, life in lives:
        order = life.order
        yield ""
        yield describing.title(order)
        said = {
            "order": order["order_id"],
            "number": describing.number_stands(row),
            "stands": describing.stands(order),
            "waits": describing.waits(order),
            "FOC date": describing.confirmed(order),
        }
        yield from (describing.line(name, text) for name, text in said.items() if text)
        whose = f"[{order['customer_reference'] or order['provider_order_id']}] " * (len(lives) > 1)
        moments += [(at, whose + what) for at, what in history(life, row["number_key"])]
    yield ""
    yield from _story(moments, asked)


def _story(moments: list[Moment], asked: Filters) -> Iterator[str]:
    """The moments that were asked for (the last ones, where there is a limit), in order, a line for each."""
    since, until = (at and f"{at:%Y-%m-%dT%H:%M:%S.%fZ}" for at in (asked.since, asked.until))
    moments = sorted(moments, key=lambda moment: moment[0])
    kept = [(at, what) for at, what in moments if (not since or at >= since) and (not until or at < until)]
    yield "What happened, oldest first"
    for at, what in _last(asked, kept):
        yield f"  {output.when(at)}  {output.printable(what)}"
