"""Deletion, and what is read again: absence is not deletion, an end is not final, a guess is none."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from made import account, hour
from sqlalchemy import event as hooks
from standin_lives import HOUR, MINUTE, Telnyx
from stored import Desk, desk, event, look, wants
from unwired import Setting, Unwired, calm, setting

from aggregator.core.findings import Findings, Progress
from aggregator.core.model import Direction, Meaning, Part, Request, State, Vocabulary, Want, Word
from aggregator.errors import FetchError

LISTING = "porting_orders"


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    """An account on a database of the test's own."""
    with desk(database_url) as opened:
        yield opened


def pass_at(acme: Desk, hours: float, *seen: str, complete: bool = True) -> None:
    """A list of all port-ins that began at that hour, and the orders it showed."""
    progress = Progress(
        LISTING,
        "complete" if complete else "unreachable",
        hour(hours),
        complete,
        started_at=hour(hours),
        covers=Direction.PORT_IN,
        seen=frozenset(seen) if complete else None,
    )
    acme.record(feed=LISTING, at=hour(hours), progress=progress)


def wanted(acme: Desk) -> list[str]:
    return [want.id for want in acme.store.wants(acme.lease, None) if want.part is Part.ORDER]


def absent(hours: float, order: str = "order-1") -> Any:
    """The 404 of an order that was asked for."""
    return replace(look(hours, order=order, deleted=True), status=None, document=None)


def deletion(acme: Desk, order: str = "order-1") -> tuple[object, object]:
    row = acme.one(
        "select deleted_at, deletion_basis from v1_orders where provider_order_id = :order", order=order
    )
    return row["deleted_at"] is not None, row["deletion_basis"]


# --- deletion -------------------------------------------------------------------------------------------


def test_absent_needs_two_complete_list_passes_and_a_404_on_the_order_itself(acme: Desk) -> None:
    acme.record(look(0, "submitted"), look(0, order="order-2"))
    pass_at(acme, 1, "order-2")
    assert wanted(acme) == []
    pass_at(acme, 2, "order-2")
    assert wanted(acme) == ["order-1"]
    assert deletion(acme) == (False, None), "missing twice proves nothing yet"
    acme.record(absent(2.1))
    assert deletion(acme) == (True, "absent")
    assert wanted(acme) == []
    row = acme.one("select state, is_open from v1_orders where provider_order_id = 'order-1'")
    assert row == {"state": "with_carrier", "is_open": False}, "the last state is kept"
    pass_at(acme, 3, "order-2")
    pass_at(acme, 4, "order-2")
    assert wanted(acme) == [], "it is gone, and nobody asks for it any more"
    assert acme.one("select count(*) from v1_changes where kind = 'order_deleted'") == 1


def test_a_list_that_lacks_an_order_does_not_cover_it(acme: Desk) -> None:
    acme.record(look(0))
    read = "select last_read_ok_at from v1_orders"
    pass_at(acme, 1, "order-1")
    assert acme.one(read) == "2026-06-15T13:00:00.000000Z"
    pass_at(acme, 2)
    assert acme.one(read) == "2026-06-15T12:00:00.000000Z"
    said = event(1.5, "exception")
    acme.record(said, wants=(wants(said),))
    assert wanted(acme) == ["order-1"], "nothing has shown what is so after this event"
    assert acme.one("select max(not_before) from v1_changes") == "2026-06-15T12:00:00.000000Z"


def test_a_404_that_no_absence_led_to_is_not_found(acme: Desk) -> None:
    acme.record(look(0))
    pass_at(acme, 1)
    acme.record(absent(1.1))
    assert deletion(acme) == (True, "not_found")


def test_an_announced_deletion_is_known_by_its_event(acme: Desk) -> None:
    acme.record(look(0), event(1, deleted=True))
    assert deletion(acme) == (True, "event")


def test_a_failed_partial_or_filtered_pass_proves_nothing(acme: Desk) -> None:
    acme.record(look(0))
    pass_at(acme, 1)
    for at in (2, 3):
        pass_at(acme, at, complete=False)
    filtered = Progress(LISTING, "complete", hour(4), True, started_at=hour(4), covers=Direction.PORT_IN)
    acme.record(feed=LISTING, at=hour(4), progress=filtered)
    assert wanted(acme) == []
    pass_at(acme, 5)
    assert wanted(acme) == ["order-1"]


def test_only_passes_one_after_the_other_count(acme: Desk) -> None:
    acme.record(look(0))
    pass_at(acme, 1)
    pass_at(acme, 2, "order-1")
    pass_at(acme, 3)
    assert wanted(acme) == []


def test_a_pass_says_nothing_of_orders_first_seen_after_its_start_or_of_the_other_direction(
    acme: Desk,
) -> None:
    acme.record(look(5), look(0, "pending", order="out-1", direction=Direction.PORT_OUT))
    pass_at(acme, 4)
    pass_at(acme, 4.5)
    assert wanted(acme) == []


def test_an_open_order_that_no_list_shows_is_read_after_every_list_and_an_ended_one_once(acme: Desk) -> None:
    acme.record(look(0, "submitted"), look(0, "cancelled", order="over"))
    pass_at(acme, 1)
    pass_at(acme, 2)
    assert sorted(wanted(acme)) == ["order-1", "over"]
    pass_at(acme, 3)
    assert sorted(wanted(acme)) == ["order-1", "over"], "what was not answered yet stays wanted"
    for want in acme.store.wants(acme.lease, None):
        acme.record(answered=(want,))
    pass_at(acme, 4)
    assert wanted(acme) == ["order-1"]


def test_a_want_that_failed_keeps_its_pause_over_the_next_list(acme: Desk) -> None:
    acme.record(look(0))
    pass_at(acme, 1)
    pass_at(acme, 2)
    (want,) = acme.store.wants(acme.lease, None)
    acme.record(failed=(want,), at=hour(3))
    pass_at(acme, 3)
    assert acme.store.wants(acme.lease, hour(3)) == ()
    assert len(acme.store.wants(acme.lease, hour(3) + timedelta(minutes=5))) == 1


def test_a_row_that_comes_back_is_order_reappeared(acme: Desk) -> None:
    acme.record(look(0, "submitted"))
    pass_at(acme, 1)
    pass_at(acme, 2)
    acme.record(absent(2.1))
    acme.record(look(5, "submitted"))
    assert deletion(acme) == (False, None)
    kinds = [row["kind"] for row in acme.rows("select kind from v1_changes where field = 'deleted_at'")]
    assert kinds == ["order_deleted", "order_reappeared"]
    pass_at(acme, 6)
    assert wanted(acme) == [], "its misses are counted anew"


def test_a_listing_writes_no_row_for_each_order(acme: Desk) -> None:
    orders = [f"order-{number}" for number in range(300)]
    acme.record(*(look(0, order=order) for order in orders))
    written: list[int] = []

    def note(_1: Any, _2: Any, statement: str, parameters: Any, *_3: Any) -> None:
        if statement.lstrip().lower().startswith(("insert", "update", "delete")):
            written.append(len(parameters) if isinstance(parameters, list) else 1)

    hooks.listen(acme.store.engine, "before_cursor_execute", note)
    try:
        for at, seen in ((1, orders), (2, orders[1:]), (3, orders)):
            written.clear()
            pass_at(acme, at, *seen)
            assert sum(written) < 10, "what the list shows as before is not written"
    finally:
        hooks.remove(acme.store.engine, "before_cursor_execute", note)


@pytest.fixture
def telnyx(tmp_path: Path) -> Iterator[Setting]:
    with setting(Unwired(calm()), account(), tmp_path) as here:
        yield here


def first_pages(telnyx: Setting) -> int:
    """How often a whole list of port-ins was begun since the last time."""
    return telnyx.wire.paths().count("/porting_orders")


@pytest.fixture
def vanished(telnyx: Setting) -> str:
    """The id of an order that the provider shows no more, and of which no event tells."""
    world = telnyx.wire.world
    assert isinstance(world, Telnyx)
    telnyx.poll()
    gone = next(iter(world.orders))
    del world.orders[gone]
    world.now += HOUR
    telnyx.wire.paths()
    return gone


def basis(telnyx: Setting, gone: str) -> Any:
    ((basis,),) = telnyx.rows(f"select deletion_basis from v1_orders where provider_order_id = '{gone}'")
    return basis


def test_an_order_that_vanishes_without_a_word_is_a_tombstone_after_two_listings(
    telnyx: Setting, vanished: str
) -> None:
    telnyx.poll()
    paths = telnyx.wire.paths()
    assert paths.count("/porting_orders") == 2, "the second list is read at once"
    assert paths.index(f"/porting_orders/{vanished}") > max(
        at for at, path in enumerate(paths) if path == "/porting_orders"
    )
    assert basis(telnyx, vanished) == "absent"
    before = telnyx.rows("select count(*) from v1_changes")
    telnyx.poll()
    paths = telnyx.wire.paths()
    assert paths.count("/porting_orders") == 1 and f"/porting_orders/{vanished}" not in paths
    assert telnyx.rows("select count(*) from v1_changes") == before, "a second poll changes nothing"


def test_a_second_list_that_fails_proves_nothing_and_is_not_asked_for_in_a_hurry(
    telnyx: Setting, vanished: str
) -> None:
    lists = iter(range(2))

    def fails_after_the_first(request: Request) -> None:
        if request.path == "/porting_orders" and next(lists, None) != 0:
            raise FetchError("gone")

    telnyx.wire.trouble = fails_after_the_first
    telnyx.poll()
    assert first_pages(telnyx) == 2
    assert basis(telnyx, vanished) is None
    telnyx.poll("porting_events")
    assert first_pages(telnyx) == 0, "the schedule, with its pauses, says when a failing list is read again"
    telnyx.wire.trouble = lambda request: None
    telnyx.poll()
    assert basis(telnyx, vanished) == "absent"


def test_a_number_that_left_one_order_is_looked_for_in_all_within_the_same_poll(telnyx: Setting) -> None:
    world = telnyx.wire.world
    assert isinstance(world, Telnyx)
    telnyx.poll()
    order = next(id for id, said in world.orders.items() if len(world.numbers[id]) > 1)
    telnyx.wire.paths()
    world.numbers[order].pop()
    world.orders[order]["updated_at"] = world.written(world.now + MINUTE)
    world.now += MINUTE
    want = Want(Part.ORDER, order, Direction.PORT_IN, since=world.now)
    findings = Findings("porting_events", world.now, wants=(want,))
    telnyx.store.record(telnyx.account, telnyx.hold(), findings)
    telnyx.poll("porting_events")
    paths = telnyx.wire.paths()
    assert f"/porting_orders/{order}" in paths and paths.count("/porting_orders") == 1
    ((removed,),) = telnyx.rows("select count(*) from v1_changes where kind = 'number_removed'")
    assert removed == 1
    telnyx.poll("porting_events")
    assert first_pages(telnyx) == 0


# --- completed is not final -----------------------------------------------------------------------------


def polled(acme: Desk, hours: float) -> set[str]:
    """The orders that a feed of open orders asks for at that hour."""
    ids, _ = acme.store.open_orders(acme.lease, Direction.PORT_IN, hour(hours))
    return set(ids)


def test_ended_orders_are_re_read_for_a_grace_time(database_url: str) -> None:
    with desk(database_url, account("telnyx", "acme")) as acme:
        acme.record(look(0, "ported"), look(0, "submitted", order="open"))
        assert polled(acme, 47) == {"order-1", "open"}
        assert polled(acme, 49) == {"open"}


def test_messaging_stays_open_after_voice_and_polling_goes_on_until_it_closes(acme: Desk) -> None:
    acme.record(look(0, "ported", messaging=Word("activating")))
    row = "select is_open, messaging_open, state from v1_orders"
    assert acme.one(row) == {"is_open": False, "messaging_open": True, "state": "ported"}
    assert polled(acme, 500) == {"order-1"}
    acme.record(replace(look(501, "ported", messaging=Word("ported")), document="closed"))
    assert acme.one(row)["messaging_open"] is False
    assert polled(acme, 502) == set()


@pytest.mark.parametrize("word", ["Completed", "Cancelled", "withdrawn", "no-such-word"])
def test_a_guessed_or_unknown_terminal_state_never_stops_polling(database_url: str, word: str) -> None:
    with desk(database_url, account("fonedynamics", "acme")) as fone:
        fone.record(look(0, word), feed="porting_status")
        assert polled(fone, 10_000) == {"order-1"}


def test_an_end_that_an_operator_confirmed_is_one(database_url: str) -> None:
    operator = {Vocabulary.PORT_IN: {"Completed": Meaning(State.PORTED)}}
    with desk(database_url, account("fonedynamics", "acme", operator)) as fone:
        fone.record(look(0, "Completed"), feed="porting_status")
        assert polled(fone, 10_000) == set()


def test_telnyx_lists_show_ended_orders_again_and_so_what_happens_after_the_end(telnyx: Setting) -> None:
    """The listing knows no filter: what is ported is read as long as the provider shows it."""
    telnyx.poll(LISTING)
    requests = [request for request in telnyx.wire.asked if request.path == "/porting_orders"]
    assert requests and not any(name.startswith("filter") for r in requests for name, _ in r.params)
