"""The program, its global options, and how errors become exit codes."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from aggregator import __version__
from aggregator.errors import ConfigError, FetchError, ProviderError, SchemaError, StoreError

OK, BAD_NEWS, USAGE, POSITION, INTERNAL, TRY_LATER, DENIED, CONFIG = 0, 1, 2, 65, 70, 75, 77, 78

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help="What is happening to every port, at every provider, in one status model.\n\n"
    "First steps: [bold]porting-aggregator demo[/], then [bold]porting-aggregator config example[/].",
)


@dataclass(slots=True)
class Globals:
    """The options before the verb."""

    config: Path | None = None
    log_level: str | None = None
    log_format: str | None = None


GLOBALS = Globals()


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"porting-aggregator {__version__}")
        raise typer.Exit


@app.callback()
def options(
    config: Annotated[Path | None, typer.Option("--config", help="The configuration file.")] = None,
    log_level: Annotated[
        str | None, typer.Option("--log-level", help="debug, info, warning or error.", metavar="LEVEL")
    ] = None,
    log_format: Annotated[
        str | None, typer.Option("--log-format", help="auto, console or json.", metavar="FORMAT")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Keep the global options for whichever verb follows."""
    if log_level not in (None, "debug", "info", "warning", "error"):
        raise typer.BadParameter("write debug, info, warning or error", param_hint="--log-level")
    if log_format not in (None, "auto", "console", "json"):
        raise typer.BadParameter("write auto, console or json", param_hint="--log-format")
    GLOBALS.config, GLOBALS.log_level, GLOBALS.log_format = config, log_level, log_format


def say(message: str) -> None:
    """A line for people, on standard error."""
    sys.stderr.write(f"{message}\n")


def run(argv: list[str]) -> int:
    """Run a verb and translate its errors: by type, never by message."""
    from aggregator.cli import admin, polling, reading

    assert admin and polling and reading
    try:
        result = app(args=argv, prog_name="porting-aggregator", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else OK
    except ConfigError as error:
        for mistake in error.mistakes:
            say(mistake)
        return CONFIG
    except SchemaError as error:
        say(str(error))
        return CONFIG
    except (StoreError, FetchError) as error:
        say(str(error))
        return TRY_LATER
    except ProviderError as error:
        say(str(error))
        return BAD_NEWS
    except BrokenPipeError:
        # The reader of our output went away (`| head`); say nothing, also not at the interpreter's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        say("stopped")
        return TRY_LATER
    except Exception as error:
        if hasattr(error, "exit_code") and hasattr(error, "format_message"):
            error.show()  # type: ignore[attr-defined]
            return int(error.exit_code)
        if type(error).__name__ in ("Exit", "Abort"):
            return int(getattr(error, "exit_code", BAD_NEWS))
        import structlog

        structlog.get_logger().exception("internal.error")
        return INTERNAL
