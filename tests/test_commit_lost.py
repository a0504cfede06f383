"""A connection that is lost while COMMIT is under way: nobody knows whether it was done, and to redo it is harmless."""

from collections.abc import Iterator
from functools import partial

import pytest
from between import Between, between
from made import NOW, hour
from standin_lives import HOUR
from stored import FOR_EACH_PROCESS, Desk, desk, event, look
from test_whole_way import Way, assert_true, telnyx, way

from aggregator import slices as slicing
from aggregator.errors import StoreError


@pytest.fixture
def acme(postgres_url: str) -> Iterator[tuple[Desk, Between]]:
    """An account whose database is reached through us."""
    with between(postgres_url) as (url, there), desk(url) as opened:
        yield opened, there


def at_commit(which: int, lost: str, number: int) -> str | None:
    """Lose this one commit."""
    return lost if number == which else None


@pytest.mark.parametrize(("lost", "done"), [("asked", False), ("answered", True)])
def test_a_slice_whose_commit_was_lost_is_recorded_once_when_it_is_redone(
    acme: tuple[Desk, Between], lost: str, done: bool
) -> None:
    here, there = acme
    here.record(event(0, "draft"))
    before = here.everything(*FOR_EACH_PROCESS)
    facts = (event(1, "submitted"), event(2, "in-process"), look(3, "in-process", "+13035550123"))
    there.cut = partial(at_commit, there.commits + 1, lost)
    with pytest.raises(StoreError):
        here.record(*facts, cursor=hour(3))
    assert (here.everything(*FOR_EACH_PROCESS) != before) is done
    assert here.store.marks("acme")["porting_events"].cursor == (hour(3) if done else None)
    again = here.record(*facts, cursor=hour(3))
    assert (again.events, again.changes > 0) == ((0, False) if done else (2, True))
    assert here.one("select count(*) from v1_events") == 3
    assert [new for _, new in here.steps()] == ["with_carrier", "with_provider"]
    stored = here.everything(*FOR_EACH_PROCESS)
    assert here.record(*facts, cursor=hour(3)).changes == 0
    assert here.everything(*FOR_EACH_PROCESS) == stored
    assert here.store.renew(here.lease, NOW)


@pytest.mark.parametrize("lost", ["asked", "answered"])
def test_a_poll_that_loses_every_other_commit_ends_with_everything_once(
    postgres_url: str, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slicing, "SLICE", 30)
    with between(postgres_url) as (url, there), way(url, **{"telnyx-main": telnyx(20, 9)}) as here:
        losses = polled_to_the_end(here, there, lost)
        assert losses > 5
        there.cut = lambda number: None
        here.pass_time(HOUR)
        here.settle()
        assert_true(here)


def polled_to_the_end(here: Way, there: Between, lost: str) -> int:
    """Poll until a poll gets through, while a commit is lost every few; how many were."""
    losses = 0
    for every in (2, 2, 3, 3, 4, 4, 5, 6, 7, 8, 9, 10, 20, 40):
        there.cut = partial(at_commit, there.commits + every, lost)
        try:
            here.poll("telnyx-main")
        except StoreError:
            losses += 1
    return losses
