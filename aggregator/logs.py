"""structlog, with redaction as the last step before the line is written.

Event names are short, lower case and constant (`poll.done`); everything else is key and value. The standard
library's loggers go through the same chain.
"""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, TextIO

import structlog

_OURS = frozenset(
    {"event", "level", "timestamp", "account", "account_id", "provider", "feed", "run_id", "kind"}
)
_SECRET_KEY = re.compile(
    r"pin|passcode|password|secret|token|account|tax|e?mail|name|address|contact|webhook|loa\b|lsr"
    r"|authori[sz]ation|body|payload|headers",
    re.IGNORECASE,
)
_CREDENTIAL = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]+", re.IGNORECASE)
_USER_INFO = re.compile(r"(\w+://)[^/\s:@]*:[^/\s@]*@")
_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?"
_DIGITS = re.compile(rf"({_TIME})|\d{{7,}}")
HIDDEN = "***"


def configure(level: str, format: str, secrets: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Set logging up for the process. `format` is auto (console on a terminal, else JSON), console or json."""
    out = stream or sys.stderr
    console = format == "console" or (format == "auto" and out.isatty())
    redact = redactor(secrets)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    colours = console and out.isatty() and not os.environ.get("NO_COLOR")
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=colours)
        if console
        else structlog.processors.JSONRenderer(default=str)
    )
    structlog.configure(
        processors=[*shared, redact, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level.upper()),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for loud in ("httpx", "httpcore", "uvicorn", "apscheduler", "alembic", "sqlalchemy"):
        logging.getLogger(loud).setLevel(logging.WARNING)


Redactor = Callable[[Any, str, MutableMapping[str, Any]], MutableMapping[str, Any]]


def redactor(secrets: Iterable[str] = ()) -> Redactor:
    """The processor that hides what must not be read: by key, and by value at every depth."""
    known = tuple(sorted({secret for secret in secrets if len(secret) >= 4}, key=len, reverse=True))

    def clean(value: Any, key: str = "") -> Any:
        if (
            key
            and key not in _OURS
            and _SECRET_KEY.search(key)
            and not isinstance(value, bool | int | type(None))
        ):
            return HIDDEN
        if isinstance(value, str):
            return _text(value, known)
        if isinstance(value, Mapping):
            return {_text(str(name), known): clean(inner, str(name)) for name, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [clean(inner) for inner in value]
        if isinstance(value, bool | int | float | type(None)):
            return value
        return _text(str(value), known)

    def redact(_: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {name: value if name.startswith("_") else clean(value, name) for name, value in entry.items()}

    return redact


def _text(value: str, known: tuple[str, ...]) -> str:
    for secret in known:
        value = value.replace(secret, HIDDEN)
    value = _CREDENTIAL.sub(rf"\1 {HIDDEN}", value)
    value = _USER_INFO.sub(rf"\1{HIDDEN}@", value)
    return _DIGITS.sub(lambda found: found[1] or f"…{found[0][-3:]}", value)
