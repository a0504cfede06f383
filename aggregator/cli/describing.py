"""How an order, its numbers and its reasons stand, in plain words."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from aggregator.cli import output, telling
from aggregator.core.why import REASON_WORDS

Row = dict[str, Any]
CLOCKS = {
    "port_out_authorised_by_silence": "then the provider authorises it by itself",
    "draft_deleted": "then the provider deletes the draft",
    "exception_cancelled": "then the provider is said to cancel it, if nobody answers",
    "cancel_locked": "from then on it cannot be cancelled through the provider's API",
    "port_out_late": "until then it may port on any day; after that it is late",
    "emergency_return_over": "until about then it can be given back in an emergency",
}


@cache
def provider_name(provider: str) -> str:
    """A provider as it calls itself; its plain name where its adapter is not installed."""
    from aggregator import providers
    from aggregator.errors import ConfigError

    try:
        return providers.load(provider).label
    except (ConfigError, ImportError):
        return provider


def title(order: Row) -> str:
    """An order in one line: whose it is, which way it goes, how many numbers, where."""
    way = "port-in" if order["direction"] == "port_in" else "port-out"
    count = order["numbers_total"]
    whom = order["customer_reference"] or order["support_key"] or order["provider_order_id"]
    return output.printable(
        f"{whom}: {way} of {count} number{'s' * (count != 1)} at {provider_name(order['provider'])}"
    )


def order_lines(order: Row) -> Iterator[str]:
    """How an order stands, a line for each thing there is to say."""
    said = {
        "order": order["order_id"],
        "support key": order["support_key"],
        "stands": stands(order),
        "waits": waits(order),
        "deadline": _deadline(order),
        "stuck": order["stuck_since"]
        and f"since {output.when(order['stuck_since'])}: longer {telling.plain(order['state'])} than is usual",
        "FOC date": confirmed(order),
        "FOC requested": _date(order, "requested_foc"),
        "ported": order["ported_at"] and output.when(order["ported_at"]),
        "deleted": order["deleted_at"] and f"{output.when(order['deleted_at'])} ({order['deletion_basis']})",
        "ended": order["end_cause"] and f"cause: {telling.plain(order['end_cause'])}",
        "carriers": _carriers(order),
        "messaging": order["messaging_state"]
        and telling.plain(order["messaging_state"]) + (", still open" if order["messaging_open"] else ""),
        "port": _kind(order),
        "activation": order["activation_state"] and telling.plain(order["activation_state"]),
        "activation job": order["activation_job_status"] and telling.quoted(order["activation_job_status"]),
        "numbers": _counted(order),
        "resubmitted": order["submission_cycle"] and f"{order['submission_cycle']} ×",
        "group": order["customer_group_reference"],
        "PON": order["pon"],
        "description": order["description"] if order["description"] != f"PON {order['pon']}" else None,
        "sub-account": order["sub_account"],
        "split off from": order["parent_order_id"],
        "disagreement": order["disagreement"] and telling.plain(order["disagreement"]),
        "created": order["created_at"] and output.when(order["created_at"]),
        "first seen": output.when(order["first_seen_at"]),
        "last read": order["last_read_ok_at"] and output.when(order["last_read_ok_at"]),
    }
    yield from (line(name, text) for name, text in said.items() if text)


def line(name: str, text: object) -> str:
    """One thing that is so, under its name."""
    return f"  {name:<15}{output.printable(str(text))}"


def stands(order: Row) -> str:
    """The state, since when, and the provider's own word."""
    since = f" since {output.when(order['state_since'])}" if order["state_since"] else ""
    name = provider_name(order["provider"])
    if not order["raw_status"]:
        return f"{telling.plain(order['state'])}{since} ({name} has not told any status)"
    basis = {"guess": ", by a guess", "none": ", a word nobody knows"}.get(order["mapping_basis"], "")
    return (
        f"{telling.plain(order['state'])}{since} ({name} says {telling.quoted(order['raw_status'])}{basis})"
    )


def waits(order: Row) -> str | None:
    """Who must act and why; None where nobody waits any more."""
    if order["deleted_at"] or (not order["is_open"] and not order["needs_us"]):
        return None
    said = telling.waits(order["waiting_on"]).removeprefix("waits ")
    said += f" since {output.when(order['waiting_since'])}" if order["waiting_since"] else ""
    return said + (f": {order['why']}" if order["why"] else "")


def _deadline(order: Row) -> str | None:
    if not order["deadline_at"]:
        return None
    kind = order["deadline_kind"] or ""
    return f"{output.when(order['deadline_at'])}, {CLOCKS.get(kind, telling.plain(kind))}"


def confirmed(order: Row) -> str | None:
    """The FOC date, whether it is confirmed or only proposed, and how often it moved."""
    on = _date(order, "confirmed_foc")
    if on is None:
        return None
    moved = f", moved {order['foc_changes']} ×" if order["foc_changes"] else ""
    return on + (", confirmed" if order["foc_is_firm"] else ", proposed") + moved


def _date(order: Row, name: str) -> str | None:
    on, at = order[f"{name}_on"], order[f"{name}_at"]
    return (output.when(at) if at else output.day(on)) if on else None


def _kind(order: Row) -> str | None:
    """What was ordered, in the provider's words: all numbers or some, what becomes of the rest, their kind."""
    rest = order["remaining_numbers"]
    said = (
        order["port_type"] and telling.quoted(order["port_type"]),
        rest and f"the numbers that stay: {telling.quoted(rest)}",
        order["number_type"] and f"numbers: {telling.quoted(order['number_type'])}",
        "may port fast" if order["fast_port"] else None,
    )
    return ", ".join(words for words in said if words) or None


def _carriers(order: Row) -> str | None:
    named = []
    for side in ("losing_carrier", "gaining_carrier"):
        name, spid = order[side], order[f"{side}_spid"]
        named.append(f"{name or 'unknown'}" + (f" (SPID {spid})" if spid else "") if name or spid else "")
    return f"{named[0] or 'unknown'} → {named[1] or 'unknown'}" if any(named) else None


def _counted(order: Row) -> str:
    parts = [
        f"{order[f'numbers_{name}']} {words}"
        for name, words in (
            ("ported", "ported"),
            ("open", "open"),
            ("ended_unported", "ended without porting"),
            ("active", "active"),
        )
        if order[f"numbers_{name}"]
    ]
    return f"{order['numbers_total']} in all" + (f" ({', '.join(parts)})" if parts else "")


def number_lines(rows: list[Row]) -> Iterator[str]:
    """The numbers, those that stand alike together."""
    alike: dict[str, list[str]] = {}
    for row in rows:
        alike.setdefault(number_stands(row), []).append(row["number_key"])
    for standing, keys in alike.items():
        yield f"  {standing}: {', '.join(keys)}"


def number_stands(row: Row) -> str:
    """How one number stands, in one line."""
    said = [telling.plain(row["state"])]
    if row["raw_status"]:
        said[0] += f" ({telling.quoted(row['raw_status'])})"
    if row["activation_state"]:
        said.append(f"activation {telling.plain(row['activation_state'])}")
    if row["messaging_state"]:
        said.append(f"messaging {telling.plain(row['messaging_state'])}")
    if row["portability_status"] and row["portability_status"] != "confirmed":
        said.append(f"portability {telling.quoted(row['portability_status'])}")
    if row["requirements_status"] and row["requirements_status"] != "approved":
        said.append(f"requirements {telling.quoted(row['requirements_status'])}")
    if row["carrier_status_raw"]:
        known = row["carrier_status"] not in (None, "unknown", "unresolved")
        meaning = f" ({telling.plain(row['carrier_status'])})" if known else ""
        said.append(f"the carrier's status {telling.quoted(row['carrier_status_raw'])}{meaning}")
    if not row["is_current"]:
        gone = f" on {output.when(row['removed_at'])}" if row["removed_at"] else ""
        said.append(f"removed from the order{gone}")
    if row["e164"] is None:
        said.append("not a valid number")
    return ", ".join(said)


def reason_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Each reason with the span over which it was given."""
    for row in rows:
        until = output.when(row["to_at"]) if row["to_at"] else "now"
        whose = f" ({row['number_key']})" if row["number_key"] else ""
        yield f"  {output.when(row['from_at'])} to {until}{whose}: {reason(row)}; {telling.waits(row['waiting_on'])}"


def reason(row: Row) -> str:
    """A reason in our words, with the provider's own beside it."""
    theirs = row["raw_code"] + (f": {row['raw_text']}" if row["raw_text"] else "")
    ours = REASON_WORDS.get(row["code"])
    return output.printable(f"{ours} ({theirs})" if ours else theirs)
