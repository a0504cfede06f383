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
    PageChanged,
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
    get,
    inner,
    instant,
    keep,
    local_date,
    masked,
    sift,
    snapshot,
    text,
    whole,
)
from aggregator.providers.telnyx import envelope, tasks

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
DETAIL = keep("code")
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
    missing = _missing(item)
    given, unread = sift(
        entries(status, "details"), lambda it: (reason(it),), "code", DETAIL, f"{id}/details"
    )
    yield from unread
    order = snapshot(
        page,
        OrderRef(Direction.PORT_IN, id),
        updated_at=instant(item, "updated_at"),
        kept=document(item if missing is None else {**item, "requirements": missing}, PORT_IN),
        status=Status(text(status, "value"), given),
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
        activation=Word(text(settings, "activation_status")) if "activation_status" in settings else None,
        steps=_steps(item),
        numbers_total=whole(item, "porting_phone_numbers_count"),
        requirements_met=met if isinstance(met := item.get("requirements_met"), bool) else None,
        missing=None if missing is None else tuple(map(_requirement, missing)),
    )
    yield from _with_numbers(order, item, page)


def _with_numbers(order: Fact, item: Item, page: Page) -> Iterator[envelope.Said | Skipped]:
    """An order with the numbers embedded in it: its whole list where they are all there, else some of them,
    which belong to this look at the order, and a want for the rest."""
    ref, total = order.order, order.numbers_total
    lines = entries(item, "phone_numbers")
    said, unread = sift(lines, lambda it: (number(it),), "phone_number", NUMBER, f"{ref.id}/phone_numbers")
    yield from unread
    complete = len(said) >= total if total is not None else "phone_numbers" in item and len(said) < EMBEDDED
    if unread or not complete:
        order = replace(order, numbers=Partial(said) if said else None)
        yield order, (*_beside_wanted(order, item), *_numbers_wanted(order))
        return
    yield order, _beside_wanted(order, item)
    kept = numbers_document(lines)
    yield snapshot(page, ref, Part.NUMBERS, updated_at=order.as_of, kept=kept, numbers=Whole(said)), ()


def _numbers_wanted(order: Fact) -> tuple[Want, ...]:
    return () if order.numbers_total == 0 else (_want(Part.NUMBERS, order),)


def _beside_wanted(order: Fact, item: Item) -> tuple[Want, ...]:
    """What else to ask about the order. An exception without details is explained in the comments, if anywhere."""
    status = order.status
    unexplained = status is not None and status.raw == "exception" and not status.reasons
    parts = (Part.COMMENTS,) if unexplained else ()
    return tuple(_want(part, order) for part in (*parts, *tasks.wanted(order, item)))


def _want(part: Part, order: Fact) -> Want:
    return Want(part, order.order.id, order.order.direction, since=order.as_of, because=order.source_id)


def numbers_document(lines: list[Any]) -> str:
    """The kept part of a number list, in the order of its numbers."""
    return "[" + ",".join(sorted(document(line, NUMBER) for line in lines)) + "]"


def _port_out(item: Item, page: Page, options: Options) -> Iterator[envelope.Said | Skipped]:
    id = get(item, "id", str)
    refusal, code = text(item, "reason"), text(item, "rejection_code")
    given = (ReasonSaid(code or "OTHER", refusal and masked(refusal)),) if refusal or code else ()
    fact = snapshot(
        page,
        OrderRef(Direction.PORT_OUT, id),
        updated_at=instant(item, "updated_at"),
        kept=document(item, PORT_OUT),
        status=Status(text(item, "status"), given),
        dates=Dates(
            requested=_date(item, "requested_foc_date", options),
            confirmed=_date(item, "foc_date", options),
            created=instant(item, "created_at") or instant(item, "inserted_at") or NOT_TOLD,
        ),
        carriers=Carriers(losing=Carrier(text(item, "current_carrier") or "Telnyx"), gaining=gaining(item)),
        references=References(
            description=_pon(item), support_key=told(item, "support_key"), pon=told(item, "pon")
        ),
    )
    lines = entries(item, "phone_numbers")
    numbers = tuple(international(raw) for raw in lines if isinstance(raw, str) and raw)
    if len(numbers) < len(lines):
        yield Skipped(f"{id}/phone_numbers", f"{len(lines) - len(numbers)} of {len(lines)} not a text")
    complete = len(numbers) == len(lines) and isinstance(item.get("phone_numbers"), list)
    said = Whole(numbers) if complete else Partial(numbers) if numbers else None
    yield replace(fact, numbers=said), ()


# --- the pieces -----------------------------------------------------------------------------------------


def told(item: Item, name: str) -> str | NotTold | None:
    """A text field: null is "there is none", an absent one says nothing (every field may be absent)."""
    return text(item, name) if name in item else NOT_TOLD


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
    return tuple(step for step in entries(item, "additional_steps") if isinstance(step, str))


def _terms(item: Item, settings: Item) -> Terms:
    """What was ordered; `misc` as a whole may be null, which is "there is none"."""
    misc = item.get("misc", NOT_TOLD)
    if misc is None:
        misc = {"type": None, "remaining_numbers_action": None}
    elif not isinstance(misc, dict):
        misc = {}
    fast = settings.get("fast_port_eligible", NOT_TOLD)
    return Terms(
        port_type=_word(misc, "type"),
        remaining_numbers=_word(misc, "remaining_numbers_action"),
        number_type=_word(item, "phone_number_type"),
        fast_port=fast if fast is None or isinstance(fast, bool) else NOT_TOLD,
    )


def _word(item: Item, name: str) -> str | NotTold | None:
    """A word beside the order's course: one that is no text says nothing."""
    said = item.get(name, NOT_TOLD)
    return said or None if said is None or isinstance(said, str) else NOT_TOLD


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


def reason(detail: Item) -> ReasonSaid:
    """One of `status.details`: several at once are normal, none is possible."""
    said = text(detail, "description")
    code = text(detail, "code") or (said and "OTHER")
    if code is None:
        raise PageChanged("code: missing")
    return ReasonSaid(code, said and masked(said))


def number(line: Item) -> NumberSaid:
    """A porting phone number. It has no lifecycle of its own: its status is only a copy of the order's."""
    said: dict[str, Any] = {}
    if "activation_status" in line:
        said["activation"] = Word(text(line, "activation_status"))
    if "messaging_port_status" in line:
        said["messaging"] = Word(text(line, "messaging_port_status"))
    if "requirements_status" in line:
        said["requirement"] = Word(text(line, "requirements_status"))
    if "portability_status" in line:
        said["portability"] = Word(text(line, "portability_status"))
    return international(get(line, "phone_number", str), **said)


def international(raw: str, **said: Any) -> NumberSaid:
    """A number as Telnyx writes it; its examples of E.164 lack the `+`, so the key is read with one."""
    return NumberSaid(raw, key=raw if raw.startswith("+") else f"+{raw}", **said)


def gaining(item: Item) -> Carrier | NotTold:
    """The carrier a port-out goes to, where it is spoken of."""
    if "carrier_name" not in item and "spid" not in item:
        return NOT_TOLD
    return Carrier(text(item, "carrier_name"), text(item, "spid"))


def _losing(item: Item) -> Carrier | NotTold | None:
    """`old_service_provider_ocn` holds a name in the published example; an OCN has four characters, a digit
    among them."""
    said = told(item, "old_service_provider_ocn")
    if not isinstance(said, str):
        return said
    return Carrier(spid=said) if re.fullmatch(r"(?=.*[0-9])[0-9A-Z]{4}", said) else Carrier(said)
