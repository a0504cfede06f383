"""structlog, with redaction as the last step before the line is written.

Event names are short, lower case and constant (`poll.done`); everything else is key and value. The standard
library's loggers go through the same chain.
"""

import logging
import os
import random
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog

LOUD = ("httpx", "httpcore", "uvicorn", "apscheduler", "alembic", "sqlalchemy", "asyncio")
HIDDEN = "***"
_SECRET_KEY = re.compile(
    r"pin|passcode|password|secret|token|account|tax|e?mail|name|address|contact|webhook|loa\b|lsr"
    r"|authori[sz]ation|body|payload|headers",
    re.IGNORECASE,
)
_CREDENTIAL = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]+", re.IGNORECASE)
_NAMED = re.compile(
    r"""((?:password|passcode|secret|token|key|pin)(?:=|["']:\s?)["']?)[^\s,;&"']+""", re.IGNORECASE
)
# Each begins where a word begins, so that a long one is looked at once.
_USER_INFO = re.compile(r"(?<!\w)(\w+://)[^/\s]*@")
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_KEPT = r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d:\d\d(?:\.\d+)?)?|\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"
_SPACED = r"(?:\+\d{1,3}[ -]?)?(?:\(\d{1,4}\)[ -]?|\b\d{1,4}[ -])\d{3,4}[ -]?\d{3,4}\b"  # 02 5550 0199, (303) 555-0123
_DIGITS = re.compile(rf"({_KEPT})|\+?\d{{7,}}|{_SPACED}", re.IGNORECASE)
_ROW = re.compile(r"^(DETAIL|CONTEXT): .*", re.MULTILINE)  # here Postgres repeats a row that it refuses
_NAMES = random.SystemRandom()
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
LONGEST, LINES = 2_000, 300  # characters of a text, or of a line of a traceback; the last lines of one
_COUNT, _LONG = 1_000, 10**9  # below, an integer is no PIN; from there on it may be a telephone number

FOREIGN = ("host", "doubt")
"""The fields of lines that come over the standard library's logging, as those of a page's fetching do."""


def configure(level: str, format: str, secrets: Collection[str] = (), stream: TextIO | None = None) -> None:
    """Set logging up for the process. `format` is auto (console on a terminal, else JSON), console or json;
    `secrets` may go on growing."""
    out = stream or sys.stderr
    console = format == "console" or (format == "auto" and out.isatty())
    colours = console and out.isatty() and not os.environ.get("NO_COLOR")
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=colours)
        if console
        else structlog.processors.JSONRenderer(default=str)
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(FOREIGN)],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redactor(secrets),
                renderer,
            ],
        )
    )
    logging.raiseExceptions = False  # else a record that cannot be written is printed as it is, unredacted
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for loud in LOUD:
        logging.getLogger(loud).setLevel(max(logging.WARNING, root.level))


@contextmanager
def polling(provider: str, account: str) -> Iterator[None]:
    """Every line that is logged meanwhile, in this thread or task, tells whose poll it is about; `run` is a name
    for this one poll (of letters: digits could be taken for a telephone number)."""
    run = "".join(_NAMES.choice("bcdfghjkmnpqrstvwxz") for _ in range(8))
    with structlog.contextvars.bound_contextvars(provider=provider, account=account, run=run):
        yield


Redactor = Callable[[Any, str, MutableMapping[str, Any]], MutableMapping[str, Any]]


def redactor(secrets: Collection[str] = ()) -> Redactor:
    """The processor that hides what must not be read: by key, and by value at every depth. The name of one of
    our accounts is no secret."""

    def clean(value: Any, key: str, known: list[str]) -> Any:
        if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < _COUNT):
            return value
        if key != "account" and _SECRET_KEY.search(key[:LONGEST]):
            return HIDDEN
        if isinstance(value, int) and abs(value) < _LONG:
            return value
        if isinstance(value, float) and value - value == 0:  # neither infinite nor NaN, which JSON has not
            return value
        if isinstance(value, Mapping):
            return {_text(str(name), known): clean(inner, str(name), known) for name, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [clean(inner, "", known) for inner in value]
        if key in ("exception", "stack"):
            lines = str(value).split("\n")[-LINES:]
            return "\n".join(_text(line, known) for line in lines)
        return _text(str(value), known).replace("\n", " ")

    def redact(_: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        known = sorted((secret for secret in secrets if len(secret) >= 4), key=len, reverse=True)
        return {name: clean(value, name, known) for name, value in entry.items()}

    return redact


def _text(value: str, known: list[str]) -> str:
    for secret in known:
        value = value.replace(secret, HIDDEN)
    if len(value) > LONGEST:  # no pattern ever sees more; what is left of a number at the cut goes too
        value = value[:LONGEST].rstrip("0123456789+-() ") + "…"
    value = _CONTROL.sub("", value)
    value = _ROW.sub(rf"\1: {HIDDEN}", value)
    value = _CREDENTIAL.sub(rf"\1 {HIDDEN}", value)
    value = _USER_INFO.sub(rf"\1{HIDDEN}@", value)
    value = _NAMED.sub(rf"\1{HIDDEN}", value)
    value = _MAIL.sub(HIDDEN, value)
    return _DIGITS.sub(lambda found: found[1] or "…" + re.sub(r"\D", "", found[0])[-3:], value)
