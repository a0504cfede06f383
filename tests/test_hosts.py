"""What accounts share: no silent host takes the workers of another, and one account asks a silent host for all."""

import json
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import Loopback, hanging, reply
from made import NOW, account
from service import PATIENCE_S, TOML, Start
from structlog.testing import capture_logs

from aggregator.core.account import Account, Auth
from aggregator.core.due import is_due
from aggregator.core.model import Page, Request
from aggregator.daemon import LIMITS
from aggregator.desk import THREADS
from aggregator.errors import FetchError, HostSilent, Refused, Unanswered
from aggregator.fetch import Fetcher
from aggregator.hosts import PROBE_S, Host, Hosts, Place, Waiting, next_ones, place
from aggregator.once import Polled, Verdict, held, poll_once
from aggregator.simulator import Running
from aggregator.store import Store, open_store

PLACES = [Place("p", f"host-{number}") for number in range(20)]

# --- whose turn it is -----------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 19), st.booleans(), st.floats(0, 99)), max_size=60),
    st.integers(1, 16),
    st.integers(1, 20),
)
def test_every_host_can_have_its_part_of_the_workers_at_any_time(
    asked: list[tuple[int, bool, float]], workers: int, hosts: int
) -> None:
    places = PLACES[:hosts]
    waiting = {
        str(number): Waiting(str(number), PLACES[at % hosts], failing, since)
        for number, (at, failing, since) in enumerate(asked)
    }
    running: Counter[Place] = Counter()
    part = max(1, workers // (2 * hosts)) if hosts <= workers else 0
    while begun := next_ones(waiting.values(), running, places, workers):
        for one in begun:
            running[one.place] += 1
            del waiting[one.account]
    assert running.total() <= workers
    if hosts > 1 and workers > 1:
        assert max(running.values(), default=0) < workers
    for one in waiting.values():
        assert running[one.place] >= part or running.total() == workers
    for other in places:
        assert running.total() + max(0, part - running[other]) <= workers, "its part is free, or its own"


def test_what_failed_last_waits_behind_what_did_not() -> None:
    slow = [Waiting(f"failing-{number}", PLACES[0], True, number) for number in range(20)]
    fine = [Waiting(f"fine-{number}", PLACES[0], False, 100 - number) for number in range(3)]
    begun = next_ones([*slow, *fine], {}, {PLACES[0]}, 5)
    assert [one.account for one in begun] == ["fine-2", "fine-1", "fine-0", "failing-0", "failing-1"]


def test_two_providers_behind_one_name_are_two_places() -> None:
    assert place("telnyx", "https://API.example.com/v2") == ("telnyx", "api.example.com")
    assert place("other", "https://api.example.com/v2") != place("telnyx", "https://api.example.com/v2")


# --- whether a host answers -----------------------------------------------------------------------------


@dataclass
class Clock:
    """A monotonic clock."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Asked:
    """A host as a fetcher finds it; it answers, is silent or refuses, by path or for all."""

    how: Callable[[str], Exception | None] = lambda path: Unanswered("silence")
    paths: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Page:
        self.paths.append(request.path)
        error = self.how(request.path)
        if error is not None:
            raise error
        return Page(request, 200, b"{}", NOW, NOW)


def tried(host: Host, name: str, asked: Asked, *paths: str) -> list[type[Exception] | None]:
    """One poll of an account that asks for these paths, and what became of each."""
    found: list[type[Exception] | None] = []
    with host.polled(name, asked) as ask:
        for path in paths:
            try:
                ask(Request(path))
                found.append(None)
            except FetchError as error:
                found.append(type(error))
            except Refused as error:
                found.append(type(error))
    return found


def test_after_some_requests_in_vain_one_account_asks_for_all_until_it_is_answered() -> None:
    clock, asked = Clock(), Asked()
    host = Host("api.example.com", clock)
    assert tried(host, "a", asked, "/x", "/y", "/z", "/z") == [Unanswered, Unanswered, Unanswered, HostSilent]
    assert tried(host, "b", asked, "/x", "/y") == [HostSilent, HostSilent]
    assert len(asked.paths) == 3
    clock.now += PROBE_S
    with host.polled("c", asked) as ask, pytest.raises(Unanswered):
        ask(Request("/x"))
    assert tried(host, "d", asked, "/x") == [HostSilent], "it has just been asked"
    clock.now += PROBE_S
    with host.polled("e", asked) as ask:
        with pytest.raises(Unanswered):
            ask(Request("/x"))
        with (
            host.polled("f", asked) as other,
            pytest.raises(HostSilent, match="e asks for all of its accounts"),
        ):
            other(Request("/x"))
        asked.how = lambda path: None
        ask(Request("/y"))
    assert not host.silent and tried(host, "d", asked, "/x") == [None]


@pytest.mark.parametrize("answer", [Refused("403", 403), FetchError("status 500"), None])
def test_any_answer_shows_that_the_host_is_there(answer: Exception | None) -> None:
    host, asked = Host("api.example.com", Clock()), Asked()
    tried(host, "a", asked, "/x", "/y")
    asked.how = lambda path: answer
    tried(host, "a", asked, "/x")
    asked.how = lambda path: Unanswered("silence")
    assert tried(host, "a", asked, "/x", "/y") == [Unanswered, Unanswered] and not host.silent


def test_one_path_that_hangs_does_not_keep_the_others_from_being_asked() -> None:
    host, asked = (
        Host("api.example.com", Clock()),
        Asked(lambda path: Unanswered("x") if path == "/x" else None),
    )
    for number in range(20):
        assert tried(host, str(number), asked, "/x", "/x", "/x", "/y", "/z")[-2:] == [None, None]


def test_where_there_is_but_one_path_whole_polls_in_vain_tell() -> None:
    host, asked = Host("api.example.com", Clock()), Asked()
    for number in range(3):
        assert tried(host, str(number), asked, "/x") == [Unanswered]
    assert tried(host, "d", asked, "/x") == [HostSilent]


def test_it_is_said_once_when_a_host_falls_silent_and_once_when_it_answers() -> None:
    host, asked = Host("api.example.com", Clock()), Asked()
    with capture_logs() as said:
        for number in range(9):
            tried(host, str(number), asked, "/x", "/y")
        asked.how = lambda path: None
        host._monotonic = lambda: 1e6
        for number in range(9):
            tried(host, str(number), asked, "/x", "/y")
    assert [line["event"] for line in said] == ["host.silent", "host.answers"]


# --- with a real silent server, a real fetcher and a real store -----------------------------------------


@contextmanager
def fetching(server: Loopback) -> Iterator[Fetcher]:
    """A fetcher without patience."""
    with Fetcher(server.url, Auth.BEARER, None, lambda: "key", total_s=0.05, tries=1) as fetch:
        yield fetch


def polled(store: Store, ours: Account, hosts: Hosts, fetch: Fetcher, at: datetime) -> Polled:
    with hosts[Place("telnyx", "silent")].polled(ours.name, fetch) as ask:
        return poll_once(ours, store, lambda name: held(store, name, lambda: at), ask, lambda: at)


EMPTY = json.dumps(
    {"data": [], "meta": {"page_number": 1, "page_size": 250, "total_pages": 0, "total_results": 0}}
)


def test_accounts_of_a_silent_host_are_told_and_it_is_no_failure_of_theirs(database_url: str) -> None:
    clock = Clock()
    hosts, ours = Hosts(clock), [account(name=name) for name in ("first", "second", "third")]
    store = open_store(database_url)
    store.sync(ours, timedelta(days=14), NOW)
    with Loopback(hanging()) as server, fetching(server) as fetch:
        assert polled(store, ours[0], hosts, fetch, NOW).verdict is Verdict.LATER
        asked = len(server.requests)
        found = polled(store, ours[1], hosts, fetch, NOW)
        assert len(server.requests) == asked, "not asked again"
        assert found.verdict is Verdict.LATER and "silent does not answer" in str(found.trouble)
        assert {outcome.outcome for outcome in found.outcomes} == {"host_silent"}
        server.replies[:] = [reply(200, EMPTY.encode())]
        marks = store.marks("second")
        for mark in marks.values():
            assert (mark.failures, mark.outcome, mark.last_attempt_at) == (0, "host_silent", NOW)
        for name, feed in ours[1].feeds.items():
            assert not is_due(feed, marks[name], NOW + timedelta(seconds=30))
            assert is_due(feed, marks[name], NOW + timedelta(seconds=60)), "soon, not after its interval"
        clock.now += PROBE_S
        later = NOW + timedelta(minutes=1)
        assert polled(store, ours[2], hosts, fetch, later).verdict is Verdict.COMPLETE
        assert polled(store, ours[1], hosts, fetch, later).verdict is Verdict.COMPLETE
        assert all(mark.outcome == "complete" for mark in store.marks("second").values())
    store.close()


# --- the daemon and the one-shot ------------------------------------------------------------------------

SILENT = '[accounts.a{number:02}]\nprovider = "telnyx"\nsecret = "file:telnyx.key"\nbase_url = "{base}/v2"\n'


def test_twenty_silent_accounts_do_not_keep_a_healthy_one_from_its_polls(
    simulate: Callable[..., Running], started: Start
) -> None:
    """Neither is what waits for a worker taken for a poll that hangs: the watchdog is fed all the time."""
    sim = simulate("--orders", "3", "--speed", "0")
    with Loopback(hanging()) as server:
        silent = "".join(SILENT.format(number=number, base=server.url) for number in range(20))
        head, _, tail = TOML.partition("[accounts.")  # the healthy one stands last
        toml = f"{head}{silent}[accounts.{tail}"
        service = started(sim, toml, limits="workers=4, poll_s=300", WATCHDOG_USEC="900000")
        service.hears("READY=1")
        whole = "from v1_feeds where account = 'telnyx-main'"
        service.until(f"select count(*) = 4 {whole} and last_complete_at is not null")
        for _ in range(3):
            ((before,),) = service.query(f"select max(last_complete_at) {whole}")
            began = time.monotonic()
            service.until(f"select max(last_complete_at) > '{before}' {whole}")
            assert time.monotonic() - began < 10
            service.hears("WATCHDOG=1")
        assert service.query(
            "select count(*) from v1_feeds where account like 'a%' and last_complete_at is not null"
        ) == [(0,)]
        service.end()


def test_a_poll_that_waits_for_a_worker_does_not_hang(
    simulate: Callable[..., Running], started: Start
) -> None:
    sim = simulate("--orders", "1", "--speed", "0", "--fault", "slow=0.3")
    more = "".join(SILENT.format(number=number, base=sim.telnyx[: -len("/v2")]) for number in range(12))
    service = started(sim, TOML + more, limits="workers=1, poll_s=4", WATCHDOG_USEC="300000")
    service.hears("READY=1")
    service.until("select count(distinct account) >= 5 from v1_feeds where last_complete_at is not null")
    service.deaf()
    service.hears("WATCHDOG=1")
    assert service.end() == 0


def test_however_many_polls_wait_for_the_database_the_daemon_reaches_it(database_url: str) -> None:
    store = open_store(database_url)
    with ExitStack() as stack:
        for _ in range(LIMITS.workers + THREADS - 1):
            stack.enter_context(store.engine.connect())
        began = time.monotonic()
        store.probe()
        assert time.monotonic() - began < 5
    store.close()


def test_a_poll_of_all_accounts_reaches_the_healthy_one_beside_any_number_of_silent_ones(
    simulate: Callable[..., Running], tmp_path: Path
) -> None:
    sim = simulate("--orders", "3", "--speed", "0")
    (tmp_path / "telnyx.key").touch(0o600)
    (tmp_path / "telnyx.key").write_text(sim.telnyx_key)
    with Loopback(hanging()) as server:
        silent = "".join(SILENT.format(number=number, base=server.url) for number in range(20))
        head, _, tail = TOML.format(base=sim.telnyx).partition("[accounts.")
        (tmp_path / "aggregator.toml").write_text(f"{head}{silent}[accounts.{tail}")
        run = [sys.executable, "-m", "aggregator", "--config", str(tmp_path / "aggregator.toml"), "poll"]
        process = subprocess.Popen(run, stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + PATIENCE_S
            while not _is_whole(tmp_path / "aggregator.db") and time.monotonic() < end:
                time.sleep(0.1)
            assert _is_whole(tmp_path / "aggregator.db") and process.poll() is None
        finally:
            process.kill()
            process.wait()


def _is_whole(path: Path) -> bool:
    query = "select count(*) from v1_feeds where account = 'telnyx-main' and last_complete_at is not null"
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return bool(database.execute(query).fetchall() == [(4,)])
    except sqlite3.OperationalError:
        return False
