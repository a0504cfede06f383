"""The whole way, against a stand-in that none of our code knows: real HTTP, real adapters, real databases.

Whatever a provider does on the way, every event is stored exactly once, every order ends as the provider has
it, and a look at what is known already writes nothing.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from made import account
from sqlalchemy import inspect, text
from standin import Account as Credential
from standin import Faults, StandIn
from standin_lives import DAY, HOUR, MINUTE, SECOND, Event, FoneDynamics, Knobs, Telnyx
from unwired import SID, Killed

from aggregator import slices as slicing
from aggregator import sweep as sweeping
from aggregator.core.account import Account
from aggregator.core.findings import Findings, Progress, Recorded
from aggregator.fetch import Fetcher
from aggregator.once import Polled, Verdict, held, poll_once
from aggregator.store.replay import compare
from aggregator.store.store import Lease, Store, open_store

RUN_RECORD = {"feed", "lease"}


class Mortal(Store):
    """The real store; it may be killed before its n-th record."""

    dies_at: int | None = None
    records = 0

    def record(
        self,
        account: Account,
        held: Lease,
        findings: Findings,
        progress_made: Progress | None = None,
        **rest: Any,
    ) -> Recorded:
        if self.records == self.dies_at:
            raise Killed
        self.records += 1
        return super().record(account, held, findings, progress_made, **rest)


@dataclass
class Way:
    """One database and the accounts that fill it. A pause that a fetcher makes is time that passes at the
    provider, so nothing waits."""

    standin: StandIn
    store: Mortal
    accounts: Mapping[str, Account]

    def poll(self, name: str) -> Polled:
        """Poll one account over the wire."""
        ours, credential = self.accounts[name], self.standin.accounts[name]
        world = credential.world
        clock = partial(self.clock, name)

        def sleep(seconds: float) -> None:
            world.now += seconds * SECOND

        with Fetcher(
            self.standin.url,
            ours.adapter.auth,
            SID,
            lambda: name,
            min_interval_s=ours.adapter.pacing.min_interval_s,
            clock=clock,
            sleep=sleep,
            rng=random.Random(1),
        ) as fetch:
            return poll_once(ours, self.store, lambda one: held(self.store, one, clock), fetch, clock)

    def clock(self, name: str) -> datetime:
        """Our own clock, which is a little off."""
        return self.standin.accounts[name].world.now + 3 * SECOND

    def sync(self) -> None:
        now = self.clock(next(iter(self.accounts)))
        self.store.sync(self.accounts.values(), timedelta(days=14), now)

    def settle(self, most: int = 25) -> None:
        """Poll until every account is complete, and once more for what was owed meanwhile."""
        for _ in range(most):
            verdicts = {self.poll(name).verdict for name in self.accounts}
            self.pass_time(16 * MINUTE)
            if verdicts == {Verdict.COMPLETE}:
                return
        raise AssertionError(f"not complete after {most} polls")

    def pass_time(self, time: timedelta) -> None:
        for credential in self.standin.accounts.values():
            credential.world.now += time

    def rows(self, statement: str, **values: Any) -> list[Any]:
        with self.store.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement), values)]

    def tables(self) -> dict[str, list[str]]:
        """Everything that is stored beside the run record."""
        names = set(inspect(self.store.engine).get_table_names(self._schema)) - RUN_RECORD
        return {
            name: sorted(str(row) for row in self.rows(f"select * from {name}")) for name in sorted(names)
        }

    @property
    def _schema(self) -> str | None:
        return "porting" if self.store.engine.dialect.name == "postgresql" else None

    def changes(self) -> int:
        ((count,),) = self.rows("select count(*) from v1_changes")
        return int(count)


@contextmanager
def way(url: str, **credentials: Credential) -> Iterator[Way]:
    """A stand-in, a database, and an account for each credential."""
    kinds = {
        name: "fonedynamics" if isinstance(one.world, FoneDynamics) else "telnyx"
        for name, one in credentials.items()
    }
    open_store(url).close()
    with StandIn(**credentials) as standin:
        store = Mortal(open_store(url).engine)
        try:
            here = Way(standin, store, {name: account(kind, name) for name, kind in kinds.items()})
            here.sync()
            yield here
        finally:
            store.close()


def telnyx(orders: int, seed: int = 1, faults: Faults | None = None, **knobs: float) -> Credential:
    world = Telnyx(seed, Knobs(**knobs))
    world.fill(orders, max(2, orders // 4), 20 * DAY)
    return Credential(world, faults or Faults())


def fone(requests: int, seed: int = 1, faults: Faults | None = None) -> Credential:
    world = FoneDynamics(seed, SID)
    world.fill(requests, 20 * DAY)
    world.run(world.now + MINUTE)
    return Credential(world, faults or Faults())


# --- the truth ------------------------------------------------------------------------------------------


def assert_true(here: Way) -> None:
    """What is stored is what the providers have: every event once, every order and number as it is there."""
    for name, credential in here.standin.accounts.items():
        if isinstance(credential.world, Telnyx):
            assert_telnyx(here, name, credential.world)
        else:
            assert_fone(here, name, credential.world)
    assert_nothing_to_replay(here)


def assert_nothing_to_replay(here: Way) -> None:
    for ours in here.accounts.values():
        for found in compare(here.store.engine, ours, here.clock(ours.name)):
            assert not found.differences


def assert_telnyx(here: Way, name: str, world: Telnyx) -> None:
    seen = [event for events in world.events.values() for event in events if event.seen_from <= world.now]
    stored = here.rows(
        "select e.provider_event_id, e.event_type, o.provider_order_id, e.payload_complete from v1_events e"
        " join v1_orders o on o.order_id = e.order_id where e.account = :name",
        name=name,
    )
    assert sorted((id, kind, order, bool(whole)) for id, kind, order, whole in stored) == sorted(
        (event.said["id"], event.said["event_type"], order_of(event), filled(event, world)) for event in seen
    )
    orders = {
        id: (status, is_deleted, foc if foc is None or isinstance(foc, str) else foc.isoformat())
        for id, status, is_deleted, foc in here.rows(
            "select provider_order_id, raw_status, deleted_at is not null, confirmed_foc_on from v1_orders"
            " where account = :name",
            name=name,
        )
    }
    truth = {id: (o["status"]["value"], False, foc_of(o)) for id, o in world.orders.items()}
    truth |= {id: (o["status"], False, day_of(o["foc_date"])) for id, o in world.portouts.items()}
    assert {id: orders.get(id) for id in truth} == truth
    assert {id for id in orders if id not in truth} == world.deleted | world.unlisted
    assert all(orders[id][1] for id in world.deleted), "a deleted draft is a tombstone"
    assert all(orders[id][0] == "pending" for id in world.unlisted), "known from its events"
    numbers = Counter(
        here.rows(
            "select o.provider_order_id, n.number_key from v1_numbers n join v1_orders o on o.order_id = n.order_id"
            " where n.account = :name and n.is_current and o.deleted_at is null",
            name=name,
        )
    )
    assert numbers == Counter(
        (id, f"+{number.removeprefix('+')}")
        for id, given in world.numbers.items()
        for number in given
        if not orders[id][1]
    )
    comments = {id for (id,) in here.rows("select c.comment_id from v1_comments c")}
    told = {
        event.payload["id"] if "portout_id" in event.payload else event.payload["comment"]["id"]
        for event in seen
        if event.payload and event.said["event_type"].endswith("new_comment") and filled(event, world)
    }
    assert comments >= told


def order_of(event: Event) -> str:
    return str(event.said.get("porting_order_id") or event.said.get("portout_id"))


def filled(event: Event, world: Telnyx) -> bool:
    return event.filled_from is not None and event.filled_from <= world.now


def foc_of(order: Mapping[str, Any]) -> str | None:
    return day_of(order["activation_settings"]["foc_datetime_actual"])


def day_of(written: str | None) -> str | None:
    return written and date.fromisoformat(written[:10]).isoformat()


def assert_fone(here: Way, name: str, world: FoneDynamics) -> None:
    orders = here.rows("select provider_order_id, raw_status from v1_orders where account = :name", name=name)
    assert sorted(orders) == sorted((one.no, one.status) for one in world.requests.values())
    numbers = here.rows(
        "select o.provider_order_id, n.number_key, n.raw_status from v1_numbers n"
        " join v1_orders o on o.order_id = n.order_id where n.account = :name and n.is_current",
        name=name,
    )
    assert sorted(numbers) == sorted(
        (one.no, number, status) for one in world.requests.values() for number, status in one.numbers.items()
    )
    events = here.rows(
        "select o.provider_order_id, e.number_key, e.raw_from, e.raw_to from v1_events e"
        " join v1_orders o on o.order_id = e.order_id where e.account = :name",
        name=name,
    )
    assert Counter(events) == Counter(
        (one.no, number, *entry.fdx)
        for one in world.requests.values()
        for number, entries in one.history.items()
        for entry in entries
    )


# --- calm -----------------------------------------------------------------------------------------------


def test_three_thousand_events_are_stored_once_and_a_second_look_writes_nothing(database_url: str) -> None:
    credentials = {
        "telnyx-main": telnyx(330, late=0.1, empty=0.1),
        "fone-au": fone(60),
    }
    with way(database_url, **credentials) as here:
        for name in here.accounts:
            assert here.poll(name).verdict is Verdict.COMPLETE
        assert_true(here)
        here.pass_time(2 * HOUR)  # what was late has come, what was owed is filled
        for name in here.accounts:
            assert here.poll(name).verdict is Verdict.COMPLETE
        assert_true(here)
        assert 2_700 < here.rows("select count(*) from v1_events")[0][0] < 3_600
        before = here.changes()
        here.pass_time(10 * MINUTE)
        for name in here.accounts:
            assert here.poll(name).recorded.changes == 0
        assert here.changes() == before
        tables = here.tables()
        here.pass_time(10 * MINUTE)
        for name in here.accounts:
            assert here.poll(name).verdict is Verdict.COMPLETE
        assert here.tables() == tables, "an idle poll writes its run record and nothing beside it"


# --- faults ---------------------------------------------------------------------------------------------

ALL = Faults(limited=0.1, failing=0.1, reset=0.05, cut=0.05, repeated=0.1, total="numbers")
FAULTS = {
    "rate limits": Faults(limited=0.3),
    "passing errors": Faults(failing=0.4, order="oldest"),
    "connections reset, pages cut": Faults(reset=0.15, cut=0.1, order="unsorted"),
    "rows that stand twice": Faults(repeated=0.2, token="opaque", honours="token", clamp=20),
    "no date, no total": Faults(dated=False, total="none", order="unsorted", token="page"),
    "a shy server": Faults(
        count_refused=True, longest=7 * DAY, latest_only=True, token="constant", honours="offset"
    ),
}


def assert_all_comes(url: str, faults: Faults, seed: int) -> None:
    """After some polls nothing is missing, nothing doubled, and there is nothing more to tell."""
    credentials = {
        "telnyx-main": telnyx(20, seed, faults, late=0.2, empty=0.2, many_numbers=0.2),
        "fone-au": fone(15, seed, faults),
    }
    with way(url, **credentials) as here:
        for time in (DAY, 3 * HOUR, DAY):  # the last one for the slow schedule: open orders, a wide window
            for credential in credentials.values():
                credential.world.run(credential.world.now + time)
            here.settle()
        here.pass_time(2 * HOUR)
        here.settle()
        assert_true(here)
        before = here.changes()
        here.settle()
        assert here.changes() == before


@pytest.mark.parametrize("fault", list(FAULTS))
def test_nothing_is_missing_and_nothing_doubled_after_some_polls_with(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "LARGEST_WINDOW", 120)
    assert_all_comes(f"sqlite:///{tmp_path / 'aggregator.db'}", FAULTS[fault], list(FAULTS).index(fault))


def test_nothing_is_missing_and_nothing_doubled_after_some_polls_with_all_of_it_at_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "LARGEST_WINDOW", 120)
    assert_all_comes(database_url, ALL, 7)


def test_rows_born_while_pages_are_read_are_neither_lost_nor_doubled(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "LARGEST_WINDOW", 300)
    credentials = {
        "telnyx-main": telnyx(80, 3, Faults(stir=3, order="unsorted"), late=0.3),
        "telnyx-second": telnyx(30, 4, Faults(stir=2), late=0.3, empty=0.3),
        "fone-au": fone(40, 3, Faults(stir=30, clamp=20, latest_only=True)),
    }
    with way(database_url, **credentials) as here:
        for _ in range(4):
            for name in here.accounts:
                here.poll(name)
            for credential in here.standin.accounts.values():
                credential.world.run(credential.world.now + 20 * MINUTE)
        for credential in here.standin.accounts.values():
            credential.faults.stir = 0
        here.pass_time(3 * HOUR)
        here.settle()
        here.settle()
        assert_true(here)


# --- accounts and endings -------------------------------------------------------------------------------


def test_one_accounts_failure_does_not_stop_another_and_a_refused_key_pauses_its_own(
    database_url: str,
) -> None:
    credentials = {
        "telnyx-denied": telnyx(5, 5, Faults(denied=True)),
        "telnyx-down": telnyx(5, 6, Faults(failing=1.0)),
        "telnyx-good": telnyx(5, 7),
        "fone-au": fone(5, 8),
    }
    with way(database_url, **credentials) as here:
        verdicts = {name: here.poll(name).verdict for name in here.accounts}
        assert verdicts == {
            "telnyx-denied": Verdict.DENIED,
            "telnyx-down": Verdict.LATER,
            "telnyx-good": Verdict.COMPLETE,
            "fone-au": Verdict.COMPLETE,
        }
        assert len(credentials["telnyx-denied"].asked) == 1, "a refused key is not tried again"
        here.pass_time(MINUTE)
        assert here.poll("telnyx-denied").verdict is Verdict.DENIED
        assert len(credentials["telnyx-denied"].asked) == 1, "its account pauses"
        credentials["telnyx-denied"].faults.denied = False
        credentials["telnyx-down"].faults.failing = 0.0
        here.store.unpause("telnyx-denied")
        here.pass_time(DAY)
        assert {here.poll(name).verdict for name in here.accounts} == {Verdict.COMPLETE}
        assert_true(here)


def test_a_process_killed_between_any_two_commits_goes_on_where_it_was(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "LARGEST_WINDOW", 60)
    monkeypatch.setattr(slicing, "SLICE", 30)
    with way(database_url, **{"telnyx-main": telnyx(20, 9), "fone-au": fone(8, 9)}) as here:
        kills = 0
        for name in here.accounts:
            for dies_at in (0, 1, 2, 3, 1, 5, 1, 8, 1, 13):
                here.store.records, here.store.dies_at = 0, dies_at
                try:
                    here.poll(name)
                except Killed:
                    kills += 1
        assert kills > 8
        assert_nothing_to_replay(here)
        here.store.dies_at = None
        here.pass_time(HOUR)
        here.settle()
        assert_true(here)
