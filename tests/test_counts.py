"""An order's count of its numbers and its list of them that do not agree: told, and no reason to call a poll incomplete
for ever; what no answer will ever come for is asked for once a day."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import standin
from made import account
from standin_lives import DAY, HOUR, Telnyx
from unwired import Setting, Unwired, calm, setting

from aggregator.core.findings import Findings
from aggregator.core.model import Direction, Part, Request, Want
from aggregator.errors import TooLarge
from aggregator.store.replay import compare

DIFFERS = "numbers_count_differs"
WHOLE = [f"+1{201 + n // 100}55501{n % 100:02}" for n in range(130)]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Setting]:
    with setting(Unwired(calm(4)), account(), tmp_path) as here:
        yield here


def world(here: Setting) -> Telnyx:
    assert isinstance(here.wire.world, Telnyx)
    return here.wire.world


def listed(here: Setting, count: int, shown: int) -> str:
    """An order with so many numbers, whose list shows others; its id."""
    order = next(iter(world(here).orders))

    def say(request: Request) -> None:
        world(here).numbers[order] = WHOLE[: shown if request.path == "/porting_phone_numbers" else count]

    here.wire.trouble = say
    return order


def disagreement(here: Setting, order: str) -> Any:
    ((said, known),) = here.rows(
        "select o.disagreement, (select count(*) from v1_numbers n where n.order_id = o.order_id and n.is_current) "
        f"from v1_orders o where provider_order_id = '{order}'"
    )
    return said, known


def poll(here: Setting, *feeds: str) -> bool:
    """An hour later; whether all of it was complete."""
    world(here).now += HOUR
    return all(outcome.complete for outcome in here.poll(*feeds).values())


@pytest.mark.parametrize(("count", "shown"), [(120, 0), (120, 60), (60, 120)])
def test_a_list_that_says_so_three_times_is_a_disagreement_and_the_poll_is_complete(
    here: Setting, count: int, shown: int
) -> None:
    order = listed(here, count, shown)
    said = [(poll(here), disagreement(here, order)[0]) for _ in range(3)]
    assert [told for _, told in said] == [None, None, DIFFERS]
    assert said[-1][0], "and complete, from then on"
    assert disagreement(here, order)[1] == (shown or 50), "what the list shows, or the order itself"
    here.wire.paths()
    assert [poll(here) for _ in range(5)] == [True] * 5
    assert "/porting_phone_numbers" not in here.wire.paths()
    told = "select old_value, new_value from v1_changes where field = 'disagreement'"
    assert here.rows(told) == [(None, DIFFERS)]
    world(here).now += DAY
    assert poll(here) and "/porting_phone_numbers" in here.wire.paths(), "once a day it is asked for again"
    assert here.rows(told) == [(None, DIFFERS)], "the same answer is no news"


@pytest.mark.parametrize(("count", "shown"), [(120, 0), (120, 60), (60, 120)])
def test_it_ends_when_the_list_changes_and_when_the_count_does(here: Setting, count: int, shown: int) -> None:
    order = listed(here, count, shown)
    assert [poll(here) for _ in range(3)][-1] and disagreement(here, order)[0] == DIFFERS
    listed(here, count, count)
    world(here).now += DAY
    assert poll(here)
    assert disagreement(here, order) == (None, count)
    assert not {kind for kind, _ in here.wanted} & {"numbers"}
    listed(here, count, shown)
    world(here).orders[order]["updated_at"] = world(here).now.isoformat()
    assert [poll(here) for _ in range(3)][-1]
    if shown:
        listed(here, shown, shown)
        world(here).orders[order]["updated_at"] = world(here).now.isoformat()
        assert poll(here) and disagreement(here, order) == (None, shown)


def test_another_answer_in_between_begins_anew(here: Setting) -> None:
    order = listed(here, 120, 0)
    assert not poll(here) and not poll(here)
    listed(here, 120, 60)
    poll(here)
    listed(here, 120, 0)
    assert not poll(here)
    assert disagreement(here, order)[0] is None


def test_a_replay_finds_the_same(here: Setting) -> None:
    order = listed(here, 120, 0)
    assert [poll(here) for _ in range(3)][-1]
    found = list(compare(here.store.store.engine, here.account, world(here).now))
    assert found and not sum(one.differing for one in found)
    assert disagreement(here, order)[0] == DIFFERS


@pytest.mark.parametrize("count", [2, 7])
def test_an_order_whose_own_list_is_longer_than_its_count(
    here: Setting, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    plain = standin._order

    def counted(*arguments: Any) -> dict[str, Any]:
        return {**plain(*arguments), "porting_phone_numbers_count": count}

    order = next(iter(world(here).orders))
    world(here).numbers[order] = WHOLE[:7]
    monkeypatch.setattr(standin, "_order", counted)
    poll(here)
    assert disagreement(here, order) == (DIFFERS if count == 2 else None, 7)


def too_large(request: Request) -> None:
    if request.path.startswith("/porting_orders/") and request.path.count("/") == 2:
        raise TooLarge(f"{request.path}: more than 8 MiB")


def test_an_order_that_is_too_large_by_itself_is_set_aside_and_asked_for_once_a_day(here: Setting) -> None:
    assert poll(here)
    order, when = next(iter(world(here).orders)), here.wire.clock()
    want = Want(Part.ORDER, order, Direction.PORT_IN, since=when)
    here.store.record(here.account, here.hold(), Findings("wanted", when, wants=(want,)))
    here.wire.trouble = too_large
    here.wire.paths()
    assert poll(here, "portouts"), "what is set aside by name is no reason to call the poll incomplete"
    assert f"/porting_orders/{order}" in here.wire.paths()
    aside = "select provider, ref, error, resolved_at is not null from v1_quarantine"
    assert here.rows(aside) == [("telnyx", order, f"order: /porting_orders/{order}: more than 8 MiB", False)]
    assert [poll(here, "portouts") for _ in range(5)] == [True] * 5
    assert f"/porting_orders/{order}" not in here.wire.paths()
    here.wire.trouble = lambda request: None
    world(here).now += DAY
    assert poll(here, "portouts") and not here.wanted
    assert [row[-1] for row in here.rows(aside)] == [True]


def test_an_order_that_a_list_shows_is_no_longer_set_aside(here: Setting) -> None:
    assert poll(here)
    order, when = next(iter(world(here).orders)), here.wire.clock()
    want = Want(Part.ORDER, order, Direction.PORT_IN, since=when)
    here.store.record(here.account, here.hold(), Findings("wanted", when, wants=(want,)))
    here.wire.trouble = too_large
    assert poll(here, "portouts") and poll(here) and not here.wanted
    assert here.rows("select count(*) from v1_quarantine where resolved_at is null") == [(0,)]


def test_a_payload_that_is_too_large_is_set_aside_and_given_up_a_day_later(tmp_path: Path) -> None:
    lives = calm(20)
    lives.knobs.empty = 1.0
    lives.stir(12)
    with setting(Unwired(lives), account(), tmp_path) as here:

        def trouble(request: Request) -> None:
            if "/events/" in request.path:
                raise TooLarge(f"{request.path}: more than 8 MiB")

        here.wire.trouble = trouble
        assert all(outcome.complete for outcome in here.poll("porting_events", "portout_events").values())
        owed = {kind for kind, _ in here.wanted}
        assert "event" in owed and here.rows("select count(*) > 0 from v1_quarantine") == [(True,)]
        here.wire.paths()
        assert poll(here, "portout_events")
        assert not [path for path in here.wire.paths() if path.startswith("/porting/events/")]
        lives.now += DAY
        assert poll(here, "portout_events")
        assert "event" not in {kind for kind, _ in here.wanted}
