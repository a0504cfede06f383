"""Facts of random lives, delivered late, twice, shuffled, by two processes that take an account from each other: the
views end as if everything had come in order, and the feed alone rebuilds them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from generated import Copy, lives
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from made import NOW, account, hour

from aggregator.core.account import Account
from aggregator.core.findings import Findings
from aggregator.core.fold import facets_of, stamp
from aggregator.core.model import Change, Fact, Source
from aggregator.core.standing import ORDER_FIELDS
from aggregator.errors import Fenced
from aggregator.store import Store, open_store
from aggregator.store.queries import Reader, Row
from aggregator.store.store import Lease

QUARTER = timedelta(minutes=15)
BOOKKEEPING = {
    "last_seq",
    "first_seen_at",
    "last_changed_at",
    "last_read_ok_at",
    "event_id",
    "late",
    "observed_at",
}
"""What depends on when we learned something, not on what was said."""
VIEWS = ("orders", "numbers", "reasons", "events", "comments")


@dataclass
class Process:
    """One of two processes that share a database."""

    store: Store
    leases: dict[str, Lease]

    def take(self, account: Account) -> None:
        """Take the account over from whoever has it."""
        lease = self.store.take(account.name, NOW)
        assert lease is not None
        self.leases[account.name] = lease

    def record(self, account: Account, facts: Sequence[Fact]) -> None:
        """Record a slice."""
        feed = next(iter(account.feeds))
        self.store.record(account, self.leases[account.name], Findings(feed, hour(24), tuple(facts)))


@dataclass
class Rig:
    """A database with an account at each provider and two processes at it. A life is two orders of one account:
    one that is told in order, one that is not."""

    processes: tuple[Process, Process]
    accounts: dict[str, Account]
    numbers: Iterator[int]

    def rows(self, query: str, **values: object) -> list[Row]:
        return list(Reader(self.processes[0].store.engine).query(query, values))


@pytest.fixture
def rig(database_url: str) -> Iterator[Rig]:
    """The rig on a database of the test's own."""
    accounts = {name: account(name) for name in ("telnyx", "fonedynamics")}
    processes = Process(open_store(database_url), {}), Process(open_store(database_url), {})
    processes[0].store.sync(accounts.values(), timedelta(days=14), NOW)
    for one in accounts.values():
        processes[0].take(one)
    yield Rig(processes, accounts, count(1))
    for process in processes:
        process.store.close()


def said_of(life: Sequence[Fact], order: str) -> list[Fact]:
    """A generated life as a provider could have lived it, told of this order, oldest first.

    A look is taken between the hours at which something happens, and its own time is never older than an event
    before it, unless that is one that changes nothing in the order. A 404 is left out, for only known orders are
    asked for.
    """
    facts = [fact for fact in life if fact.source is Source.EVENT or not fact.deleted]
    events = [fact for fact in facts if fact.source is Source.EVENT]
    told = []
    for place, fact in enumerate(facts):
        fact = replace(fact, order=replace(fact.order, id=order), source_id=f"{place}/{order}")
        if fact.announced is not None:
            announced = replace(fact.announced, key=fact.source_id, payload="{}")
            comment = fact.comment and replace(fact.comment, at=hour(0))
            fact = replace(fact, announced=announced, comment=comment)
        else:
            before = [event for event in events if event.as_of <= fact.read_at and _changes(event)]
            looked_at = fact.read_at + QUARTER
            newest = max([fact.as_of, *(event.as_of for event in before)])
            gone = any(event.deleted for event in before)
            fact = replace(fact, as_of=newest, read_at=looked_at, document=str(place), said_at=newest)
            if gone:
                fact = replace(fact, as_of=looked_at, said_at=None)
        told.append(fact)
    return sorted(told, key=stamp)


def _changes(event: Fact) -> bool:
    """Whether an event is about something that the order's document shows."""
    return bool(facets_of(event))


def bare(fact: Fact) -> Fact:
    """An event before its payload came."""
    assert fact.announced is not None
    owed = replace(fact.announced, payload=None, complete=False)
    return Fact(fact.order, fact.source, fact.source_id, fact.as_of, fact.read_at, announced=owed)


class Arrival(RuleBasedStateMachine):
    """One life, and all that can happen on its way into the database."""

    rig: Rig

    def __init__(self) -> None:
        super().__init__()
        self.left: list[Fact] = []
        self.known: list[Fact] = []
        self.account: Account | None = None

    @initialize(life=lives(smallest=2).filter(lambda life: bool(said_of(life, "any"))))
    def begin(self, life: tuple[Fact, ...]) -> None:
        number = next(self.rig.numbers)
        self.ordered, self.shuffled = f"{number}-in-order", f"{number}-as-it-came"
        numbers = [said.raw for fact in life if fact.numbers for said in fact.numbers.numbers]
        fone = any(said.startswith(("+61", "02")) for said in numbers)
        self.account = self.rig.accounts["fonedynamics" if fone else "telnyx"]
        self.left = said_of(life, self.shuffled)
        self.writer, self.other = self.rig.processes
        self.writer.take(self.account)
        self.writer.record(self.account, said_of(life, self.ordered))

    def _some(self, data: st.DataObject, facts: list[Fact], most: int) -> list[Fact]:
        return data.draw(st.lists(st.sampled_from(facts), min_size=1, max_size=most, unique_by=id))

    def _deliver(self, facts: Sequence[Fact]) -> None:
        assert self.account is not None
        self.writer.record(self.account, facts)

    @precondition(lambda self: self.left)
    @rule(data=st.data())
    def some_come(self, data: st.DataObject) -> None:
        came = self._some(data, self.left, 3)
        self.left = [fact for fact in self.left if fact not in came]
        self.known += came
        self._deliver(came)

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def some_come_again(self, data: st.DataObject) -> None:
        self._deliver(self._some(data, self.known, 3))

    @precondition(lambda self: any(fact.announced for fact in (*self.left, *self.known)))
    @rule(data=st.data())
    def an_event_comes_without_its_payload(self, data: st.DataObject) -> None:
        events = [fact for fact in (*self.left, *self.known) if fact.announced]
        self._deliver([bare(data.draw(st.sampled_from(events)))])

    @rule()
    def the_other_process_takes_over(self) -> None:
        assert self.account is not None
        self.writer, self.other = self.other, self.writer
        self.writer.take(self.account)

    @precondition(lambda self: self.left and self.account and self.account.name in self.other.leases)
    @rule(data=st.data())
    def the_one_that_lost_it_writes_nothing(self, data: st.DataObject) -> None:
        assert self.account is not None
        newest = self.rig.rows("select newest_seq from v1_feed_identity")
        with pytest.raises(Fenced):
            self.other.record(self.account, self._some(data, self.left, 3))
        assert self.rig.rows("select newest_seq from v1_feed_identity") == newest

    def teardown(self) -> None:
        if self.account is None:
            return
        if self.left:
            self._deliver(self.left)
        for view in VIEWS:
            assert self._told(view, self.shuffled) == self._told(view, self.ordered), view
        assert self._timeline(self.shuffled) == self._timeline(self.ordered)
        for order in (self.shuffled, self.ordered):
            self._rebuilt(order)

    def _told(self, view: str, order: str) -> list[str]:
        """What a view says of an order, without our bookkeeping."""
        rows = self.rig.rows(f"select * from v1_{view} where order_id like :order", order=f"%/{order}")
        assert rows or view != "orders"
        kept = [{name: value for name, value in row.items() if name not in BOOKKEEPING} for row in rows]
        return sorted(json.dumps(row, sort_keys=True).replace(order, "…") for row in kept)

    def _timeline(self, order: str) -> list[str]:
        """What the provider said, in the order in which it happened; what we noticed and when is our own."""
        query = "select sort_at, number_key, occurred_at, what, detail, source from v1_timeline "
        query += "where order_id like :order and entry_id not like 'c%' order by sort_at"
        return sorted(map(json.dumps, self.rig.rows(query, order=f"%/{order}")))

    def _rebuilt(self, order: str) -> None:
        """Each row of the feed tells truly what was there before it, and all together what is there now."""
        copy = Copy()
        query = "select * from v1_changes where order_id like :order order by seq"
        rows = self.rig.rows(query, order=f"%/{order}")
        copy.apply(
            Change(
                row["kind"],
                row["field"] or "",
                row["old_value"],
                row["new_value"],
                row["number_key"] or "",
                late=row["late"],
            )
            for row in rows
        )
        (stands,) = self.rig.rows("select * from v1_orders where order_id like :order", order=f"%/{order}")
        assert copy.order == {name: _text(stands[name]) for name in ORDER_FIELDS}
        numbers = self.rig.rows("select * from v1_numbers where order_id like :order", order=f"%/{order}")
        assert copy.numbers.keys() == {row["number_key"] for row in numbers}
        for row in numbers:
            here = copy.number(row["number_key"])
            assert here == {name: _text(row[name]) for name in here}


def _text(value: Any) -> str | None:
    """A column of a view the way a change row writes it."""
    if isinstance(value, bool | list):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return None if value is None else str(value)


def test_whatever_the_way_facts_come_the_views_end_alike(rig: Rig) -> None:
    sqlite = rig.processes[0].store.engine.dialect.name == "sqlite"
    here = rig

    class Here(Arrival):
        rig = here

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=120 if sqlite else 20,
            stateful_step_count=8,
            deadline=None,
            suppress_health_check=[
                HealthCheck.too_slow,
                HealthCheck.data_too_large,
                HealthCheck.filter_too_much,
            ],
        ),
    )
