"""The change feed: what each fact taught us, as rows that alone rebuild the order."""

import json
from datetime import date
from typing import Any

import pytest
from generated import KINDS, Copy, arrivals, columns_of, lives
from hypothesis import given, settings
from hypothesis import strategies as st
from made import day, event, hour, look

from aggregator.core.diff import diff, is_late
from aggregator.core.fold import fold, stamp
from aggregator.core.model import (
    NOT_TOLD,
    Carrier,
    Carriers,
    Change,
    Comment,
    Fact,
    Moment,
    NumberSaid,
    Partial,
    References,
    Status,
    Whole,
    Word,
)
from aggregator.core.standing import COPIED, NUMBER_FIELDS, ORDER_FIELDS, Standing

exhaustive = settings(max_examples=150, deadline=None, derandomize=True, database=None)
NUMBER = "+13035550101"
AU = "+61255500101"


def taught(*told: Fact) -> list[tuple[Change, ...]]:
    """The rows that each fact makes, in the order of arrival."""
    standing: Standing | None = None
    rows = []
    for fact in told:
        after = fold(standing, [fact])
        rows.append(diff(standing, after, fact))
        standing = after
    return rows


def last(*told: Fact) -> dict[str, Change]:
    """The rows of the last fact, by the column that they tell of (a number's with its key before it)."""
    return {f"{row.number_key}{row.field}": row for row in taught(*told)[-1]}


def kinds(*told: Fact) -> set[tuple[str, str]]:
    """Kind and column of the rows of the last fact."""
    return {(row.kind, row.field) for row in taught(*told)[-1]}


# --- whatever comes -------------------------------------------------------------------------------------


@settings(exhaustive, max_examples=400)
@given(arrivals())
def test_the_changes_alone_rebuild_the_order(arrived: tuple[Fact, ...]) -> None:
    copy, standing = Copy(), None
    for fact in arrived:
        after = fold(standing, [fact])
        copy.apply(diff(standing, after, fact))
        standing = after
        order, numbers = columns_of(after)
        assert copy.order == order
        assert {key: copy.number(key) for key in copy.numbers} == numbers


@exhaustive
@given(arrivals())
def test_the_same_read_again_makes_no_row(arrived: tuple[Fact, ...]) -> None:
    standing = fold(None, arrived)
    for fact in arrived:
        assert diff(standing, fold(standing, [fact]), fact) == ()


@exhaustive
@given(arrivals())
def test_no_two_rows_of_one_fact_share_kind_number_and_column(arrived: tuple[Fact, ...]) -> None:
    for rows in taught(*arrived):
        keys = [(row.kind, row.number_key, row.field) for row in rows]
        assert len(keys) == len(set(keys))


@exhaustive
@given(lives(kinds=KINDS[:2]))
def test_what_a_number_copies_from_its_order_makes_no_row(life: tuple[Fact, ...]) -> None:
    rows = [row for fact_rows in taught(*life) for row in fact_rows]
    assert not [row for row in rows if row.number_key and row.field in COPIED]


@exhaustive
@given(arrivals())
def test_rows_are_late_only_for_facts_older_than_what_stood(arrived: tuple[Fact, ...]) -> None:
    standing: Standing | None = None
    for place, fact in enumerate(arrived):
        after = fold(standing, [fact])
        late = [row for row in diff(standing, after, fact) if row.late]
        before = arrived[:place]
        older = any(stamp(fact) < stamp(one) for one in before if _shared(fact, one))
        assert is_late(standing, fact) == older
        assert older or not late
        standing = after


def _shared(one: Fact, other: Fact) -> bool:
    """Whether two facts speak of a common facet whose history is told."""
    return bool(_history(one) & _history(other))


def _history(fact: Fact) -> set[str]:
    numbers = fact.numbers.numbers if fact.numbers else ()
    return {
        *(["status"] if fact.status is not None else []),
        *(["messaging"] if fact.messaging is not None else []),
        *(["confirmed"] if fact.dates is not None and fact.dates.confirmed is not NOT_TOLD else []),
        *(said.key for said in numbers if said.status is not NOT_TOLD),
    }


@exhaustive
@given(lives(2), st.data())
def test_a_late_fact_tells_the_step_that_lay_between_what_was_known(
    life: tuple[Fact, ...], data: st.DataObject
) -> None:
    late = life[data.draw(st.integers(0, len(life) - 2))]
    before = fold(None, [fact for fact in life if fact is not late])
    rows = [row for row in diff(before, fold(before, [late]), late) if row.late]
    assert all(row.occurred_at == late.as_of and row.old != row.new for row in rows)
    steps = [row for row in rows if row.field == "state" and not row.number_key]
    told = [fact for fact in life if fact.status is not None]
    if late.status is None or late is told[-1]:
        assert not steps
        return
    place = told.index(late)
    earlier = [str(_state(fact)) for fact in told[:place]][-1:]
    later = str(_state(told[place + 1]))
    new = str(_state(late))
    expected = [] if new in (*earlier, later) else [(earlier[0] if earlier else None, new)]
    assert [(row.old, row.new) for row in steps] == expected


def _state(fact: Fact) -> str:
    assert fact.status is not None
    assert fact.status.meaning is not None
    return fact.status.meaning.value


# --- first sight ----------------------------------------------------------------------------------------


def test_the_first_sight_of_an_order_carries_every_column_but_the_clocks() -> None:
    numbers = Whole((NumberSaid(NUMBER),))
    seen, added = taught(look(1, "exception", "PASSCODE_PIN_INVALID", "LSR_PENDING", numbers=numbers))[0]
    assert (seen.kind, seen.field, seen.number_key, seen.old) == ("order_seen", "", "", None)
    columns = json.loads(seen.new or "")
    assert set(columns) == set(ORDER_FIELDS)
    assert columns["reasons"] == ["pending_order", "pin_invalid"]
    assert columns["is_open"] is True
    assert columns["numbers_total"] == 1
    assert columns["state_since"] == "2026-06-15T13:00:00.000000Z"
    assert (added.kind, added.field, added.number_key) == ("number_added", "number_key", NUMBER)
    assert set(json.loads(added.new or "")) == set(NUMBER_FIELDS)


def test_a_number_without_a_status_of_its_own_is_added_without_one() -> None:
    rows = taught(look(1, "submitted", numbers=Whole((NumberSaid(NUMBER),))))[0]
    columns = json.loads(rows[1].new or "")
    assert {name: columns[name] for name in COPIED} == dict.fromkeys(COPIED)


def test_a_number_that_comes_to_a_status_of_its_own_tells_it_as_new() -> None:
    bare = look(1, "Queued", provider="fonedynamics", numbers=Whole((NumberSaid(AU),)))
    own = Whole((NumberSaid(AU, status=Status("Queued")),))
    rows = last(bare, look(2, "Queued", provider="fonedynamics", numbers=own))
    assert (rows[f"{AU}state"].kind, rows[f"{AU}state"].old, rows[f"{AU}state"].new) == (
        "state_changed",
        None,
        "with_provider",
    )
    assert not rows[f"{AU}state"].unexpected


# --- kinds ----------------------------------------------------------------------------------------------

MOVES: list[tuple[str, dict[str, Any], dict[str, Any], tuple[str, str]]] = [
    ("requested date", {"dates": day(1)}, {"dates": day(2)}, ("date_changed", "confirmed_foc_on")),
    (
        "losing carrier",
        {"carriers": Carriers(losing=Carrier("A", "1111"))},
        {"carriers": Carriers(losing=Carrier("A", "2222"))},
        ("carrier_changed", "losing_carrier_spid"),
    ),
    (
        "customer reference",
        {"references": References(customer="A")},
        {"references": References(customer="B")},
        ("reference_changed", "customer_reference"),
    ),
    (
        "messaging",
        {"messaging": Word("pending")},
        {"messaging": Word("ported")},
        ("messaging_changed", "messaging_state"),
    ),
    ("count", {"numbers_total": 3}, {"numbers_total": 4}, ("attribute_changed", "numbers_total")),
    ("tombstone", {"deleted": False}, {"deleted": True}, ("order_deleted", "deleted_at")),
    ("return", {"deleted": True}, {"deleted": False}, ("order_reappeared", "deleted_at")),
    (
        "activation",
        {"numbers": Partial((NumberSaid(NUMBER, activation=Word("New")),))},
        {"numbers": Partial((NumberSaid(NUMBER, activation=Word("Active")),))},
        ("activation_changed", "activation_state"),
    ),
    (
        "messaging of a number",
        {"numbers": Partial((NumberSaid(NUMBER, messaging=Word("pending")),))},
        {"numbers": Partial((NumberSaid(NUMBER, messaging=Word("ported")),))},
        ("messaging_changed", "messaging_state"),
    ),
    (
        "carrier code of a number",
        {"numbers": Partial((NumberSaid(NUMBER, carrier_status=Word("1")),))},
        {"numbers": Partial((NumberSaid(NUMBER, carrier_status=Word("2")),))},
        ("raw_status_changed", "carrier_status_raw"),
    ),
    (
        "requirement of a number",
        {"numbers": Partial((NumberSaid(NUMBER, requirement=Word("requirement-info-pending")),))},
        {"numbers": Partial((NumberSaid(NUMBER, requirement=Word("approved")),))},
        ("requirements_changed", "requirements_status"),
    ),
    (
        "portability of a number",
        {"numbers": Partial((NumberSaid(NUMBER, portability=Word("pending")),))},
        {"numbers": Partial((NumberSaid(NUMBER, portability=Word("confirmed")),))},
        ("attribute_changed", "portability_status"),
    ),
    (
        "number gone from the whole list",
        {"numbers": Whole((NumberSaid(NUMBER),))},
        {"numbers": Whole(())},
        ("number_removed", "is_current"),
    ),
]


@pytest.mark.parametrize(("older", "newer", "expected"), [m[1:] for m in MOVES], ids=[m[0] for m in MOVES])
def test_each_column_tells_its_kind_of_change(
    older: dict[str, Any], newer: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert expected in kinds(look(1, "submitted", **older), look(2, "submitted", **newer))


def test_a_step_tells_state_raw_status_waiting_and_reasons() -> None:
    rows = last(event(1, "submitted"), event(2, "exception", "PASSCODE_PIN_INVALID"))
    told = {name: (row.kind, row.old, row.new) for name, row in rows.items()}
    assert told == {
        "state": ("state_changed", "with_carrier", "exception"),
        "raw_status": ("attribute_changed", "submitted", "exception"),
        "waiting_on": ("waiting_on_changed", "losing_carrier", "us"),
        "why": ("attribute_changed", None, "PIN wrong (PASSCODE_PIN_INVALID)"),
        "waiting_since": ("attribute_changed", "2026-06-15T13:00:00.000000Z", "2026-06-15T14:00:00.000000Z"),
        "reasons": ("reasons_changed", "[]", '["pin_invalid"]'),
        "state_since": ("attribute_changed", "2026-06-15T13:00:00.000000Z", "2026-06-15T14:00:00.000000Z"),
    }
    assert {row.occurred_at for row in rows.values()} == {hour(2)}


def test_a_raw_word_that_moves_alone_is_a_raw_status_change() -> None:
    rows = last(look(1, "Received", provider="fonedynamics"), look(2, "Queued", provider="fonedynamics"))
    assert {name: row.kind for name, row in rows.items()} == {"raw_status": "raw_status_changed"}


def test_a_bare_snapshot_does_not_know_when_it_happened() -> None:
    assert {row.occurred_at for row in taught(look(1, "submitted"), look(2, "exception"))[-1]} == {None}


def test_values_are_plain_text_alike_on_both_databases() -> None:
    moment = day(20).confirmed
    assert isinstance(moment, Moment)
    rows = last(look(1, "submitted"), look(2, "foc-date-confirmed", dates=day(20)))
    assert rows["confirmed_foc_on"].new == moment.on.isoformat() == date(2026, 6, 20).isoformat()
    assert (rows["foc_is_firm"].old, rows["foc_is_firm"].new) == ("false", "true")
    assert rows["first_scheduled_at"].new == "2026-06-15T14:00:00.000000Z"


def test_a_comment_is_told_once_whoever_brings_it() -> None:
    said = Comment("c1", "provider", "please call", hour(1))
    announced = event(2, comment=said, source_id="event")
    listed = look(1, comment=said, source_id="comment:c1", deleted=None)
    told = taught(event(0, "submitted"), announced, listed)
    assert [(row.kind, row.new, row.occurred_at) for row in told[1]] == [("comment_added", "c1", hour(1))]
    assert told[2] == ()


def test_a_document_event_is_told_once_for_each_event() -> None:
    changed = event(2, documents_changed=True)
    assert kinds(event(1, "submitted"), changed) == {("document_changed", "documents")}
    assert kinds(
        event(1, "submitted"), event(2, documents_changed=True), event(3, documents_changed=True)
    ) == {("document_changed", "documents")}


def test_a_tombstone_that_turns_out_to_be_older_is_not_a_second_deletion() -> None:
    gone = look(3, deleted=True)
    rows = last(look(1, "draft"), gone, event(2, deleted=True))
    assert {name: row.kind for name, row in rows.items()} == {
        "deleted_at": "attribute_changed",
        "deletion_basis": "attribute_changed",
    }


# --- late and out of order ------------------------------------------------------------------------------


def test_a_late_step_is_told_as_late_and_changes_nothing_that_stands() -> None:
    known = [event(1, "submitted"), event(9, "ported")]
    rows = last(*known, event(5, "foc-date-confirmed"))
    step = rows["state"]
    assert (step.kind, step.old, step.new, step.late) == ("state_changed", "with_carrier", "scheduled", True)
    assert step.occurred_at == hour(5)
    assert (rows["raw_status"].new, rows["raw_status"].late) == ("foc-date-confirmed", True)
    assert (rows["first_scheduled_at"].new, rows["first_scheduled_at"].late) == (
        "2026-06-15T17:00:00.000000Z",
        False,
    )
    assert set(rows) == {"state", "raw_status", "first_scheduled_at", "waiting_since"}
    order = fold(None, [*known, event(5, "foc-date-confirmed")]).order
    assert (order.state, order.raw_status, order.state_since) == ("ported", "ported", hour(9))


def test_a_late_step_older_than_everything_has_nothing_before_it() -> None:
    step = last(look(5, "submitted"), event(1, "in-process"))["state"]
    assert (step.old, step.new, step.late, step.unexpected) == (None, "with_provider", True, False)


def test_a_late_word_that_was_known_before_or_after_is_no_step() -> None:
    known = [event(1, "submitted"), event(9, "ported")]
    assert not [row for row in taught(*known, event(5, "submitted"))[-1] if row.late]
    assert not [row for row in taught(*known, event(5, "ported"))[-1] if row.late]
    moved = last(*known, event(5, "ported"))
    assert moved["ported_at"].new == "2026-06-15T17:00:00.000000Z"


def test_late_reasons_are_told_even_where_the_state_is_the_same() -> None:
    known = [event(1, "exception", "PASSCODE_PIN_INVALID"), event(9, "exception", "FOC_REJECTED")]
    rows = last(*known, event(5, "exception", "ENTITY_NAME_MISMATCH"))
    assert {(row.kind, row.old, row.new, row.late) for row in rows.values()} == {
        ("reasons_changed", '["pin_invalid"]', '["name_mismatch"]', True)
    }


def test_a_late_regression_is_marked_as_both() -> None:
    step = last(event(1, "foc-date-confirmed"), event(9, "ported"), event(5, "exception"))["state"]
    assert (step.late, step.regression, step.unexpected) == (True, True, False)


def test_a_late_confirmed_date_is_told_and_counts_where_it_belongs() -> None:
    known = [event(1, "foc-date-confirmed", dates=day(20)), event(9, dates=day(22))]
    rows = last(*known, event(5, dates=day(21)))
    assert (rows["confirmed_foc_on"].old, rows["confirmed_foc_on"].new) == ("2026-06-20", "2026-06-21")
    assert rows["confirmed_foc_on"].late
    assert (rows["foc_changes"].old, rows["foc_changes"].new, rows["foc_changes"].late) == ("1", "2", False)


def test_a_late_word_about_messaging_is_told() -> None:
    known = [look(1, "ported", messaging=Word("pending")), look(9, "ported", messaging=Word("ported"))]
    row = last(*known, event(5, messaging=Word("activating")))["messaging_state"]
    assert (row.kind, row.old, row.new, row.late) == ("messaging_changed", "pending", "activating", True)


def test_a_late_history_entry_of_a_number_is_told_with_its_number() -> None:
    def entry(hours: float, word: str) -> Fact:
        said = NumberSaid(AU, status=Status(word))
        return event(hours, provider="fonedynamics", numbers=Partial((said,)))

    row = last(entry(1, "Received"), entry(9, "Completed"), entry(5, "Scheduled"))[f"{AU}state"]
    assert (row.number_key, row.old, row.new, row.late) == (AU, "with_provider", "scheduled", True)


def test_a_number_that_a_list_names_twice_is_told_once() -> None:
    def list_of(hours: float, *words: str) -> Fact:
        raws = (AU, "02 5550 0101")
        said = tuple(NumberSaid(raw, status=Status(word)) for raw, word in zip(raws, words, strict=False))
        return look(hours, "Queued", provider="fonedynamics", numbers=Partial(said))

    told = taught(list_of(1, "Received"), list_of(9, "Completed"), list_of(5, "Scheduled", "Scheduled"))
    assert [row.field for row in told[-1] if row.late] == ["state", "raw_status"]
    assert len([row for row in taught(list_of(1, "Queued", "Queued"))[0] if row.kind == "number_added"]) == 1


def test_facets_are_late_each_for_itself() -> None:
    known = fold(None, [event(5, "submitted")])
    assert is_late(known, event(4, "in-process"))
    assert not is_late(known, event(4, messaging=Word("pending"))), "nothing newer is known of messaging"
    assert not is_late(known, event(4, dates=day(1)))
    assert not is_late(known, event(6, "exception"))
    assert not is_late(None, event(4, "in-process"))
    assert not is_late(known, event(5, "submitted")), "nothing is older than itself"


def test_a_window_taken_in_oldest_first_is_not_late_against_itself() -> None:
    window = [event(2, "in-process"), event(3, "submitted"), event(4, "exception")]
    standing = fold(None, [event(1, "draft")])
    for fact in sorted(window, key=stamp):
        assert not is_late(standing, fact)
        standing = fold(standing, [fact])
