"""What a store remembers of orders between slices is good exactly as long as the database holds the same facts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from made import NOW
from sqlalchemy import delete
from sqlmodel import col
from stored import Desk, desk, event, look

from aggregator.core.fold import fold
from aggregator.core.normalise import normalise
from aggregator.store.remembered import LARGEST, MOST, Kept, Remembered
from aggregator.store.tables import FactRow

LIFE = (
    event(1, "in-process"),
    event(2, "exception", "PASSCODE_PIN_INVALID"),
    look(2.5, "exception"),
    event(4, "submitted"),
    event(3, "in-process"),
    event(5, "foc-date-confirmed"),
    event(6, "ported"),
)


def told(to: Desk, between: Callable[[Desk], object] = lambda to: None) -> None:
    """An order's life, each fact in a slice of its own."""
    for fact in LIFE:
        to.record(fact)
        between(to)


def forget(to: Desk) -> None:
    to.store.remembered = Remembered()


def test_the_same_rows_come_out_whether_an_order_is_remembered_or_not(tmp_path: Path) -> None:
    with desk(f"sqlite:///{tmp_path / 'a.db'}") as one, desk(f"sqlite:///{tmp_path / 'b.db'}") as other:
        told(one)
        told(other, forget)
        known = one.everything("lease", "feed_identity")
        assert known == other.everything("lease", "feed_identity")
        assert len(known["change"]) > len(LIFE)


def test_an_order_is_remembered_while_its_facts_are_the_same(database_url: str) -> None:
    with desk(database_url) as here:
        told(here)
        with here.store.engine.connect() as tx:
            version = here.account.words.in_memory
            (kept,) = here.store.remembered.known(tx, [1, 2], version).values()
            assert kept.standing.order.state == "ported"
            assert not here.store.remembered.known(tx, [1], "other words")
        with here.store.engine.begin() as tx:
            tx.execute(delete(FactRow).where(col(FactRow.id) == 2))
            assert not here.store.remembered.known(tx, [1], version)


def test_what_another_process_recorded_meanwhile_is_read(database_url: str) -> None:
    with desk(database_url) as here:
        here.record(LIFE[0])
        there = here.again()
        there.record(LIFE[1], LIFE[3])
        there.store.close()
        lease = here.store.take(here.account.name, NOW)
        assert lease is not None
        replace(here, lease=lease).record(LIFE[5])
        assert here.steps()[-1] == ("with_carrier", "scheduled")
        assert here.one("select submission_cycle from v1_orders") == 1


def test_only_so_many_orders_are_remembered_and_none_with_a_long_list(tmp_path: Path) -> None:
    with desk(f"sqlite:///{tmp_path / 'a.db'}") as here:
        here.record(event(1, "in-process"), event(1, "in-process", order="order-2"))
        with here.store.engine.connect() as tx:
            standing = fold(None, [normalise(event(1, "in-process"), here.account.words)])
            number = look(2, "in-process", "+13035550123")
            long = fold(None, [normalise(number, here.account.words)])
            long = replace(
                long, numbers=dict.fromkeys(map(str, range(LARGEST + 1)), long.numbers["+13035550123"])
            )
            kept, memory = Kept(standing, 1, 1, "v"), Remembered()
            memory.keep({1: kept, 2: Kept(long, 1, 2, "v")})
            assert memory.known(tx, [1, 2], "v") == {1: kept}
            memory.keep(dict.fromkeys(range(10, 10 + MOST), kept))
            assert not memory.known(tx, [1], "v")
