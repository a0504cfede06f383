"""What follows from what was told: the order against its numbers, its counters, its dates, its reasons."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from aggregator.core.history import (
    Run,
    gone_of,
    in_order,
    moved_in,
    own_statuses,
    reasons_of,
    runs_of,
    statuses_of,
)
from aggregator.core.model import (
    Basis,
    Moment,
    OrderRef,
    State,
    Status,
    Task,
    Vocabulary,
    Word,
)
from aggregator.core.moments import (
    cycles,
    deletion,
    end_cause,
    ends,
    first_in,
    foc_changes,
    state_since,
    submitted,
)
from aggregator.core.standing import Held, Number, NumberTold, Order, Stamp, Standing, Told, Trail
from aggregator.core.states import FIRM, MOVED, TERMINAL, rolled_up, state_of
from aggregator.core.waiting import waits
from aggregator.core.why import why

PORTED_EARLY, OPEN_LATE = "ported_with_open_numbers", "open_with_all_numbers_ended"
NEED_MORE, COUNT_DIFFERS = "numbers_need_more", "numbers_count_differs"
LONG_AGO = datetime.min.replace(tzinfo=UTC)
_NO_STATUS = Status(None)
_MESSAGING_OPEN = frozenset({"activating", "exception", "partially_ported", "unknown"})


def derive(
    ref: OrderRef, told: Told, before: Standing | None = None
) -> tuple[Order, Mapping[str, Number], tuple[Held, ...]]:
    """The columns of an order, of its numbers, and its reasons over time. What stood `before` spares the work
    for numbers that nothing new was said about; the outcome is the same without."""
    gone = gone_of(told)
    statuses = statuses_of(told, gone)
    runs = runs_of(statuses)
    since = state_since(ref, runs, told, gone)
    numbers = _numbers(told, statuses, runs, since, gone, before)
    return _order(ref, told, statuses, runs, since, numbers, gone), numbers, reasons_of(told, before)


# --- the order ------------------------------------------------------------------------------------------


def _order(
    ref: OrderRef,
    told: Told,
    statuses: Trail[Status],
    runs: Sequence[Run],
    since: datetime | None,
    numbers: Mapping[str, Number],
    gone: Mapping[str, Stamp],
) -> Order:
    status = statuses[-1][1] if statuses else _NO_STATUS
    state = state_of(status)
    waiting = waits(ref.direction, statuses, told, gone)
    said: dict[str, Any] = {name: value for name, (_, value) in told.facets.items()}
    requested: Moment | None = said.get("requested")
    confirmed: Moment | None = said.get("confirmed")
    word: Word | None = said.get("messaging")
    messaging = word.meaning if word else None
    deleted_at, deletion_basis = deletion(told)
    ended_at, ported_at, ported_by = ends(runs, told, gone)
    activation: Word | None = said.get("activation")
    firm = confirmed is not None and state in FIRM
    return Order(
        customer_reference=said.get("customer"),
        customer_group_reference=said.get("customer_group"),
        description=said.get("description"),
        support_key=said.get("support_key"),
        group_key=said.get("group_key"),
        sub_account=said.get("sub_account"),
        state=state,
        raw_status=status.raw,
        mapping_basis=status.meaning.basis if status.meaning else Basis.NONE,
        waiting_on=waiting.on,
        waiting_since=since if runs and waiting.since == runs[-1].first[0] else waiting.since,
        why=why(ref.direction, state, status, waiting, _unmet(said)),
        reasons=_codes(status),
        is_open=state not in TERMINAL and deleted_at is None,
        requested_foc_on=requested.on if requested else None,
        requested_foc_at=requested.at if requested else None,
        confirmed_foc_on=confirmed.on if confirmed else None,
        confirmed_foc_at=confirmed.at if confirmed else None,
        foc_is_firm=firm,
        ported_at=ported_at,
        ported_at_source=ported_by,
        losing_carrier=said.get("losing_name"),
        losing_carrier_spid=said.get("losing_spid"),
        gaining_carrier=said.get("gaining_name"),
        gaining_carrier_spid=said.get("gaining_spid"),
        messaging_state=messaging,
        messaging_open=state in MOVED and messaging in _MESSAGING_OPEN,
        **_counters(told, state, numbers, bool(waiting.numbers) and status.raw is not None),
        parent_order_id=said.get("parent"),
        submission_cycle=cycles(runs, told, gone),
        foc_changes=foc_changes(statuses, in_order(told.trails.get("confirmed", ()), told)),
        created_at=said.get("created"),
        submitted_at=submitted(ref, runs, told, gone),
        first_scheduled_at=first_in(runs, (State.SCHEDULED,), told, gone),
        ended_at=ended_at,
        end_cause=end_cause(ref, told, runs, state),
        state_since=since,
        deleted_at=deleted_at,
        deletion_basis=deletion_basis,
        requirements_met=said.get("requirements_met"),
        activation_job_status=_job(told),
        activation_state=activation.meaning if activation else None,
        port_type=said.get("port_type"),
        remaining_numbers=said.get("remaining_numbers"),
        number_type=said.get("number_type"),
        fast_port=said.get("fast_port"),
        foc_state=_foc_state(requested, confirmed, firm),
        pon=said.get("pon"),
    )


def _foc_state(requested: Moment | None, confirmed: Moment | None, firm: bool) -> str:
    """How far the date is agreed: `none`, only `requested` by us, `proposed` by them, or `firm`."""
    if confirmed is not None:
        return "firm" if firm else "proposed"
    return "requested" if requested is not None else "none"


def _unmet(said: Mapping[str, Any]) -> tuple[str, ...] | None:
    """What the provider says that it lacks; empty where it does not say what, None where it lacks nothing."""
    return said.get("missing") or () if said.get("requirements_met") is False else None


def _codes(status: Status) -> tuple[str, ...]:
    return tuple(sorted({reason.meaning.code for reason in status.given if reason.meaning}))


def _job(told: Told) -> str | None:
    """How the activation at the cutover goes, in the provider's word; of several jobs the youngest counts."""
    trail: Trail[Task] = told.trails.get("task", ())
    jobs = {task.id: task for _, task in trail if task.kind is Vocabulary.ACTIVATION_JOB}
    made = [(task.made_at or LONG_AGO, id) for id, task in jobs.items()]
    return jobs[max(made)[1]].status.raw if made else None


# --- its numbers ----------------------------------------------------------------------------------------


def _numbers(
    told: Told,
    statuses: Trail[Status],
    runs: Sequence[Run],
    since: datetime | None,
    gone: Mapping[str, Stamp],
    before: Standing | None,
) -> Mapping[str, Number]:
    """Each number's columns; those that nothing new was said about, neither by themselves nor through a list
    or the order's status, are as they were."""
    if before is None:
        return {
            key: _number(key, number, told, statuses, runs, since, gone)
            for key, number in told.numbers.items()
        }
    was = before.told
    same_lists = was.trails.get("list") is told.trails.get("list")
    same_status = was.trails.get("status") is statuses and before.order.state_since == since
    numbers = {}
    for key, number in told.numbers.items():
        known = before.numbers.get(key)
        same = known is not None and same_lists and was.numbers[key] is number and (known.own or same_status)
        numbers[key] = known if known and same else _number(key, number, told, statuses, runs, since, gone)
    return numbers


def _number(
    key: str,
    number: NumberTold,
    told: Told,
    statuses: Trail[Status],
    runs: Sequence[Run],
    since: datetime | None,
    gone: Mapping[str, Stamp],
) -> Number:
    own = own_statuses(number, told)
    if own:
        statuses, runs = own, runs_of(own)
        since = runs[-1].since
    status = statuses[-1][1] if statuses else _NO_STATUS
    moved = moved_in(runs)
    raw, e164 = cast("tuple[str, str | None]", number.facets["raw"][1])
    return Number(
        raw_number=raw,
        e164=e164,
        state=state_of(status),
        raw_status=status.raw,
        mapping_basis=status.meaning.basis if status.meaning else Basis.NONE,
        activation_state=_word(number, "activation").meaning,
        messaging_state=_word(number, "messaging").meaning,
        carrier_status_raw=_word(number, "carrier_status").raw,
        state_since=since,
        added_at=number.first[0],
        ported_at=moved and moved.at,
        removed_at=gone[key][0] if key in gone else None,
        is_current=key not in gone,
        portability_status=_word(number, "portability").raw,
        requirements_status=_word(number, "requirement").raw,
        carrier_status=_word(number, "carrier_status").meaning,
        own=bool(own),
    )


def _word(number: NumberTold, facet: str) -> Word:
    """What was said of a number beside its status."""
    said = number.facets.get(facet)
    return cast("Word", said[1]) if said else Word(None)


def _counters(told: Told, state: State, numbers: Mapping[str, Number], need_more: bool) -> dict[str, Any]:
    current = [number for number in numbers.values() if number.is_current]
    states = [State(number.state) for number in current]
    rollup = rolled_up(states) if states else None
    total = _total(told, len(current))
    if True not in [number.own for number in current]:
        # Every number is a copy of the order, those beyond the embedded fifty too.
        ported = total if state is State.PORTED else 0
        opened = 0 if state in TERMINAL else total
    else:
        ported = states.count(State.PORTED)
        opened = sum(state not in TERMINAL for state in states)
    return {
        "numbers_total": total,
        "numbers_ported": ported,
        "numbers_open": opened,
        "numbers_ended_unported": max(0, total - ported - opened),
        "numbers_active": sum([number.activation_state == "active" for number in current]),
        "rollup_state": rollup,
        "is_mixed": len(set(states)) > 1,
        "disagreement": _disagreement(state, rollup, len(current) >= total)
        or (NEED_MORE if need_more else None)
        or (COUNT_DIFFERS if _count_differs(told) else None),
    }


def _disagreement(state: State, numbers: State | None, all_known: bool) -> str | None:
    """Where the order's own word and its numbers contradict each other: reported, never repaired. (Two more such
    cases: an open number needs us while its order's word does not say so, `NEED_MORE`; and `COUNT_DIFFERS`.) That
    every number ended is known only where every number is."""
    if state is State.PORTED and numbers is not None and numbers not in TERMINAL:
        return PORTED_EARLY
    if state not in TERMINAL and numbers in TERMINAL and all_known:
        return OPEN_LATE
    return None


def _count_differs(told: Told) -> bool:
    """Whether the order's count of its numbers and its list of them differ: within one reply, or when several looks
    at the list had the same answer, and no other list came since. A count of nothing tells nothing."""
    count, whole, listed = (told.facets.get(name) for name in ("numbers_total", "list", "listed"))
    if count is None or count[1] == 0:
        return False
    if listed is not None and (whole is None or listed[0] >= whole[0]):
        return listed[1] != count[1]
    return whole is not None and whole[0][:2] == count[0][:2] and whole[1] != count[1]


def _total(told: Told, known: int) -> int:
    """How many numbers an order has: as many as its whole list, where that is as new as the provider's count;
    else the count, for the embedded list may be cut off. A count of nothing beside numbers tells nothing."""
    count, whole = told.facets.get("numbers_total"), told.facets.get("list")
    if count is None or (known and count[1] == 0) or (whole is not None and whole[0][0] >= count[0][0]):
        return known
    return cast(int, count[1])
