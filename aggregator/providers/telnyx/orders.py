"""Porting orders, port-outs and their numbers, from lists and from single reads.

https://developers.telnyx.com/api-reference: porting orders, number portout
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from aggregator.adapter import (
    NOT_TOLD,
    Carrier,
    Carriers,
    Dates,
    Direction,
    Fact,
    Moment,
    NotTold,
    NumberSaid,
    Options,
    OrderRef,
    Page,
    Part,
    Partial,
    Reading,
    ReasonSaid,
    References,
    Skipped,
    Status,
    Terms,
    Want,
    Whole,
    Word,
    document,
    entries,
    flag,
    get,
    inner,
    instant,
    keep,
    local_date,
    masked,
    sift,
    snapshot,
    text,
    texts,
    told,
    unread,
    whole,
)
from aggregator.providers.telnyx import envelope, tasks
from aggregator.providers.telnyx.requests import key

Item = dict[str, Any]
EMBEDDED = 50  # an order embeds at most so many of its numbers

# Left out on purpose: end_user (names, account number, PIN, tax id, address), documents, webhook_url,
# user ids, feedback, the billing number, and what was given for a requirement.
PORT_IN = keep(
    "id",
    "status.value",
    "status.details.code",
    "customer_reference",
    "customer_group_reference",
    "support_key",
    "parent_support_key",
    "old_service_provider_ocn",
    "phone_number_type",
    "porting_phone_numbers_count",
    "activation_settings.activation_status",
    "activation_settings.activation_type",
    "activation_settings.fast_port_eligible",
    "activation_settings.foc_datetime_actual",
    "activation_settings.foc_datetime_requested",
    "additional_steps",
    "messaging.messaging_capable",
    "messaging.enable_messaging",
    "messaging.messaging_port_status",
    "messaging.messaging_port_completed",
    "misc.type",
    "misc.remaining_numbers_action",
    "requirements.field_type",
    "requirements.requirement_type_id",
    "requirements_met",
    "created_at",
    "updated_at",
    free=["status.details.description", "description"],
)
# Left out on purpose: names, address, lsr links, vendor, user ids.
PORT_OUT = keep(
    "id",
    "status",
    "phone_numbers",
    "support_key",
    "pon",
    "spid",
    "carrier_name",
    "current_carrier",
    "foc_date",
    "requested_foc_date",
    "already_ported",
    "host_messaging",
    "rejection_code",
    "created_at",
    "inserted_at",
    "updated_at",
    free=["reason"],
)
NUMBER = keep(
    "phone_number",
    "phone_number_type",
    "porting_order_id",
    "porting_order_status",
    "activation_status",
    "portability_status",
    "requirements_status",
    "messaging_port_status",
)


def listed(page: Page, direction: Direction, options: Options) -> Reading:
    """A page of `/porting_orders` or `/portouts`."""
    kept = PORT_IN if direction is Direction.PORT_IN else PORT_OUT
    return envelope.listed(page, lambda item: _said(item, page, direction, options), kept)


def single(page: Page, direction: Direction, options: Options) -> Reading:
    """One order; a 404 is a tombstone."""
    if envelope.is_absent(page):
        ref = OrderRef(direction, envelope.asked(page))
        return Reading((replace(snapshot(page, ref), deleted=True),), done=True)
    return envelope.single(page, lambda item: _said(item, page, direction, options))


def _said(
    item: Item, page: Page, direction: Direction, options: Options
) -> Iterator[envelope.Said | Skipped]:
    return (_port_in if direction is Direction.PORT_IN else _port_out)(item, page, options)


def _port_in(item: Item, page: Page, options: Options) -> Iterator[envelope.Said | Skipped]:
    id = get(item, "id", str)
    settings, status = inner(item, "activation_settings"), inner(item, "status")
    messaging = text(inner(item, "messaging"), "messaging_port_status")
    missing, kept = _missing(item), envelope.keyed(item)
    order = snapshot(
        page,
        OrderRef(Direction.PORT_IN, key(id), id),
        updated_at=instant(item, "updated_at"),
        kept=document(kept if missing is None else {**kept, "requirements": missing}, PORT_IN),
        status=Status(text(status, "value"), reasons(status)),
        dates=Dates(
            requested=_date(settings, "foc_datetime_requested", options),
            confirmed=_date(settings, "foc_datetime_actual", options),
            created=instant(item, "created_at") or NOT_TOLD,
        ),
        carriers=Carriers(losing=_losing(item), gaining=Carrier("Telnyx")),
        references=References(
            customer=told(item, "customer_reference"),
            customer_group=told(item, "customer_group_reference"),
            description=_free(item, "description"),
            support_key=told(item, "support_key"),
            group_key=told(item, "parent_support_key"),
        ),
        terms=_terms(item, settings),
        messaging=Word(messaging) if messaging else None,
        activation=None if (activation := _word(settings, "activation_status")) is NOT_TOLD else activation,
        steps=_steps(item),
        numbers_total=whole(item, "porting_phone_numbers_count"),
        requirements_met=flag(item, "requirements_met"),
        missing=None if missing is None else tuple(map(_requirement, missing)),
    )
    yield from _with_numbers(order, item, page)


def _with_numbers(order: Fact, item: Item, page: Page) -> Iterator[envelope.Said | Skipped]:
    """An order with the numbers embedded in it: its whole list where they are all there, else some of them,
    which belong to this look at the order, and a want for the rest."""
    ref, total = order.order, order.numbers_total
    lines = entries(item, "phone_numbers")
    said, lost = sift(lines, lambda it: (number(it),), "phone_number", NUMBER, f"{ref.id}/phone_numbers")
    yield from lost
    listed = isinstance(item.get("phone_numbers"), list)
    complete = len(said) >= total if total is not None else listed and len(said) < EMBEDDED
    if lost or not complete:
        order = replace(order, numbers=Partial(said) if said else None)
        yield order, (*_beside_wanted(order, item), *_numbers_wanted(order))
        return
    yield order, _beside_wanted(order, item)
    kept = numbers_document(lines)
    yield snapshot(page, ref, Part.NUMBERS, updated_at=order.as_of, kept=kept, numbers=Whole(said)), ()


def _numbers_wanted(order: Fact) -> tuple[Want, ...]:
    total = order.numbers_total
    return () if total == 0 else (replace(_want(Part.NUMBERS, order), expected=total),)


def _beside_wanted(order: Fact, item: Item) -> tuple[Want, ...]:
    """What else to ask about the order. An exception without details is explained in the comments, if anywhere."""
    status = order.status
    unexplained = status is not None and status.raw == "exception" and not status.given
    parts = (Part.COMMENTS,) if unexplained else ()
    return tuple(_want(part, order) for part in (*parts, *tasks.wanted(order, item)))


def _want(part: Part, order: Fact) -> Want:
    return Want(part, order.order.id, order.order.direction, since=order.as_of, because=order.source_id)


def numbers_document(lines: list[Any]) -> str:
    """The kept part of a number list."""
    return document([envelope.keyed(line) if isinstance(line, dict) else line for line in lines], NUMBER)


def _port_out(item: Item, page: Page, options: Options) -> Iterator[envelope.Said | Skipped]:
    id = get(item, "id", str)
    current = told(item, "current_carrier") if "current_carrier" in item else None
    fact = snapshot(
        page,
        OrderRef(Direction.PORT_OUT, key(id), id),
        updated_at=instant(item, "updated_at"),
        kept=document(envelope.keyed(item), PORT_OUT),
        status=Status(text(item, "status"), refusal(item, "reason", "rejection_code")),
        dates=Dates(
            requested=_date(item, "requested_foc_date", options),
            confirmed=_date(item, "foc_date", options),
            created=instant(item, "created_at") or instant(item, "inserted_at") or NOT_TOLD,
        ),
        carriers=Carriers(losing=Carrier(current or "Telnyx"), gaining=gaining(item)),
        references=References(
            description=_pon(item), support_key=told(item, "support_key"), pon=told(item, "pon")
        ),
    )
    numbers = tuple(map(international, texts(item, "phone_numbers")))
    lines = item.get("phone_numbers")
    complete = isinstance(lines, list) and len(numbers) == len(lines)
    # A port-out has a number at least: an empty list tells nothing.
    said = None if not numbers else Whole(numbers) if complete else Partial(numbers)
    yield replace(fact, numbers=said), ()


# --- the pieces -----------------------------------------------------------------------------------------


def _pon(item: Item) -> str | NotTold | None:
    """The gaining carrier's purchase order number: not a reference of ours, but what its people quote."""
    said = told(item, "pon")
    return f"PON {said}" if isinstance(said, str) else said


def _free(item: Item, name: str) -> str | NotTold | None:
    said = told(item, name)
    return masked(said) if isinstance(said, str) else said


def _date(item: Item, name: str, options: Options) -> Moment | NotTold | None:
    return local_date(item, name, options.time_zone) if name in item else NOT_TOLD


def _steps(item: Item) -> tuple[str, ...] | None:
    if "additional_steps" not in item:
        return None
    steps = texts(item, "additional_steps")
    return steps if len(steps) == len(entries(item, "additional_steps")) else steps or None


def _terms(item: Item, settings: Item) -> Terms:
    """What was ordered; `misc` as a whole may be null, which is "there is none"."""
    misc = inner(item, "misc")
    if item.get("misc", NOT_TOLD) is None:
        misc = {"type": None, "remaining_numbers_action": None}
    fast = flag(settings, "fast_port_eligible")
    absent = fast is None and settings.get("fast_port_eligible", NOT_TOLD) is not None
    return Terms(
        port_type=told(misc, "type"),
        remaining_numbers=told(misc, "remaining_numbers_action"),
        number_type=told(item, "phone_number_type"),
        fast_port=NOT_TOLD if absent else fast,
    )


def _missing(item: Item) -> list[Item] | None:
    """The requirements for which nothing was given; those that were met are not kept. None: not told."""
    if "requirements" not in item:
        return None
    lines = [line for line in entries(item, "requirements") if isinstance(line, dict)]
    return sorted((line for line in lines if line.get("field_value") in (None, "")), key=_requirement)


def _requirement(line: Item) -> str:
    """A requirement by its kind and the id of its type, which is what Telnyx names it by."""
    kind, id = line.get("field_type"), line.get("requirement_type_id")
    return " ".join(word for word in (kind, id) if isinstance(word, str) and word) or "unnamed"


def reasons(status: Item) -> tuple[ReasonSaid, ...] | NotTold:
    """`status.details`: several at once are normal, none is possible. Where there are some and none can be read,
    or the field is absent, they are not told."""
    if "details" not in status:
        return NOT_TOLD
    details = entries(status, "details")
    given = tuple(said for detail in details if (said := _reason(detail)))
    if len(given) < len(details):
        unread(
            status, "details", f"{len(details) - len(given)} of {len(details)} cannot be read", blunt=False
        )
    return given if given or not details else NOT_TOLD


def _reason(detail: object) -> ReasonSaid | None:
    if not isinstance(detail, dict):
        return None
    said = text(detail, "description")
    code = text(detail, "code") or (said and "OTHER")
    return ReasonSaid(code, said and masked(said)) if code else None


def refusal(item: Item, name: str, code_name: str = "") -> tuple[ReasonSaid, ...] | NotTold:
    """Why a port-out was refused: the text, and beside it the code where there is one. Not told where the fields
    are absent or cannot be read."""
    said, code = told(item, name), told(item, code_name)
    if isinstance(said, str) or isinstance(code, str):
        words = masked(said) if isinstance(said, str) else None
        return (ReasonSaid(code if isinstance(code, str) else "OTHER", words),)
    unknown = [field for field, value in ((name, said), (code_name, code)) if value is NOT_TOLD]
    return NOT_TOLD if len(unknown) == 2 or any(field in item for field in unknown) else ()


def number(line: Item) -> NumberSaid:
    """A porting phone number. It has no lifecycle of its own: its status is only a copy of the order's."""
    return international(
        get(line, "phone_number", str),
        activation=_word(line, "activation_status"),
        messaging=_word(line, "messaging_port_status"),
        requirement=_word(line, "requirements_status"),
        portability=_word(line, "portability_status"),
    )


def _word(line: Item, name: str) -> Word | NotTold:
    said = told(line, name)
    return NOT_TOLD if said is NOT_TOLD else Word(said)


def international(raw: str, **said: Any) -> NumberSaid:
    """A number as Telnyx writes it; its examples of E.164 lack the `+`, so the key is read with one."""
    return NumberSaid(raw, key=raw if raw.startswith("+") else f"+{raw}", **said)


def gaining(item: Item) -> Carrier | NotTold:
    """The carrier a port-out goes to, where it is spoken of."""
    name, spid = told(item, "carrier_name"), told(item, "spid")
    return NOT_TOLD if name is NOT_TOLD and spid is NOT_TOLD else Carrier(name, spid)


def _losing(item: Item) -> Carrier | NotTold | None:
    """`old_service_provider_ocn` holds a name in the published example; an OCN has four characters, a digit
    among them."""
    said = told(item, "old_service_provider_ocn")
    if not isinstance(said, str):
        return said
    return Carrier(spid=said) if re.fullmatch(r"(?=.*[0-9])[0-9A-Z]{4}", said) else Carrier(said)
