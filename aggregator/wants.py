"""What is still wanted when the feeds are polled: answered by a listing where that is shorter, or where only a whole
list can tell, else by single questions."""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from aggregator import answers
from aggregator.core.account import Feed, FeedKind
from aggregator.core.findings import Findings, Mark, Recorded
from aggregator.core.model import Direction, Events, Orders, Part, Want
from aggregator.errors import (
    AccessDenied,
    AggregatorError,
    FetchError,
    PageChanged,
    PollFailed,
    ProviderError,
    RateLimited,
    Spent,
)
from aggregator.slices import Outcome, word
from aggregator.sweep import BUDGET, Sweep, sweep

if TYPE_CHECKING:
    from aggregator.poll import Polling

ROUNDS = 3  # of lists and single questions in one poll
QUESTIONS = 300  # in one poll; what is left stays wanted
RANK = {Part.ORDER: 0, Part.NUMBERS: 1, Part.EVENT: 3}  # a payload tells least of how an order stands
FAILURES = 3  # in a row: then the provider is down, and what is wanted is left for the next poll


class Asking:
    """The end of a poll, which asks for what the store still wants."""

    def __init__(self, poll: "Polling") -> None:
        self.poll = poll
        self.account, self.store, self.held = poll.account, poll.store, poll.held
        self.fetch, self.clock = poll.fetch, poll.clock
        self.questions = QUESTIONS

    def again(self, polled: Iterable[str]) -> Iterator[Outcome]:
        """Ask for what is wanted: by a listing where that is shorter, or where only a whole list can tell, else
        one by one. And again as long as lists are read: one may miss an order that must then be asked for, and
        an order lack a number that another one in the list may have."""
        listed = set(polled)
        for turn in range(ROUNDS):
            pending, owed = self.store.wants(self.held, self.clock()), self.store.lists_owed(self.held)
            lists = [feed for feed in self.account.feeds.values() if feed.defaults.kind is FeedKind.LISTING]
            here = [feed for feed in lists if feed.enabled and self._to_list(feed, listed, pending, owed)]
            if not here and (turn or not pending):
                return
            for feed in here:
                outcome = self.poll.feed(feed)
                yield outcome
                if isinstance(outcome.error, AccessDenied | RateLimited):
                    return
                listed.add(feed.name)
            if here:
                pending = self.store.wants(self.held, self.clock())
            if pending:
                yield self._ask_for(pending)
            if not self.questions:
                return

    def _to_list(self, feed: Feed, listed: Set[str], pending: Sequence[Want], owed: Set[Direction]) -> bool:
        """Whether a whole list answers what is open, sooner than its schedule or than single questions."""
        if feed.defaults.direction in owed and not self._fails(feed):
            return True
        mark = self.poll.mark(feed.name)
        asked = sum(
            want.part is Part.ORDER and want.direction is feed.defaults.direction and _since(want, mark)
            for want in pending
        )
        return feed.name not in listed and asked > max(1, mark.pages)

    def _fails(self, feed: Feed) -> bool:
        """Whether the feed's last poll, this one or an earlier one, did not come to its end."""
        polled = self.poll.polled.get(feed.name)
        return self.poll.mark(feed.name).failures > 0 if polled is None else not polled.complete

    def _ask_for(self, pending: Sequence[Want]) -> Outcome:
        """Ask one by one, orders first, as long as the provider answers, and time and questions are left; the rest
        stays wanted, and is counted."""
        done, in_a_row, asked = Recorded(), 0, 0
        failed: ProviderError | None = None
        began = self.clock()
        for want in sorted(pending, key=lambda want: RANK.get(want.part, 2))[: self.questions]:
            asked += 1
            try:
                found = sweep(self.account, _ask(want), self.fetch)
                if isinstance(found.error, Spent):
                    failed, asked = found.error, asked - 1
                    break
                done += self._answer(want, found)
            except AggregatorError:
                raise
            except Exception as error:
                found = Sweep(error=PollFailed.of(f"{want.part} {want.id}", error))
                done += self._answer(want, found)
            if found.complete:
                in_a_row = 0
            else:
                failed = found.error or PageChanged(
                    f"{want.part} {want.id}: {found.incomplete}, asked again later"
                )
                in_a_row += isinstance(failed, FetchError)
                if isinstance(failed, AccessDenied | RateLimited) or in_a_row == FAILURES:
                    break
            if not timedelta(0) <= self.clock() - began <= BUDGET:
                break
        if failed is not None and not isinstance(failed, Spent):
            self._note(failed)
        self.questions -= asked
        left = len(pending) - asked
        outcome = "more wanted" if left and failed is None else word(failed)
        return Outcome("wanted", outcome, failed is None, done, failed, left=left)

    def _answer(self, want: Want, found: Sweep) -> Recorded:
        """Record what came for a want. An event whose payload is still owed is a want that the store keeps. An
        answer that is none, but always the same, is what the provider has to say: it is told, the poll is complete,
        and a day later it is asked for again."""
        at = found.at or self.clock()
        unanswered = answers.unanswered(want, found)
        answers.conclude(want, unanswered, found, at)
        findings = Findings(
            want.feed or "wanted",
            at,
            tuple(found.facts),
            tuple(found.wants),
            tuple(found.skipped),
            answered=(want,) if unanswered is None else (),
            failed=() if unanswered is None else (unanswered,),
            initial=self.poll.first_look,
        )
        return self.store.record(self.account, self.held, findings)

    def _note(self, failed: ProviderError) -> None:
        """Every feed is done, and something asked for by itself failed: say so with the feeds that were polled, and
        until when the provider wants to be left alone."""
        until = failed.until if isinstance(failed, RateLimited) else None
        for name, progress in self.poll.polled.items():
            if progress.complete:
                noted = replace(progress, error=f"wanted: {failed}", not_before=until or progress.not_before)
                noted = replace(noted, covers=None, seen=None)  # its list has been counted
                self.store.record(self.account, self.held, Findings(name, progress.attempted_at), noted)


def _since(want: Want, mark: Mark) -> bool:
    """Whether a want is younger than the last whole list: one that is not, the next list answers no better."""
    noted_at, listed_at = want.noted_at, mark.last_complete_at
    return noted_at is None or listed_at is None or noted_at > listed_at


def _ask(want: Want) -> Orders | Events:
    if want.part is Part.EVENT:
        return Events(want.feed or "", (want.id,))
    return Orders(want.direction or Direction.PORT_IN, (want.id,), want.part)
