"""The verbs that ask providers, declared; what each does is imported when it is called, so `--help` is quick."""

from datetime import datetime
from typing import Annotated

import typer

from aggregator.cli.app import app
from aggregator.cli.filters import accounts_known, moment

Account = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="The account.", autocompletion=accounts_known)
]


@app.command()
def run() -> int:
    """Run the daemon: poll every feed when it is due, until SIGTERM. SIGHUP reads the configuration again.

    Examples: [bold]porting-aggregator run[/] · [bold]systemctl enable --now porting-aggregator[/]
    """
    from aggregator.cli.service import serve

    return serve()


@app.command()
def poll(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="ACCOUNT", help="Only these accounts.", autocompletion=accounts_known),
    ] = None,
    due: Annotated[bool, typer.Option("--due", help="Only the feeds that are due.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print how each feed went, as JSON lines.")] = False,
) -> int:
    """Poll once: every feed of every account, then exit. For cron and timers.

    Examples: [bold]porting-aggregator poll[/] · [bold]porting-aggregator poll telnyx-main --due[/]
    """
    from aggregator.cli.asking import poll_all

    return poll_all(names, due, json)


@app.command()
def backfill(
    account: Account,
    since: Annotated[
        datetime,
        typer.Option("--since", help="How far back: 365d, 2025-01-31T00:00Z.", metavar="TIME", parser=moment),
    ],
    until: Annotated[
        datetime | None,
        typer.Option("--until", help="Up to this time (now).", metavar="TIME", parser=moment),
    ] = None,
) -> int:
    """Bring an account's history along. Ctrl-C stops it (exit status 75); the next call goes on where it was.

    Example: [bold]porting-aggregator backfill telnyx-main --since 365d[/]
    """
    from aggregator.cli.setup import now
    from aggregator.cli.walking import walk

    if since >= (until or now()):
        end = "--until" if until else "now"
        raise typer.BadParameter(f"it must lie before {end}: there is no time to walk", param_hint="--since")
    return walk(account, since, until)


@app.command()
def event(
    account: Account,
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID", help="The provider's id of the event.")],
) -> int:
    """Fetch one provider event by id and take it in (Telnyx porting and port-out events).

    Example: [bold]porting-aggregator event telnyx-main 4c6f0a4e-1f8a-4c9a-9b3e-0a1b2c3d4e5f[/]
    """
    from aggregator.cli.asking import take_in

    return take_in(account, event_id)


@app.command()
def cancel(
    order: Annotated[
        str, typer.Argument(help="An order_id, a provider's id, a support key, or a unique prefix.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> int:
    """Ask the provider, once, to cancel an order (Telnyx port-ins). Off unless the account has allow_actions.

    Example: [bold]porting-aggregator cancel sr_10b316[/]
    """
    from aggregator.cli.cancelling import cancel_one

    return cancel_one(order, yes)


@app.command()
def replay(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would differ; exit status 1 if anything.")
    ] = False,
) -> int:
    """Rebuild what follows from the stored facts, with the words as they are now, and print each difference.
    Ctrl-C stops it (exit status 75); the next call goes on where it was.

    Examples: [bold]porting-aggregator replay --dry-run[/] · [bold]porting-aggregator replay[/]
    """
    from aggregator.cli.replaying import replay_all

    return replay_all(dry_run)


@app.command()
def check(
    online: Annotated[bool, typer.Option("--online", help="Make one cheap call for each account.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="JSON lines, one for each thing that is checked.")
    ] = False,
) -> int:
    """Check configuration, credentials, database and schema; with --online, each account's key.

    Example: [bold]porting-aggregator check --online[/]
    """
    from aggregator.cli.checking import check_all

    return check_all(online, json)
