"""A feed that answers and brings nothing: what its history says is too long; and who was not asked at all."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import filled
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import NOW, account
from sqlalchemy import text
from stored import FEED, Desk, desk, event

from aggregator.cli.lateness import late
from aggregator.cli.remedy import remedy
from aggregator.core.quiet import longest_quiet

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Run = Callable[..., tuple[int, str, str]]


@given(st.lists(st.integers(1, 10_000), min_size=2, max_size=30))
def test_a_silence_counts_until_it_has_faded(gaps: list[int]) -> None:
    known, at = None, NOW
    for gap in gaps:
        news = at + timedelta(seconds=gap)
        known, at = longest_quiet(known, at, news, news), news
        assert known is not None and known >= gap
    assert known is not None and known <= max(gaps)
    assert longest_quiet(known, at, at, at + 30 * DAY) in (known // 2, (known - 1) // 2, (known + 1) // 2)


def test_the_time_in_which_nobody_asked_is_no_silence() -> None:
    assert longest_quiet(None, None, None, NOW) is None, "the first news of all"
    assert longest_quiet(0, NOW, NOW + HOUR, NOW + 10 * DAY) == 3_600
    assert longest_quiet(None, NOW, None, NOW + DAY) == 0
    assert longest_quiet(5, NOW, NOW - HOUR, NOW - DAY) == 5, "a clock that was set back"


def _of(acme: Desk, feed: str = FEED) -> tuple[int | None, bool]:
    ((quiet, is_quiet),) = [
        tuple(row.values())
        for row in acme.rows(f"select longest_quiet_s, is_quiet from v1_feeds where feed = '{feed}'")
    ]
    return quiet, bool(is_quiet)


def _set(acme: Desk, **columns: object) -> None:
    said = ", ".join(f"{name} = :{name}" for name in columns)
    values = {
        name: f"{value:%Y-%m-%dT%H:%M:%S.000000Z}" if isinstance(value, datetime) else value
        for name, value in columns.items()
    }
    with acme.store.engine.begin() as tx:
        tx.execute(text(f"update feed set {said} where feed = '{FEED}'"), values)


def test_news_write_how_long_it_was_silent(database_url: str) -> None:
    with desk(database_url) as acme:
        acme.record(event(-100, "submitted"), cursor=NOW, at=NOW)
        assert _of(acme) == (None, False)
        for hours in range(1, 41):
            acme.record(cursor=NOW + hours * HOUR, at=NOW + hours * HOUR)
        acme.record(event(-99, "exception"), cursor=NOW + 41 * HOUR, at=NOW + 41 * HOUR)
        assert _of(acme) == (40 * 3_600, False)
        acme.record(event(-98, "submitted"), cursor=NOW + 42 * HOUR, at=NOW + 42 * HOUR)
        assert 143_000 < (_of(acme)[0] or 0) < 40 * 3_600, "it fades"


@pytest.mark.parametrize(
    ("quiet_s", "days", "known", "complete", "is_quiet"),
    [
        (36_000, 2, 20, 0, True),
        (36_000, 1.2, 20, 0, False),
        (0, 1.1, 20, 0, True),
        (0, 0.9, 20, 0, False),
        (60 * 3_600, 7, 20, 0, False),
        (60 * 3_600, 8, 20, 0, True),
        (36_000, 2, 13, 0, False),
        (36_000, 2, 20, 1, False),
        (None, 30, 90, 0, False),
    ],
    ids=[
        *("longer than three times", "not yet", "a day at least", "less than a day", "a holiday"),
        *("longer than a holiday", "not known for long", "stale is another matter", "no history"),
    ],
)
def test_a_feed_is_quiet_when_it_never_was_for_so_long(
    database_url: str, quiet_s: int | None, days: float, known: int, complete: int, is_quiet: bool
) -> None:
    now = datetime.now(UTC)
    with desk(database_url) as acme:
        _set(
            acme,
            longest_quiet_s=quiet_s,
            last_new_at=now - days * DAY,
            known_since=now - known * DAY,
            last_complete_at=now - complete * DAY,
        )
        assert _of(acme) == (quiet_s, is_quiet)


def test_what_is_silent_is_one_line_of_feeds_and_a_warning_of_the_check(
    run: Run, tmp_path: Path, database_url: str
) -> None:
    filled.fill(database_url)
    config = f"--config={filled.configuration(tmp_path, database_url)}"
    before = run(config, "feeds", "--json")
    now = datetime.now(UTC)
    with desk(database_url, account(name="telnyx-main")) as acme:
        acme.record(event(-9, order="a"), at=NOW)
        with acme.store.engine.begin() as tx:
            at = {
                "now": f"{now:%Y-%m-%dT%H:%M:%S.000000Z}",
                "then": f"{now - 60 * DAY:%Y-%m-%dT%H:%M:%S.000000Z}",
            }
            tx.execute(
                text(
                    "update feed set longest_quiet_s = 60, last_new_at = :then, known_since = :then, "
                    "last_complete_at = :now where feed = 'porting_events'"
                ),
                at,
            )
    code, out, err = run(config, "feeds", "--json")
    assert code == before[0]
    (line,) = err.splitlines()
    assert "nothing new for longer than ever from telnyx-main porting_events since" in line
    assert "events have been without their payload for more than an hour" in line
    assert '"is_quiet": true' in out
    assert "warning: nothing new for longer than ever from" in run(config, "db", "check")[2]


# --- not asked, or not answered -------------------------------------------------------------------------


def _feed(name: str, attempt: int | None, complete: int | None) -> dict[str, object]:
    at = [None if hours is None else (NOW + hours * HOUR).isoformat() for hours in (attempt, complete)]
    return {"feed": name, "last_attempt_at": at[0], "last_complete_at": at[1]}


@pytest.mark.parametrize(
    ("feeds", "said"),
    [
        ([(0, 0), (1, 1)], "acme not asked since Mon 15 Jun 2026 13:00 UTC; is the daemon running?"),
        ([(2, 0), (1, 1)], "acme has not answered since Mon 15 Jun 2026 13:00 UTC"),
        ([(None, None), (None, None)], "acme not asked yet; is the daemon running?"),
        ([(1, None), (1, None)], "acme has never answered in full"),
        ([(1, 1)], "acme: f0 not asked since Mon 15 Jun 2026 13:00 UTC; is the daemon running?"),
        ([(2, 1)], "acme has not answered f0 since Mon 15 Jun 2026 13:00 UTC"),
    ],
)
def test_who_was_not_asked_is_told_from_who_did_not_answer(
    feeds: list[tuple[int | None, int | None]], said: str
) -> None:
    rows = [_feed(f"f{number}", *times) for number, times in enumerate(feeds)]
    every = [*rows, _feed("other", 9, 9)] if len(rows) == 1 else rows
    assert late("acme", every, rows) == said


def test_a_carriers_bare_code_has_no_line_to_paste() -> None:
    rows = [
        {"account": "fone-au", "vocabulary": "carrier_status", "word": word}
        for word in ("2", "17", "R12", "", "A-4", "Awaiting donor")
    ]
    lines = remedy(rows)
    assert len(lines) == 2 and "Awaiting donor" in lines[1]
    assert remedy(rows[:5]) == []
    assert len(remedy([{"account": "fone-au", "vocabulary": "status", "word": "2"}])) == 2
