"""The values of a configuration: how they are written, and the frozen shapes they end up in."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import PlainValidator

from aggregator.core.model import Adapter, Feed, Meaning, Options, Reason, State, Vocabulary
from aggregator.credentials import is_reference

Words: TypeAlias = Mapping[Vocabulary, Mapping[str, Meaning | Reason]]

_DURATION = re.compile(r"([0-9]{1,10})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST_S = 36_500 * 86_400
_DATABASE = "write sqlite:///file.db, postgresql://user@host/db, file:/path or credential:NAME"


def quoted(value: object) -> str:
    """A value as the configuration would show it, shortened.

    >>> quoted("2 parsecs"), quoted(True)
    ('"2 parsecs"', 'true')
    """
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}…"


def near(word: str, known: list[str]) -> str:
    """A hint in brackets at what may have been meant, or nothing."""
    close = get_close_matches(word, known, 1)
    return f" (did you mean {close[0]}?)" if close else ""


def duration(value: object) -> timedelta:
    """`30s`, `15m`, `1h` or `7d` as a timedelta.

    >>> duration("15m")
    datetime.timedelta(seconds=900)
    """
    if isinstance(value, timedelta):
        return value
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"not a duration: {quoted(value)} (write 30s, 15m, 1h or 7d)")
    seconds = int(found[1]) * _UNITS[found[2]]
    if seconds > _LONGEST_S:
        raise ValueError(f"longer than a hundred years: {quoted(value)}")
    return timedelta(seconds=seconds)


def positive(value: object) -> timedelta:
    """A duration that is more than nothing."""
    found = duration(value)
    if found <= timedelta(0):
        raise ValueError("must be more than 0s")
    return found


def written(value: timedelta) -> str:
    """A duration as the configuration writes it, in the largest unit that fits.

    >>> written(timedelta(minutes=90)), written(timedelta(0))
    ('90m', '0s')
    """
    seconds = int(value.total_seconds())
    unit = next((unit for unit in "dhm" if seconds and seconds % _UNITS[unit] == 0), "s")
    return f"{seconds // _UNITS[unit]}{unit}"


def look_back(value: object) -> timedelta | datetime:
    """How far a first look goes: a duration, or an instant with its zone."""
    if isinstance(value, str) and not _DURATION.fullmatch(value):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            pass
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise ValueError("an instant needs its zone (write 2026-01-31T00:00:00Z)")
        try:
            return value.astimezone(UTC)
        except OverflowError:
            raise ValueError("an instant outside the calendar") from None
    if isinstance(value, timedelta) or (isinstance(value, str) and _DURATION.fullmatch(value)):
        return duration(value)
    raise ValueError(f"not a duration or an instant: {quoted(value)} (write 30d or 2026-01-31T00:00:00Z)")


def zone(value: object) -> str:
    """The name of a time zone that this machine knows."""
    name = _text(value)
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        hint = near(name, sorted(available_timezones())) or " (write UTC or Australia/Sydney)"
        raise ValueError(f"no such time zone: {quoted(name)}{hint}") from None
    return name


def region(value: object) -> str:
    """A country by its two letters."""
    if not re.fullmatch("[A-Z]{2}", _text(value)):
        raise ValueError(f"not a region: {quoted(value)} (write two capital letters, as in US)")
    return str(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text in quotes")
    return value


def _parts(value: object, wrong: str) -> SplitResult:
    """A URL taken apart. The message never holds the URL: there may be a password in it."""
    text = _text(value)
    try:
        parts = urlsplit(text)
        fine = text.isprintable() and " " not in text and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise ValueError(wrong)
    return parts


def base_url(value: object) -> str:
    """A provider's URL: https, or http to loopback only, and nothing but host and path."""
    parts = _parts(value, "not a URL (write https://host/version)")
    if "@" in parts.netloc or "?" in str(value) or "#" in str(value):
        raise ValueError("must not hold a user, a password, a query or a fragment")
    if parts.scheme not in ("https", "http"):
        raise ValueError("not a URL (write https://host/version)")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValueError("http to loopback only; write https://")
    return str(value).rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def proxy(value: object) -> str:
    """The URL of an HTTP proxy; it may hold a user and a password."""
    wrong = "not a proxy (write http://host:3128)"
    if _parts(value, wrong).scheme not in ("http", "https"):
        raise ValueError(wrong)
    return str(value)


def listen(value: object) -> str:
    """An address and a port to listen on."""
    wrong = f"not an address: {quoted(value)} (write 127.0.0.1:9464 or [::1]:9464)"
    text = _text(value)
    parts = _parts(f"//{text}", wrong)
    if parts.port is None or "@" in text or parts.netloc != text:
        raise ValueError(wrong)
    return text


def database_address(value: object) -> str:
    """The URL of a database: a SQLite file or Postgres. The message never holds it."""
    text = _text(value)
    file = text.removeprefix("sqlite:///")
    if file != text and file.strip("/") and not file.startswith(":") and not set("?#") & set(file):
        return text
    if text.startswith("postgresql://") and text != "postgresql://" and text.isprintable():
        return text
    raise ValueError(f"not a database URL ({_DATABASE})")


def database_reference(value: object) -> str:
    """The URL of a database, or the file or credential that holds it."""
    text = _text(value)
    return text if text.startswith(("file:", "credential:")) and is_reference(text) else database_address(text)


def schema(value: object) -> str:
    """The name of a Postgres schema."""
    if not re.fullmatch("(?!pg_)[a-z_][a-z0-9_]{0,62}", _text(value)):
        raise ValueError(f"not a schema: {quoted(value)} (write letters a-z, digits and _)")
    return str(value)


def reference(value: object) -> str:
    """Where a secret lies. What is written is not repeated: it may be the secret itself."""
    if not is_reference(_text(value)):
        raise ValueError("write credential:NAME, file:/path or env:NAME, never the secret itself")
    return str(value)


Duration: TypeAlias = Annotated[timedelta, PlainValidator(duration)]
Positive: TypeAlias = Annotated[timedelta, PlainValidator(positive)]
Start: TypeAlias = Annotated[timedelta | datetime, PlainValidator(look_back)]
Zone: TypeAlias = Annotated[str, PlainValidator(zone)]
Region: TypeAlias = Annotated[str, PlainValidator(region)]
Listen: TypeAlias = Annotated[str, PlainValidator(listen)]
DatabaseUrl: TypeAlias = Annotated[str, PlainValidator(database_reference)]


# --- shapes ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Database:
    """Where the truth is kept. The URLs are as written; `database_url` resolves them."""

    url: DatabaseUrl = "sqlite:///aggregator.db"
    owner_url: DatabaseUrl | None = None
    schema: Annotated[str, PlainValidator(schema)] = "porting"

    @property
    def schema_(self) -> str:
        """The schema again, under a name that pydantic leaves free."""
        return self.schema


@dataclass(frozen=True)
class Log:
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


@dataclass(frozen=True)
class Network:
    """The way out; `ca_file` is absolute once loaded."""

    proxy: Annotated[str, PlainValidator(proxy)] | None = None
    ca_file: str | None = None


@dataclass(frozen=True)
class Retention:
    """How long is kept what nothing that stands rests on; None is for ever."""

    documents: Positive | None = None
    events: Positive | None = None
    runs: Positive | None = None
    changes: Positive | None = None


@dataclass(frozen=True)
class Waiting:
    """The work list: how long an ended order that needs us stays on it."""

    keep_ended: Duration = timedelta(days=14)


@dataclass(frozen=True)
class Http:
    """Health, metrics and the page with orders; off unless set."""

    listen: Listen | None = None
    page: bool = False
    page_listen: Listen | None = None


STUCK: Mapping[str, timedelta] = {
    State.ACTION_NEEDED: timedelta(days=3),
    State.WITH_PROVIDER: timedelta(days=1),
    State.WITH_CARRIER: timedelta(days=3),
    State.EXCEPTION: timedelta(days=3),
    State.CANCEL_PENDING: timedelta(days=2),
}
"""How long an order usually stays in a state; one that stays longer is stuck."""


@dataclass(frozen=True)
class AccountConfig:
    """One account as configured, with its adapter's defaults applied."""

    name: str
    provider: str
    adapter: Adapter
    options: Options
    feeds: Mapping[str, Feed]
    secret: str
    base_url: str
    min_interval_s: float = 0.0
    label: str = ""
    enabled: bool = True
    allow_actions: bool = False
    statuses: Words = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """The configuration in force."""

    path: Path
    database: Database = Database()
    accounts: Mapping[str, AccountConfig] = field(default_factory=dict)
    log: Log = Log()
    network: Network = Network()
    retention: Retention = Retention()
    waiting: Waiting = Waiting()
    stuck: Mapping[str, timedelta] = field(default_factory=lambda: dict(STUCK))
    http: Http = Http()

    @property
    def keep_ended(self) -> timedelta:
        """How long an ended order that needs us stays on the work list."""
        return self.waiting.keep_ended
