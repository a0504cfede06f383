"""What a configuration ends up as: frozen values, each section with its defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeAlias

from aggregator.config.values import DatabaseUrl, Duration, HostNames, Listen, Positive, Proxy, Schema, Zone
from aggregator.core.account import Adapter, Feed, Options
from aggregator.core.model import Meaning, Reason, Vocabulary

Words: TypeAlias = Mapping[Vocabulary, Mapping[str, Meaning | Reason]]


@dataclass(frozen=True)
class Database:
    """Where the truth is kept. The URLs are as written; `database_url` resolves them."""

    url: DatabaseUrl = "sqlite:///aggregator.db"
    owner_url: DatabaseUrl | None = None
    schema: Schema = "porting"


@dataclass(frozen=True)
class Log:
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


@dataclass(frozen=True)
class Network:
    """The way out; `ca_file` is absolute once loaded."""

    proxy: Proxy | None = None
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
class Display:
    """How texts for people are written: the zone of their times. None is the environment's TZ, else UTC."""

    time_zone: Zone | None = None


@dataclass(frozen=True)
class Http:
    """Health, metrics and the page with orders; off unless set. `hosts` are further names they answer to."""

    listen: Listen | None = None
    page: bool = False
    page_listen: Listen | None = None
    hosts: HostNames = ()


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
    stuck: Mapping[str, timedelta] = field(default_factory=dict)


@dataclass(frozen=True)
class BrokenAccount:
    """An account whose provider's adapter cannot be relied on: `error` says why, with package, file and line."""

    name: str
    provider: str
    enabled: bool
    error: str


@dataclass(frozen=True)
class Config:
    """The configuration in force."""

    path: Path
    database: Database = Database()
    accounts: Mapping[str, AccountConfig] = field(default_factory=dict)
    broken: Mapping[str, BrokenAccount] = field(default_factory=dict)
    log: Log = Log()
    network: Network = Network()
    retention: Retention = Retention()
    waiting: Waiting = Waiting()
    stuck: Mapping[str, timedelta] = field(default_factory=dict)
    http: Http = Http()
    display: Display = Display()

    @property
    def each(self) -> tuple[AccountConfig | BrokenAccount, ...]:
        """Every account that is configured, whether it can be polled or not."""
        return (*self.accounts.values(), *self.broken.values())

    @property
    def names(self) -> tuple[str, ...]:
        """The names of them all."""
        return (*self.accounts, *self.broken)
