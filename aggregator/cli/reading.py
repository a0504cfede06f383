"""The read-only verbs: the views, with filters. They never resolve a secret and never create a database."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from aggregator.cli import output, setup
from aggregator.cli.app import BAD_NEWS, OK, app, say
from aggregator.config import duration
from aggregator.core.model import Direction, State

Account = Annotated[str | None, typer.Option("--account", help="Only this account.")]
Provider = Annotated[str | None, typer.Option("--provider", help="Only this provider.")]
Way = Annotated[Direction | None, typer.Option("--direction", help="Only port-ins or port-outs.")]
InState = Annotated[State | None, typer.Option("--state", help="Only orders in this state.")]
Customer = Annotated[str | None, typer.Option("--customer", help="Only this customer reference.")]
Since = Annotated[
    str | None,
    typer.Option("--since", help="From this time on: 7d, or 2026-01-31T00:00:00Z.", metavar="TIME"),
]
Until = Annotated[str | None, typer.Option("--until", help="Before this time.", metavar="TIME")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many rows.")]
Json = Annotated[bool, typer.Option("--json", help="JSON lines: keys are the view's columns.")]

DEFAULT_LIMIT = 200


def time_of(said: str | None, option: str) -> datetime | None:
    """A time option: a duration before now, or an instant with its zone. A naive one is refused."""
    if said is None:
        return None
    if re.fullmatch(r"\d+[smhd]", said):
        back = duration(said)
        assert isinstance(back, timedelta)
        return setup.now() - back
    try:
        at = datetime.fromisoformat(said)
    except ValueError as error:
        raise typer.BadParameter(
            f"not a time: {said} (write 7d or 2026-01-31T00:00:00Z)", param_hint=option
        ) from error
    if at.tzinfo is None:
        raise typer.BadParameter(f"{said} needs its zone (write {said}Z for UTC)", param_hint=option)
    return at.astimezone(UTC)


def _filters(**said: object) -> dict[str, object]:
    return {
        name: str(value) if not isinstance(value, bool) else value
        for name, value in said.items()
        if value is not None
    }


def _show(
    view: str,
    columns: str,
    empty: str,
    json: bool,
    since: str | None,
    until: str | None,
    limit: int | None,
    filters: dict[str, object],
    *,
    newest: bool = False,
    after: int | None = None,
) -> list[dict[str, Any]]:
    with setup.reader() as reader:
        rows = reader.select(
            view,
            filters,
            since=time_of(since, "--since"),
            until=time_of(until, "--until"),
            after=after,
            limit=limit or (None if json else DEFAULT_LIMIT),
            newest=newest and after is None and limit is None and not json,
        )
    if json:
        output.lines(rows)
    else:
        output.table([_brief(row) for row in rows], columns.split(), empty)
    return rows


def _brief(row: dict[str, Any]) -> dict[str, Any]:
    """A change that carries a whole row as JSON, for people: just that there is one."""
    if row.get("kind") in ("order_seen", "number_added") and str(row.get("new_value")).startswith("{"):
        return {**row, "new_value": "(new)"}
    return row


@app.command()
def waiting(
    account: Account = None,
    provider: Provider = None,
    direction: Way = None,
    state: InState = None,
    customer: Customer = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    json: Json = False,
) -> int:
    """What waits for us, most urgent first.

    Examples: [bold]porting-aggregator waiting[/] · [bold]porting-aggregator waiting --direction port_out --json[/]
    """
    filters = _filters(
        account=account, provider=provider, direction=direction, state=state, customer_reference=customer
    )
    _show(
        "waiting",
        "urgency customer_reference numbers_total provider direction why waiting_since deadline_at provider_order_id",
        "nothing waits for us",
        json,
        since,
        until,
        limit,
        filters,
    )
    return OK


@app.command()
def orders(
    account: Account = None,
    provider: Provider = None,
    direction: Way = None,
    state: InState = None,
    customer: Customer = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    all: Annotated[bool, typer.Option("--all", help="Ended orders too.")] = False,
    json: Json = False,
) -> int:
    """The orders that are open (with --all: every order), most recently changed first.

    Examples: [bold]porting-aggregator orders --state scheduled[/] · [bold]porting-aggregator orders --all --since 7d --json[/]
    """
    filters = _filters(
        account=account, provider=provider, direction=direction, state=state, customer_reference=customer
    )
    if not all and state is None:
        filters["is_open"] = True
    _show(
        "orders",
        "customer_reference numbers_total provider direction state raw_status waiting_on state_since confirmed_foc_on provider_order_id",
        "no such order",
        json,
        since,
        until,
        limit,
        filters,
    )
    return OK


@app.command()
def changes(
    after: Annotated[
        int | None, typer.Option("--after", help="Only rows with a greater seq.", metavar="SEQ")
    ] = None,
    account: Account = None,
    provider: Provider = None,
    direction: Way = None,
    customer: Customer = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    json: Json = False,
) -> int:
    """What changed, in the order we learned it. Late rows tell history.

    Examples: [bold]porting-aggregator changes --since 1d[/] · [bold]porting-aggregator changes --after 1200 --json[/]
    """
    filters = _filters(account=account, provider=provider, direction=direction, customer_reference=customer)
    _show(
        "changes",
        "seq observed_at customer_reference provider kind field old_value new_value number_key late order_id",
        "no changes",
        json,
        since,
        until,
        limit,
        filters,
        newest=True,
        after=after,
    )
    return OK


@app.command()
def events(
    account: Account = None,
    provider: Provider = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    json: Json = False,
) -> int:
    """What the providers announced, by its own time.

    Example: [bold]porting-aggregator events --since 1d[/]
    """
    _show(
        "events",
        "occurred_at account event_type raw_from raw_to number_key late order_id",
        "no events",
        json,
        since,
        until,
        limit,
        _filters(account=account, provider=provider),
        newest=True,
    )
    return OK


@app.command()
def feeds(account: Account = None, provider: Provider = None, json: Json = False) -> int:
    """How the polling goes; exit status 1 when a feed is stale.

    Example: [bold]porting-aggregator feeds || echo 'not polling'[/]
    """
    rows = _show(
        "feeds",
        "account feed last_complete_at last_outcome consecutive_failures last_error next_due_at stale",
        "no feed has been polled yet",
        json,
        None,
        None,
        None,
        _filters(account=account, provider=provider),
    )
    return BAD_NEWS if any(row["stale"] for row in rows) else OK


@app.command()
def accounts(provider: Provider = None, json: Json = False) -> int:
    """The accounts the database knows."""
    _show(
        "accounts",
        "account provider label configured region time_zone paused_reason",
        "no accounts yet",
        json,
        None,
        None,
        None,
        _filters(provider=provider),
    )
    return OK


@app.command()
def unknown(account: Account = None, provider: Provider = None, json: Json = False) -> int:
    """Words of a provider that nobody knows, with the line that explains each.

    Example: [bold]porting-aggregator unknown[/]
    """
    rows = _show(
        "unknown",
        "account vocabulary word orders first_seen_at example",
        "every word is known",
        json,
        None,
        None,
        None,
        _filters(account=account, provider=provider),
    )
    if rows and not json:
        say("\nTo explain a word, write into the configuration (mind the state that fits):")
        for line in remedy(rows):
            say(line)
    return OK


def remedy(rows: list[dict[str, Any]]) -> list[str]:
    """The lines to paste that give each word a meaning, under the table they belong to."""
    lines: list[str] = []
    for row in rows:
        table = f"[accounts.{row['account']}.statuses]"
        value = "with_carrier"
        if row["vocabulary"] != "status":
            table = table.replace("]", f".{row['vocabulary']}]")
            value = {"reason": "other", "port_out": "action_needed"}.get(row["vocabulary"], "pending")
        if table not in lines:
            lines.append(table)
        word = str(row["word"]).replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'"{output.printable(word)}" = "{value}"')
    return lines


@app.command()
def quarantine(account: Account = None, provider: Provider = None, json: Json = False) -> int:
    """Records that could not be read, and were set aside."""
    _show(
        "quarantine",
        "account feed ref error count last_seen_at resolved_at",
        "nothing was set aside",
        json,
        None,
        None,
        None,
        _filters(account=account, provider=provider),
    )
    return OK


# --- one order, one number ------------------------------------------------------------------------------


@app.command()
def show(
    order: Annotated[
        str, typer.Argument(help="An order_id, a provider's id, a support key, or a unique prefix.")
    ],
    json: Json = False,
) -> int:
    """One order whole: how it stands, its numbers, its reasons, its life.

    Example: [bold]porting-aggregator show sr_10b316[/]
    """
    with setup.reader() as reader:
        found = reader.orders_named(order)
        if len(found) != 1:
            say(f"no order {order}" if not found else f"{order} is not unique: {', '.join(found)}")
            return BAD_NEWS
        here = {"id": found[0]}
        (row,) = reader.query("select * from v1_orders where order_id = :id", here)
        numbers = reader.select("numbers", {"order_id": found[0]})
        reasons = reader.select("reasons", {"order_id": found[0]})
        comments = reader.select("comments", {"order_id": found[0]})
        life = list(
            reader.query(
                "select * from v1_timeline where order_id = :id and (number_key is null or entry_id not like '%/+%') "
                "order by sort_at, entry_id",
                here,
            )
        )
    if json:
        output.lines(
            [{**row, "numbers": numbers, "reasons_held": reasons, "comments": comments, "timeline": life}]
        )
        return OK
    out = output.console()
    out.print(
        f"[bold]{row['customer_reference'] or row['order_id']}[/]  {row['state']} ({row['raw_status']})"
    )
    for name, value in row.items():
        if value not in (None, [], False, 0) and name not in ("customer_reference", "state", "raw_status"):
            out.print(f"  {name.replace('_', ' '):<24} {output.shown(value, name)}", markup=False)
    output.table(
        numbers,
        ["number_key", "state", "raw_status", "activation_state", "state_since", "removed_at"],
        "no numbers known",
    )
    _life(life)
    return OK


def _life(life: list[dict[str, Any]]) -> None:
    """A life story one can paste into a ticket."""
    out = output.console()
    out.print()
    for moment in life:
        detail = output.printable(str(moment["detail"] or ""))
        number = f" {moment['number_key']}" if moment["number_key"] else ""
        out.print(f"{output.instant(moment['sort_at'])}  {moment['what']}{number}  {detail}", markup=False)


@app.command()
def number(
    number: Annotated[str, typer.Argument(help="The number, in any written form.")], json: Json = False
) -> int:
    """One number's life over orders and providers.

    Example: [bold]porting-aggregator number '+1 303 555 0123'[/]
    """
    with setup.reader() as reader:
        keys = reader.number_keys(number)
        rows = [row for key in keys for row in reader.select("numbers", {"number_key": key})]
        life = [row for key in keys for row in reader.select("timeline", {"number_key": key})]
    if not rows:
        say(f"no order has the number {number}")
        return BAD_NEWS
    if json:
        output.lines(
            rows
            if not life
            else [{**row, "timeline": [m for m in life if m["order_id"] == row["order_id"]]} for row in rows]
        )
        return OK
    output.table(
        rows,
        [
            "number_key",
            "order_id",
            "state",
            "raw_status",
            "activation_state",
            "state_since",
            "ported_at",
            "is_current",
        ],
        "",
    )
    _life(life)
    return OK
