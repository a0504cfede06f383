"""Rows of the views in plain words, for people: changes, moments, spans of time.

What is told is told once: the rows that one read of one order taught us become one sentence.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from aggregator.cli import output
from aggregator.core.why import REASON_WORDS

Row = Mapping[str, Any]
FIELDS = {
    "requested_foc": "FOC date requested",
    "confirmed_foc": "FOC date",
    "foc_state": "FOC date",
    "ported_at": "ported",
    "losing_carrier_spid": "losing carrier's SPID",
    "gaining_carrier_spid": "gaining carrier's SPID",
    "messaging_state": "messaging",
    "activation_state": "activation",
    "carrier_status_raw": "the carrier's status",
    "portability_status": "portability",
    "requirements_status": "requirements",
    "requirements_met": "required documents",
    "activation_job_status": "activation job",
    "parent_order_id": "split off from",
    "sub_account": "sub-account",
    "customer_group_reference": "customer's group",
    "group_key": "group at the provider",
    "numbers_total": "numbers in all",
    "port_type": "full or partial port",
    "remaining_numbers": "numbers that stay",
    "pon": "purchase order number",
}
AGREED = {"firm": "FOC date confirmed", "proposed": "FOC date proposed"}
"""What a date of the losing carrier is called, by how far it is agreed (`foc_state`)."""
FOLLOWING = frozenset(
    [
        "map_version",
        "mapping_basis",
        "waiting_since",
        "state_since",
        "why",
        "first_scheduled_at",
        "submitted_at",
        "ended_at",
        "added_at",
        "ported_at_source",
        "carrier_status",
        "numbers_ported",
        "numbers_open",
        "numbers_ended_unported",
        "numbers_active",
        "rollup_state",
        "is_mixed",
        "is_open",
        "foc_is_firm",
        "foc_state",
        "number_type",
        "fast_port",
        "messaging_open",
        "submission_cycle",
        "foc_changes",
        "end_cause",
        "deletion_basis",
        "created_at",
        "removed_at",
        "e164",
        "raw_number",
        "description",
    ]
)
"""Columns whose changes say nothing that the sentence does not say already."""
THEIRS = (
    "raw_status",
    "carrier_status_raw",
    "portability_status",
    "requirements_status",
    "activation_job_status",
    "port_type",
    "remaining_numbers",
    "pon",
)
"""Columns in the provider's own words."""
DATES = ("requested_foc_on", "requested_foc_at", "confirmed_foc_on", "confirmed_foc_at", "ported_at")
TOLD = frozenset(
    [
        *DATES,
        "state",
        "raw_status",
        "waiting_on",
        "reasons",
        "deleted_at",
        "documents",
        "comment",
        "order_seen",
        "cancel_asked",
        "foc_state",
    ]
)
"""Columns that have a way of their own of being told."""
FEW = 3
GONE = "deleted at the provider"


def plain(word: object) -> str:
    """A word of ours for people: without underscores."""
    return str(word).replace("_", " ")


def quoted(word: object) -> str:
    """A provider's word, exactly as written, in quotation marks."""
    return f"“{output.printable(str(word))}”"


def flags(row: Row) -> str:
    """What is peculiar about a change."""
    said = [
        words
        for name, words in (
            ("late", "learned late"),
            ("regression", "a step back"),
            ("unexpected", "not the usual order of steps"),
        )
        if row.get(name)
    ]
    if row.get("source") == "replay":
        said.append("read again with other words")
    return f" ({', '.join(said)})" if said else ""


def change(row: Row) -> str:
    """One change row as a short text.

    >>> change({"kind": "state_changed", "field": "state", "old_value": "scheduled", "new_value": "exception",
    ...         "regression": True})
    'state: scheduled → exception (a step back)'
    """
    kind, new = row["kind"], row["new_value"]
    if kind == "order_seen":
        seen = json.loads(new)
        return f"first seen: {plain(seen.get('state'))}" + flags(row)
    if kind == "number_added":
        return "number added" + flags(row)
    if row["field"] == "number_key":
        return "number stands here" + flags(row)
    if kind == "number_moved":
        return _move(row) + flags(row)
    if kind == "comment_added":
        return "a new comment" + flags(row)
    if kind == "cancel_asked":
        return "we asked to cancel it" + flags(row)
    if kind == "document_changed":
        return "a document was changed" + flags(row)
    name = row["field"] or kind
    moved = f": {step(name, row['old_value'], new)}" if row["old_value"] or new else ""
    return label(name) + moved + flags(row)


def label(field: str) -> str:
    """A column's name for people."""
    return FIELDS.get(field) or FIELDS.get(field.removesuffix("_on").removesuffix("_at")) or plain(field)


def step(field: str, old: str | None, new: str | None) -> str:
    """From a value to the next.

    >>> step("losing_carrier", None, "Unreal Communications"), step("foc_changes", "0", "1")
    ('Unreal Communications', '0 → 1')
    """
    before, after = (value(field, said) for said in (old, new))
    if before == after:  # alike to the minute: the whole of it, then
        before, after = old or "", new or ""
    return f"{before} → {after or 'none'}" if before else after or "none"


def value(field: str, said: str | None) -> str:
    """A change row's text for people: our words without underscores, theirs in quotation marks."""
    if said is None or said == "[]":
        return ""
    if said.startswith("["):
        return ", ".join(REASON_WORDS.get(code, plain(code)) for code in json.loads(said))
    if field in THEIRS:
        return quoted(said)
    if field == "requirements_met":
        return "complete" if said == "true" else "missing"
    if field in ("state", "waiting_on", "activation_state", "messaging_state", "rollup_state"):
        return plain(said)
    if field.endswith(("_at", "_since")):
        return output.when(said)
    return output.day(said) if field.endswith("_on") else output.printable(said)


# --- the rows of one read as one sentence ---------------------------------------------------------------


def agreed_of(order: Row) -> str:
    """How far the date of an order at first sight is agreed; what was written long ago tells only whether it is firm."""
    return order.get("foc_state") or ("firm" if order.get("foc_is_firm") else "proposed")


def agreed(rows: Iterable[Row], before: str | None) -> str | None:
    """How far an order's date is agreed (`foc_state`) after these rows of it, oldest first."""
    for row in rows:
        if row["kind"] == "order_seen":
            before = agreed_of(json.loads(row["new_value"]))
        elif row["field"] == "foc_state" and not row["late"]:
            before = row["new_value"]
    return before


def sentence(rows: Sequence[Row], reasons: Mapping[str, str], foc: str | None = None) -> str:
    """What the rows about an order that one read taught us say together; empty where they only move what
    follows from others. `reasons` are the provider's own words for reason codes; `foc`: how far the date is
    agreed after them, where that is known."""
    return "; ".join(_said(rows, reasons, agreed(rows, foc)))


def _said(rows: Sequence[Row], reasons: Mapping[str, str], foc: str | None) -> Iterator[str]:
    own = {row["field"] or row["kind"]: row for row in rows}
    for row in rows:
        if row["kind"] == "order_seen":
            # What else the first look brought stands in rows of its own: one look, one sight.
            seen = json.loads(row["new_value"]) | {name: other["new_value"] for name, other in own.items()}
            yield from _seen(seen)
            return
        if row["kind"] in ("order_deleted", "order_reappeared"):
            yield GONE if row["kind"] == "order_deleted" else "there again"
        elif row["kind"] == "cancel_asked":
            yield "we asked to cancel it"
        elif row["kind"] == "document_changed":
            yield "a document was changed"
    yield from _status(own)
    if "waiting_on" in own or "reasons" in own or "why" in own:
        yield from _who(own, reasons)
    yield from _dates(own, foc)
    for name, row in own.items():
        if name not in TOLD | FOLLOWING:
            yield f"{label(name)}: {step(name, row['old_value'], row['new_value'])}"


def _seen(order: Row) -> Iterator[str]:
    """An order at first sight."""
    raw = order.get("raw_status")
    yield f"{quoted(raw) if raw else 'no status told'} = {plain(order.get('state'))}"
    if order.get("deleted_at"):
        yield GONE
    elif order.get("waiting_on") == "us":
        yield "waits for us" + (f": {output.printable(order['why'])}" if order.get("why") else "")
    for name in ("requested_foc", "confirmed_foc"):
        on, at = order.get(f"{name}_on"), order.get(f"{name}_at")
        if on:
            label = _date_label(name, agreed_of(order))
            yield f"{label}: {output.when(at) if at else output.day(on)}"
    for name in ("losing_carrier", "gaining_carrier"):
        if order.get(name):
            yield f"{plain(name)}: {output.printable(order[name])}"


def _status(own: Mapping[str, Row]) -> Iterator[str]:
    """The step in the provider's words and in ours."""
    state, raw = own.get("state"), own.get("raw_status")
    if raw is not None and raw["new_value"] is not None:
        theirs = step("raw_status", raw["old_value"], raw["new_value"])
        yield (
            f"{theirs} = {step('state', state['old_value'], state['new_value'])}" + flags(state)
            if state
            else theirs + flags(raw)
        )
    elif state is not None:
        yield step("state", state["old_value"], state["new_value"]) + flags(state)


def _who(own: Mapping[str, Row], reasons: Mapping[str, str]) -> Iterator[str]:
    """Who must act now, and why."""
    who, why, given = own.get("waiting_on"), own.get("why"), own.get("reasons")
    words = output.printable(why["new_value"]) if why and why["new_value"] else ""
    if who is not None:
        yield f"now {waits(who['new_value'])}" + (f": {words}" if words else "")
    elif words:
        yield words
    if given is not None and not words:
        codes = json.loads(given["new_value"] or "[]")
        if codes:
            yield "reasons: " + ", ".join(reasons.get(code, code) for code in codes)
        elif "state" not in own:
            yield "no reason any more"


def waits(who: str | None) -> str:
    """Who must act, as a phrase.

    >>> waits("losing_carrier"), waits("nobody"), waits("us")
    ('waits for the losing carrier', 'waits for nobody', 'waits for us')
    """
    if who in ("provider", "losing_carrier", "gaining_carrier"):
        return f"waits for the {plain(who)}"
    return "nobody knows who must act" if who in (None, "unknown") else f"waits for {who}"


def _date_label(name: str, foc: str | None) -> str:
    """What a date is called: one that is not firm is never called confirmed."""
    return AGREED.get(foc or "", FIELDS[name]) if name == "confirmed_foc" else FIELDS[name]


def _dates(own: Mapping[str, Row], foc: str | None) -> Iterator[str]:
    moved_to = own.get("foc_state")
    if moved_to is not None and not {"confirmed_foc_on", "confirmed_foc_at"} & own.keys():
        if moved_to["new_value"] == "firm":
            yield "the FOC date is confirmed now"
        elif moved_to["old_value"] == "firm":
            yield "the FOC date is not firm any more"
    for name in ("requested_foc", "confirmed_foc"):
        on, at = own.get(f"{name}_on"), own.get(f"{name}_at")
        if on is None and at is None:
            continue
        before, after = _moment(on, at, "old_value"), _moment(on, at, "new_value")
        moved = f"{before} → {after or 'none'}" if before else after
        label = _date_label(name, foc if after else None)
        yield f"{label}: {moved}" + flags(on or at or {})
    ported = own.get("ported_at")
    if ported is not None and "state" not in own:
        before, after = value("ported_at", ported["old_value"]), value("ported_at", ported["new_value"])
        if before != after:
            yield f"{FIELDS['ported_at']}: {step('ported_at', ported['old_value'], ported['new_value'])}"


def _moment(on: Row | None, at: Row | None, side: str) -> str:
    """A date as exactly as the two rows about it say it."""
    if at is not None and at[side]:
        return output.when(at[side])
    return output.day(on[side]) if on is not None and on[side] else ""


def fates(rows: Sequence[Row]) -> dict[str, list[str]]:
    """What befell the numbers that some rows speak of, those with the same fate together."""
    found: dict[str, list[str]] = {}
    raw = {row["number_key"]: row for row in rows if row["field"] == "raw_status"}
    for row in rows:
        key, field = row["number_key"], row["field"] or row["kind"]
        if row["kind"] in ("number_added", "number_removed"):
            fate = plain(row["kind"]).removeprefix("number ")
        elif row["kind"] == "number_moved":
            fate = _move(row)
        elif row["field"] in ("number_key", "is_current"):
            continue  # what became of it is told by a row of its own
        elif field == "state":
            theirs = raw.get(key)
            words = step("raw_status", theirs["old_value"], theirs["new_value"]) + " = " if theirs else ""
            fate = words + step("state", row["old_value"], row["new_value"]) + flags(row)
        elif field in FOLLOWING | {"ported_at"} or (
            field == "raw_status" and row["kind"] == "attribute_changed"
        ):
            continue
        else:
            moved = step(field, row["old_value"], row["new_value"])
            fate = f"{label(field)} {moved}" + flags(row)
        found.setdefault(fate, []).append(key)
    return found


def _move(row: Row) -> str:
    """A number's way from one order to another, by the provider's ids."""
    left, here = (str(row[side]).rpartition("/")[2] for side in ("old_value", "new_value"))
    return f"moved from order {left} to order {here}"


def together(fates: Mapping[str, Sequence[str]]) -> list[str]:
    """Each fate with the numbers it befell."""
    return [f"{some(keys)}: {fate}" for fate, keys in fates.items()]


def some(keys: Iterable[str]) -> str:
    """Telephone numbers by name while they are few, else how many."""
    keys = list(keys)
    return ", ".join(keys) if len(keys) <= FEW else f"{len(keys)} numbers"
