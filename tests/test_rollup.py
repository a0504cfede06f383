"""What follows from an order's facts: who must act and why, dates, counters, the order against its numbers."""

from dataclasses import replace
from datetime import date, datetime

import pytest
from made import account, day, event, hour, look

from aggregator.core.diff import diff
from aggregator.core.fold import fold
from aggregator.core.model import (
    Basis,
    Change,
    Dates,
    Direction,
    Fact,
    Meaning,
    Moment,
    NumberSaid,
    Partial,
    ReasonSaid,
    Status,
    Vocabulary,
    Whole,
    Word,
)
from aggregator.core.normalise import NO_MEANING, normalise
from aggregator.core.standing import Order, Standing

A, B, C = "+13035550101", "+13035550102", "+13035550103"
AU_A, AU_B = "+61255500101", "+61255500102"
OUT = Direction.PORT_OUT


def order_of(*told: Fact) -> Order:
    """An order's columns after these facts."""
    return fold(None, told).order


def step(first: Fact, second: Fact) -> Change:
    """The row of a step between two states."""
    before = fold(None, [first])
    rows = diff(before, fold(before, [second]), second)
    return next(row for row in rows if row.field == "state")


def lines(**statuses: str) -> Whole:
    """Numbers by their last digits, each with a status of its own."""
    said = statuses.items()
    return Whole(tuple(NumberSaid(f"+612555001{digits[1:]}", Status(word)) for digits, word in said))


def entry(hours: float, number: str, word: str, read: float | None = None) -> Fact:
    """A history entry of one number at Fone Dynamics."""
    said = Partial((NumberSaid(number, status=Status(word)),))
    return event(
        hours, provider="fonedynamics", numbers=said, read=read, source_id=f"history/{number}/{hours}"
    )


def fone(hours: float, word: str | None, numbers: Whole | None = None) -> Fact:
    """A look at an order at Fone Dynamics."""
    return look(hours, word, provider="fonedynamics", numbers=numbers)


# --- transitions ----------------------------------------------------------------------------------------


def test_a_surprise_is_flagged_and_never_refused() -> None:
    odd = step(event(1, "draft"), event(2, "ported"))
    assert (odd.new, odd.unexpected, odd.regression) == ("ported", True, False)
    back = step(event(1, "ported"), event(2, "submitted"))
    assert (back.new, back.unexpected, back.regression) == ("with_carrier", True, True)


def test_leaving_a_terminal_state_reopens_the_order() -> None:
    order = order_of(event(1, "ported"), event(2, "submitted"))
    assert (order.is_open, order.ended_at, order.ported_at) == (True, None, None)


def test_a_jump_between_two_reads_is_an_ordinary_step() -> None:
    jump = step(look(1, "submitted"), look(2, "ported"))
    assert (jump.regression, jump.unexpected, jump.late) == (False, False, False)


def test_a_confirmed_date_lost_to_an_exception_is_a_regression() -> None:
    lost = step(event(1, "foc-date-confirmed"), event(2, "exception"))
    assert (lost.regression, lost.unexpected) == (True, False)
    assert step(event(1, "foc-date-confirmed"), event(2, "submitted")).regression


def test_a_refusal_that_was_turned_down_leads_back_and_is_expected() -> None:
    back = step(event(1, "rejected-pending", direction=OUT), event(2, "pending", direction=OUT))
    assert (back.regression, back.unexpected) == (True, False)


def test_each_way_back_from_an_exception_is_a_submission_cycle() -> None:
    life = ["submitted", "exception", "submitted", "exception", "in-process", "submitted", "exception"]
    facts = [event(place, word) for place, word in enumerate(life)]
    assert order_of(*facts).submission_cycle == 2
    assert order_of(*facts, event(9, "cancel-pending")).submission_cycle == 2
    assert order_of(event(1, "exception"), event(2, "foc-date-confirmed")).submission_cycle == 0


def test_a_late_exception_counts_where_it_belongs() -> None:
    known = [event(1, "submitted"), event(5, "submitted"), event(9, "ported")]
    assert order_of(*known).submission_cycle == 0
    assert order_of(*known, event(3, "exception")).submission_cycle == 1


DATES = [
    ((), 0),
    ((20,), 0),
    ((20, 20), 0),
    ((20, 21), 1),
    ((0, 20), 0),  # none → a date
    ((20, 0), 0),  # a date is lost
    ((20, 0, 20), 0),  # and the same one comes back
    ((20, 0, 21), 1),  # or another
    ((20, 0, 20, 0, 21, 0, 20), 2),
    ((20, 21, 20), 2),
]


@pytest.mark.parametrize(("days", "changes"), DATES, ids=["→".join(map(str, days)) for days, _ in DATES])
def test_only_a_move_from_one_confirmed_date_to_another_is_a_foc_change(
    days: tuple[int, ...], changes: int
) -> None:
    facts = [look(place, "foc-date-confirmed", dates=day(which)) for place, which in enumerate(days)]
    assert order_of(look(-1, "draft"), *facts).foc_changes == changes


# --- dates and firmness ---------------------------------------------------------------------------------

FIRM = [
    ("draft", False),
    ("submitted", False),
    ("exception", False),
    ("foc-date-confirmed", True),
    ("ported", True),
    ("cancelled", False),
]


@pytest.mark.parametrize(("word", "firm"), FIRM, ids=[word for word, _ in FIRM])
def test_a_date_is_firm_only_from_scheduled_on(word: str, firm: bool) -> None:
    assert order_of(look(1, word, dates=day(20))).foc_is_firm is firm
    assert order_of(look(1, word, dates=day(0))).foc_is_firm is False


def test_leaving_scheduled_keeps_the_date_and_ends_its_firmness() -> None:
    order = order_of(event(1, "foc-date-confirmed", dates=day(20)), event(2, "exception"))
    assert (order.confirmed_foc_on, order.foc_is_firm) == (date(2026, 6, 20), False)
    assert order.first_scheduled_at == hour(1)


def test_a_day_has_no_time_and_a_moment_has_both() -> None:
    requested = Dates(requested=Moment(date(2026, 6, 20), hour(120)))
    order = order_of(look(1, "submitted", dates=requested), event(2, dates=day(21)))
    assert (order.requested_foc_on, order.requested_foc_at) == (date(2026, 6, 20), hour(120))
    assert (order.confirmed_foc_on, order.confirmed_foc_at) == (date(2026, 6, 21), None)


def ported(order: Order) -> tuple[datetime | None, str | None, datetime | None]:
    """When and how an order's numbers moved, and when it ended."""
    return order.ported_at, order.ported_at_source, order.ended_at


def test_the_ported_event_says_when_else_the_first_sight() -> None:
    announced, seen = event(3, "ported"), look(2, "ported", read=4)
    assert ported(order_of(seen)) == (hour(2), "observed", hour(2))
    assert ported(order_of(announced)) == (hour(3), "event", hour(3))
    assert (
        ported(order_of(seen, announced)) == ported(order_of(announced, seen)) == (hour(3), "event", hour(3))
    )


def test_an_order_given_back_keeps_when_it_had_ported() -> None:
    mine = {Vocabulary.PORT_IN: {"given back": Meaning("reverted")}}
    back = normalise(event(5, "given back"), account("telnyx", operator=mine).words)
    order = order_of(event(3, "ported"), back)
    assert (order.state, order.ported_at, order.ended_at) == ("reverted", hour(3), hour(5))
    assert step(event(3, "ported"), back).unexpected is False


def test_history_entries_of_all_numbers_say_when_the_order_ported() -> None:
    seen = fone(9, "Completed", lines(n01="Completed", n02="Completed"))
    assert ported(order_of(seen)) == (hour(9), "observed", hour(9))
    one, two = entry(3, "+61255500101", "Completed"), entry(4, "+61255500102", "Completed")
    assert ported(order_of(seen, one)) == (hour(9), "observed", hour(9)), "one of two is not enough"
    assert ported(order_of(one, seen, two)) == (hour(4), "event", hour(4))
    told = event(5, "Completed", provider="fonedynamics")
    assert ported(order_of(one, seen, two, told)) == (hour(5), "event", hour(5)), "the order's own event wins"


def test_history_entries_of_all_numbers_say_since_when_the_order_is_where_it_is() -> None:
    seen = fone(9, "Rejected", lines(n01="Rejected", n02="Rejected"))
    one, two = entry(3, "+61255500101", "Rejected"), entry(4, "+61255500102", "Rejected")
    order = order_of(fone(1, "Queued", lines(n01="Queued", n02="Queued")), one, seen)
    assert order.state_since == hour(9), "one of two is not enough"
    assert order.waiting_since == hour(3), "but it needs us since then"
    order = order_of(fone(1, "Queued", lines(n01="Queued", n02="Queued")), one, seen, two)
    assert (order.state_since, order.waiting_since, order.waiting_on) == (hour(4), hour(3), "us")
    late = entry(11, "+61255500102", "Rejected")
    assert order_of(one, seen, late).state_since == hour(9), "never later than it was seen"


def test_only_what_was_announced_says_when_a_number_moved() -> None:
    told = [
        fone(1, "Queued", lines(n01="Completed", n02="Queued")),
        entry(2, AU_A, "Queued"),
        entry(3, AU_A, "Cancelled"),
        fone(9, "Processing", lines(n01="Cancelled", n02="Cancelled")),
    ]
    mine = {Vocabulary.PORT_IN: {"processing": Meaning("partially_ported"), "cancelled": Meaning("reverted")}}
    words = account("fonedynamics", operator=mine).words
    order = order_of(*(normalise(fact, words) for fact in [*told, entry(4, AU_B, "Cancelled")]))
    assert (order.ended_at, order.ported_at, order.ported_at_source) == (hour(4), hour(9), "observed")


def test_where_the_order_itself_was_announced_its_numbers_have_no_say() -> None:
    mine = {Vocabulary.PORT_IN: {"given back": Meaning("reverted")}}
    words = account("fonedynamics", operator=mine).words
    seen = [
        fone(6, "Completed", lines(n01="Completed")),
        entry(2, AU_A, "Completed"),
        entry(7, AU_A, "given back"),
    ]
    announced = event(9, "given back", provider="fonedynamics")
    assert ported(order_of(*(normalise(fact, words) for fact in [*seen, announced]))) == (
        hour(2),
        "event",
        hour(9),
    )
    told = [
        event(5, "Completed", provider="fonedynamics"),
        *seen[1:],
        fone(9, "given back", lines(n01="given back")),
    ]
    assert ported(order_of(*(normalise(fact, words) for fact in told))) == (hour(5), "event", hour(7))


def test_numbers_that_left_the_order_have_no_say_in_when_it_ported() -> None:
    first = fone(1, "Queued", lines(n01="Queued", n02="Queued"))
    told = [first, entry(3, "+61255500101", "Completed"), fone(9, "Completed", lines(n01="Completed"))]
    assert ported(order_of(*told)) == (hour(3), "event", hour(3))


def test_an_order_that_ended_unported_ended_with_its_last_number() -> None:
    seen = fone(9, "Cancelled", lines(n01="Cancelled", n02="Completed"))
    told = [seen, entry(3, "+61255500101", "Cancelled"), entry(4, "+61255500102", "Completed")]
    assert ported(order_of(*told)) == (None, None, hour(4))


def test_history_entries_of_all_numbers_say_when_an_order_was_submitted_and_first_scheduled() -> None:
    seen = fone(9, "Queued", lines(n01="Queued", n02="Queued"))
    one, two = entry(3, AU_A, "Queued"), entry(4, AU_B, "Queued")
    assert order_of(seen, one).submitted_at == hour(9), "one of two is not enough"
    assert order_of(seen, one, two).submitted_at == hour(4)
    agreed = entry(5, AU_A, "Scheduled"), entry(6, AU_B, "Scheduled")
    ended = fone(9, "Completed", lines(n01="Completed", n02="Completed"))
    order = order_of(one, two, *agreed, ended)
    assert (order.submitted_at, order.first_scheduled_at) == (hour(4), hour(6)), "only its end was seen"
    assert order_of(ended).submitted_at is None


def test_a_port_in_was_submitted_when_it_left_our_hands_and_a_port_out_never_was() -> None:
    assert order_of(event(1, "draft"), event(2, "in-process"), event(3, "submitted")).submitted_at == hour(2)
    assert order_of(event(1, "draft"), event(3, "submitted")).submitted_at == hour(3)
    assert (
        order_of(event(1, "pending", direction=OUT), event(2, "rejected-pending", direction=OUT)).submitted_at
        is None
    )


CAUSES = [
    (("submitted", "cancel-pending", "cancelled"), Direction.PORT_IN, "us"),
    (("submitted", "cancelled"), Direction.PORT_IN, "unknown"),
    (("cancel-pending", "submitted", "cancelled"), Direction.PORT_IN, "unknown"),
    (("pending", "canceled"), Direction.PORT_OUT, "unknown"),
    (("pending", "asked to cancel", "canceled"), Direction.PORT_OUT, "unknown"),
    (("pending", "rejected"), Direction.PORT_OUT, None),
    (("submitted", "ported"), Direction.PORT_IN, None),
]


@pytest.mark.parametrize(
    ("words", "direction", "cause"), CAUSES, ids=[" ".join(words) for words, *_ in CAUSES]
)
def test_who_ended_an_order_is_said_only_as_far_as_it_is_known(
    words: tuple[str, ...], direction: Direction, cause: str | None
) -> None:
    mine = {Vocabulary.PORT_OUT: {"asked to cancel": Meaning("cancel_pending")}}
    facts = [event(place, word, direction=direction) for place, word in enumerate(words)]
    known = account("telnyx", operator=mine).words
    assert order_of(*(normalise(fact, known) for fact in facts)).end_cause == cause


# --- messaging ------------------------------------------------------------------------------------------

MESSAGING = [
    ("not_applicable", "not_applicable", False),
    ("pending", "pending", False),
    ("activating", "activating", True),
    ("exception", "exception", True),
    ("canceled", "cancelled", False),
    ("partial_port_complete", "partially_ported", True),
    ("ported", "ported", False),
    ("never-heard-of", "unknown", True),  # what nobody knows is not over
]


@pytest.mark.parametrize(("word", "state", "opened"), MESSAGING, ids=[word for word, *_ in MESSAGING])
def test_a_ported_order_stays_open_for_messaging_until_that_closes(
    word: str, state: str, opened: bool
) -> None:
    order = order_of(look(1, "ported", messaging=Word(word)))
    assert (order.messaging_state, order.messaging_open, order.is_open) == (state, opened, False)
    assert order_of(look(1, "submitted", messaging=Word(word))).messaging_open is False


# --- the order against its numbers ----------------------------------------------------------------------


def test_numbers_without_a_life_of_their_own_are_copies_of_the_order() -> None:
    numbers = Whole((NumberSaid(A, activation=Word("Active")), NumberSaid(B)))
    standing = fold(None, [look(1, "submitted", numbers=numbers), event(2, "ported")])
    first = standing.numbers[A]
    assert (first.state, first.raw_status, first.mapping_basis) == ("ported", "ported", "documented")
    assert (first.state_since, first.ported_at, first.own) == (hour(2), hour(2), False)
    assert (standing.order.rollup_state, standing.order.is_mixed) == ("ported", False)


def test_an_active_number_is_counted_and_never_moves_to_ported_by_itself() -> None:
    numbers = Whole((NumberSaid(A, activation=Word("Active")), NumberSaid(B, activation=Word("Sending"))))
    standing = fold(None, [look(1, "foc-date-confirmed", numbers=numbers)])
    assert (standing.order.numbers_active, standing.order.numbers_ported) == (1, 0)
    assert standing.numbers[A].state == "scheduled"


def counts(order: Order) -> tuple[int, int, int, int]:
    """Total, ported, open, ended unported."""
    return order.numbers_total, order.numbers_ported, order.numbers_open, order.numbers_ended_unported


def test_the_total_is_the_providers_count_where_the_list_is_cut_off() -> None:
    cut_off = Partial((NumberSaid(A), NumberSaid(B)))
    assert counts(order_of(look(1, "submitted", numbers=cut_off, numbers_total=120))) == (120, 0, 120, 0)
    assert counts(order_of(look(1, "ported", numbers=cut_off, numbers_total=120))) == (120, 120, 0, 0)
    assert counts(order_of(look(1, "cancelled", numbers=cut_off, numbers_total=120))) == (120, 0, 0, 120)


def test_a_whole_list_as_new_as_the_count_says_how_many_there_are() -> None:
    whole = Whole((NumberSaid(A), NumberSaid(B)))
    assert counts(order_of(look(1, "submitted", numbers=whole, numbers_total=3)))[0] == 2
    later = look(2, "submitted", numbers_total=3)
    assert counts(order_of(look(1, "submitted", numbers=whole), later))[0] == 3


def test_numbers_with_a_life_of_their_own_are_counted_one_by_one() -> None:
    told = fone(1, "Processing", lines(n01="Completed", n02="Cancelled", n03="Queued"))
    order = order_of(told)
    assert counts(order) == (3, 1, 1, 1)
    assert (order.state, order.rollup_state, order.is_mixed) == ("with_provider", "with_provider", True)


def test_the_orders_own_word_stands_whatever_its_numbers_add_up_to() -> None:
    order = order_of(fone(1, "Completed", lines(n01="Completed", n02="Queued")))
    assert (order.state, order.rollup_state, order.numbers_open) == ("ported", "with_provider", 1)
    assert order.disagreement == "ported_with_open_numbers"


def test_an_order_that_is_open_while_all_its_numbers_ended_is_reported() -> None:
    ended, one_left = lines(n01="Completed", n02="Cancelled"), lines(n01="Completed", n02="Queued")
    order = order_of(fone(1, "Queued", ended))
    assert (order.state, order.is_open) == ("with_provider", True)
    assert order.disagreement == "open_with_all_numbers_ended"
    assert order_of(fone(1, "Queued", one_left)).disagreement is None
    assert order_of(fone(1, "Completed", ended)).disagreement is None
    known_in_part = Partial(ended.numbers)
    cut_off = look(1, "Queued", provider="fonedynamics", numbers=known_in_part, numbers_total=3)
    assert order_of(cut_off).disagreement is None


def test_a_disagreement_ends_with_its_cause() -> None:
    both, one = lines(n01="Completed", n02="Queued"), lines(n01="Completed")
    assert order_of(fone(1, "Completed", both), fone(2, "Completed", one)).disagreement is None
    late = entry(2, "+61255500102", "Completed")
    before, after = fold(None, [fone(1, "Completed", both)]), order_of(fone(1, "Completed", both), late)
    assert after.disagreement is None
    (row,) = [row for row in diff(before, fold(before, [late]), late) if row.field == "disagreement"]
    assert (row.kind, row.old, row.new) == ("attribute_changed", "ported_with_open_numbers", None)


@pytest.mark.parametrize("word", ["submitted", "foc-date-confirmed", "ported", "cancelled"])
def test_numbers_that_only_copy_their_order_never_contradict_it(word: str) -> None:
    active = NumberSaid(A, activation=Word("Active")), NumberSaid(B, activation=Word("Failed"))
    assert order_of(look(1, word, numbers=Whole(active))).disagreement is None


def test_all_ended_and_some_moved_is_partially_ported() -> None:
    order = order_of(fone(1, "Processing", lines(n01="Completed", n02="Cancelled")))
    assert (order.rollup_state, order.is_mixed) == ("partially_ported", True)


def test_an_order_without_a_word_of_its_own_is_where_its_numbers_are() -> None:
    told = [
        fone(1, None, lines(n01="Queued", n02="Queued")),
        entry(2, "+61255500101", "Scheduled"),
        entry(3, "+61255500102", "Scheduled"),
        entry(4, "+61255500101", "Completed"),
        entry(5, "+61255500102", "Completed"),
    ]
    states = [order_of(*told[: end + 1]).state for end in range(len(told))]
    assert states == ["with_provider", "with_provider", "scheduled", "scheduled", "ported"]
    order = order_of(*told)
    assert (order.raw_status, order.mapping_basis, order.waiting_on) == (None, "guess", "nobody")
    assert (order.ported_at, order.ported_at_source) == (hour(5), "event")
    assert order.first_scheduled_at == hour(3)


def test_a_number_that_left_has_no_say_in_where_such_an_order_is() -> None:
    both, one = lines(n01="Completed", n02="Queued"), lines(n01="Completed")
    assert order_of(fone(1, None, both)).state == "with_provider"
    left = order_of(fone(1, None, both), fone(2, None, one))
    assert (left.state, left.state_since) == ("ported", hour(2))


NULL = Status(None, (), NO_MEANING)


def test_a_status_that_is_null_is_unknown_where_there_was_a_word_before() -> None:
    order = order_of(fone(1, "Queued", lines(n01="Queued")), replace(fone(2, None), status=NULL))
    assert (order.state, order.raw_status, order.mapping_basis) == ("unknown", None, "none")


def test_a_status_that_was_never_more_than_null_is_none_of_the_orders_own() -> None:
    order = order_of(replace(fone(2, None, lines(n01="Queued")), status=NULL))
    assert (order.state, order.waiting_on, order.mapping_basis) == ("with_provider", "provider", "inferred")


def test_an_order_whose_provider_has_a_word_for_it_is_not_rolled_up() -> None:
    told = fone(3, "Queued", lines(n01="Completed"))
    assert order_of(entry(1, "+61255500101", "Completed")).state == "ported"
    assert order_of(entry(1, "+61255500101", "Completed"), told).state == "with_provider"


def test_a_guess_among_numbers_makes_the_sum_a_guess() -> None:
    assert order_of(entry(1, AU_A, "Queued"), entry(2, AU_B, "Queued")).mapping_basis == Basis.INFERRED
    assert order_of(entry(1, AU_A, "Queued"), entry(2, AU_B, "Completed")).mapping_basis == Basis.GUESS


# --- numbers that come and go ---------------------------------------------------------------------------


def numbers_of(*told: Fact) -> Standing:
    """The standing, for its numbers."""
    return fold(None, told)


def test_a_number_is_removed_only_by_a_whole_list_that_lacks_it() -> None:
    both = look(1, "submitted", numbers=Whole((NumberSaid(A), NumberSaid(B))))
    one, part = Whole((NumberSaid(A),)), Partial((NumberSaid(A),))
    partly = numbers_of(both, look(2, "submitted", numbers=part))
    assert partly.numbers[B].is_current
    wholly = numbers_of(both, look(2, "submitted", numbers=part), look(3, "submitted", numbers=one))
    assert (wholly.numbers[B].is_current, wholly.numbers[B].removed_at) == (False, hour(3))
    assert (wholly.numbers[A].is_current, wholly.order.numbers_total) == (True, 1)


def test_a_removed_number_that_is_spoken_of_again_is_back() -> None:
    both, one = Whole((NumberSaid(A), NumberSaid(B))), Whole((NumberSaid(A),))
    told = [look(1, "submitted", numbers=both), look(2, "submitted", numbers=one)]
    back = numbers_of(*told, look(3, "submitted", numbers=both))
    assert (back.numbers[B].is_current, back.numbers[B].removed_at, back.numbers[B].added_at) == (
        True,
        None,
        hour(1),
    )
    gone_again = numbers_of(*told, look(3, "submitted", numbers=both), look(4, "submitted", numbers=one))
    assert gone_again.numbers[B].removed_at == hour(4)
    still_gone = numbers_of(*told, look(3, "submitted", numbers=one), look(4, "submitted", numbers=one))
    assert still_gone.numbers[B].removed_at == hour(2)


def test_a_whole_list_that_comes_late_removes_nothing_newer() -> None:
    told = [look(3, "submitted", numbers=Whole((NumberSaid(A), NumberSaid(C)))), look(2, numbers=Whole(()))]
    assert all(number.is_current for number in numbers_of(*told).numbers.values())


def test_the_numbers_of_a_removed_one_are_not_counted() -> None:
    told = [fone(1, "Queued", lines(n01="Queued", n02="Completed")), fone(2, "Queued", lines(n01="Queued"))]
    order = order_of(*told)
    assert counts(order) == (1, 0, 1, 0)
    assert order.is_mixed is False


# --- tombstones -----------------------------------------------------------------------------------------


def test_a_deleted_order_keeps_its_last_state() -> None:
    order = order_of(look(1, "draft"), event(2, deleted=True))
    assert (order.state, order.is_open, order.deleted_at, order.deletion_basis) == (
        "draft",
        False,
        hour(2),
        "event",
    )


def test_a_404_on_the_order_itself_is_a_tombstone_too() -> None:
    order = order_of(look(1, "draft"), look(2, deleted=True))
    assert (order.deleted_at, order.deletion_basis) == (hour(2), "not_found")


def test_an_order_that_is_seen_again_is_there_again() -> None:
    told = [look(1, "draft"), event(2, deleted=True), look(3, "draft")]
    assert (order_of(*told).deleted_at, order_of(*told).is_open) == (None, True)
    assert order_of(*told, look(5, deleted=True)).deleted_at == hour(5)


def test_an_order_went_when_it_was_first_found_gone() -> None:
    told = [look(1, "draft"), event(2, deleted=True), look(3, deleted=True)]
    assert (order_of(*told).deleted_at, order_of(*told).deletion_basis) == (hour(2), "event")


# --- reasons over time ----------------------------------------------------------------------------------


def held(*told: Fact) -> list[tuple[str, datetime, datetime | None]]:
    """Each reason with its span."""
    return [(one.raw_code, one.since, one.until) for one in fold(None, told).reasons]


def test_a_reason_is_held_from_the_first_fact_that_gives_it_to_the_first_that_does_not() -> None:
    pin, date_ = "PASSCODE_PIN_INVALID", "FOC_REJECTED"
    told = [event(1, "exception", pin), event(2, "exception", pin, date_), event(3, "submitted")]
    assert held(*told[:2]) == [(pin, hour(1), None), (date_, hour(2), None)]
    assert held(*told) == [(pin, hour(1), hour(3)), (date_, hour(2), hour(3))]
    again = held(*told, event(4, "exception", pin))
    assert again == [(pin, hour(1), hour(3)), (date_, hour(2), hour(3)), (pin, hour(4), None)]


def test_a_reason_given_and_taken_back_at_one_moment_was_not_held() -> None:
    pin = "PASSCODE_PIN_INVALID"
    at_once = [
        event(1, "exception", pin, source_id="a"),
        event(1, "submitted", source_id="b"),
        event(1, "exception", pin, source_id="c"),
    ]
    assert held(*at_once) == [(pin, hour(1), None)]


def test_a_late_reason_is_held_where_it_belongs() -> None:
    told = [event(1, "submitted"), event(9, "submitted"), event(5, "exception", "OTHER")]
    assert held(*told) == [("OTHER", hour(5), hour(9))]


def test_a_number_holds_its_own_reasons_whoever_is_told_of_beside_it() -> None:
    def told(hours: float, raw: str, word: str, *codes: str) -> Fact:
        status = Status(word, tuple(ReasonSaid(code) for code in codes))
        fact = event(hours, provider="fonedynamics", numbers=Partial((NumberSaid(raw, status=status),)))
        return normalise(fact, account("fonedynamics").words)

    facts = [told(1, AU_A, "Rejected", "NO-1"), told(2, AU_B, "Rejected", "NO-2"), told(3, AU_A, "Queued")]
    standing: Standing | None = None
    for fact in facts:
        standing = fold(standing, [fact])
    assert standing is not None
    assert [(one.number_key, one.raw_code, one.since, one.until) for one in standing.reasons] == [
        (AU_A, "NO-1", hour(1), hour(3)),
        (AU_B, "NO-2", hour(2), None),
    ]
