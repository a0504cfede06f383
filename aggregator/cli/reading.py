"""The read-only verbs: the views, with filters. They never resolve a secret and never create a database."""

import sys
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aggregator.cli import output, worklist
from aggregator.cli.app import BAD_NEWS, OK, READ, app, say
from aggregator.cli.filters import Filters, filtered
from aggregator.cli.opening import opened
from aggregator.cli.past import AsOf, HappenedBy, one_past, orders_then
from aggregator.cli.remedy import explained, remedy, words_of

if TYPE_CHECKING:
    from aggregator.config import Config

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
    warn: bool = False,
    without: Collection[str] = (),
    told: Callable[[Row], Row] = lambda row: row,
) -> None:
    """The rows of a view, printed; for people at most `DEFAULT_LIMIT`. With `newest` a limit leaves the last
    ones; programs that name a time read on from there. `without` are columns whose changes people are spared."""
    filters = {**asked.columns(), **(more or {})}
    since, until = asked.since, asked.until
    with opened(asked, warn=warn) as (reader, _):
        if asked.json:
            last = newest and since is None
            output.lines(reader.each(view, filters, since=since, until=until, limit=asked.limit, newest=last))
            return
        limit = asked.limit or DEFAULT_LIMIT + 1
        rows = reader.select(
            view, filters, since=since, until=until, limit=limit, newest=newest, without=without
        )
    if cut := not asked.limit and len(rows) > DEFAULT_LIMIT:
        rows = rows[1:] if newest else rows[:-1]
    output.table([told(row) for row in rows], columns.split(), empty)
    if cut:
        say(f"the {'last' if newest else 'first'} {DEFAULT_LIMIT} rows; --limit N shows more, --json all")


def _all(asked: Filters, view: str, columns: str, empty: str) -> tuple[list[Row], "Config"]:
    """The same for a view that is short, and whose rows the verb looks at itself. A table leaves out accounts
    that are no longer configured, unless one is named."""
    with opened(asked) as (reader, config):
        rows = reader.select(view, asked.columns(), since=asked.since, until=asked.until, limit=asked.limit)
    if asked.json:
        output.lines(rows)
        return rows, config
    here = rows if asked.account else [row for row in rows if row["account"] in config.names]
    output.table(here, columns.split(), empty)
    for gone in sorted({row["account"] for row in rows} - {row["account"] for row in here}):
        say(f"{gone} is no longer configured; --account {gone} shows it")
    return here, config


@app.command(rich_help_panel=READ)
@filtered()
def waiting(asked: Filters) -> int:
    """What waits for us and why, most urgent first.

    Examples: [bold]porting-aggregator waiting[/] · [bold]porting-aggregator waiting --direction port_out --json[/]
    """
    columns = (
        "urgency customer_reference numbers_text gaining_carrier pon provider direction why waiting_since "
        "deadline_at stuck_since provider_order_id"
    )
    show_rows(asked, "waiting", columns, "nothing waits for us", warn=True, told=worklist.for_people)
    return OK


@app.command(rich_help_panel=READ)
@filtered()
def orders(
    asked: Filters,
    all: Annotated[bool, typer.Option("--all", help="Ended orders too.")] = False,
    as_of: AsOf = None,
    happened_by: HappenedBy = None,
    stuck: Annotated[
        bool, typer.Option("--stuck", help="Only those longer in their state than is usual.")
    ] = False,
) -> int:
    """The orders that are open (with --all: every order), most recently changed first.

    Examples: [bold]porting-aggregator orders --state scheduled[/] · [bold]porting-aggregator orders --all --since 7d --json[/]
    """
    columns = (
        "customer_reference numbers_total provider direction state raw_status waiting_on state_since "
        "confirmed_foc_on foc_state stuck_since provider_order_id"
    )
    columns += " deleted_at" if all else ""
    only: dict[str, object] = {} if all or asked.state is not None else {"is_open": True}
    at, happened = one_past(as_of, happened_by)
    if at is not None:
        if stuck:
            raise typer.BadParameter("--stuck does not go with it", param_hint="--as-of")
        rows, whole = orders_then(asked, at, {**asked.columns(), **only}, happened)
        output.lines(rows) if asked.json else output.table(rows, columns.split(), "no such order was known")
        return OK if whole else BAD_NEWS
    only |= {"is_stuck": True} if stuck else {}
    show_rows(asked, "orders", columns, "no order is stuck" if stuck else "no such order", only, warn=True)
    return OK


@app.command(rich_help_panel=READ)
@filtered()
def events(asked: Filters) -> int:
    """What the providers announced, by the time they say. --limit leaves the last rows (with --json and --since: the first).

    Examples: [bold]porting-aggregator events --since 1d[/] · [bold]porting-aggregator events --account telnyx-main --json[/]
    """
    columns = "occurred_at account event_type raw_from raw_to number_key late order_id"
    show_rows(asked, "events", columns, "no events", newest=True)
    return OK


@app.command(rich_help_panel=READ)
@filtered("account", "provider", "json")
def feeds(asked: Filters) -> int:
    """How the polling goes; the exit status is 1 when a feed is stale. What is silent although the polling goes on is
    one line on standard error.

    Example: [bold]porting-aggregator feeds || echo 'not polling'[/]
    """
    columns = "account feed last_complete_at last_outcome consecutive_failures last_error next_due_at stale is_quiet wanted"
    rows, config = _all(asked, "feeds", columns, "no feed has been polled yet")
    from aggregator.cli import setup
    from aggregator.cli.silence import silences

    with setup.reader(config) as reader:
        if found := "; ".join(silences(reader)):
            say(found)
    return BAD_NEWS if any(row["stale"] for row in rows) else OK


@app.command(rich_help_panel=READ)
@filtered("account", "provider", "limit", "json")
def accounts(asked: Filters) -> int:
    """The accounts the database knows.

    Example: [bold]porting-aggregator accounts[/]
    """
    columns = "account provider label configured region time_zone paused_reason"
    show_rows(asked, "accounts", columns, "no accounts yet")
    return OK


@app.command(rich_help_panel=READ)
@filtered("account", "provider", "since", "until", "limit", "json")
def unknown(asked: Filters) -> int:
    """Words of a provider that nobody knows, with the line that explains each.

    Example: [bold]porting-aggregator unknown[/]
    """
    columns = "account vocabulary word orders first_seen_at example"
    rows, config = _all(asked, "unknown", columns, "every word is known")
    if asked.json:
        return OK
    rows = [
        row for row in rows if row["account"] in config.accounts
    ]  # a table would bring others back by half
    words = {name: words_of(config.accounts[name]) for name in {row["account"] for row in rows}}
    unexplained = []
    for row in rows:
        if not explained(row, words[row["account"]]):
            unexplained.append(row)
        else:
            word = output.printable(row["word"])
            say(f"{row['account']}: “{word}” is explained in the configuration; counts from the next poll")
    lines = remedy(unexplained, config.path.read_text(encoding="utf-8-sig"))
    if lines:
        sys.stdout.write("\n")
        sys.stdout.flush()
        say(f"To explain a word, paste into {config.path} (with the meaning that fits):")
        for line in lines:
            sys.stdout.write(f"{line}\n")
    return OK


@app.command(rich_help_panel=READ)
@filtered("account", "provider", "since", "until", "limit", "json")
def quarantine(asked: Filters) -> int:
    """Records that could not be read, and were set aside.

    Example: [bold]porting-aggregator quarantine --since 7d[/]
    """
    columns = "account feed ref error count last_seen_at resolved_at"
    show_rows(asked, "quarantine", columns, "nothing was set aside")
    return OK


@app.command(rich_help_panel=READ)
def metrics() -> int:
    """What the database knows, once, as Prometheus reads it: for a textfile collector on hosts without the daemon.

    Example: [bold]porting-aggregator metrics > porting.prom.new && mv porting.prom.new porting.prom[/]
    """
    from aggregator.cli.figures import metrics_once

    return metrics_once()
