"""The hosts that accounts share: which of those that wait may be polled next, and what to do when one falls silent.

A provider that accepts connections and says nothing costs each of its accounts minutes. So no host gets all the
workers, and what failed last waits behind what did not; and once a host has let several requests in a row go
unanswered, one account at a time asks it for all the others. They are told so in place of being polled: it is no
failure of theirs.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias
from urllib.parse import urlsplit

import structlog

from aggregator.core.model import Page, Request
from aggregator.errors import HostSilent, ProviderError, Unanswered

ENOUGH = 3  # requests in a row without an answer, on two paths at least: one path may be slow by itself
PROBE_S = 30.0  # between two polls that look whether a silent host answers again

Fetch: TypeAlias = Callable[[Request], Page]
log = structlog.get_logger()


class Place(NamedTuple):
    """A provider at a host: two providers behind one proxy's name are not one."""

    provider: str
    host: str


def place(provider: str, base_url: str) -> Place:
    """Where an account is polled."""
    return Place(provider, urlsplit(base_url).netloc.lower())


@dataclass(frozen=True, slots=True)
class Waiting:
    """An account that is due: where it is polled, whether it failed last, and since when it waits."""

    account: str
    place: Place
    failing: bool
    since: float


def next_ones(
    waiting: Collection[Waiting], running: Mapping[Place, int], places: Collection[Place], workers: int
) -> list[Waiting]:
    """Which of those that wait may begin now. Every place can always have its part of the workers at once; what is
    left over goes to whoever waits, those that failed last after the others.

    >>> slow, quick = Place("a", "a.example"), Place("b", "b.example")
    >>> many = [Waiting(f"a{number}", slow, False, number) for number in range(20)]
    >>> begun = next_ones([*many, Waiting("b", quick, False, 99)], {}, {slow, quick}, 8)
    >>> [one.account for one in begun]
    ['a0', 'a1', 'a2', 'a3', 'a4', 'a5', 'b']
    """
    part = max(1, workers // (2 * len(places))) if places and len(places) <= workers else 0
    most = (
        workers if part else max(1, workers // 4)
    )  # with more places than workers, none takes more than a quarter
    busy, begun = dict(running), list[Waiting]()
    free = workers - sum(busy.values())
    for one in sorted(waiting, key=lambda one: (one.failing, one.since)):
        own = busy.get(one.place, 0)
        kept = sum(max(0, part - busy.get(other, 0)) for other in places if other != one.place)
        if free > 0 and own < most and (own < part or free > kept):
            busy[one.place], free = own + 1, free - 1
            begun.append(one)
    return begun


class Host:
    """Whether one host answers, as all of its accounts have seen it lately. Any thread may tell or ask."""

    def __init__(self, name: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.name, self._monotonic = name, monotonic
        self._lock = threading.Lock()
        self._unanswered = 0
        self._paths: set[str] = set()
        self._in_vain = 0  # polls that got no answer at all
        self._prober: str | None = None
        self._looked_at = 0.0
        self.silent = False

    @contextmanager
    def polled(self, account: str, fetch: Fetch) -> Iterator[Fetch]:
        """What an account's poll asks with: `fetch`, as long as the host answers; HostSilent while it does not and
        another account asks for all."""
        answers, asked = 0, 0

        def ask(request: Request) -> Page:
            nonlocal answers, asked
            self._may_ask(account)
            asked += 1
            try:
                page = fetch(request)
            except Unanswered:
                self._was_silent(request.path)
                raise
            except ProviderError:  # an answer, if not the one that was asked for
                answers += 1
                self._answered()
                raise
            answers += 1
            self._answered()
            return page

        try:
            yield ask
        finally:
            self._ended(account, in_vain=bool(asked and not answers))

    def _may_ask(self, account: str) -> None:
        with self._lock:
            if not self.silent or self._prober == account:
                return
            if self._prober is None and self._monotonic() - self._looked_at >= PROBE_S:
                self._prober = account
                return
            who = f"; {self._prober} asks for all of its accounts" if self._prober else ""
            raise HostSilent(f"{self.name} does not answer{who}")

    def _was_silent(self, path: str) -> None:
        with self._lock:
            self._unanswered += 1
            self._paths.add(path)
            self._judge()

    def _answered(self) -> None:
        with self._lock:
            self._unanswered = self._in_vain = 0
            self._paths.clear()
            if self.silent:
                self.silent, self._prober = False, None
                log.info("host.answers", host=self.name)

    def _ended(self, account: str, in_vain: bool) -> None:
        with self._lock:
            self._in_vain += in_vain
            self._judge()
            if self._prober == account:
                self._prober, self._looked_at = None, self._monotonic()

    def _judge(self) -> None:
        enough = self._unanswered >= ENOUGH and (len(self._paths) > 1 or self._in_vain >= ENOUGH)
        if enough and not self.silent:
            self.silent, self._looked_at = True, self._monotonic()
            log.warning("host.silent", host=self.name, unanswered=self._unanswered)


class Hosts:
    """The hosts of all accounts."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._all: dict[Place, Host] = {}

    def __getitem__(self, place: Place) -> Host:
        """What is known of the host at a place."""
        return self._all.setdefault(place, Host(place.host, self._monotonic))

    @property
    def silent(self) -> list[str]:
        """The names of those that do not answer."""
        return sorted({host.name for host in [*self._all.values()] if host.silent})
