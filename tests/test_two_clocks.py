"""The provider's clock and ours: one that is out by years decides nothing, and is told of."""

import logging
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from foreign import NOW, answer, polled
from loopback import Loopback, reply
from made import account
from standin_lives import FoneDynamics
from unwired import SID, Unwired, setting

from aggregator.core.account import Auth
from aggregator.core.findings import Mark
from aggregator.core.model import Page, Request
from aggregator.core.replies import reset, retry_after
from aggregator.fetch import Fetcher
from aggregator.poll import skew

LATER, EPOCH = datetime(2030, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def order(state: str) -> dict[str, object]:
    return {"Ports": [{"Id": "P-1", "State": state}]}


@pytest.mark.parametrize("date", [LATER, EPOCH, NOW + DAY + HOUR, NOW - DAY - HOUR])
def test_a_reply_dated_more_than_a_day_off_counts_by_our_own_clock(tmp_path: Path, date: datetime) -> None:
    said = answer(order("refused"), NOW - HOUR, date - HOUR)
    with polled(tmp_path, said, answer(order("new"), NOW, NOW)) as left:
        assert [outcome.outcome for outcome in left.outcomes] == ["complete", "complete"]
        assert left.rows("select state from v1_orders") == [("with_provider",)]
        facts = left.rows("select as_of from fact order by as_of")
        assert [str(at)[:13] for (at,) in facts] == [f"{NOW - HOUR:%Y-%m-%dT%H}", f"{NOW:%Y-%m-%dT%H}"]
        assert left.rows("select last_error from v1_feeds") == [(None,)]


def test_a_clock_that_is_not_believed_is_told_of_in_the_run_record(tmp_path: Path) -> None:
    with polled(tmp_path, answer(order("new"), NOW, LATER)) as left:
        ((outcome, error, covered),) = left.rows("select last_outcome, last_error, covered_at from feed")
        assert outcome == "complete"
        assert "clock (Date) is more than" in error and "ahead of ours" in error
        assert str(covered).startswith("2026-06-15")


@pytest.mark.parametrize("date", [NOW, NOW + 23 * HOUR, NOW - 23 * HOUR])
def test_within_a_day_the_providers_clock_counts(date: datetime) -> None:
    page = answer({}, NOW, date)
    assert (page.at, page.dated, page.doubt) == (date, date, None)


def test_a_reply_out_of_a_cache_has_no_time_of_its_own_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with ExitStack() as stack:
        old = reply(200, b"{}", Date="Mon, 15 Jun 2026 11:00:00 GMT", Age="3600")
        server = stack.enter_context(Loopback(old))
        fetch = stack.enter_context(Fetcher(server.url, Auth.BEARER, None, lambda: "key", clock=lambda: NOW))
        with caplog.at_level(logging.INFO):
            pages = [fetch(Request("/ports")) for _ in range(3)]
    assert [(page.provider_at, page.at) for page in pages] == [(None, NOW)] * 3
    assert "cache" in (pages[0].doubt or "")
    (line,) = (vars(record) for record in caplog.records if record.getMessage() == "clock.doubted")
    assert server.address in line["host"] and line["doubt"] == pages[0].doubt


@pytest.mark.parametrize("behind", [timedelta(days=20_000), timedelta(hours=20), timedelta(0)])
def test_a_window_with_an_end_ends_at_the_later_of_both_clocks(tmp_path: Path, behind: timedelta) -> None:
    class Stuck(Unwired):
        def __call__(self, request: Request) -> Page:
            page = super().__call__(request)
            return replace(page, provider_at=page.fetched_at - behind)

    world = FoneDynamics(1, SID)
    world.fill(8, timedelta(days=6))
    wire = Stuck(world)
    with setting(wire, account("fonedynamics"), tmp_path) as ours:
        for _ in range(2):
            wire.asked.clear()
            outcomes = ours.poll()
            assert {name: one.outcome for name, one in outcomes.items()} == dict.fromkeys(
                outcomes, "complete"
            )
            now = wire.clock().timestamp()
            ends = [int(request.param("To") or 0) for request in wire.asked if request.param("To")]
            assert ends and all(now - 10 <= end <= now for end in ends)
            world.run(world.now + HOUR)
        mark = ours.mark("porting_status")
        assert mark.cursor is not None and wire.clock() - mark.cursor < timedelta(days=30)


def test_a_difference_that_was_kept_counts_only_within_a_day() -> None:
    assert skew(Mark(skew_s=-90.0)) == timedelta(seconds=-90)
    assert skew(Mark(skew_s=-1.7e9)) == timedelta(0)


@pytest.mark.parametrize(
    "headers", [{"date": "Thu, 01 Jan 1970 00:00:00 GMT"}, {"age": "9", "date": "x"}, {}]
)
def test_how_long_to_wait_is_counted_from_a_clock_that_can_be_believed(headers: dict[str, str]) -> None:
    soon = {**headers, "retry-after": "Mon, 15 Jun 2026 12:00:30 GMT"}
    assert retry_after(soon, NOW) == timedelta(seconds=30)
    unix = {**headers, "x-ratelimit-reset": str(int(NOW.timestamp()) + 20)}
    assert reset(unix, NOW) == timedelta(seconds=20)
