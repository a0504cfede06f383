"""Two daemons on one account: one writes, the other waits and says so; who was stopped too long writes no more."""

import signal
import time
from collections.abc import Callable

import pytest
from service import ALL_THERE, PATIENCE_S, TOML, Service, Start, events_of

from aggregator.simulator import Running
from aggregator.store.queries import open_reader

Simulate = Callable[..., Running]
DAY = 86_400
QUICK = "tick_s=0.2, rest_s=0.3, renew_s=0.3"
SHORT_LEASE = """
from datetime import timedelta
from aggregator.store import lease
lease.EXPIRES = timedelta(seconds=2)
"""


class Place:
    """The database that both write, as a reader sees it."""

    def __init__(self, url: str) -> None:
        self.url, self.toml = url, TOML.replace("sqlite:///aggregator.db", url)

    def one(self, query: str) -> object:
        """The first value of a query."""
        reader = open_reader(self.url)
        try:
            (row,) = reader.query(query, {})
            return next(iter(row.values()))
        finally:
            reader.close()

    def until(self, query: str, *services: Service) -> None:
        """Wait until a query's value is true."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.one(query):
            assert time.monotonic() < deadline, "\n---\n".join("".join(one.lines) for one in services)
            time.sleep(0.05)


READ_WHOLE = "select count(*) = 4 from v1_feeds where last_complete_at is not null"


@pytest.mark.parametrize("ends", [signal.SIGTERM, signal.SIGKILL], ids=["is stopped", "is killed"])
def test_the_second_waits_and_goes_on_when_the_first(
    simulate: Simulate, started: Start, database_url: str, ends: signal.Signals
) -> None:
    sim, place = simulate("--orders", "12", "--speed", "0"), Place(database_url)
    first = started(sim, place.toml, QUICK)
    first.hears("READY=1")
    second = started(sim, place.toml, QUICK)
    second.hears("READY=1")
    assert second.logged("account.held")["account"] == "telnyx-main"
    place.until(READ_WHOLE, first)
    assert second.events().count("account.held") == 1, "said once, not at every try"
    first.end(ends)
    sim.advance(20 * DAY)
    place.until(ALL_THERE.format(events=events_of(sim)), second)
    assert (place.one("select count(*) from lease"), place.one("select epoch from lease")) == (1, 2)
    assert second.end() == 0
    doubled = "select count(*) - count(distinct event_id) from v1_events"
    assert place.one(doubled) == 0
    assert "account.fenced" not in first.events() + second.events()


def test_a_holder_that_was_stopped_beyond_its_lease_is_refused_when_it_goes_on(
    simulate: Simulate, started: Start, database_url: str
) -> None:
    sim, place = simulate("--orders", "12", "--speed", "0"), Place(database_url)
    first = started(
        sim, place.toml, "tick_s=0.2", SHORT_LEASE
    )  # it renews every 5 s; the other would at once
    first.hears("READY=1")
    place.until(READ_WHOLE, first)
    sim.advance(20 * DAY)
    sim.set_faults(slow=1.5)
    asked = sim.stats()["requests"]
    deadline = time.monotonic() + PATIENCE_S
    while sim.stats()["requests"] == asked and time.monotonic() < deadline:
        time.sleep(0.02)
    first.process.send_signal(signal.SIGSTOP)  # in the middle of a poll: its reply waits in the socket
    sim.set_faults(slow=0)
    second = started(sim, place.toml, QUICK, SHORT_LEASE)
    place.until(ALL_THERE.format(events=events_of(sim)), second)
    place.until("select count(*) = 0 from wanted", second)
    known = [place.one(f"select count(*) from {table}") for table in ("v1_events", "v1_changes", "document")]
    first.process.send_signal(signal.SIGCONT)
    first.logged("account.fenced")
    for table, count in zip(("v1_events", "v1_changes", "document"), known, strict=True):
        assert place.one(f"select count(*) from {table}") == count
    assert place.one("select epoch from lease") == 2
    assert "account.fenced" not in second.events() and first.process.poll() is None
    assert second.end() == 0
    place.until("select epoch = 3 from lease", first)  # it tries like any other, and takes what is free
    assert first.end() == 0
