"""What poller and store tell each other: how far a feed is, what a slice taught us, how a sweep went."""

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime

from aggregator.core.differing import Difference
from aggregator.core.model import Direction, Fact, Skipped, Want

HOST_SILENT = "host_silent"
"""The outcome of a poll that was not made, because the host answers nobody: no failure of this account's."""


CERTAIN = 3
"""So many equal answers, one after the other, are what the provider has to say."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What the store remembers of a feed. `cursor` is how far the feed is known complete, in the provider's
    time; `skew_s` how far its clock was ahead of ours; `pages` the length of the last listing; `outcome` how the
    last poll ended, in a word."""

    cursor: datetime | None = None
    last_attempt_at: datetime | None = None
    last_complete_at: datetime | None = None
    deep_at: datetime | None = None
    not_before: datetime | None = None
    failures: int = 0
    skew_s: float = 0.0
    pages: int = 0
    outcome: str | None = None
    #: Where a list goes on that was too long for the last poll, as `places` writes it.
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """What a slice of a sweep taught us, to be recorded in one transaction. `answered` are wants that this
    answers; `failed` those that were asked in vain; `at` is our clock when the slice was read."""

    feed: str
    at: datetime
    facts: tuple[Fact, ...] = ()
    wants: tuple[Want, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    answered: tuple[Want, ...] = ()
    failed: tuple[Want, ...] = ()
    initial: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How a sweep of a feed went; the last slice moves the cursor with it. `covers` is set when a complete
    listing shows every order of a direction, as of `started_at` (the provider's time); `seen` are the ids that such a listing showed. `partial`: the rest of the
    window is still to be read, so it moves the cursor and says nothing of the poll."""

    feed: str
    outcome: str
    attempted_at: datetime
    complete: bool = False
    cursor: datetime | None = None
    started_at: datetime | None = None
    covers: Direction | None = None
    deep: bool = False
    skew_s: float | None = None
    pages: int = 0
    not_before: datetime | None = None
    error: str | None = None
    partial: bool = False
    seen: Container[str] | None = None
    #: Where the list goes on at the next poll; and whether that is all that keeps it from being complete.
    place: str | None = None
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class Backfill:
    """How far the walk through a feed's history is. It goes from the older end, window by window: everything
    from `since` to `done_until` is stored. The counts are what it brought so far."""

    feed: str
    since: datetime
    until: datetime
    done_until: datetime
    started_at: datetime
    orders: int = 0
    events: int = 0
    changes: int = 0

    @property
    def done(self) -> bool:
        """Whether the whole span has been walked."""
        return self.done_until >= self.until


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one transaction added. `newest_seq` is the newest row it wrote into the change feed, 0 for none."""

    events: int = 0
    changes: int = 0
    skipped: int = 0
    newest_seq: int = 0
    orders: int = 0

    def __add__(self, other: "Recorded") -> "Recorded":
        return Recorded(
            self.events + other.events,
            self.changes + other.changes,
            self.skipped + other.skipped,
            max(self.newest_seq, other.newest_seq),
            self.orders + other.orders,
        )


@dataclass(frozen=True, slots=True)
class Replayed:
    """How far a replay of an account is: every order up to the row `done_until` was looked at. The counts are
    those since it began (`sealed`: orders whose facts were pruned, so nothing can be rebuilt); `differences` and
    `newest_seq` (0 for none) are those of its last slice."""

    done_until: int = 0
    orders: int = 0
    sealed: int = 0
    differing: int = 0
    changes: int = 0
    newest_seq: int = 0
    share: float = 0.0
    done: bool = False
    differences: tuple[Difference, ...] = ()
