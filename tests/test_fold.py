"""The fold: facts may come late, twice, in any order and in any portions, and the end is the same."""

from dataclasses import replace
from datetime import date
from itertools import permutations
from typing import Any

import pytest
from generated import KINDS, arrivals, facts, lives
from hypothesis import given, settings
from hypothesis import strategies as st
from made import day, event, hour, look

from aggregator.core.fold import fold, stamp
from aggregator.core.model import (
    NOT_TOLD,
    Carrier,
    Carriers,
    Comment,
    Fact,
    Link,
    NumberSaid,
    Partial,
    References,
    Source,
    Whole,
    Word,
)
from aggregator.core.standing import Standing

exhaustive = settings(max_examples=150, deadline=None, derandomize=True, database=None)


def folded(*told: Fact, before: Standing | None = None) -> Standing:
    """An order as it stands after these facts."""
    return fold(before, told)


# --- whatever comes -------------------------------------------------------------------------------------


@settings(exhaustive, max_examples=400)
@given(st.data())
def test_facts_in_any_order_and_any_portions_end_alike(data: st.DataObject) -> None:
    life = data.draw(lives(2))
    arrived = data.draw(st.permutations(life))
    again = data.draw(st.lists(st.sampled_from(life), max_size=3))
    everything = [*arrived, *again]
    cuts = sorted(data.draw(st.lists(st.integers(1, len(everything)), max_size=3)))
    standing: Standing | None = None
    for start, end in zip([0, *cuts], [*cuts, len(everything)], strict=True):
        if everything[start:end]:
            standing = fold(standing, everything[start:end])
    assert standing == fold(None, life)


@settings(exhaustive, max_examples=60)
@given(st.data())
def test_two_snapshots_and_an_event_end_alike_in_every_order_of_arrival(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    looks = [data.draw(facts(kind, name, Source.SNAPSHOT)) for name in "ab"]
    three = [*looks, data.draw(facts(kind, "c", Source.EVENT))]
    ends = [fold(fold(fold(None, [one]), [two]), [three]) for one, two, three in permutations(three)]
    assert all(end == ends[0] for end in ends)


@exhaustive
@given(arrivals())
def test_what_is_known_already_changes_nothing(arrived: tuple[Fact, ...]) -> None:
    standing = fold(None, arrived)
    for fact in arrived:
        assert fold(standing, [fact]) == standing


NEWEST: dict[str, Any] = {
    "raw_status": lambda fact: NOT_TOLD if fact.status is None else fact.status.raw,
    "confirmed_foc_on": lambda fact: _day(fact, "confirmed"),
    "requested_foc_on": lambda fact: _day(fact, "requested"),
    "created_at": lambda fact: NOT_TOLD if fact.dates is None else fact.dates.created,
    "customer_reference": lambda fact: NOT_TOLD if fact.references is None else fact.references.customer,
    "losing_carrier": lambda fact: _carrier(fact, "losing"),
    "gaining_carrier": lambda fact: _carrier(fact, "gaining"),
    "messaging_state": lambda fact: NOT_TOLD if fact.messaging is None else fact.messaging.meaning,
}


def _day(fact: Fact, name: str) -> object:
    moment = getattr(fact.dates, name) if fact.dates else NOT_TOLD
    return moment if moment in (NOT_TOLD, None) else moment.on


def _carrier(fact: Fact, name: str) -> object:
    carrier = getattr(fact.carriers, name) if fact.carriers else NOT_TOLD
    return carrier if carrier in (NOT_TOLD, None) else carrier.name


@exhaustive
@given(arrivals())
def test_for_each_facet_the_newest_word_stands(arrived: tuple[Fact, ...]) -> None:
    order = fold(None, arrived).order
    for column, said in NEWEST.items():
        if column == "raw_status" and order.raw_status is None:
            continue  # a provider without a status of the order's own: see test_rollup
        told = [(stamp(fact), said(fact)) for fact in arrived if said(fact) is not NOT_TOLD]
        assert getattr(order, column) == (max(told, key=lambda entry: entry[0])[1] if told else None), column


@exhaustive
@given(lives(2), st.data())
def test_an_older_read_never_beats_a_newer_one(life: tuple[Fact, ...], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(life) - 2))
    without = fold(None, life[:place] + life[place + 1 :])
    after = fold(without, [life[place]])
    newer = life[place + 1 :]
    for column, said in NEWEST.items():
        if any(said(fact) is not NOT_TOLD for fact in newer) and after.order.raw_status is not None:
            assert getattr(after.order, column) == getattr(without.order, column), column
    if any(fact.status is not None and fact.status.raw is not None for fact in newer):
        assert after.order.reasons == without.order.reasons


# --- facet by facet -------------------------------------------------------------------------------------

FACETS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("dates", {"dates": day(1)}, {"dates": day(2)}, "confirmed_foc_on"),
    ("no date any more", {"dates": day(1)}, {"dates": day(0)}, "confirmed_foc_on"),
    (
        "carriers",
        {"carriers": Carriers(losing=Carrier("A"))},
        {"carriers": Carriers(losing=Carrier("B"))},
        "losing_carrier",
    ),
    (
        "references",
        {"references": References(customer="A")},
        {"references": References(customer=None)},
        "customer_reference",
    ),
    ("messaging", {"messaging": Word("pending")}, {"messaging": Word("ported")}, "messaging_state"),
    ("count", {"numbers_total": 3}, {"numbers_total": 4}, "numbers_total"),
    ("existence", {"deleted": False}, {"deleted": True}, "deleted_at"),
]


@pytest.mark.parametrize(
    ("older", "newer", "column"), [facet[1:] for facet in FACETS], ids=[f[0] for f in FACETS]
)
def test_each_facet_keeps_its_own_newest_word(
    older: dict[str, Any], newer: dict[str, Any], column: str
) -> None:
    first, second = look(1, "submitted", **older), look(2, **newer)
    in_order, against = folded(first, second), folded(second, first)
    assert in_order == against
    assert getattr(in_order.order, column) == getattr(folded(second).order, column)
    assert getattr(in_order.order, column) != getattr(folded(first).order, column)
    assert in_order.order.raw_status == "submitted", "a facet that is not told stays as it was"


def test_an_event_newer_than_the_last_read_shows_at_once() -> None:
    assert folded(look(1, "submitted"), event(2, "exception")).order.state == "exception"


def test_an_order_known_from_events_alone_is_shown_from_them() -> None:
    order = folded(event(1, "in-process"), event(2, "submitted"), event(3, dates=day(20))).order
    assert (order.state, order.raw_status) == ("with_carrier", "submitted")
    assert order.confirmed_foc_on == date(2026, 6, 20)


def test_at_the_same_instant_an_event_stands_over_a_snapshot() -> None:
    seen, announced = look(1, "submitted"), event(1, "exception")
    assert folded(announced, seen).order.state == folded(seen, announced).order.state == "exception"


def test_of_two_snapshots_of_one_instant_the_later_read_stands() -> None:
    early = look(1, "submitted", read=2, source_id="z")
    late = look(1, "exception", read=3, source_id="a")
    assert folded(late, early).order.state == "exception"


def test_what_a_snapshot_says_of_numbers_is_kept_number_by_number() -> None:
    both = Whole((NumberSaid("+13035550101", activation=Word("New")), NumberSaid("+13035550102")))
    one = Partial((NumberSaid("+13035550101", activation=Word("Active")),))
    standing = folded(look(2, "submitted", numbers=one), look(1, "submitted", numbers=both))
    assert standing.numbers["+13035550101"].activation_state == "active"
    assert standing.numbers["+13035550101"].added_at == hour(1)
    assert standing.numbers["+13035550102"].activation_state is None


def test_comments_and_document_events_are_remembered_once() -> None:
    said = Comment("c1", "provider", "please call")
    told = folded(event(1, comment=said), event(2, comment=said), event(3, documents_changed=True)).told
    assert told.comments == {"c1"}
    assert told.documents == {"event/3"}


def test_a_link_names_the_parent_of_the_child_alone() -> None:
    assert folded(event(1, link=Link("parent-1", "order-1"))).order.parent_order_id == "parent-1"
    assert folded(event(1, link=Link("order-1", "child-1"))).order.parent_order_id is None


def test_an_order_stands_on_at_least_one_fact() -> None:
    with pytest.raises(ValueError, match="at least one fact"):
        fold(None, [])


def test_the_fold_leaves_what_stood_before_as_it_was() -> None:
    before = folded(look(1, "submitted", numbers=Whole((NumberSaid("+13035550101"),))))
    kept = replace(before)
    folded(event(2, "exception"), look(3, "ported", numbers=Whole(())), before=before)
    assert before == kept
    assert list(before.told.trails["status"]) == [(stamp(look(1, "submitted")), look(1, "submitted").status)]
