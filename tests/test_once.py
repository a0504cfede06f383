"""One poll of one account and its verdict: what stays with its account, and what is recorded of it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from made import NOW, account, page
from sqlalchemy import text

from aggregator.core.account import Account, Options
from aggregator.core.findings import Mark, Progress, Recorded
from aggregator.core.model import Ask, Page, Reading, Request
from aggregator.errors import ConfigError
from aggregator.once import Polled, Verdict, held, poll_once, ready
from aggregator.poll import poll_account
from aggregator.store import Store, open_store
from aggregator.store.record import Recording

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


# --- what nobody foresaw --------------------------------------------------------------------------------


def dated(at: str, path: str = "/porting/events") -> Callable[[Request], Page]:
    """An account whose one event of a feed has this time."""
    said = {
        "id": "e1",
        "event_type": "porting_order.status_changed",
        "porting_order_id": "order-1",
        "created_at": at,
        "payload": {"id": "order-1", "status": {"value": "submitted"}},
    }
    body = {"data": [said], "meta": {"page_number": 1, "total_pages": 1, "total_results": 1}}

    def fetch(request: Request) -> Page:
        if request.path == path:
            return replace(page(path, json.dumps(body), at=NOW), request=request)
        if request.path == "/porting_orders/order-1":
            order = {"id": "order-1", "status": {"value": "submitted"}, "porting_phone_numbers_count": 0}
            return replace(page(path, json.dumps({"data": order}), at=NOW), request=request)
        return answered(request)

    return fetch


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "0001-01-02T00:00:00Z", "1999-12-31T23:59:59Z"])
def test_an_event_from_before_everything_moves_no_cursor_and_the_feed_goes_on(store: Store, at: str) -> None:
    ours = account()
    for _ in range(2):
        found = polled(store, ours, dated(at))
        assert found.verdict is Verdict.COMPLETE, found.trouble
    assert store.marks(ours.name)["porting_events"].cursor is None
    assert polled(store, ours, dated("2026-06-15T11:00:00Z")).verdict is Verdict.COMPLETE
    assert store.marks(ours.name)["porting_events"].cursor == NOW - timedelta(hours=1)


def test_a_cursor_from_before_everything_is_left_behind(store: Store) -> None:
    ours = account()
    polled(store, ours, answered)
    with store.engine.begin() as tx:
        tx.execute(text("update feed set cursor_at = :at"), {"at": "0001-01-01 00:00:00.000000"})
    assert polled(store, ours, dated("2026-06-15T11:00:00Z")).verdict is Verdict.COMPLETE
    assert store.marks(ours.name)["porting_events"].cursor == NOW - timedelta(hours=1)


@pytest.mark.parametrize("error", [OverflowError, KeyError, ValueError, RecursionError, MemoryError])
@pytest.mark.parametrize("where", ["fetch", "store"])
def test_what_nobody_foresaw_in_one_feed_is_recorded_with_it_and_the_others_go_on(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: type[Exception], where: str
) -> None:
    ours, real = account(), Recording.run

    def run(recording: Recording, progress: Progress | None) -> Recorded:
        if recording.findings.feed == "portouts" and progress is not None and progress.complete:
            raise error("CANARY")
        return real(recording, progress)

    def fetch(request: Request) -> Page:
        if where == "fetch" and request.path == "/portouts":
            raise error("CANARY")
        return answered(request)

    if where == "store":
        monkeypatch.setattr(Recording, "run", run)
    found = polled(store, ours, fetch)
    assert found.verdict is Verdict.INTERNAL
    assert f"portouts: failed inside ({error.__name__} at " in str(found.trouble)
    assert "CANARY" not in str(found.trouble)
    assert {one.feed: one.outcome for one in found.outcomes} == {
        "porting_events": "complete",
        "portout_events": "complete",
        "porting_orders": "complete",
        "portouts": "failed",
    }
    mark = store.marks(ours.name)["portouts"]
    assert (mark.failures, mark.last_complete_at) == (1, None)
    with store.engine.connect() as connection:
        (row,) = connection.execute(
            text("select last_outcome, last_error from v1_feeds where feed = 'portouts'")
        )
    assert row[0] == "failed" and error.__name__ in row[1]


def test_what_nobody_foresaw_in_one_question_leaves_the_others_to_be_asked(store: Store) -> None:
    ours, events = account(), dated("2026-06-15T11:00:00Z")

    def fetch(request: Request) -> Page:
        if request.path == "/porting_orders/order-1":
            raise KeyError("CANARY")
        return events(request)

    store.sync([ours], timedelta(days=14), NOW)
    feed = [ours.feeds["porting_events"]]
    with held(store, ours.name, lambda: NOW) as lease:
        assert lease is not None
        outcomes = poll_account(ours, feed, store, lease, fetch, lambda: NOW)
        assert [(one.feed, one.outcome) for one in outcomes] == [
            ("porting_events", "complete"),
            ("wanted", "failed"),
        ]
        (want,) = store.wants(lease, None)
        assert want.id == "order-1", "it stays wanted"
