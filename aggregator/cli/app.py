"""The program, its global options, and how errors become exit codes."""

import io
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from aggregator import __version__
from aggregator.cli.helping import Program
from aggregator.errors import ConfigError, FetchError, ProviderError, Stopped, StoreError, Unusable

OK, BAD_NEWS, USAGE, POSITION, INTERNAL, TRY_LATER, DENIED, CONFIG = 0, 1, 2, 65, 70, 75, 77, 78
INTERRUPTED = 130  # Typer's word for Ctrl-C
VERBS = ("polling", "reading", "following", "life", "admin")
"""The modules that declare verbs, in the order in which `--help` shows them."""
LEVELS, FORMATS = ("debug", "info", "warning", "error"), ("auto", "console", "json")
READ = "Reading what is known"
SET_UP = "Setting up"

app = Program(
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
    config: Annotated[
        Path | None, typer.Option("--config", help="The configuration file.", metavar="FILE")
    ] = None,
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
    for option, said, there in (("--log-level", log_level, LEVELS), ("--log-format", log_format, FORMATS)):
        if said is not None and said not in there:
            close = get_close_matches(said, there, 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise typer.BadParameter(
                f"no such value: {said}{hint}; write {', '.join(there)}", param_hint=option
            )
    GLOBALS.config, GLOBALS.log_level, GLOBALS.log_format = config, log_level, log_format


def say(message: str) -> None:
    """A line for people, on standard error. What a terminal could obey is shown as its code: what is said may
    repeat an argument, or what a provider wrote."""
    sys.stderr.write(f"{visible(message)}\n")


def visible(text: str, lines: bool = True) -> str:
    r"""A text for a terminal in which nothing can steer it but, with `lines`, its lines' ends.

    >>> visible("no such order: \x1b[31mred\u202e")
    'no such order: \\x1b[31mred\\u202e'
    """
    return "".join(
        letter
        if letter.isprintable() or (lines and letter == "\n")
        else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def run(argv: list[str]) -> int:
    """Run a verb and translate its errors: by type, never by message."""
    for verbs in VERBS:
        import_module(f"aggregator.cli.{verbs}")
    _prepare_output()
    try:
        "".join(argv).encode()
    except UnicodeEncodeError:
        say("the arguments are not UTF-8 text")
        return USAGE
    try:
        result = app(args=argv, prog_name="porting-aggregator", standalone_mode=False)
        sys.stdout.flush()
        if result == INTERRUPTED:
            raise KeyboardInterrupt
        return result if isinstance(result, int) else OK
    except SystemExit as error:  # so Typer ends a completion, and a verb whose output nobody reads any more
        cause = error.__context__
        return _unwritten(cause) if isinstance(cause, OSError) else int(error.code or OK)
    except ConfigError as error:
        for mistake in error.mistakes:
            say(mistake)
        return CONFIG
    except Unusable as error:
        say(str(error))
        return CONFIG
    except (StoreError, FetchError, Stopped) as error:
        say(str(error))
        return TRY_LATER
    except ProviderError as error:
        say(str(error))
        return BAD_NEWS
    except OSError as error:
        return _unwritten(error)
    except KeyboardInterrupt:
        say("stopped")
        return TRY_LATER
    except Exception as error:
        if hasattr(error, "exit_code") and hasattr(error, "format_message"):
            text = visible(error.format_message(), lines=False)
            error.format_message = lambda: text
            error.show()  # type: ignore[attr-defined]
            return int(error.exit_code)
        if type(error).__name__ in ("Exit", "Abort"):
            return int(getattr(error, "exit_code", BAD_NEWS))
        return _internal()


def _prepare_output() -> None:
    """What the output's encoding lacks is written as its code; NO_COLOR leaves plain text in help and errors."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if os.environ.get("NO_COLOR"):
        from typer import rich_utils

        rich_utils.COLOR_SYSTEM = None


def _unwritten(error: OSError) -> int:
    """Standard output could not be written. A reader of ours that went away (`| head`) is no news; whatever is
    still unwritten is dropped, so that the interpreter's last flush says nothing either."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return OK
    say(f"cannot go on: {error}")
    return TRY_LATER


def _internal() -> int:
    import structlog

    from aggregator import logs

    if not structlog.is_configured():
        logs.configure("info", GLOBALS.log_format or "auto")
    structlog.get_logger().exception("internal.error")
    return INTERNAL
