"""One poll of one account and its verdict: what stays with its account, and what is recorded of it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from made import NOW, account, page

from aggregator.core.account import Account, Options
from aggregator.core.findings import Mark
from aggregator.core.model import Ask, Page, Reading, Request
from aggregator.errors import ConfigError
from aggregator.once import Polled, Verdict, held, poll_once, ready
from aggregator.store import Store, open_store

EMPTY = b'{"data": [], "meta": {"page_number": 1, "page_size": 250, "total_pages": 0, "total_results": 0}}'
Poll = Callable[..., Polled]


def answered(request: Request) -> Page:
    """An account without any order."""
    return replace(page(request.path, EMPTY, at=NOW), request=request)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = open_store(database_url)
    yield opened
    opened.close()


def polled(store: Store, ours: Account, fetch: Callable[[Request], Page]) -> Polled:
    store.sync([ours], timedelta(days=14), NOW)
    return poll_once(ours, store, lambda name: held(store, name, lambda: NOW), fetch, lambda: NOW)


def test_an_adapter_that_breaks_costs_its_own_account_and_is_recorded(store: Store) -> None:
    ours = account()

    def broken(page: Page, options: Options) -> Reading:
        raise AttributeError("what was read: CANARY")

    ours = replace(ours, adapter=replace(ours.adapter, read=broken))
    found = polled(store, ours, answered)
    assert found.verdict is Verdict.INTERNAL
    assert "the adapter failed (AttributeError at test_once.py:" in str(found.trouble)
    assert "CANARY" not in str(found.trouble)
    assert {outcome.outcome for outcome in found.outcomes if outcome.feed in ours.feeds} == {"adapter_failed"}
    assert all(mark.failures == 1 for mark in store.marks(ours.name).values())


def test_an_adapter_that_cannot_plan_is_no_different(store: Store) -> None:
    ours = account()

    def broken(ask: Ask, options: Options) -> tuple[Request, ...]:
        raise KeyError("feed")

    ours = replace(ours, adapter=replace(ours.adapter, plan=broken))
    assert polled(store, ours, answered).verdict is Verdict.INTERNAL


def test_a_missing_key_shows_in_the_run_record_and_is_looked_for_again_at_once_when_asked(
    store: Store,
) -> None:
    def keyless(request: Request) -> Page:
        raise ConfigError("file:nowhere.key: no such file")

    ours = account()
    found = polled(store, ours, keyless)
    assert (found.verdict, found.trouble) == (Verdict.CONFIG, "file:nowhere.key: no such file")
    marks = store.marks(ours.name)
    assert ready(ours, marks, NOW + timedelta(seconds=30), due=True)[0] == []
    store.unpause(ours.name)
    assert len(ready(ours, store.marks(ours.name), NOW, due=True)[0]) == len(ours.feeds)


def test_a_rate_limit_holds_the_whole_account_and_an_absurd_one_does_not() -> None:
    ours = account()
    soon, absurd = NOW + timedelta(minutes=5), datetime(2030, 1, 1, tzinfo=UTC)
    assert ready(ours, {"portouts": Mark(not_before=soon)}, NOW, due=False) == ([], soon)
    feeds, limited = ready(ours, {"portouts": Mark(not_before=absurd)}, NOW, due=False)
    assert (len(feeds), limited) == (len(ours.feeds), None)
