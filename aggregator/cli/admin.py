"""The verbs around the program: config, db, providers, simulate, demo."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer

from aggregator.cli import output
from aggregator.cli.app import BAD_NEWS, OK, SET_UP, app
from aggregator.cli.filters import unlike
from aggregator.cli.helping import Program
from aggregator.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from aggregator.adapter import Adapter
    from aggregator.config import Config

config_app = Program(no_args_is_help=True, help="The configuration: an example, or the one in force.")
db_app = Program(no_args_is_help=True, help="The database: upgrade its schema, check it, let others read it.")
app.add_typer(config_app, name="config", rich_help_panel=SET_UP)
app.add_typer(db_app, name="db", rich_help_panel=SET_UP)


@config_app.command("example")
def config_example() -> int:
    """Print the commented example.

    Example: [bold]mkdir -p config && porting-aggregator config example > config/aggregator.toml[/]
    """
    from aggregator.config import example

    typer.echo(example(), nl=False)
    return OK


@config_app.command("show")
def config_show() -> int:
    """Print the configuration in force, secrets masked.

    Example: [bold]porting-aggregator --config /etc/porting-aggregator/aggregator.toml config show[/]
    """
    from aggregator.cli import setup
    from aggregator.config import shown

    typer.echo(shown(setup.configuration()), nl=False)
    return OK


@db_app.command("upgrade")
def db_upgrade() -> int:
    """Bring the database's schema to this version; a copy of a SQLite file is kept beside it first.

    Example: [bold]porting-aggregator db upgrade[/]
    """
    from aggregator.config import database_url
    from aggregator.store import schema
    from aggregator.store.engine import user_of

    with _owner() as (config, engine):
        url = database_url(config, os.environ)
        writer = user_of(url) if config.database.owner_url else None
        before, after = schema.upgrade(engine, writer)
        typer.echo(f"schema {after}" if before == after else f"schema {before or 'none'} → {after}")
        if engine.dialect.name == "sqlite" and before not in (None, after):
            typer.echo(f"a copy of what was there before: {schema.kept_beside(engine, str(before))}")
        if before not in (None, after):
            typer.echo("orders and their deadlines stand as the earlier version read them until you type:")
            typer.echo("porting-aggregator replay")
    return OK


@db_app.command("check")
def db_check() -> int:
    """Check that the schema is this version's and that the database is whole; show its size, and what is kept.

    Example: [bold]porting-aggregator db check[/]
    """
    from aggregator.cli import pruning, setup
    from aggregator.cli.silence import silences
    from aggregator.store import schema, wal

    config = setup.configuration()
    with setup.reader(config) as reader:
        schema.require(reader.engine)
        if reader.engine.dialect.name == "sqlite":
            try:
                found = [row["quick_check"] for row in reader.query("pragma quick_check", {})]
            except StoreError as error:  # a file can be too broken to be checked
                found = [str(error)]
            if found != ["ok"]:
                for fault in found:
                    typer.echo(f"BAD {fault}")
                return BAD_NEWS
            (main, *_) = reader.query("pragma database_list", {})
            if grown := wal.grown(str(main["file"])):
                typer.echo(f"warning: {grown}", err=True)
        typer.echo(f"schema {schema.head()}, ok")
        for line in pruning.sizes(reader, config):
            typer.echo(line)
        for silence in silences(reader):
            typer.echo(f"warning: {silence}", err=True)
    return OK


@db_app.command("prune")
def db_prune() -> int:
    """Remove what is older than \\[retention] says, now and all of it. A daemon, and each poll, do it in small steps
    by themselves. Ctrl-C stops it between two steps.

    Example: [bold]porting-aggregator db prune[/]
    """
    from aggregator.cli.pruning import prune_all

    return prune_all()


@db_app.command("grant-reader")
def db_grant_reader(
    role: Annotated[str, typer.Argument(help="The Postgres role; it is made if it is not there.")],
) -> int:
    """Let a Postgres role read the views, and nothing else.

    Example: [bold]porting-aggregator db grant-reader dashboards[/]
    """
    from aggregator.store.grants import grant_reader

    with _owner() as (_, engine):
        made = grant_reader(engine, role)
    typer.echo(f"{role} can read the views" + (" (made just now: give it a password)" if made else ""))
    return OK


@db_app.command("backup")
def db_backup(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where the copy goes; an older copy is replaced.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Replace FILE even if it is something else than a copy.")
    ] = False,
) -> int:
    """Write a consistent copy of the SQLite database, while everything goes on. A FILE that is there and is no copy
    of such a database is left alone, and so is the database itself.

    Example: [bold]porting-aggregator db backup /backup/aggregator.db[/]
    """
    from aggregator.cli import setup
    from aggregator.config import database_url
    from aggregator.errors import ConfigError
    from aggregator.store import backup
    from aggregator.store import engine as engines

    with setup.reader(any_schema=True) as reader:  # there is one
        if reader.engine.dialect.name != "sqlite":
            raise ConfigError("a Postgres database is backed up with its own tools: pg_dump")
    config = setup.configuration()
    engine = engines.connect(database_url(config, os.environ), config.database.schema)
    if (why := backup.refusal(engine, file, force=force)) is not None:
        raise typer.BadParameter(why, param_hint="FILE")
    backup.copy(engine, file, force=force)
    typer.echo(f"copied to {file}")
    return OK


@db_app.command("restored")
def db_restored() -> int:
    """Tell the readers of the change feed that a backup was restored: they start again from the tables.

    Example: [bold]porting-aggregator db restored[/]
    """
    from aggregator.cli import setup

    config = setup.configuration()
    setup.logging(config, quiet=True)
    with setup.store(config) as store:
        feed_id = store.restored()
    typer.echo(f"the change feed is {feed_id} now")
    return OK


@contextmanager
def _owner() -> Iterator[tuple["Config", "Engine"]]:
    """The database as its owner, for what the daemon's role may not do."""
    from aggregator.cli import setup
    from aggregator.config import database_url
    from aggregator.store import engine as engines

    config = setup.configuration()
    setup.logging(config, quiet=True)
    engine = engines.connect(database_url(config, os.environ, owner=True), config.database.schema)
    try:
        yield config, engine
    finally:
        engines.close(engine)


@app.command(rich_help_panel=SET_UP)
def providers(
    name: Annotated[
        str | None, typer.Argument(help="One provider: its feeds, options and words.", metavar="NAME")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON lines.")] = False,
) -> int:
    """The providers that can be polled; with a name, its feeds, options and words.

    Examples: [bold]porting-aggregator providers[/] · [bold]porting-aggregator providers telnyx[/]
    """
    from aggregator import providers as known
    from aggregator.errors import ConfigError

    if name is not None:
        if name not in known.names():
            raise typer.BadParameter(f"no such provider: {unlike(name, known.names())}", param_hint="NAME")
        _provider(known.load(name), json)
        return OK
    rows: list[dict[str, Any]] = []
    for provider in known.names():
        row: dict[str, Any] = {
            "provider": provider,
            "label": None,
            "base_url": None,
            "feeds": [],
            "error": None,
        }
        try:
            adapter = known.load(provider)
            row |= {"label": adapter.label, "base_url": adapter.base_url, "feeds": list(adapter.feeds)}
        except ConfigError as error:
            row["error"] = str(error)
        rows.append(row)
    columns = ["provider", "label", "base_url", "feeds"]
    if any(row["error"] for row in rows):
        columns.append("error")
    output.lines(rows) if json else output.table(rows, columns, "none")
    return OK


def _provider(adapter: "Adapter", json: bool) -> None:
    """Each of its tables; as JSON lines, `table` says which one a line belongs to."""
    tables = {
        "feeds": [
            {
                "feed": feed,
                "kind": str(defaults.kind),
                "every": _duration(defaults.every),
                "lookback": _duration(defaults.lookback) or "–",
                "first_look": _duration(defaults.start) if defaults.start else "all",
            }
            for feed, defaults in adapter.feeds.items()
        ],
        "options": [
            {"option": option.name, "type": _type(option.type), "default": _default(adapter, option)}
            for option in fields(adapter.options)
        ],
        "words": [
            {
                "vocabulary": str(vocabulary),
                "word": word,
                "meaning": str(meaning.value),
                "basis": str(meaning.basis),
            }
            for vocabulary, words in adapter.words.items()
            for word, meaning in words.items()
        ]
        + [
            {"vocabulary": "reason", "word": word, "meaning": reason.code, "basis": str(reason.basis)}
            for word, reason in adapter.reasons.items()
        ],
    }
    for table, rows in tables.items():
        if json:
            output.lines({"table": table, **row} for row in rows)
        elif rows:
            output.table(rows, list(rows[0]), "", title=f"{adapter.label}: {table}")
            typer.echo()


def _duration(span: timedelta | None) -> str:
    """A span as the configuration writes it.

    >>> _duration(timedelta(days=30)), _duration(timedelta(minutes=2)), _duration(timedelta(0))
    ('30d', '2m', '')
    """
    left = int(span.total_seconds()) if span else 0
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        if left and left % seconds == 0:
            return f"{left // seconds}{unit}"
    return ""


def _type(kind: Any) -> str:
    """An option's type for people.

    >>> _type(Literal["auto", "token"]), _type(str | None)
    ('auto | token', 'str')
    """
    if get_origin(kind) is Literal:
        return " | ".join(map(str, get_args(kind)))
    return kind.__name__ if isinstance(kind, type) else str(kind).removesuffix(" | None")


def _default(adapter: "Adapter", option: "Field[Any]") -> str:
    """What an option is where nothing is said; region and time zone are the provider's."""
    if option.name in ("region", "time_zone"):
        return str(getattr(adapter, option.name))
    if option.default is MISSING:
        return "(must be given)"
    if isinstance(option.default, bool):
        return str(option.default).lower()
    return "(not set)" if option.default is None else str(option.default)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def simulate(context: typer.Context) -> int:
    """Run stand-ins of both providers on loopback (`simulate --help` lists every fault they can play).

    Example: [bold]porting-aggregator simulate --port 8080 --fault rate_limit=0.05[/]
    """
    from aggregator import simulator

    return simulator.main(context.args)


@app.command()
def demo(
    seconds: Annotated[
        int, typer.Option("--seconds", min=5, help="About how long it takes.", metavar="N")
    ] = 30,
    keep: Annotated[
        Path, typer.Option("--keep", help="Where the database and configuration stay.", metavar="DIR")
    ] = Path("demo"),
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="FILE",
            help="Draw it as SVG instead, the same each time; also at 80 and 200 columns.",
        ),
    ] = None,
) -> int:
    """Watch both providers' ports move through one status model, on stand-ins, without any key.

    Example: [bold]porting-aggregator demo --seconds 20[/]
    """
    from aggregator.cli.demo import draw, run, unfit_for_a_picture

    if picture is not None and (why := unfit_for_a_picture(picture)) is not None:
        raise typer.BadParameter(why, param_hint="--picture")
    return run(seconds, keep) if picture is None else draw(picture)
