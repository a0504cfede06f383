"""Retention: what goes by age, what never goes, the feed's floor, small steps, and what a replay finds afterwards."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import filled
import pytest
from made import NOW, account, hour
from sqlalchemy import event as hooks
from stored import Desk, desk, event, look

from aggregator.core.findings import Backfill
from aggregator.core.model import Meaning, ReasonSaid, Skipped, State, Status, Vocabulary, Word
from aggregator.errors import StoreError
from aggregator.store import open_store, prune
from aggregator.store.prune import Pruned
from aggregator.store.replay import compare

Run = Callable[..., tuple[int, str, str]]
DAY = 24.0
YEAR = -365 * DAY
KEPT = ("fact", "port_order", "port_number", "reason", "comment", "unknown_word", "wanted", "lease", "feed")
"""Tables of which nothing ever goes."""


@dataclass(frozen=True)
class Ages:
    """A `[retention]` section."""

    documents: timedelta | None = timedelta(days=30)
    events: timedelta | None = timedelta(days=30)
    runs: timedelta | None = timedelta(days=30)
    changes: timedelta | None = timedelta(days=30)


NEVER = Ages(None, None, None, None)


def life(acme: Desk, order: str, begins: float, end: str | None, **said: Any) -> None:
    """An order from its first event to its end, with two documents, two payloads and a reason."""
    refused = Status("exception", (ReasonSaid("PASSCODE_PIN_INVALID", "PIN"), ReasonSaid("MOON_IN_CANCER")))
    acme.record(event(begins, "in-process", order=order), at=hour(begins))
    number = f"+1303555{100 + len(acme.rows('select order_id from v1_orders')):04}"
    acme.record(replace(look(begins + 1, "exception", number, order=order), status=refused))
    if end is not None:
        acme.record(event(begins + 2, end, order=order))
        acme.record(look(begins + 3, end, number, order=order, **said))


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    """Orders that are over for long, open, open for messaging, over for a short while, and gone."""
    with desk(database_url) as acme:
        life(acme, "over", YEAR, "ported")
        life(acme, "open", YEAR, None)
        life(acme, "messaging", YEAR, "ported", messaging=Word("activating"))
        life(acme, "lately", YEAR, None)
        acme.record(event(-3 * DAY, "cancelled", order="lately"))
        life(acme, "gone", YEAR, None)
        acme.record(look(YEAR + 9, order="gone", deleted=True))
        life(acme, "also-over", YEAR, "cancelled")
        acme.record(look(-1, "submitted", order="new"))
        yield acme


def pruned(acme: Desk, ages: Ages = Ages(), days: float = 0) -> Pruned:
    """A walk to its end, some days after NOW."""
    total = step = acme.store.prune(ages, NOW + timedelta(days=days), 0)
    while not step.done:
        step = acme.store.prune(ages, NOW + timedelta(days=days), step.until)
        total += step
    return total


def having(acme: Desk, table: str) -> set[str]:
    """The orders of which this table has rows."""
    rows = f"select distinct provider_order_id from port_order o join {table} t on t.order_pk = o.id"
    return {
        row["provider_order_id"]
        for row in acme.rows(rows + (" where payload is not null" if table == "event" else ""))
    }


def url_of(acme: Desk) -> str:
    """Where its database is."""
    url = acme.store.engine.url
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=False)


def next_step(url: str) -> Pruned | None:
    """The step that is due, made by another process."""
    store = open_store(url)
    try:
        return store.prune_if_due(Ages(), NOW)
    finally:
        store.close()


def ids(acme: Desk) -> tuple[int, int]:
    """The feed's floor and newest seq."""
    row = acme.one("select floor, newest_seq from v1_feed_identity")
    return row["floor"], row["newest_seq"]


# --- what goes, and what does not -----------------------------------------------------------------------


def test_what_is_old_of_orders_that_are_over_goes_and_nothing_else_does(acme: Desk) -> None:
    everyone = {"over", "open", "messaging", "lately", "gone", "also-over"}
    assert having(acme, "event") == everyone and having(acme, "document") == {*everyone, "new"}
    before = acme.everything()
    found = pruned(acme)
    left = {"open", "messaging", "lately", "new"}
    assert having(acme, "document") == having(acme, "change") == left
    assert having(acme, "event") == left - {"new"}
    after = acme.everything()
    assert {name: after[name] for name in KEPT} == {name: before[name] for name in KEPT}
    assert len(after["event"]) == len(before["event"]), "an event stays, without its payload"
    assert len(before["document"]) - len(after["document"]) == found.documents == 6
    assert len(before["change"]) - len(after["change"]) == found.changes > 20
    assert found.payloads == 5
    assert pruned(acme) == Pruned(until=found.until, share=1.0), "nothing is left to do"


def test_an_order_that_was_open_lately_goes_once_it_is_over_for_long(acme: Desk) -> None:
    pruned(acme)
    assert "lately" in having(acme, "document")
    pruned(acme, days=10)
    assert "lately" in having(acme, "document"), "it may still be on the work list"
    pruned(acme, days=12)
    assert having(acme, "document") == {"open", "messaging", "new"}


def test_an_order_that_is_taken_up_again_is_left_alone(acme: Desk) -> None:
    acme.record(event(-2, "submitted", order="over"))
    pruned(acme)
    assert {"over", "open"} <= having(acme, "document") & having(acme, "event") & having(acme, "change")


def test_an_order_that_is_taken_up_again_between_the_look_and_the_step_is_left_alone(
    acme: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = prune._ahead

    def looked(*asked: Any) -> tuple[list[int], int, int]:
        found = ahead(*asked)
        acme.record(event(-2, "submitted", order="over"))
        return found

    monkeypatch.setattr(prune, "_ahead", looked)
    assert acme.store.prune(Ages(), NOW, 0).done
    assert "over" in having(acme, "document") & having(acme, "event") & having(acme, "change")
    assert "also-over" not in having(acme, "document") | having(acme, "event") | having(acme, "change")


def test_what_is_younger_than_its_age_stays(acme: Desk) -> None:
    before = acme.everything("feed_identity")
    assert pruned(acme, Ages(*[timedelta(days=366)] * 4)) == Pruned(until=7, share=1.0)
    assert acme.everything("feed_identity") == before


@pytest.mark.parametrize("kept", ["documents", "events", "changes"])
def test_what_is_not_configured_is_kept_for_ever(acme: Desk, kept: str) -> None:
    found = pruned(acme, replace(Ages(), **{kept: None}))
    counts = {"documents": found.documents, "events": found.payloads, "changes": found.changes}
    assert counts.pop(kept) == 0 and all(counts.values())


def test_without_any_age_nothing_is_looked_for(acme: Desk) -> None:
    before = acme.everything("feed_identity")
    assert acme.store.prune(NEVER, NOW, 0) == Pruned(until=7, share=1.0)
    assert acme.everything("feed_identity") == before


def test_what_was_set_aside_and_has_been_read_since_goes_and_what_was_not_stays(acme: Desk) -> None:
    acme.record(
        feed="porting_orders", at=hour(YEAR), skipped=(Skipped("order-7", "x"), Skipped("order-8", "x"))
    )
    acme.record(look(YEAR + 1, order="order-7"), feed="porting_orders", at=hour(YEAR + 1))
    walk = Backfill("porting_events", hour(-9), hour(-8), hour(-8), hour(YEAR))
    acme.store.begin_backfill(acme.lease, walk.feed, walk.since, walk.until, hour(YEAR))
    assert pruned(acme, replace(NEVER, runs=timedelta(days=30))).runs == 1
    acme.record(backfill=walk)
    assert pruned(acme, replace(NEVER, runs=timedelta(days=30))).runs == 1, "a walk that ended"
    assert [row["ref"] for row in acme.rows("select ref from v1_quarantine")] == ["order-8"]
    assert acme.rows("select * from backfill") == []


# --- the feed -------------------------------------------------------------------------------------------


def test_whoever_has_not_read_what_was_pruned_is_told_and_nobody_else(acme: Desk) -> None:
    gone = [
        row["seq"]
        for row in acme.rows("select seq, order_id from v1_changes")
        if row["order_id"].rpartition("/")[2] in ("over", "gone", "also-over")
    ]
    kept = acme.rows("select * from v1_changes order by seq")
    pruned(acme)
    floor, newest = ids(acme)
    assert floor == max(gone) + 1 <= newest
    left = [row["seq"] for row in acme.rows("select seq from v1_changes order by seq")]
    assert left == [row["seq"] for row in kept if row["seq"] not in gone], "what is left is as it was"
    assert [row["seq"] for row in kept if row["seq"] >= floor] == [seq for seq in left if seq >= floor]


def test_a_reader_who_has_read_everything_keeps_its_place_whatever_goes(
    acme: Desk, run: Run, tmp_path: Path
) -> None:
    config = f"--config={filled.configuration(tmp_path, url_of(acme))}"
    for order in ("open", "messaging", "new"):
        acme.record(event(0, "cancelled", order=order, messaging=Word("not_applicable")))
    _, newest = ids(acme)
    pruned(acme, days=9999)
    floor, still = ids(acme)
    assert (floor, still) == (newest, newest)
    assert [row["seq"] for row in acme.rows("select seq from v1_changes")] == [newest]
    assert run(config, "changes", "--after", str(newest), "--json")[:2] == (0, "")
    code, out, err = run(config, "changes", "--after", str(newest - 1))
    assert (code, out) == (65, "") and "start again from the tables" in err
    acme.record(look(1, "submitted", order="newer"))
    first = acme.one("select min(seq) as seq from v1_changes where order_id like '%newer'")
    assert first == newest + 1, "a number is never used again"
    code, out, _ = run(config, "changes", "--after", str(newest), "--json")
    assert code == 0 and len(out.splitlines()) == ids(acme)[1] - newest


def test_what_changed_by_a_time_whose_rows_are_gone_is_not_invented(
    acme: Desk, run: Run, tmp_path: Path
) -> None:
    config = configured(tmp_path, url_of(acme))
    ask = (config, "orders", "--as-of", hour(YEAR + 50).isoformat(), "--all", "--json")
    code, before, _ = run(*ask)
    pruned(acme)
    after = run(*ask)
    assert (code, after[0]) == (0, 0)
    assert '"last_changed_at": null' not in before and after[1].count('"last_changed_at": null') == 3
    assert '"state": "ported"' in after[1], "facts are all there"


# --- a replay afterwards --------------------------------------------------------------------------------


def test_a_replay_finds_the_same_whether_or_not_everything_was_pruned(
    database_url: str, tmp_path: Path
) -> None:
    """Facts never go: no order is ever rebuilt from half of them, and none is left out."""
    ends: list[dict[str, list[Any]]] = []
    said = {"exception": Meaning(State.REJECTED), "ported": Meaning(State.CANCELLED)}
    other = account(name="acme", operator={Vocabulary.PORT_IN: said})
    for url, prunes in ((database_url, True), (f"sqlite:///{tmp_path / 'unpruned.db'}", False)):
        with desk(url) as acme:
            for number, end in enumerate(("ported", "cancelled", None)):
                life(acme, f"order-{number}", YEAR, end)
            if prunes:
                assert pruned(acme).changes
                assert [
                    one
                    for found in compare(acme.store.engine, acme.account, NOW)
                    for one in found.differences
                ] == []
            found = acme.store.replay(other, acme.lease, NOW)
            assert (found.done, found.orders, found.sealed) == (True, 3, 0)
            assert found.differing == 2
            found = acme.store.replay(other, acme.lease, NOW)
            assert (found.sealed, found.differing) == (0, 0)
            tables = acme.everything()
            ends.append({name: tables[name] for name in ("fact", "port_order", "port_number", "reason")})
    assert ends[0] == ends[1]


def test_a_look_that_shows_a_pruned_document_again_is_no_news(acme: Desk) -> None:
    pruned(acme)
    _, newest = ids(acme)
    acme.record(look(1, "ported", "+13035550101", order="over"))
    assert ids(acme)[1] == newest and "over" not in having(acme, "document")
    acme.record(look(2, "cancelled", "+13035550101", order="over"))
    assert ids(acme)[1] > newest and "over" in having(acme, "document")


def test_an_event_without_its_payload_is_not_asked_for_again(acme: Desk) -> None:
    pruned(acme)
    before = acme.everything()
    acme.record(event(YEAR, "in-process", order="over"))
    assert acme.everything() == before


# --- small steps ----------------------------------------------------------------------------------------


def test_a_step_is_short_and_a_walk_goes_on_in_another_process(
    acme: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = "from change c join port_order o on o.id = c.order_pk where o.provider_order_id in ('over', 'gone', 'also-over')"
    changes = acme.one(f"select count(*) {over}")
    monkeypatch.setattr(prune, "ROWS", 3)
    monkeypatch.setattr(prune, "ORDERS", 2)
    monkeypatch.setattr(prune, "LOOK", 3)
    total, steps = Pruned(), 0
    while (step := next_step(url_of(acme))) is not None:
        assert max(step.documents, step.payloads, step.changes) <= 3
        total, steps = total + step, steps + 1
        assert steps < 100
    assert (total.documents, total.payloads, total.changes) == (6, 5, changes) and steps > 8


def test_a_walk_is_due_an_hour_after_the_last_and_when_the_clock_was_set_back(acme: Desk) -> None:
    store = acme.store
    assert (step := store.prune_if_due(Ages(), NOW)) and step.done
    assert store.prune_if_due(Ages(), NOW + timedelta(minutes=59)) is None
    assert (step := store.prune_if_due(Ages(), NOW + timedelta(hours=1))) and step.done
    assert (step := store.prune_if_due(Ages(), NOW - timedelta(days=1))) and step.done


def test_a_step_that_is_killed_at_any_statement_has_done_all_or_nothing(database_url: str) -> None:
    with desk(database_url) as acme:
        life(acme, "over", YEAR, "ported")
        acme.record(look(-1, "submitted", order="new"))
        before, points = acme.everything(), 0
        while True:
            points += 1
            with _dying(acme, at=points) as died:
                try:
                    acme.store.prune(Ages(), NOW, 0)
                except KeyboardInterrupt:
                    assert acme.everything() == before, f"statement {points}"
            if not died():
                break
        assert points > 8
        assert ids(acme)[0] == 1 + max(row[0] for row in before["change"] if row[4] == 1)


def test_others_write_all_the_while(acme: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROWS", "ORDERS"):
        monkeypatch.setattr(prune, name, 1)
    over, turn, steps = threading.Event(), threading.Semaphore(0), list[Pruned]()
    other = open_store(url_of(acme))

    def walk() -> None:
        try:
            steps.append(other.prune(Ages(), NOW, 0))
            while not steps[-1].done and turn.acquire(timeout=30):
                steps.append(other.prune(Ages(), NOW, steps[-1].until))
        finally:
            over.set()

    walking = threading.Thread(target=walk)
    walking.start()
    written = 0
    while not over.wait(0.001):
        written += acme.record(event(written / 100, "submitted", order=f"meanwhile-{written}")).events
        turn.release()
    walking.join()
    assert steps[-1].done and sum(step.changes for step in steps) > 20
    assert written >= len(steps) - 1 > 50, "somebody wrote between any two steps"
    seqs = [
        row["seq"]
        for row in acme.rows("select seq from v1_changes where order_id like '%meanwhile%' order by seq")
    ]
    assert len(seqs) == written and seqs[-1] == ids(acme)[1]
    other.close()


class Killed(KeyboardInterrupt):
    """What ends the process in the middle of a step."""


@contextmanager
def _dying(acme: Desk, at: int) -> Iterator[Callable[[], bool]]:
    """The process dies before its `at`th statement."""
    count = 0

    def before(*_: Any) -> None:
        nonlocal count
        count += 1
        if count == at:
            raise Killed

    hooks.listen(acme.store.engine, "before_cursor_execute", before)
    try:
        yield lambda: count >= at
    finally:
        hooks.remove(acme.store.engine, "before_cursor_execute", before)


# --- the verbs ------------------------------------------------------------------------------------------

SECTION = '\n[retention]\ndocuments = "30d"\nevents = "30d"\nchanges = "30d"\n'


ACCOUNT = '[accounts.acme]\nprovider = "telnyx"\nsecret = "file:none"\n'


def configured(folder: Path, url: str, section: str = SECTION) -> str:
    """The option that names a configuration for this database."""
    path = folder / "aggregator.toml"
    path.write_text(f'[database]\nurl = "{url}"\n{section}{ACCOUNT}', encoding="utf-8")
    return f"--config={path}"


@pytest.fixture
def aged(tmp_path: Path, database_url: str) -> str:
    """The same for a database with an order that was over long ago, and one that is not."""
    with desk(database_url) as acme:
        life(acme, "over", YEAR, "ported")
        life(acme, "open", YEAR, None)
    return configured(tmp_path, database_url)


def test_db_prune_removes_and_db_check_shows_what_there_is(run: Run, aged: str) -> None:
    code, out, err = run(aged, "db", "check")
    assert (code, err) == (0, "")
    said = dict(line.split(": ", 1) for line in out.splitlines()[1:])
    assert re.fullmatch(r"[0-9.]+ [KM]iB.*", said["on disk"])
    kept = re.fullmatch(r"(\d+), the oldest of 2025-06-\d\d; kept for 30d, (\d+) can go", said["documents"])
    assert kept and int(kept[1]) > int(kept[2]) > 0
    code, out, err = run(aged, "db", "prune")
    assert code == 0
    gone = re.fullmatch(
        r"removed (\d+) documents, (\d+) payloads of events, (\d+) changes, 0 records of polls\n", out
    )
    assert gone and gone[1] == kept[2] and int(gone[2]) > 0 and int(gone[3]) > 0
    assert f"{gone[1]} documents, {gone[2]} payloads" in err and "100%" in err
    _, out, _ = run(aged, "db", "check")
    assert out.count(" 0 can go") == 3
    assert run(aged, "replay", "--dry-run")[:2] == (0, "nothing would differ\n")


def test_without_retention_nothing_is_removed_and_check_says_so(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'aggregator.db'}"
    filled.fill(url)
    config = configured(tmp_path, url, "")
    assert run(config, "db", "prune") == (0, "", "[retention] is not set: everything is kept\n")
    assert run(config, "db", "check")[1].count("; kept for ever") == 3


def test_db_prune_makes_no_database(run: Run, tmp_path: Path) -> None:
    code, out, err = run(configured(tmp_path, "sqlite:///none.db"), "db", "prune")
    assert (code, out) == (78, "") and "no database yet" in err
    assert not (tmp_path / "none.db").exists()


def test_a_poll_prunes_a_little_when_it_is_due(run: Run, aged: str) -> None:
    ripe = r"documents: .*, (\d+) can go"
    (before,) = re.findall(ripe, run(aged, "db", "check")[1])
    assert int(before) > 0
    assert run(aged, "poll")[0] == 78, "no key, no poll; what is old goes all the same"
    assert re.findall(ripe, run(aged, "db", "check")[1]) == ["0"]


def test_what_prevents_pruning_is_no_fault_of_the_poll(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path, f"sqlite:///{tmp_path / 'aggregator.db'}")

    def broken(*_: object) -> None:
        raise StoreError("database: disk full")

    monkeypatch.setattr(prune, "step", broken)
    code, _, err = run(config, "poll")
    assert code == 78 and "retention: database: disk full" in err


def test_the_size_of_a_file_counts_its_log_and_what_is_free(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a b%.db'}"
    config = configured(tmp_path, url)
    store = open_store(url)
    try:
        store.sync([account(name="acme")], timedelta(days=14), NOW)
        code, out, _ = run(config, "db", "check")
    finally:
        store.close()
    line = out.splitlines()[1]
    assert code == 0 and re.fullmatch(
        r"on disk: [\d.]+ KiB(, [\d.]+ KiB of it free to be used again)?; -wal: [\d.]+ KiB", line
    )
