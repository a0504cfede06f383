"""What is due, from stored times alone: a restart forgets nothing, a clock that jumps stops nothing."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from made import NOW, account

from aggregator.core.account import Feed
from aggregator.core.due import LONGEST_PAUSE, backoff, is_due, next_due
from aggregator.core.findings import Mark

EVENTS: Feed = account("telnyx").feeds["porting_events"]
LISTING: Feed = account("telnyx").feeds["porting_orders"]
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def due_at(feed: Feed, mark: Mark) -> datetime:
    """The first whole minute at which a feed is due."""
    return next(at for at in (NOW + MINUTE * n for n in range(10_000)) if is_due(feed, mark, at))


def test_a_feed_that_was_never_polled_is_due() -> None:
    assert is_due(EVENTS, Mark(), NOW)


def test_a_feed_is_due_after_its_interval() -> None:
    mark = Mark(last_attempt_at=NOW)
    assert not is_due(EVENTS, mark, NOW)
    assert not is_due(EVENTS, mark, NOW + EVENTS.every - timedelta(seconds=1))
    assert is_due(EVENTS, mark, NOW + EVENTS.every)
    assert due_at(LISTING, mark) == NOW + HOUR


def test_a_feed_that_is_switched_off_is_never_due() -> None:
    assert not is_due(replace(EVENTS, enabled=False), Mark(), NOW)


@pytest.mark.parametrize(
    ("failures", "minutes"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 15), (6, 15), (500, 15)]
)
def test_a_failing_feed_pauses_longer_each_time_up_to_a_quarter_of_an_hour(
    failures: int, minutes: int
) -> None:
    assert due_at(EVENTS, Mark(last_attempt_at=NOW, failures=failures)) == NOW + MINUTE * minutes


def test_a_failing_feed_with_a_long_interval_is_tried_again_sooner() -> None:
    assert due_at(LISTING, Mark(last_attempt_at=NOW, failures=1)) == NOW + MINUTE
    assert due_at(LISTING, Mark(last_attempt_at=NOW, failures=9)) == NOW + 15 * MINUTE
    assert due_at(LISTING, Mark(last_attempt_at=NOW)) == NOW + HOUR


def test_a_provider_that_asks_us_to_wait_is_obeyed() -> None:
    asked = Mark(last_attempt_at=NOW, not_before=NOW + 10 * MINUTE)
    assert due_at(EVENTS, asked) == NOW + 10 * MINUTE
    assert due_at(EVENTS, Mark(not_before=NOW + 10 * MINUTE)) == NOW + 10 * MINUTE
    assert next_due(EVENTS, NOW, 0, NOW + 10 * MINUTE) == NOW + 10 * MINUTE
    assert next_due(EVENTS, NOW, 0, NOW - MINUTE) == NOW + MINUTE


def test_a_clock_that_was_set_back_makes_the_feed_due_at_once() -> None:
    assert is_due(LISTING, Mark(last_attempt_at=NOW + 2 * HOUR), NOW)
    asked_before_the_step = Mark(
        last_attempt_at=NOW + 2 * HOUR, not_before=NOW + 2 * HOUR + LONGEST_PAUSE, failures=3
    )
    assert is_due(LISTING, asked_before_the_step, NOW)


def test_a_clock_that_was_set_forward_makes_one_extra_run() -> None:
    mark = Mark(last_attempt_at=NOW)
    later = NOW + 3 * HOUR
    assert is_due(LISTING, mark, later)
    assert not is_due(LISTING, replace(mark, last_attempt_at=later), later + MINUTE)


def test_a_pause_never_overflows() -> None:
    assert backoff(10**9, MINUTE) == LONGEST_PAUSE
    assert backoff(1, 2 * HOUR) == backoff(7, 2 * HOUR) == 2 * HOUR
