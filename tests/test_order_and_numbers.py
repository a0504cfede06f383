"""An order's own word beside those of its numbers: which of them need us, which did not move, when it all began."""

from collections.abc import Iterator
from typing import Any

import pytest
from filled import Filler
from made import account, event, hour, look

from aggregator.core.diff import diff
from aggregator.core.fold import fold
from aggregator.core.model import (
    Fact,
    Meaning,
    NumberSaid,
    Partial,
    Status,
    Vocabulary,
    WaitingOn,
    Whole,
)
from aggregator.core.normalise import normalise
from aggregator.core.standing import Order, Standing
from aggregator.store import open_store
from aggregator.store.queries import Reader

A, B, C = "+61255500101", "+61255500102", "+61255500103"


@pytest.fixture
def filler(database_url: str) -> Iterator[Filler]:
    store = open_store(database_url)
    yield Filler(store)
    store.close()


def rows(filler: Filler, query: str) -> list[dict[str, Any]]:
    return [dict(row) for row in Reader(filler.store.engine).query(query, {})]


def fone(hours: float, word: str | None, *words: str, **said: Any) -> Fact:
    """A look at an order at Fone Dynamics and at its numbers, one after the other."""
    lines = tuple(
        NumberSaid(number, Status(line) if line else Status(None))
        for number, line in zip((A, B, C), words, strict=False)
    )
    return look(hours, word, provider="fonedynamics", numbers=Whole(lines), **said)


def entry(hours: float, number: str, word: str) -> Fact:
    """A history entry of one number."""
    said = Partial((NumberSaid(number, status=Status(word)),))
    return event(hours, provider="fonedynamics", numbers=said, source_id=f"history/{number}/{hours}")


def standing(*told: Fact) -> Standing:
    """As the facts come, one by one; the same as all at once."""
    stands = None
    for fact in told:
        stands = fold(stands, [fact])
    assert stands is not None and stands == fold(None, told)
    return stands


def order_of(*told: Fact) -> Order:
    return standing(*told).order


# --- a number that needs us -----------------------------------------------------------------------------


def test_a_refused_number_in_an_order_under_way_waits_for_us() -> None:
    order = order_of(fone(1, "Queued", "Queued", "Queued"), fone(5, "Queued", "Queued", "Rejected"))
    assert (order.state, order.raw_status) == ("with_provider", "Queued")
    assert (order.waiting_on, order.waiting_since, order.disagreement) == ("us", hour(5), "numbers_need_more")
    assert order.why == f"{B}: refused without a reason; the provider's comments or its support may give one"


def test_what_several_numbers_wait_for_is_told_together_and_in_a_fixed_order() -> None:
    order = order_of(fone(1, "Queued", "Rejected", "Wobbling", "Rejected"))
    refused = "refused without a reason; the provider's comments or its support may give one"
    assert order.why == f"{A}, {C}: {refused}; {B}: status nobody knows: Wobbling"
    assert order.waiting_on == "us"


def test_a_number_in_a_state_nobody_knows_is_for_somebody_to_look_at() -> None:
    order = order_of(fone(1, "Queued", "Queued", "Wobbling"))
    assert (order.waiting_on, order.why) == ("unknown", f"{B}: status nobody knows: Wobbling")
    assert order.disagreement == "numbers_need_more"


@pytest.mark.parametrize(
    ("word", "line", "who", "disagreement"),
    [
        ("Scheduled", "Rejected", "us", "numbers_need_more"),
        ("Submitted", "Rejected", "us", "numbers_need_more"),
        ("Completed", "Rejected", "us", "ported_with_open_numbers"),
        ("Rejected", "Rejected", "us", None),  # its own word says so
        ("Queued", "Cancelled", "provider", None),
        ("Cancelled", "Rejected", "nobody", None),  # what ended needs nothing of its numbers
        ("Queued", "Submitted", "provider", None),
    ],
)
def test_the_worst_of_the_open_numbers_counts(
    word: str, line: str, who: str, disagreement: str | None
) -> None:
    order = order_of(fone(1, word, "Submitted" if word != "Completed" else "Completed", line))
    assert (order.waiting_on, order.disagreement) == (who, disagreement)


def test_a_number_that_is_mended_or_gone_needs_us_no_more() -> None:
    troubled = fone(1, "Queued", "Queued", "Rejected")
    assert order_of(troubled, entry(3, B, "Queued")).waiting_on == "provider"
    assert order_of(troubled, fone(3, "Queued", "Queued")).waiting_on == "provider"
    again = order_of(troubled, entry(3, B, "Queued"), entry(4, B, "Rejected"))
    assert (again.waiting_on, again.waiting_since) == ("us", hour(4))


def test_an_operators_word_counts_for_a_number_too() -> None:
    mine = {Vocabulary.PORT_IN: {"sign": Meaning("with_carrier", waiting_on=WaitingOn.US)}}
    words = account("fonedynamics", operator=mine).words
    order = fold(None, [normalise(fone(1, "Queued", "Queued", "Sign"), words)]).order
    assert (order.waiting_on, order.why) == ("us", f"{B}: an act of ours is needed")


def test_such_an_order_is_on_the_work_list_and_urgent(filler: Filler) -> None:
    first = ("06-02 01:00", "Received", "Queued", "1")
    refused = ("06-03 03:00", "Queued", "Rejected", "2")
    filler.fone("P-1", "06-03 04:00", "Queued", (A, "Queued", (first,)), (B, "Rejected", (first, refused)))
    filler.fone("P-2", "06-03 04:00", "Queued", (A, "Queued", (first,)), (B, "Wobbling", (first,)))
    filler.fone("P-3", "06-03 04:00", "Queued", (A, "Queued", (first,)))
    found = rows(filler, "select provider_order_id, urgency, why from v1_waiting order by provider_order_id")
    assert [(row["provider_order_id"], row["urgency"]) for row in found] == [("P-1", 2), ("P-2", 2)]
    groups = rows(filler, "select display_group from v1_orders order by provider_order_id")
    assert [row["display_group"] for row in groups] == ["waiting_for_us", "waiting_for_us", "in_progress"]


# --- numbers that did not move --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        (("Completed", "Completed"), "ported"),
        (("Completed", "Cancelled"), "partially_ported"),
        (("Cancelled", "Cancelled"), "cancelled"),  # none moved
        (("Completed", "Queued"), "ported"),  # still under way: reported as a disagreement
        (("Completed",), "ported"),
    ],
)
def test_a_completed_order_whose_numbers_did_not_all_move_is_partially_ported(
    lines: tuple[str, ...], state: str
) -> None:
    order = order_of(fone(1, "Completed", *lines))
    assert (order.state, order.raw_status, order.mapping_basis) == (state, "Completed", "guess")
    assert order.is_open is False
    assert order.waiting_on == ("us" if state == "partially_ported" else "nobody")
    if state == "partially_ported":
        assert (order.why, order.disagreement) == ("some numbers did not move", None)
        assert (order.ended_at, order.state_since) == (hour(1), hour(1))


def test_numbers_that_end_later_than_their_order_change_what_it_is() -> None:
    before = standing(fone(1, "Completed", "Completed", "Queued"))
    told = entry(3, B, "Cancelled")
    after = fold(before, [told])
    assert (before.order.state, after.order.state) == ("ported", "partially_ported")
    assert (after.order.state_since, after.order.waiting_since) == (hour(3), hour(3))
    (step,) = [row for row in diff(before, after, told) if row.field == "state" and not row.number_key]
    assert (step.old, step.new, step.unexpected) == ("ported", "partially_ported", False)
    assert fold(after, [fone(5, "Completed", "Completed", "Completed")]).order.state == "ported"


def test_numbers_that_are_only_copies_have_no_say() -> None:
    lines = Whole((NumberSaid("+13035550101"), NumberSaid("+13035550102")))
    assert order_of(look(1, "ported", numbers=lines)).state == "ported"


# --- when it began, how often it was submitted ----------------------------------------------------------


def test_a_history_that_begins_by_leaving_received_dates_it_from_the_orders_making(filler: Filler) -> None:
    first = ("06-02 05:00", "Received", "Queued", "1")
    filler.fone("P-1", "06-03 04:00", "Queued", (A, "Queued", (first,)))  # made on the 2nd at midnight
    filler.fone("P-2", "06-03 04:00", "Queued", (A, "Queued", (("06-02 05:00", "Odd", "Queued", "1"),)))
    columns = "state_since, submitted_at"
    one, two = rows(filler, f"select {columns} from v1_orders order by provider_order_id")
    assert one == dict.fromkeys(one, "2026-06-02T00:00:00.000000Z")
    assert two == dict.fromkeys(two, "2026-06-02T05:00:00.000000Z")
    (line, _) = rows(filler, "select state_since from v1_numbers order by order_id")
    assert line["state_since"] == "2026-06-02T00:00:00.000000Z"
    assert len(rows(filler, "select * from v1_events")) == 2


def test_an_order_still_received_of_which_nothing_was_entered_is_so_from_its_making_on(
    filler: Filler,
) -> None:
    filler.fone("P-1", "06-03 04:00", "Received", (A, "Received", ()))  # made on the 2nd at midnight
    filler.fone("P-2", "06-03 04:00", "Queued", (A, "Queued", ()))  # may have been elsewhere meanwhile
    columns = "state_since, waiting_since, submitted_at"
    one, two = rows(filler, f"select {columns} from v1_orders order by provider_order_id")
    assert one == dict.fromkeys(one, "2026-06-02T00:00:00.000000Z")
    assert two == dict.fromkeys(two, "2026-06-03T04:00:00.000000Z")
    queued = (("06-04 05:00", "Received", "Queued", "1"),)
    filler.fone("P-1", "06-05 04:00", "Queued", (A, "Queued", queued))
    (again, _) = rows(filler, f"select {columns} from v1_orders order by provider_order_id")
    assert again == one


def test_the_histories_of_numbers_tell_what_happened_between_two_looks() -> None:
    before, after = fone(1, "Queued", "Queued", "Queued"), fone(9, "Queued", "Queued", "Queued")
    once = [entry(2, A, "Rejected"), entry(3, B, "Rejected"), entry(4, A, "Queued"), entry(5, B, "Queued")]
    assert order_of(before, *once, after).submission_cycle == 1
    twice = [*once, entry(6, B, "Rejected"), entry(7, B, "Queued")]
    assert order_of(before, *twice, after).submission_cycle == 2
    apart = [entry(2, A, "Rejected"), entry(3, A, "Queued"), entry(4, B, "Rejected"), entry(5, B, "Queued")]
    assert order_of(before, *apart, after).submission_cycle == 2
    assert order_of(before, after).submission_cycle == 0


# --- a date that is not firm ----------------------------------------------------------------------------


def dated(hours: float, word: str, day: int) -> Fact:
    from made import day as date

    return fone(hours, word, "Queued", dates=date(day))


def test_only_firm_dates_that_move_are_counted() -> None:
    proposed = [dated(1, "Queued", 20), dated(2, "Queued", 21), dated(3, "Queued", 22)]
    assert (order_of(*proposed).foc_changes, order_of(*proposed).foc_state) == (0, "proposed")
    firm = [*proposed, dated(4, "Scheduled", 23), dated(5, "Scheduled", 24)]
    assert (order_of(*firm).foc_changes, order_of(*firm).foc_state) == (1, "firm")
    lost = [*firm, dated(6, "Rejected", 25), dated(7, "Rejected", 26)]
    assert order_of(*lost).foc_changes == 1
    assert order_of(*lost, dated(8, "Scheduled", 26)).foc_changes == 2
    assert order_of(*lost, dated(8, "Scheduled", 24)).foc_changes == 1


def test_becoming_firm_is_told_as_a_date() -> None:
    before = standing(dated(1, "Queued", 20))
    firm = dated(2, "Scheduled", 20)
    rows = [row for row in diff(before, fold(before, [firm]), firm) if row.kind == "date_changed"]
    assert [(row.field, row.old, row.new) for row in rows] == [("foc_state", "proposed", "firm")]


def test_a_date_is_called_confirmed_only_where_it_is_firm(filler: Filler) -> None:
    from aggregator.cli import telling

    first = ("06-02 05:00", "Received", "Queued", "1")
    filler.fone("P-1", "06-03 04:00", "Queued", (A, "Queued", (first,)))  # with a date already
    filler.fone("P-1", "06-04 04:00", "Scheduled", (A, "Scheduled", (first,)))
    found = rows(filler, "select * from v1_changes where number_key is null order by seq")
    batches: dict[Any, list[dict[str, Any]]] = {}
    for row in found:
        batches.setdefault(row["batch"], []).append(row)
        assert "confirmed" not in telling.change(row)
    seen, firm = batches.values()
    assert "FOC date proposed: Sat 20 Jun 2026" in telling.sentence(seen, {})
    assert "the FOC date is confirmed now" in telling.sentence(firm, {})
    moved = [
        {
            "kind": "date_changed",
            "field": "confirmed_foc_on",
            "old_value": "2026-06-20",
            "new_value": "2026-06-22",
        }
    ]
    spoken = {
        foc: telling.sentence([{**row, "late": False} for row in moved], {}, foc)
        for foc in ("firm", "proposed", None)
    }
    days = "Sat 20 Jun 2026 → Mon 22 Jun 2026"
    assert spoken == {
        "firm": f"FOC date confirmed: {days}",
        "proposed": f"FOC date proposed: {days}",
        None: f"FOC date: {days}",
    }
