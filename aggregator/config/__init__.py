"""TOML and environment → a frozen `Config`, or a `ConfigError` that names every mistake with its key."""

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any, Final

from aggregator import trust
from aggregator.config import toml
from aggregator.config.addresses import database_url, proxy_url
from aggregator.config.checks import checked, keys_of, merged, table_of, words
from aggregator.config.environ import SECTIONS, overridden, with_variable
from aggregator.config.shapes import (
    AccountConfig,
    BrokenAccount,
    Config,
    Database,
    Http,
    Log,
    Network,
    Retention,
    Waiting,
    Words,
)
from aggregator.config.shown import shown
from aggregator.config.values import (
    BaseUrl,
    Duration,
    Positive,
    Reference,
    Start,
    duration,
    host_of,
    is_loopback,
    near,
    positive,
    quoted,
)
from aggregator.core.account import Adapter, Feed, FeedDefaults, Options
from aggregator.core.model import State
from aggregator.errors import BrokenAdapter, ConfigError

__all__ = [
    "AccountConfig",
    "BrokenAccount",
    "Config",
    "Database",
    "Http",
    "Log",
    "Network",
    "Retention",
    "Waiting",
    "database_url",
    "duration",
    "example",
    "find",
    "load",
    "proxy_url",
    "shown",
]

NAMED: Final = "PORTING_AGGREGATOR_CONFIG"
PLACES: Final = (Path("config/aggregator.toml"), Path("/etc/porting-aggregator/aggregator.toml"))


@dataclass(frozen=True)
class _Common:
    """The account keys of every provider, apart from those in `Options`."""

    provider: str
    secret: Reference
    label: str | None = None
    enabled: bool = True
    allow_actions: bool = False
    base_url: BaseUrl | None = None
    min_interval: Duration | None = None


@dataclass(frozen=True)
class _FeedKeys:
    enabled: bool = True
    every: Positive | None = None
    lookback: Duration | None = None
    stale_after: Positive | None = None
    start: Start | None = None


def find(explicit: Path | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """The configuration file: the one named, else the environment's, else the first that is there. Root takes none
    from the current directory by itself: it would send root's files where somebody else says."""
    named = explicit or (Path(environ[NAMED]) if environ.get(NAMED) else None)
    here, system = PLACES
    is_root = os.geteuid() == trust.ROOT
    places = [named] if named else [system] if is_root else [here, system]
    for place in (cwd / one for one in places):
        if _may_be_there(place):
            return place
    looked = ", ".join(str(cwd / one) for one in places)
    if named is None and is_root and _may_be_there(cwd / here):
        raise ConfigError(
            f"no configuration file (looked at {looked}); root takes none from the current directory, where anybody "
            f"may have put it, unless it is named: --config {here}"
        )
    place = system if is_root else here
    raise ConfigError(
        f"no configuration file (looked at {looked}); "
        f"to make one, type: mkdir -p {place.parent} && porting-aggregator config example > {place}"
    )


def _may_be_there(place: Path) -> bool:
    try:
        return place.exists() and not place.is_dir()
    except OSError:  # it may be there: reading it will say what is wrong
        return True


def load(path: Path, adapter_of: Callable[[str], Adapter], environ: Mapping[str, str]) -> Config:
    """The whole configuration, validated. ConfigError names every mistake at once, each with its key."""
    path, mistakes = path.absolute(), list[str]()
    _refuse_untrusted(path)
    data = toml.read(path)
    variables = overridden(data, environ, mistakes)
    accounts = table_of(data.pop("accounts", {}), "accounts", mistakes)
    providers = table_of(data.pop("providers", {}), "providers", mistakes)
    stuck = _stuck(data.pop("stuck", {}), mistakes)
    for name in sorted(data.keys() - SECTIONS.keys()):
        mistakes.append(f"{name}: no such section{near(name, [*SECTIONS, 'accounts', 'providers', 'stuck'])}")
    sections = {
        name: checked(shape, table_of(data.get(name, {}), name, mistakes), name, mistakes)
        for name, shape in SECTIONS.items()
    }
    http = sections["http"]
    if http and http.page and not (http.listen or http.page_listen):
        mistakes.append("http.page: needs http.listen or http.page_listen")
    elif http and http.page and not is_loopback(host_of(where := http.page_listen or http.listen)):
        mistakes.append(
            f"http.page: {where} is open to other machines, and the page has no password: give it "
            'page_listen = "127.0.0.1:9465", and a proxy with passwords and TLS before it'
        )
    shared = {name: _shared(name, table, adapter_of, mistakes) for name, table in providers.items()}
    found = {name: _account(name, table, adapter_of, shared, mistakes) for name, table in accounts.items()}
    broken = {name: one for name, one in found.items() if isinstance(one, BrokenAccount)}
    if mistakes:
        raise ConfigError(*(with_variable(mistake, variables) for mistake in mistakes))
    asked = {name: replace(one, stuck=stuck) for name, one in found.items() if isinstance(one, AccountConfig)}
    whole: dict[str, Any] = {**sections, "accounts": asked, "broken": broken, "stuck": stuck}
    network = whole["network"]
    if network.ca_file is not None:
        whole["network"] = replace(network, ca_file=str(path.parent / network.ca_file))
    return Config(path=path, **whole)


def example() -> str:
    """The commented example: every key with its default."""
    return resources.files(__name__).joinpath("aggregator.example.toml").read_text(encoding="utf-8")


def _refuse_untrusted(path: Path) -> None:
    """ConfigError where somebody else may write the configuration, or put another one in its place."""
    folders = dict.fromkeys((path.parent, Path(os.path.realpath(path)).parent))
    if wrong := [why for one in (path, *folders) if (why := trust.others(one)) is not None]:
        raise ConfigError(*wrong)


# --- file and environment -------------------------------------------------------------------------------


def _stuck(value: object, mistakes: list[str]) -> Mapping[str, timedelta]:
    """The usual times that are written; each account's adapter knows the others."""
    found: dict[str, timedelta] = {}
    for state, said in table_of(value, "stuck", mistakes).items():
        if state not in list(State):
            mistakes.append(f"stuck.{state}: no such state{near(state, list(State))}")
            continue
        try:
            found[State(state)] = positive(said)
        except ValueError as error:
            mistakes.append(f"stuck.{state}: {error}")
    return found


# --- accounts -------------------------------------------------------------------------------------------


def _shared(name: str, value: object, adapter_of: Callable[[str], Adapter], mistakes: list[str]) -> Words:
    """The words of `[providers.NAME.statuses]`."""
    key = f"providers.{name}"
    with suppress(BrokenAdapter):
        _adapter(name, key, adapter_of, mistakes)
    table = table_of(value, key, mistakes)
    for other in sorted(table.keys() - {"statuses"}):
        mistakes.append(f"{key}.{other}: no such key{near(other, ['statuses'])}")
    return words(
        table_of(table.get("statuses", {}), f"{key}.statuses", mistakes), f"{key}.statuses", mistakes
    )


def _adapter(
    name: object, key: str, adapter_of: Callable[[str], Adapter], mistakes: list[str]
) -> Adapter | None:
    if not isinstance(name, str):
        return None
    try:
        return adapter_of(name)
    except BrokenAdapter:
        raise
    except (ConfigError, ImportError) as error:
        mistakes.append(f"{key}: {error}")
        return None


def _account(
    name: str,
    value: object,
    adapter_of: Callable[[str], Adapter],
    shared: Mapping[str, Words],
    mistakes: list[str],
) -> AccountConfig | BrokenAccount | None:
    """One account. Each part is judged without the others, so that no mistake hides another. An adapter that
    cannot be relied on is no mistake of the configuration, and costs its own accounts alone."""
    key = f"accounts.{name}"
    if not re.fullmatch("[a-z0-9][a-z0-9_-]*", name):
        mistakes.append(f"{key}: not a name for an account: {quoted(name)} (write a-z, digits, _ and -)")
    table = table_of(value, key, mistakes)
    if not isinstance(value, dict):
        return None
    adapter, unusable = None, None
    try:
        adapter = _adapter(table.get("provider"), f"{key}.provider", adapter_of, mistakes)
    except BrokenAdapter as error:
        unusable = error
    common = {part: table[part] for part in keys_of(_Common) if part in table}
    keys = checked(_Common, common, key, mistakes)
    options = _options(table, adapter, key, mistakes)
    said = table_of(table.get("statuses", {}), f"{key}.statuses", mistakes)
    own = words(said, f"{key}.statuses", mistakes)
    feeds = _feeds(
        table_of(table.get("feeds", {}), f"{key}.feeds", mistakes), adapter, f"{key}.feeds", mistakes
    )
    if keys is not None and unusable is not None:
        return BrokenAccount(name, keys.provider, keys.enabled, str(unusable))
    if keys is None or adapter is None or options is None:
        return None
    return AccountConfig(
        name=name,
        provider=keys.provider,
        adapter=adapter,
        options=options,
        feeds=feeds,
        secret=keys.secret,
        base_url=keys.base_url or adapter.base_url.rstrip("/"),
        min_interval_s=_pause(keys.min_interval, adapter),
        label=name if keys.label is None else keys.label,
        enabled=keys.enabled,
        allow_actions=keys.allow_actions,
        statuses=merged(shared.get(keys.provider, {}), own),
    )


def _pause(said: timedelta | None, adapter: Adapter) -> float:
    return adapter.pacing.min_interval_s if said is None else said.total_seconds()


def _options(
    table: Mapping[str, Any], adapter: Adapter | None, key: str, mistakes: list[str]
) -> Options | None:
    """The account's options. Without an adapter only those are judged that every provider has."""
    taken = (*keys_of(_Common), "feeds", "statuses")
    said = {name: value for name, value in table.items() if name not in taken}
    if adapter is None:
        return checked(
            Options, {name: said[name] for name in keys_of(Options) if name in said}, key, mistakes
        )
    said = {"time_zone": adapter.time_zone, "region": adapter.region, **said}
    empty = [name for name in keys_of(adapter.options) if said.get(name) == ""]
    mistakes.extend(f"{key}.{name}: empty" for name in empty if name not in ("time_zone", "region"))
    return checked(adapter.options, said, key, mistakes, also=taken)


def _feeds(
    table: Mapping[str, Any], adapter: Adapter | None, key: str, mistakes: list[str]
) -> Mapping[str, Feed]:
    """Every feed of the provider, with its defaults where nothing is said."""
    known = adapter.feeds if adapter else {}
    for name in sorted(table.keys() - known.keys()) if adapter else ():
        hint = near(name, list(known)) or f" (there is {', '.join(known)})"
        mistakes.append(f"{key}.{name}: no such feed{hint}")
    feeds: dict[str, Feed] = {}
    for name in [*known, *(name for name in table if not adapter)]:
        keys = checked(
            _FeedKeys, table_of(table.get(name, {}), f"{key}.{name}", mistakes), f"{key}.{name}", mistakes
        )
        if keys is not None and name in known:
            feeds[name] = _feed(name, known[name], keys)
    return feeds


def _feed(name: str, defaults: FeedDefaults, keys: _FeedKeys) -> Feed:
    every = defaults.every if keys.every is None else keys.every
    return Feed(
        name=name,
        defaults=defaults,
        enabled=keys.enabled,
        every=every,
        lookback=defaults.lookback if keys.lookback is None else keys.lookback,
        stale_after=keys.stale_after or max(3 * every, timedelta(minutes=5)),
        start=defaults.start if keys.start is None else keys.start,
    )
