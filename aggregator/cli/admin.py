"""The verbs around the program: config, db, providers, simulate, demo."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from aggregator.cli import output, setup
from aggregator.cli.app import BAD_NEWS, OK, app
from aggregator.config import database_url, example, shown

config_app = typer.Typer(no_args_is_help=True, help="The configuration: an example, or the one in force.")
db_app = typer.Typer(no_args_is_help=True, help="The database: upgrade its schema, check it.")
app.add_typer(config_app, name="config")
app.add_typer(db_app, name="db")


@config_app.command("example")
def config_example() -> int:
    """Print the commented example.

    Example: [bold]porting-aggregator config example > config/aggregator.toml[/]
    """
    typer.echo(example(), nl=False)
    return OK


@config_app.command("show")
def config_show() -> int:
    """Print the configuration in force, secrets masked."""
    typer.echo(shown(setup.configuration()), nl=False)
    return OK


@db_app.command("upgrade")
def db_upgrade() -> int:
    """Bring the database's schema to this version; a copy of a SQLite file is kept beside it first.

    Example: [bold]porting-aggregator db upgrade[/]
    """
    from aggregator.store import engine as engines
    from aggregator.store import schema

    config = setup.configuration()
    setup.logging(config, quiet=True)
    engine = engines.connect(database_url(config, os.environ, owner=True), config.database.schema_)
    try:
        before, after = schema.upgrade(engine)
    finally:
        engines.close(engine)
    typer.echo(f"schema {after}" if before == after else f"schema {before or 'none'} → {after}")
    return OK


@db_app.command("check")
def db_check() -> int:
    """Check that the schema is this version's and that the database is whole.

    Example: [bold]porting-aggregator db check[/]
    """
    from aggregator.store import schema

    with setup.reader() as reader:
        schema.require(reader.engine)
        if reader.engine.dialect.name == "sqlite":
            for row in reader.query("pragma quick_check", {}):
                if row["quick_check"] != "ok":
                    typer.echo(f"BAD {row['quick_check']}")
                    return BAD_NEWS
        typer.echo(f"schema {schema.head()}, ok")
    return OK


@app.command()
def providers(
    name: Annotated[str | None, typer.Argument(help="One provider: its feeds, options and words.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON lines.")] = False,
) -> int:
    """The providers that can be polled.

    Example: [bold]porting-aggregator providers telnyx[/]
    """
    from aggregator import providers as known

    if name is None:
        rows: list[dict[str, Any]] = []
        for provider in known.names():
            adapter = known.load(provider)
            rows.append(
                {
                    "provider": provider,
                    "label": adapter.label,
                    "base_url": adapter.base_url,
                    "feeds": list(adapter.feeds),
                }
            )
        output.lines(rows) if json else output.table(rows, ["provider", "label", "base_url", "feeds"], "none")
        return OK
    _provider(name, json)
    return OK


def _provider(name: str, json: bool) -> None:
    from dataclasses import fields

    from aggregator import providers as known

    adapter = known.load(name)
    feeds = [
        {
            "feed": feed,
            "kind": str(d.kind),
            "every": str(d.every),
            "lookback": str(d.lookback),
            "first_look": str(d.start or "all"),
        }
        for feed, d in adapter.feeds.items()
    ]
    options = [{"option": option.name, "type": str(option.type)} for option in fields(adapter.options)]
    words = [
        {
            "vocabulary": str(vocabulary),
            "word": word,
            "meaning": str(meaning.value),
            "basis": str(meaning.basis),
        }
        for vocabulary, table in adapter.words.items()
        for word, meaning in table.items()
    ]
    words += [
        {"vocabulary": "reason", "word": word, "meaning": reason.code, "basis": str(reason.basis)}
        for word, reason in adapter.reasons.items()
    ]
    if json:
        output.lines([*feeds, *options, *words])
        return
    output.table(feeds, ["feed", "kind", "every", "lookback", "first_look"], "no feeds", title=adapter.label)
    typer.echo()
    output.table(options, ["option", "type"], "no options")
    typer.echo()
    output.table(words, ["vocabulary", "word", "meaning", "basis"], "no words")


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
    seconds: Annotated[int, typer.Option("--seconds", min=5, help="About how long it takes.")] = 30,
    keep: Annotated[Path, typer.Option("--keep", help="Where the database and configuration stay.")] = Path(
        "demo"
    ),
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Write the last screen there, as SVG.")
    ] = None,
) -> int:
    """Watch both providers' ports move through one status model, on stand-ins, without any key.

    Example: [bold]porting-aggregator demo --seconds 20[/]
    """
    from aggregator.cli.demo import run

    return run(seconds, keep, picture)
