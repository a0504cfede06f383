"""What must still be asked: written with its reason, struck with its answer, never forgotten in between."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from made import NOW, hour
from stored import FEED, NUMBER, Desk, desk, event, look, wants

from aggregator.core.findings import Findings, Progress
from aggregator.core.model import Direction, Part, Want
from aggregator.store.wanted import Pending

SECOND = timedelta(seconds=1)


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    """An account on a database of the test's own."""
    with desk(database_url) as opened:
        yield opened


def wanted(acme: Desk, now: datetime | None = None) -> list[tuple[Part, str]]:
    """What is wanted and, where `now` is given, not pausing."""
    return [(want.part, want.id) for want in acme.store.wants(acme.lease, now)]


def test_an_event_wants_its_order_until_a_look_at_it_answers(acme: Desk) -> None:
    said = event(1, "submitted")
    acme.record(said, wants=(wants(said),))
    assert wanted(acme) == [(Part.ORDER, "order-1")]
    again = acme.again()
    assert wanted(again) == [(Part.ORDER, "order-1")], "it survives this process"
    again.store.close()
    acme = replace(acme, lease=again.lease)
    acme.record(look(0.5, "in-process"))
    assert wanted(acme) == [(Part.ORDER, "order-1")], "a look before the event answers nothing"
    acme.record(look(2, order="order-2"))
    assert wanted(acme) == [(Part.ORDER, "order-1")]
    acme.record(look(2, "submitted"))
    assert wanted(acme) == []


def test_an_event_that_is_known_wants_nothing_anew(acme: Desk) -> None:
    said = event(1, "submitted")
    acme.record(said, wants=(wants(said),))
    acme.record(answered=(replace(wants(said), because=None),))
    acme.record(said, wants=(wants(said),))
    assert wanted(acme) == []


def test_an_event_behind_a_look_that_has_seen_it_wants_nothing(acme: Desk) -> None:
    acme.record(look(2, "submitted"))
    early, close, after = event(1, "submitted"), event(1.99, "submitted", key="b"), event(3, "exception")
    acme.record(early, wants=(wants(early),))
    assert wanted(acme) == []
    acme.record(close, wants=(wants(close),))
    assert wanted(acme) == [], "the order's own time of change is later than the event's"
    acme.record(after, wants=(wants(after),))
    assert wanted(acme) == [(Part.ORDER, "order-1")]


def test_a_look_soon_after_an_event_does_not_answer_for_what_the_provider_may_not_show_yet(
    acme: Desk,
) -> None:
    acme.record(look(2, "submitted", as_of=0))
    soon = event(1.99, "exception")
    acme.record(soon, wants=(wants(soon),))
    assert wanted(acme) == [(Part.ORDER, "order-1")]


@pytest.mark.parametrize(
    "part", [Part.COMMENTS, Part.NUMBERS, Part.ACTIVATION_JOBS, Part.ACTION_REQUIREMENTS]
)
def test_a_look_at_something_beside_an_order_does_not_answer_for_the_order(acme: Desk, part: Part) -> None:
    acme.record(look(0, "submitted", NUMBER))
    beside = replace(look(2, part=part), status=None, document="[]", deleted=None)
    acme.record(beside)
    said = event(1, "exception", read=2.1)
    acme.record(said, wants=(wants(said),))
    assert wanted(acme) == [(Part.ORDER, "order-1")]
    assert acme.one("select last_read_ok_at from v1_orders") == "2026-06-15T12:00:00.000000Z"


def test_many_events_of_one_order_are_one_want_as_of_the_newest(acme: Desk) -> None:
    first, second, old = event(1, "in-process"), event(5, "submitted"), event(0.5, "draft")
    for said in (first, second, old):
        acme.record(said, wants=(wants(said),))
    (want,) = acme.store.wants(acme.lease, None)
    assert want == Want(Part.ORDER, "order-1", Direction.PORT_IN, since=hour(5))
    acme.record(look(3, "submitted"))
    assert wanted(acme) == [(Part.ORDER, "order-1")]


def test_what_failed_is_asked_again_after_a_growing_pause(acme: Desk) -> None:
    said = event(1, "submitted")
    acme.record(said, wants=(wants(said),))
    (want,) = acme.store.wants(acme.lease, NOW)
    acme.record(failed=(want,))
    assert wanted(acme, NOW + 29 * SECOND) == []
    assert wanted(acme, NOW + 30 * SECOND) == [(Part.ORDER, "order-1")]
    acme.record(failed=(want,), at=NOW + 30 * SECOND)
    assert wanted(acme, NOW + 89 * SECOND) == []
    assert wanted(acme, NOW + 90 * SECOND) == [(Part.ORDER, "order-1")]
    newer = event(2, "exception")
    acme.record(newer, wants=(wants(newer),), at=NOW + 40 * SECOND)
    assert wanted(acme, NOW + 40 * SECOND) == [(Part.ORDER, "order-1")], "news do not wait for an old pause"
    acme.record(failed=(Want(Part.ORDER, "nobody-asked", Direction.PORT_IN),))
    assert len(wanted(acme)) == 1


def test_a_payload_that_stays_empty_is_asked_for_a_day_and_then_noted(acme: Desk) -> None:
    said = event(0)
    want = wants(said, Part.EVENT)
    acme.record(said, wants=(want,))
    for after in (1, 23.9):
        acme.record(said, at=hour(after), answered=(want,))
        assert wanted(acme) == [(Part.EVENT, "order-1@0")]
        assert acme.rows("select * from v1_quarantine") == []
    acme.record(said, at=hour(24), answered=(want,))
    assert wanted(acme) == []
    row = acme.one("select ref, feed, error, resolved_at from v1_quarantine")
    assert (row["ref"], row["feed"], row["resolved_at"]) == ("order-1@0", FEED, None)
    assert "still empty" in row["error"]
    acme.record(said, at=hour(25), wants=(want,))
    assert wanted(acme) == []
    assert acme.one("select resolved_at from v1_quarantine") is None, "listed again, and still empty"
    acme.record(event(0, "submitted", read=26), at=hour(26))
    assert acme.one("select resolved_at from v1_quarantine") == "2026-06-16T14:00:00.000000Z"


def test_a_payload_that_comes_by_itself_answers_too(acme: Desk) -> None:
    acme.record(event(0), wants=(wants(event(0), Part.EVENT),))
    acme.record(event(0, "submitted", read=1))
    assert wanted(acme) == []


def test_a_complete_list_answers_for_the_orders_that_it_showed_and_for_no_other(acme: Desk) -> None:
    facts = [
        event(1, "submitted"),
        event(5, "submitted", order="order-2"),
        event(1, "submitted", order="order-3"),
        event(1, "pending", order="out-1", direction=Direction.PORT_OUT),
    ]
    comments = wants(facts[0], Part.COMMENTS)
    acme.record(*facts, wants=(*map(wants, facts), comments))
    assert len(wanted(acme)) == 5
    done = Progress("porting_orders", "complete", NOW, True, started_at=hour(3), covers=Direction.PORT_IN)
    shown = (look(3), look(3, order="order-2"))
    acme.record(*shown, feed="porting_orders", progress=replace(done, seen=frozenset({"order-1", "order-2"})))
    assert set(wanted(acme)) == {
        (Part.ORDER, "order-2"),
        (Part.ORDER, "order-3"),
        (Part.ORDER, "out-1"),
        (Part.COMMENTS, "order-1"),
    }
    late = event(2, "exception", read=4), event(2, "exception", order="order-9", read=4)
    acme.record(*late, wants=tuple(map(wants, late)))
    assert (Part.ORDER, "order-1") not in wanted(acme), "the list after it has shown its order"
    assert (Part.ORDER, "order-9") in wanted(acme), "no list has ever shown it"


def test_a_run_over_open_orders_answers_for_what_it_asked_for_and_for_nothing_else(acme: Desk) -> None:
    ended, open_one = event(1, "ported"), event(1, "submitted", order="order-2")
    acme.record(ended, open_one, wants=(wants(ended), wants(open_one)))
    done = Progress("porting_orders", "complete", NOW, True, started_at=hour(3), covers=Direction.PORT_IN)
    acme.record(look(3, order="order-2"), feed="porting_orders", progress=done)
    assert wanted(acme) == [(Part.ORDER, "order-1")]


@pytest.mark.parametrize("changed_at", [-48.0, -0.001, 0.0])
def test_a_row_of_a_list_that_wants_its_order_looked_at_is_no_answer_to_that(
    acme: Desk, changed_at: float
) -> None:
    done = Progress("porting_orders", "complete", NOW, True, started_at=NOW, covers=Direction.PORT_IN)

    def listed(hours: float) -> None:
        row = look(hours, "submitted", as_of=changed_at)
        whole = replace(done, attempted_at=hour(hours), started_at=hour(hours), seen=frozenset({"order-1"}))
        acme.record(row, at=hour(hours), feed="porting_orders", progress=whole, wants=(wants(row),))

    listed(0)
    assert wanted(acme) == [(Part.ORDER, "order-1")]
    listed(1)
    assert wanted(acme) == [(Part.ORDER, "order-1")], "nor is the same row in the next list"
    acme.record(look(2, "submitted", NUMBER, as_of=changed_at))
    assert wanted(acme) == []
    listed(3)
    assert wanted(acme) == [], "looked at since it changed"


def test_wants_are_told_oldest_first_with_all_that_is_needed_to_ask(acme: Desk) -> None:
    first, second = event(1, feed="portout_events", order="a/b"), event(2, "submitted")
    acme.record(second, wants=(wants(second), wants(second, Part.NUMBERS)))
    acme.record(first, wants=(wants(first, Part.EVENT),))
    assert acme.store.wants(acme.lease, NOW) == (
        Want(Part.EVENT, "a/b@1", feed="portout_events", since=hour(1)),
        Want(Part.NUMBERS, "order-1", Direction.PORT_IN, since=hour(2)),
        Want(Part.ORDER, "order-1", Direction.PORT_IN, since=hour(2)),
    )


def test_a_slice_reads_no_wants_but_its_own(acme: Desk) -> None:
    """A backfill leaves a want for each of its orders; reading them all for each slice would never end."""
    facts = [event(1, "submitted", order=f"order-{number}") for number in range(20)]
    acme.record(*facts, wants=tuple(map(wants, facts)))
    assert len(wanted(acme)) == 20
    news = event(2, "exception", order="order-7")
    with acme.store.engine.connect() as tx:
        pending = Pending(tx, acme.lease.account_id, Findings(FEED, NOW, (news,), (wants(news),)))
    assert list(pending.rows) == [(Part.ORDER, "port_in/order-7")]


def test_what_is_wanted_beside_an_order_that_is_deleted_goes_with_it(acme: Desk) -> None:
    shown = look(1, "submitted")
    numbers = wants(shown, Part.NUMBERS)
    acme.record(shown, wants=(numbers,))
    acme.record(failed=(replace(numbers, because=None),))
    assert wanted(acme) == [(Part.NUMBERS, "order-1")], "nothing came, and it stays wanted"
    acme.record(event(2, deleted=True))
    acme.record(failed=(replace(numbers, because=None),))
    assert wanted(acme) == []
