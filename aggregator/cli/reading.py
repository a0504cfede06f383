"""The read-only verbs: the views, with filters. They never resolve a secret and never create a database."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from aggregator.cli import output
from aggregator.cli.app import BAD_NEWS, OK, READ, app, say
from aggregator.cli.filters import Filters, filtered
from aggregator.cli.remedy import remedy, tables_of

__all__ = ["remedy"]

Row = dict[str, Any]
DEFAULT_LIMIT = 200


def show_rows(
    asked: Filters,
    view: str,
    columns: str,
    empty: str,
    more: Mapping[str, object] | None = None,
    *,
    newest: bool = False,
    told: Callable[[Row], Row] = lambda row: row,
) -> None:
    """The rows of a view, printed; for people at most `DEFAULT_LIMIT` (with `newest`, the last ones)."""
    from aggregator.cli import setup

    filters = {**asked.columns(), **(more or {})}
    newest = newest and not asked.limit
    with setup.reader() as reader:
        if asked.json:
            output.lines(reader.each(view, filters, since=asked.since, until=asked.until, limit=asked.limit))
            return
        limit = asked.limit or DEFAULT_LIMIT + 1
        rows = reader.select(view, filters, since=asked.since, until=asked.until, limit=limit, newest=newest)
    if cut := not asked.limit and len(rows) > DEFAULT_LIMIT:
        rows = rows[1:] if newest else rows[:-1]
    output.table([told(row) for row in rows], columns.split(), empty)
    if cut:
        say(f"the {'last' if newest else 'first'} {DEFAULT_LIMIT} rows; --limit N shows more, --json all")


def _all(asked: Filters, view: str, columns: str, empty: str) -> list[Row]:
    """The same for a view that is short, and whose rows the verb looks at itself."""
    from aggregator.cli import setup

    with setup.reader() as reader:
        rows = reader.select(view, asked.columns(), since=asked.since, until=asked.until, limit=asked.limit)
    output.lines(rows) if asked.json else output.table(rows, columns.split(), empty)
    return rows


@app.command(rich_help_panel=READ)
@filtered
def waiting(asked: Filters) -> int:
    """What waits for us and why, most urgent first.

    Examples: [bold]porting-aggregator waiting[/] · [bold]porting-aggregator waiting --direction port_out --json[/]
    """
    columns = (
        "urgency customer_reference numbers_total provider direction why waiting_since deadline_at "
        "stuck_since provider_order_id"
    )
    show_rows(asked, "waiting", columns, "nothing waits for us")
    return OK


@app.command(rich_help_panel=READ)
@filtered
def orders(
    asked: Filters,
    all: Annotated[bool, typer.Option("--all", help="Ended orders too.")] = False,
    stuck: Annotated[
        bool, typer.Option("--stuck", help="Only those longer in their state than is usual.")
    ] = False,
) -> int:
    """The orders that are open (with --all: every order), most recently changed first.

    Examples: [bold]porting-aggregator orders --state scheduled[/] · [bold]porting-aggregator orders --all --since 7d --json[/]
    """
    columns = (
        "customer_reference numbers_total provider direction state raw_status waiting_on state_since "
        "confirmed_foc_on stuck_since provider_order_id"
    )
    columns += " deleted_at" if all else ""
    only: dict[str, object] = {} if all or asked.state is not None else {"is_open": True}
    only |= {"is_stuck": True} if stuck else {}
    show_rows(asked, "orders", columns, "no order is stuck" if stuck else "no such order", only)
    return OK


@app.command(rich_help_panel=READ)
@filtered
def events(asked: Filters) -> int:
    """What the providers announced, by the time they say.

    Examples: [bold]porting-aggregator events --since 1d[/] · [bold]porting-aggregator events --account telnyx-main --json[/]
    """
    columns = "occurred_at account event_type raw_from raw_to number_key late order_id"
    show_rows(asked, "events", columns, "no events", newest=True)
    return OK


@app.command(rich_help_panel=READ)
@filtered
def feeds(asked: Filters) -> int:
    """How the polling goes; the exit status is 1 when a feed is stale.

    Example: [bold]porting-aggregator feeds || echo 'not polling'[/]
    """
    columns = "account feed last_complete_at last_outcome consecutive_failures last_error next_due_at stale"
    rows = _all(asked, "feeds", columns, "no feed has been polled yet")
    return BAD_NEWS if any(row["stale"] for row in rows) else OK


@app.command(rich_help_panel=READ)
@filtered
def accounts(asked: Filters) -> int:
    """The accounts the database knows.

    Example: [bold]porting-aggregator accounts[/]
    """
    columns = "account provider label configured region time_zone paused_reason"
    _all(asked, "accounts", columns, "no accounts yet")
    return OK


@app.command(rich_help_panel=READ)
@filtered
def unknown(asked: Filters) -> int:
    """Words of a provider that nobody knows, with the line that explains each.

    Example: [bold]porting-aggregator unknown[/]
    """
    columns = "account vocabulary word orders first_seen_at example"
    rows = _all(asked, "unknown", columns, "every word is known")
    if rows and not asked.json:
        from aggregator.cli import setup

        config = setup.configuration()
        say(f"\nTo explain a word, paste into {config.path} (with the meaning that fits):\n")
        for line in remedy(rows, tables_of(config.path), config.accounts):
            say(line)
    return OK


@app.command(rich_help_panel=READ)
@filtered
def quarantine(asked: Filters) -> int:
    """Records that could not be read, and were set aside.

    Example: [bold]porting-aggregator quarantine --since 7d[/]
    """
    columns = "account feed ref error count last_seen_at resolved_at"
    show_rows(asked, "quarantine", columns, "nothing was set aside")
    return OK
