"""Porting orders, port-outs and their numbers, from lists and from single reads.

https://developers.telnyx.com/api-reference: porting orders, number portout
"""

import re
from dataclasses import replace
from typing import Any

from aggregator.adapter import (
    Carrier,
    Carriers,
    Dates,
    Direction,
    Fact,
    NumberSaid,
    Options,
    OrderRef,
    Page,
    Part,
    Partial,
    Reading,
    ReasonSaid,
    References,
    Status,
    Want,
    Whole,
    Word,
    document,
    get,
    inner,
    instant,
    keep,
    local_date,
    masked,
    several,
    snapshot,
    text,
    whole,
)
from aggregator.providers.telnyx import envelope

Item = dict[str, Any]
EMBEDDED = 50  # an order embeds at most so many of its numbers

# Left out on purpose: end_user (names, account number, PIN, tax id, address), documents, webhook_url,
# user ids, feedback.
PORT_IN = keep(
    "id",
    "status.value",
    "status.details.code",
    "status.details.description",
    "customer_reference",
    "customer_group_reference",
    "description",
    "support_key",
    "parent_support_key",
    "old_service_provider_ocn",
    "phone_number_type",
    "porting_phone_numbers_count",
    "activation_settings.activation_status",
    "activation_settings.fast_port_eligible",
    "activation_settings.foc_datetime_actual",
    "activation_settings.foc_datetime_requested",
    "additional_steps",
    "messaging.messaging_capable",
    "messaging.enable_messaging",
    "messaging.messaging_port_status",
    "messaging.messaging_port_completed",
    "misc.type",
    "requirements_met",
    "created_at",
    "updated_at",
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
    "reason",
    "rejection_code",
    "created_at",
    "inserted_at",
    "updated_at",
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
        id = page.request.path.rsplit("/", 1)[1]
        return Reading((replace(snapshot(page, OrderRef(direction, id)), deleted=True),), done=True)
    return envelope.single(page, lambda item: _said(item, page, direction, options))


def _said(item: Item, page: Page, direction: Direction, options: Options) -> tuple[envelope.Said, ...]:
    if direction is Direction.PORT_IN:
        return _port_in(item, page, options)
    return ((_port_out(item, page, options), ()),)


def _port_in(item: Item, page: Page, options: Options) -> tuple[envelope.Said, ...]:
    id = get(item, "id", str)
    ref = OrderRef(Direction.PORT_IN, id)
    settings, status = inner(item, "activation_settings"), inner(item, "status")
    updated_at = instant(item, "updated_at")
    activation = text(settings, "activation_status")
    messaging = text(inner(item, "messaging"), "messaging_port_status")
    order = snapshot(
        page,
        ref,
        updated_at=updated_at,
        kept=document(item, PORT_IN),
        status=Status(text(status, "value"), reasons(several(status, "details"))),
        dates=Dates(
            requested=local_date(settings, "foc_datetime_requested", options.time_zone),
            confirmed=local_date(settings, "foc_datetime_actual", options.time_zone),
            created=instant(item, "created_at"),
        ),
        carriers=Carriers(losing=_losing(item), gaining=Carrier("Telnyx")),
        references=References(
            customer=text(item, "customer_reference"),
            customer_group=text(item, "customer_group_reference"),
            description=text(item, "description"),
            support_key=text(item, "support_key"),
            group_key=text(item, "parent_support_key"),
        ),
        messaging=Word(messaging) if messaging else None,
        activation=Word(activation) if activation else None,
        steps=tuple(str(step) for step in several(item, "additional_steps")),
        numbers_total=whole(item, "porting_phone_numbers_count"),
    )
    lines = [line for line in several(item, "phone_numbers") if isinstance(line, dict)]
    said = tuple(number(line) for line in lines)
    total = order.numbers_total
    complete = len(said) >= total if total is not None else "phone_numbers" in item and len(said) < EMBEDDED
    if not complete:
        # Some of its numbers at most: they belong to this look at the order, the rest is asked for.
        order = replace(order, numbers=Partial(said) if said else None)
        return ((order, (*_comments_wanted(order), *_numbers_wanted(order))),)
    numbers = snapshot(
        page, ref, Part.NUMBERS, updated_at=order.as_of, kept=numbers_document(lines), numbers=Whole(said)
    )
    return ((order, _comments_wanted(order)), (numbers, ()))


def _numbers_wanted(order: Fact) -> tuple[Want, ...]:
    if order.numbers_total == 0:
        return ()
    return (
        Want(Part.NUMBERS, order.order.id, order.order.direction, since=order.as_of, because=order.source_id),
    )


def _comments_wanted(order: Fact) -> tuple[Want, ...]:
    """An exception without details is explained in the comments, if anywhere."""
    status = order.status
    if status is None or status.raw != "exception" or status.reasons:
        return ()
    return (
        Want(
            Part.COMMENTS, order.order.id, order.order.direction, since=order.as_of, because=order.source_id
        ),
    )


def numbers_document(lines: list[Item]) -> str:
    """The kept part of a number list, in the order of its numbers."""
    return "[" + ",".join(sorted(document(line, NUMBER) for line in lines)) + "]"


def _port_out(item: Item, page: Page, options: Options) -> Fact:
    refusal, code = text(item, "reason"), text(item, "rejection_code")
    given = (ReasonSaid(code or "OTHER", refusal and masked(refusal)),) if refusal or code else ()
    lines = [raw for raw in several(item, "phone_numbers") if isinstance(raw, str) and raw]
    return snapshot(
        page,
        OrderRef(Direction.PORT_OUT, get(item, "id", str)),
        updated_at=instant(item, "updated_at"),
        kept=document(item, PORT_OUT),
        status=Status(text(item, "status"), given),
        dates=Dates(
            requested=local_date(item, "requested_foc_date", options.time_zone),
            confirmed=local_date(item, "foc_date", options.time_zone),
            created=instant(item, "created_at") or instant(item, "inserted_at"),
        ),
        carriers=Carriers(
            losing=Carrier(text(item, "current_carrier") or "Telnyx"),
            gaining=Carrier(text(item, "carrier_name"), text(item, "spid")),
        ),
        references=References(customer=text(item, "pon"), support_key=text(item, "support_key")),
        numbers=Whole(tuple(international(raw) for raw in lines)) if "phone_numbers" in item else None,
    )


# --- the pieces -----------------------------------------------------------------------------------------


def reasons(details: list[Any]) -> tuple[ReasonSaid, ...]:
    """`status.details`: several at once are normal, none is possible."""
    found = []
    for detail in details:
        if isinstance(detail, dict) and (code := text(detail, "code")):
            said = text(detail, "description")
            found.append(ReasonSaid(code, said and masked(said)))
    return tuple(found)


def number(line: Item) -> NumberSaid:
    """A porting phone number. It has no lifecycle of its own: its status is only a copy of the order's."""
    said: dict[str, Any] = {}
    if "activation_status" in line:
        said["activation"] = Word(text(line, "activation_status"))
    if "messaging_port_status" in line:
        said["messaging"] = Word(text(line, "messaging_port_status"))
    if "requirements_status" in line:
        said["requirement"] = text(line, "requirements_status")
    return international(get(line, "phone_number", str), **said)


def international(raw: str, **said: Any) -> NumberSaid:
    """A number as Telnyx writes it; its examples of E.164 lack the `+`, so the key is read with one."""
    return NumberSaid(raw, key=raw if raw.startswith("+") else f"+{raw}", **said)


def _losing(item: Item) -> Carrier | None:
    """`old_service_provider_ocn` holds a name in the published example; only a four-character code is an OCN."""
    said = text(item, "old_service_provider_ocn")
    if said is None:
        return None
    return Carrier(spid=said) if re.fullmatch(r"[0-9A-Z]{4}", said) else Carrier(said)
