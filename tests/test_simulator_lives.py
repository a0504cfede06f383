"""The lives that the stand-ins tell: realistic, with detours, and with values reserved for fiction."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from simulated import DAY, START, lived, of

from aggregator.simulator.lives import births
from aggregator.simulator.settings import Faults, Settings
from aggregator.simulator.things import Order, Step


def scripts(kind: str, orders: int = 600, **knobs: object) -> Iterator[list[Step]]:
    """The scripts of many lives."""
    faults = Faults()
    faults.set_all(knobs)
    for birth in births(Settings(orders=orders), START):
        if birth.kind == kind:
            yield birth.tell(faults)


def words(steps: list[Step], order: Order) -> list[str]:
    return [step.changes["status"] for step in steps if step.order is order and "status" in step.changes]


def test_port_ins_show_the_published_words_only_and_end() -> None:
    published = {
        "draft", "in-process", "submitted", "exception", "foc-date-confirmed", "ported", "cancel-pending",
        "cancelled",
    }  # fmt: skip
    seen: Counter[str] = Counter()
    for steps in scripts("in"):
        order = steps[0].order
        seen.update(words(steps, order))
        last = (words(steps, order) or ["draft"])[-1]
        assert last in ("ported", "cancelled") or any(step.changes.get("deleted") for step in steps)
        assert [step.at for step in steps if step.order is order] == sorted(
            step.at for step in steps if step.order is order
        )
    assert set(seen) | {"draft"} == published


def test_an_exception_leads_back_to_the_carrier_or_to_a_cancellation() -> None:
    after = Counter(
        then
        for steps in scripts("in")
        for before, then in pairwise(words(steps, steps[0].order))
        if before == "exception"
    )
    assert set(after) == {"submitted", "cancel-pending"}


def test_dates_slip_forward_and_an_order_is_ported_on_or_after_its_date() -> None:
    slips = 0
    for steps in scripts("in"):
        date: datetime | None = None
        for step in (step for step in steps if step.order is steps[0].order):
            if "foc_actual" in step.changes:
                new = step.changes["foc_actual"]
                if date is not None and new is not None:
                    assert new > date
                    slips += 1
                date = new
            if step.changes.get("status") == "ported":
                assert date is not None and step.at >= date
    assert slips > 20


def test_messaging_lags_behind_the_voice() -> None:
    lag = []
    for steps in scripts("in", splits=0):
        ported = next((step.at for step in steps if step.changes.get("status") == "ported"), None)
        lag += [step.at - ported for step in steps if "messaging" in step.changes and ported]
    assert min(lag) > timedelta(0) and max(lag) > timedelta(days=2)


def test_numbers_are_reserved_for_fiction_and_distinct_in_an_order() -> None:
    for kind in ("in", "out", "fone"):
        for steps in scripts(kind):
            for order in {id(step.order): step.order for step in steps}.values():
                numbers = order.numbers
                assert len(set(numbers)) == len(numbers)
                for number in numbers:
                    if kind == "fone":
                        assert number[:4] in ("+612", "+613", "+617", "+618") and number[4:8] in (
                            "5550",
                            "7010",
                        )
                        assert len(number) == 12
                    else:
                        assert len(number) == 12 and number[5:10] == "55501"


def test_a_port_out_that_nobody_decides_approves_itself_within_two_days() -> None:
    silent = 0
    for steps in scripts("out", 2_000):
        order = steps[0].order
        if words(steps, order)[:2] == ["pending", "authorized"]:
            approved = next(step.at for step in steps if step.changes.get("status") == "authorized")
            assert timedelta(hours=24) <= approved - order.born_at <= timedelta(hours=48)
            silent += 1
    assert silent > 100


def test_a_port_out_moves_within_ten_days_of_its_date_and_shows_every_published_word() -> None:
    seen: Counter[str] = Counter()
    for steps in scripts("out", 2_000):
        order, date = steps[0].order, None
        seen.update(words(steps, order))
        for step in steps:
            date = step.changes.get("foc", date)
            if step.changes.get("status") == "ported":
                assert date is not None and timedelta(0) <= step.at - date <= timedelta(days=10)
    assert set(seen) == {"pending", "authorized", "ported", "rejected", "rejected-pending", "canceled"}


def test_splits_share_their_parent_and_part_the_numbers() -> None:
    split = [steps for steps in scripts("in", splits=1) if any("split" in _type(step) for step in steps)]
    assert len(split) > 50
    for steps in split:
        step = next(step for step in steps if "split" in _type(step))
        assert step.event is not None and step.event.payload is not None
        child = next(step.order for step in steps if step.order is not steps[0].order)
        assert step.event.payload["to"] == {"id": child.id}
        whole, stay, moved = (set(numbers) for numbers in (steps[0].changes["numbers"], step.changes["numbers"], child.numbers))  # fmt: skip
        assert stay | moved == whole and not stay & moved
        assert child.said["parent_key"] and child.said["support_key"]


def _type(step: Step) -> str:
    return step.event.type if step.event else ""


def test_rare_detours_of_port_ins_happen() -> None:
    seen: Counter[str] = Counter()
    for steps in scripts("in", 3_000):
        said = steps[0].order.said
        seen["on-demand"] += said["job"]["type"] == "on-demand"
        seen["requirements"] += said["requirements"] != "approved"
        seen["steps"] += bool(said["steps"])
        for step in steps:
            seen[_type(step)] += 1
            seen["lagging"] += bool(step.changes.get("lagging"))
            seen["failed job"] += step.changes.get("job", {}).get("status") == "failed"
            seen[step.changes.get("comment", {}).get("user_type", "")] += 1
            seen[f"activation {step.changes.get('activation')}"] += 1
    wanted = (
        "on-demand", "requirements", "steps", "lagging", "failed job", "admin", "user", "system",
        "porting_order.deleted", "porting_order.split", "porting_order.loa_updated",
        "porting_order.sharing_token_expired", "porting_order.messaging_changed", "porting_order.new_comment",
        "activation Conflict", "activation Activate RDY", "activation Sending",
    )  # fmt: skip
    assert [name for name in wanted if not seen[name]] == []


def test_the_histories_of_fone_dynamics_numbers_fit_together() -> None:
    world = lived(orders=300)
    for order in world.orders["fone"].values():
        for line in order.lines.values():
            entries = line.history
            assert (entries[0]["FdxStatusFrom"], entries[0]["FdxStatusTo"]) == ("Received", "Queued")
            assert [entry["Created"] for entry in entries] == sorted(entry["Created"] for entry in entries)
            for before, after in pairwise(entries):
                assert before["FdxStatusTo"] == after["FdxStatusFrom"]
                assert before["CarrierPortingStatusTo"] == after["CarrierPortingStatusFrom"]
            assert (line.status, line.code) == (
                entries[-1]["FdxStatusTo"],
                entries[-1]["CarrierPortingStatusTo"],
            )


def test_a_fone_dynamics_date_comes_with_acceptance_and_slips_forward_if_at_all() -> None:
    moves: Counter[str] = Counter()
    for steps in scripts("fone", 1_500):
        date = None
        for step in steps:
            if step.changes.get("status") == "Accepted":
                assert step.changes["port_date"] % 86_400 == 0
                assert step.changes["port_date"] > step.at.timestamp() - 86_400
            if step.changes.get("status") == "Completed":
                assert date is not None and date - 3_600 <= step.at.timestamp()
            if "port_date" in step.changes and "status" not in step.changes:
                assert date is not None and step.changes["port_date"] > date
                moves["with an entry" if step.moves else "without"] += 1
            date = step.changes.get("port_date", date)
    assert moves["with an entry"] > 10 and moves["without"] > 5


def test_numbers_of_a_fone_dynamics_request_differ_for_a_while() -> None:
    world, mixed, ends = of(orders=300), set(), Counter[str]()
    for _ in range(60 * 4):
        world.clock.advance(DAY / 4)
        world.now()
        mixed |= {
            id
            for id, order in world.orders["fone"].items()
            if len({line.status for line in order.lines.values()}) > 1
        }
    for order in world.orders["fone"].values():
        ends.update({line.status for line in order.lines.values()})
    assert len(mixed) > 10
    assert ends["Completed"] and ends["Cancelled"] and ends["Reversed"]
