"""TOML and environment → a frozen `Config`, or a `ConfigError` that names every mistake with its key."""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import datetime, timedelta
from difflib import get_close_matches
from importlib import resources
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
)

from aggregator.core.model import Adapter, Feed, Meaning, Options, Reason, State, Vocabulary, WaitingOn
from aggregator.core.normalise import folded
from aggregator.credentials import secret
from aggregator.errors import ConfigError

PREFIX = "PORTING_AGGREGATOR__"
PLACES = (Path("config/aggregator.toml"), Path("/etc/porting-aggregator/aggregator.toml"))
_DURATION = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_COMMON = ("time_zone", "region", "keep_comments")

Words = Mapping[Vocabulary, Mapping[str, Meaning | Reason]]


# --- values ---------------------------------------------------------------------------------------------


def duration(value: object) -> object:
    """`30s`, `15m`, `1h` or `7d` as a timedelta.

    >>> duration("15m")
    datetime.timedelta(seconds=900)
    """
    if isinstance(value, timedelta):
        return value
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not found or int(found[1]) > 10**6:
        raise ValueError(f'not a duration: "{value}" (write 30s, 15m, 1h or 7d)')
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def _start(value: object) -> object:
    if isinstance(value, str) and not _DURATION.fullmatch(value):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError(f'not a duration or an instant: "{value}" (write 30d or 2026-01-31T00:00:00Z)') from error
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("an instant needs its zone (write 2026-01-31T00:00:00Z)")
        return value
    return duration(value)


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError(f'no such time zone: "{value}" (write Australia/Sydney or UTC)')
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("only scheme, host and path: no user, password, query or fragment")
    if not parts.hostname or parts.scheme not in ("https", "http"):
        raise ValueError("write https://host/version")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("http only to loopback; elsewhere https")
    return value.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _seconds(value: timedelta) -> float:
    return value.total_seconds()


Duration = Annotated[timedelta, BeforeValidator(duration)]
Start = Annotated[timedelta | datetime, BeforeValidator(_start)]
Zone = Annotated[str, AfterValidator(_zone)]
Url = Annotated[str, AfterValidator(_url)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Database(_Section):
    """Where the truth is kept."""

    url: str = "sqlite:///aggregator.db"
    owner_url: str | None = None
    schema_: Annotated[str, Field(alias="schema", pattern=r"^[a-z_][a-z0-9_]*$")] = "porting"


class Log(_Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Network(_Section):
    """The way out."""

    proxy: str | None = None
    ca_file: str | None = None


class Retention(_Section):
    """How long is kept what is not the truth itself; unset: for ever."""

    documents: Duration | None = None
    events: Duration | None = None
    runs: Duration | None = None
    changes: Duration | None = None


class Waiting(_Section):
    """The work list."""

    keep_ended: Duration = timedelta(days=14)


class Http(_Section):
    """Health, metrics and the page; off unless set."""

    listen: str | None = None
    page: bool = False
    page_listen: str | None = None


class _FeedKeys(_Section):
    enabled: bool = True
    every: Duration | None = None
    lookback: Duration | None = None
    stale_after: Duration | None = None
    start: Start | None = None


class _AccountKeys(_Section):
    provider: str
    secret: Annotated[str, Field(pattern=r"^(credential|file|env):.+")]
    label: str = ""
    enabled: bool = True
    allow_actions: bool = False
    keep_comments: bool = True
    base_url: Url | None = None
    region: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    time_zone: Zone | None = None
    min_interval: Duration | None = None
    feeds: dict[str, _FeedKeys] = {}
    statuses: dict[str, Any] = {}


class _Top(_Section):
    database: Database = Database()
    log: Log = Log()
    network: Network = Network()
    retention: Retention = Retention()
    waiting: Waiting = Waiting()
    stuck: dict[State, Duration] = {}
    http: Http = Http()


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """One account as configured."""

    name: str
    provider: str
    adapter: Adapter
    options: Options
    feeds: Mapping[str, Feed]
    secret: str
    base_url: str
    min_interval_s: float
    label: str
    enabled: bool
    allow_actions: bool
    statuses: Words


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration in force."""

    path: Path
    database: Database
    log: Log
    network: Network
    retention: Retention
    waiting: Waiting
    stuck: Mapping[State, timedelta]
    http: Http
    accounts: Mapping[str, AccountConfig]


# --- reading --------------------------------------------------------------------------------------------


def find(explicit: Path | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """The configuration file: named, else from the environment, else the first that is there."""
    named = explicit or (Path(environ["PORTING_AGGREGATOR_CONFIG"]) if "PORTING_AGGREGATOR_CONFIG" in environ else None)
    places = [cwd / named] if named else [cwd / place for place in PLACES]
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(map(str, places))
    raise ConfigError(
        f"no configuration file (looked at {looked}); "
        "type: mkdir -p config && porting-aggregator config example > config/aggregator.toml"
    )


def load(path: Path, adapter_of: Callable[[str], Adapter], environ: Mapping[str, str]) -> Config:
    """Read and validate the whole configuration. ConfigError names every mistake at once."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    mistakes: list[str] = []
    accounts, providers = data.pop("accounts", {}), data.pop("providers", {})
    _from_environment(data, environ, mistakes)
    top = _validated(_Top, data, "", mistakes)
    shared = {name: _words(table, f"providers.{name}", mistakes) for name, table in _tables(providers).items()}
    found = {}
    for name, table in _tables(accounts).items():
        account = _account(name, table, adapter_of, shared, mistakes)
        if account is not None:
            found[name] = account
    if mistakes or top is None:
        raise ConfigError(*(f"{path}: {mistake}" for mistake in mistakes))
    values = {name: getattr(top, name) for name in _Top.model_fields}
    return Config(path=path, accounts=found, **values)


def database_url(config: Config, environ: Mapping[str, str], *, owner: bool = False) -> str:
    """The database's URL: as written, or out of the file or credential that holds it; relative SQLite paths
    are relative to the configuration file."""
    base = config.path.parent
    written = (config.database.owner_url if owner else None) or config.database.url
    url = secret(written, base, environ).reveal() if written.startswith(("file:", "credential:")) else written
    for prefix in ("sqlite:///",):
        if url.startswith(prefix) and not url.startswith("sqlite:////"):
            return f"{prefix}{(base / url.removeprefix(prefix)).absolute()}"
    if not url.startswith(("sqlite:////", "postgresql://", "postgres://")):
        raise ConfigError("database.url: write sqlite:///file.db or postgresql://user@host/database")
    return url.replace("postgres://", "postgresql://", 1)


def example() -> str:
    """The commented example."""
    return resources.files("aggregator").joinpath("aggregator.example.toml").read_text(encoding="utf-8")


def shown(config: Config) -> str:
    """The configuration in force as TOML; a password inside a URL is stars."""
    lines = ["[database]", f'url = "{_masked(config.database.url)}"', f'schema = "{config.database.schema_}"']
    lines += ["", "[log]", f'level = "{config.log.level}"', f'format = "{config.log.format}"']
    lines += ["", "[waiting]", f'keep_ended = "{_written(config.waiting.keep_ended)}"']
    for account in config.accounts.values():
        lines += ["", f"[accounts.{account.name}]", f'provider = "{account.provider}"', f'secret = "{account.secret}"']
        lines += [f'base_url = "{account.base_url}"', f'min_interval = "{account.min_interval_s:g}s"']
        for option in fields(account.options):
            value = getattr(account.options, option.name)
            if value is not None:
                lines.append(f"{option.name} = {str(value).lower() if isinstance(value, bool) else f'{chr(34)}{value}{chr(34)}'}")
        for feed in account.feeds.values():
            lines += ["", f"[accounts.{account.name}.feeds.{feed.name}]", f"enabled = {str(feed.enabled).lower()}"]
            lines += [f'every = "{_written(feed.every)}"', f'lookback = "{_written(feed.lookback)}"']
            lines += [f'stale_after = "{_written(feed.stale_after)}"']
    return "\n".join(lines) + "\n"


def _masked(url: str) -> str:
    return re.sub(r"(://[^/:@]*):[^@/]*@", r"\1:***@", url)


def _written(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    unit = next(unit for unit in "dhms" if seconds % _UNITS[unit] == 0)
    return f"{seconds // _UNITS[unit]}{unit}" if seconds else "0s"


def _tables(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _from_environment(data: dict[str, Any], environ: Mapping[str, str], mistakes: list[str]) -> None:
    """`PORTING_AGGREGATOR__SECTION__KEY` overrides everything outside the accounts."""
    for name, value in sorted(environ.items()):
        if not name.startswith("PORTING_AGGREGATOR_") or name == "PORTING_AGGREGATOR_CONFIG":
            continue
        if name.startswith("PORTING_AGGREGATOR_TEST_"):
            continue
        section, _, key = name.removeprefix(PREFIX).lower().partition("__")
        keys = _section_keys(section)
        if not name.startswith(PREFIX) or key not in keys:
            mistakes.append(f"{name}: no such setting (variables are {PREFIX}SECTION__KEY){_near(key, keys)}")
            continue
        data.setdefault(section, {})[key] = value


def _section_keys(section: str) -> list[str]:
    if section == "stuck":
        return [str(state) for state in State]
    field = _Top.model_fields.get(section)
    model = field.annotation if field else None
    if not isinstance(model, type) or not issubclass(model, BaseModel):
        return []
    return [inner.alias or name for name, inner in model.model_fields.items()]


def _validated(model: type[Any], data: Any, where: str, mistakes: list[str]) -> Any:
    """A model from a table, or None with every mistake noted under its key."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        for fault in error.errors():
            path = [str(part) for part in fault["loc"] if not str(part).startswith("function-")]
            key = ".".join([where, *path] if where else path)
            if fault["type"] == "extra_forbidden":
                known = [inner.alias or name for name, inner in model.model_fields.items()]
                mistakes.append(f"{key}: no such key{_near(path[-1], known)}")
            else:
                mistakes.append(f"{key}: {fault['msg'].removeprefix('Value error, ')}")
        return None


def _near(word: str, known: list[str]) -> str:
    close = get_close_matches(word, known, 1)
    return f" (did you mean {close[0]}?)" if close else ""


# --- accounts -------------------------------------------------------------------------------------------


def _account(
    name: str,
    table: Any,
    adapter_of: Callable[[str], Adapter],
    shared: Mapping[str, Words],
    mistakes: list[str],
) -> AccountConfig | None:
    where = f"accounts.{name}"
    before = len(mistakes)
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        mistakes.append(f"{where}: an account's name is of a-z, 0-9, _ and -")
    provider = table.get("provider") if isinstance(table, dict) else None
    if not isinstance(provider, str):
        mistakes.append(f'{where}.provider: missing (write provider = "telnyx")')
        return None
    try:
        adapter = adapter_of(provider)
    except ConfigError as error:
        mistakes.append(f"{where}.provider: {error}")
        return None
    keys = _validated(_account_model(adapter), table, where, mistakes)
    if keys is None:
        return None
    options = {own.name: getattr(keys, own.name) for own in fields(adapter.options) if own.name not in _COMMON}
    time_zone = keys.time_zone or adapter.time_zone
    region = keys.region or adapter.region
    account = AccountConfig(
        name=name,
        provider=provider,
        adapter=adapter,
        options=adapter.options(
            time_zone=time_zone, region=region, keep_comments=keys.keep_comments, **options
        ),
        feeds=_feeds(adapter, keys.feeds, f"{where}.feeds", mistakes),
        secret=keys.secret,
        base_url=keys.base_url or adapter.base_url,
        min_interval_s=_seconds(keys.min_interval) if keys.min_interval is not None else adapter.pacing.min_interval_s,
        label=keys.label,
        enabled=keys.enabled,
        allow_actions=keys.allow_actions,
        statuses=_merged(shared.get(provider, {}), _words({"statuses": keys.statuses}, where, mistakes)),
    )
    return account if len(mistakes) == before else None


def _account_model(adapter: Adapter) -> type[BaseModel]:
    """The keys every account has, with those of the adapter."""
    own: dict[str, Any] = {
        option.name: (option.type, ... if option.default is MISSING else option.default)
        for option in fields(adapter.options)
        if option.name not in _COMMON
    }
    return create_model("Account", __base__=_AccountKeys, **own)


def _feeds(
    adapter: Adapter, said: Mapping[str, _FeedKeys], where: str, mistakes: list[str]
) -> dict[str, Feed]:
    for name in said.keys() - adapter.feeds.keys():
        mistakes.append(f"{where}.{name}: no such feed (there is {', '.join(adapter.feeds)})")
    feeds = {}
    for name, defaults in adapter.feeds.items():
        keys = said.get(name, _FeedKeys())
        every = defaults.every if keys.every is None else keys.every
        if every <= timedelta(0):
            mistakes.append(f"{where}.{name}.every: must be at least 1s")
        feeds[name] = Feed(
            name=name,
            defaults=defaults,
            enabled=keys.enabled,
            every=every,
            lookback=defaults.lookback if keys.lookback is None else keys.lookback,
            stale_after=keys.stale_after or max(3 * every, timedelta(minutes=5)),
            start=defaults.start if keys.start is None else keys.start,
        )
    return feeds


# --- words ----------------------------------------------------------------------------------------------


def _words(table: Any, where: str, mistakes: list[str]) -> Words:
    """The `statuses` table: words of the vocabulary `status`, and sub-tables for the others."""
    for key in _tables(table).keys() - {"statuses"}:
        mistakes.append(f"{where}.{key}: no such key (did you mean statuses?)")
    said = _tables(_tables(table).get("statuses"))
    words: dict[Vocabulary, dict[str, Meaning | Reason]] = {}
    others = {vocabulary.value for vocabulary in Vocabulary} - {Vocabulary.PORT_IN.value}
    for word, value in said.items():
        if word in others and isinstance(value, dict) and not {"state", "reason"} & value.keys():
            inner = {key: (Vocabulary(word), each) for key, each in value.items()}
        else:
            inner = {word: (Vocabulary.PORT_IN, value)}
        for key, (vocabulary, each) in inner.items():
            meaning = _meaning(each, vocabulary, f"{where}.statuses.{key}", mistakes)
            if meaning is not None:
                words.setdefault(vocabulary, {})[key] = meaning
    for vocabulary, meanings in words.items():
        seen: dict[str, str] = {}
        for word in meanings:
            if (other := seen.setdefault(folded(word), word)) != word:
                mistakes.append(f'{where}.statuses: "{other}" and "{word}" are the same {vocabulary} word')
    return words


def _meaning(value: Any, vocabulary: Vocabulary, where: str, mistakes: list[str]) -> Meaning | Reason | None:
    table = value if isinstance(value, dict) else {"reason" if vocabulary is Vocabulary.REASON else "state": value}
    word, who = table.get("reason") or table.get("state"), table.get("waiting_on")
    try:
        waiting_on = WaitingOn(who) if who is not None else None
    except ValueError:
        mistakes.append(f"{where}.waiting_on: not one of {', '.join(WaitingOn)}")
        return None
    if table.keys() - {"state", "reason", "waiting_on"} or not isinstance(word, str):
        mistakes.append(f'{where}: write a word, or {{ state = "with_carrier", waiting_on = "us" }}')
        return None
    if vocabulary is Vocabulary.REASON:
        return Reason(word, waiting_on or WaitingOn.US)
    if vocabulary in (Vocabulary.PORT_IN, Vocabulary.PORT_OUT) and word not in set(State) - {State.UNKNOWN}:
        mistakes.append(f'{where}: "{word}" is not a state{_near(word, list(State))}')
        return None
    return Meaning(word, waiting_on=waiting_on)


def _merged(shared: Words, own: Words) -> Words:
    """The account's words on top of those its provider's accounts share."""
    return {
        vocabulary: {**shared.get(vocabulary, {}), **own.get(vocabulary, {})}
        for vocabulary in {*shared, *own}
    }
