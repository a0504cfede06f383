"""What a poll hands to the store, and what it tells of itself: a sweep in slices, and how it went in a word."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, TypeVar

from aggregator.core.account import Account
from aggregator.core.findings import HOST_SILENT, Findings, Mark, Progress, Recorded
from aggregator.core.fold import stamp
from aggregator.core.model import Direction, Fact, Source, Want
from aggregator.errors import (
    AccessDenied,
    AdapterFailed,
    HostSilent,
    PageChanged,
    PollFailed,
    ProviderError,
    RateLimited,
    Refused,
    Spent,
    TooLarge,
)
from aggregator.sweep import Sweep

L = TypeVar("L", contravariant=True)

SLICE = 1_000  # facts in one transaction


class Store(Protocol[L]):
    """What a poll needs of the store; the lease is the store's own affair."""

    def marks(self, account: str) -> Mapping[str, Mark]: ...
    def wants(self, held: L, now: datetime | None) -> tuple[Want, ...]: ...
    def lists_owed(self, held: L) -> Set[Direction]: ...
    def open_orders(
        self, held: L, direction: Direction, now: datetime
    ) -> tuple[tuple[str, ...], datetime | None]: ...
    def record(
        self, account: Account, held: L, findings: Findings, progress_made: Progress | None = None
    ) -> Recorded: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a feed's poll (or the answering of wants) went. `drift` counts the rows by which its list grew (or
    shrank) while it was read."""

    feed: str
    outcome: str
    complete: bool
    recorded: Recorded = Recorded()
    error: ProviderError | None = None
    drift: int = 0
    #: How many questions are left for later polls.
    left: int = 0


def word(error: ProviderError | None) -> str:
    """An outcome in one word."""
    if error is None:
        return "complete"
    names = {
        RateLimited: "rate_limited",
        AccessDenied: "denied",
        PageChanged: "page_changed",
        TooLarge: "too_large",
        AdapterFailed: "adapter_failed",
        Refused: "refused",
        HostSilent: HOST_SILENT,
        PollFailed: "failed",
        Spent: "budget spent",
    }
    return names.get(type(error), "unreachable")


def full(found: Sweep) -> bool:
    """Whether a sweep has brought enough for a transaction of its own."""
    return len(found.facts) >= SLICE or found.is_heavy


def slices(feed: str, found: Sweep, at: datetime, initial: bool) -> list[Findings]:
    """What a sweep brought, in pieces for one transaction each, oldest first; at least one. The history that came
    with a look at its order stays with it, so that a first look is told as one."""
    looks = {fact.order: stamp(fact) for fact in found.facts if fact.source is Source.SNAPSHOT}
    pieces: list[list[Fact]] = [[]]
    for fact in sorted(found.facts, key=lambda f: (looks.get(f.order, stamp(f)), f.order.id, stamp(f))):
        piece = pieces[-1]
        if len(piece) >= SLICE and not (fact.order in looks and fact.order == piece[-1].order):
            pieces.append([])
        pieces[-1].append(fact)
    findings = [Findings(feed, at, tuple(told), _wants_of(found, told), initial=initial) for told in pieces]
    without_cause = tuple(want for want in found.wants if want.because is None)
    last = findings[-1]
    findings[-1] = replace(last, wants=(*last.wants, *without_cause), skipped=tuple(found.skipped))
    return findings


def _wants_of(found: Sweep, told: Iterable[Fact]) -> tuple[Want, ...]:
    """The wants that these facts cause, to be stored with them."""
    here = {fact.source_id for fact in told}
    return tuple(want for want in found.wants if want.because in here)
