"""The values of a configuration: how they are written, and what is wrong with one that is not."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from ipaddress import ip_address
from typing import Annotated, TypeAlias
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import PlainValidator

from aggregator.core.normalise import REGIONS
from aggregator.credentials import is_reference

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


def near(word: str, known: list[str], *, beginnings: bool = False) -> str:
    """A hint in brackets at what may have been meant, or nothing; `beginnings`: where only a beginning was typed.

    >>> near("porting_order", ["porting_orders"]), near("P-0013", ["P-00127845"], beginnings=True)
    (' (did you mean porting_orders?)', ' (did you mean P-00127845?)')
    """
    whole = {one[: len(word)] if beginnings else one: one for one in known if word}
    close = get_close_matches(word, whole, 1)
    return f" (did you mean {whole[close[0]]}?)" if close else ""


def some(said: Sequence[str], most: int = 12, between: str = ", ") -> str:
    """The first of many, and how many more there are, so that a line stays one.

    >>> some(["a", "b", "c", "d"], most=2)
    'a, b and 2 more'
    """
    more = f" and {len(said) - most} more" if len(said) > most else ""
    return between.join(said[:most]) + more


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
        with suppress(ValueError):
            value = datetime.fromisoformat(value)
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
    if not re.fullmatch("[A-Z]{2}", _text(value)) or value not in REGIONS:
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
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError("http to loopback only; write https://")
    return str(value).rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host of this name."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(listen: str) -> str:
    """The host of an address to listen on.

    >>> host_of("[::1]:9464")
    '::1'
    """
    return urlsplit(f"//{listen}").hostname or ""


def proxy_reference(value: object) -> str:
    """The URL of an HTTP proxy, or the file or credential that holds it."""
    text = _text(value)
    return text if text.startswith(("file:", "credential:")) and is_reference(text) else proxy(text)


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


def host_names(value: object) -> tuple[str, ...]:
    """Names of hosts, without a port; a variable of the environment holds them with commas between.

    >>> host_names("Ports.example.com, metrics")
    ('ports.example.com', 'metrics')
    """
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",")]
    if not isinstance(value, list | tuple):
        raise ValueError('not a list of names (write ["porting.example.com"])')
    for name in value:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,252}", _text(name)):
            raise ValueError(f"not the name of a host: {quoted(name)} (without a port)")
    return tuple(name.lower() for name in value)


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
    return (
        text if text.startswith(("file:", "credential:")) and is_reference(text) else database_address(text)
    )


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
HostNames: TypeAlias = Annotated[tuple[str, ...], PlainValidator(host_names)]
Listen: TypeAlias = Annotated[str, PlainValidator(listen)]
DatabaseUrl: TypeAlias = Annotated[str, PlainValidator(database_reference)]
Schema: TypeAlias = Annotated[str, PlainValidator(schema)]
Proxy: TypeAlias = Annotated[str, PlainValidator(proxy_reference)]
BaseUrl: TypeAlias = Annotated[str, PlainValidator(base_url)]
Reference: TypeAlias = Annotated[str, PlainValidator(reference)]
