"""How Telnyx shows its things, with every published field; values are reserved for fiction."""

import uuid
from datetime import datetime
from typing import Any

from aggregator.simulator.port_out import USER
from aggregator.simulator.things import REASONS, Event, Order, compact, maybe, micros, millis, offset, seconds

EMBEDDED = 50
METHODS = {"in": ["email", "webhook", "webhook_v1"], "out": ["email", "webhook"]}
OWNER = {"in": "porting_order_id", "out": "portout_id"}
RECORD = {"in": "porting_event", "out": "portout_event"}
REJECTIONS = [
    {"code": 1001, "description": "Other", "reason_required": True},
    {"code": 1002, "description": "Invalid PIN", "reason_required": False},
]


def event_text(event: Event, now: datetime, empty_style: str) -> bytes:
    """An event as JSON. Once its payload is there the text is kept in its place: a world may hold a million."""
    if event.filled_at > now:
        return compact(_event(event, empty_style))
    if event.text is None:
        event.text, event.payload = compact(_event(event, None)), None
    return event.text


def _event(event: Event, empty: str | None) -> dict[str, Any]:
    filled = max(event.created_at, event.filled_at) if empty is None else event.created_at
    shown = {
        "id": event.id,
        "event_type": event.type,
        OWNER[event.feed]: event.order_id,
        "available_notification_methods": METHODS[event.feed],
        "payload_status": "completed" if empty is None else "created",
        "payload": event.payload if empty is None else ({} if empty == "object" else None),
        "record_type": RECORD[event.feed],
        "created_at": micros(event.created_at),
        "updated_at": micros(filled),
    }
    if empty == "absent":
        del shown["payload"]
    return shown


def porting_order(order: Order, embed: bool) -> dict[str, Any]:
    """A porting order; at most its first fifty numbers are in it."""
    said = order.said
    met = said["requirements"] == "approved" and not _lacking(said)
    shown: dict[str, Any] = {
        "id": order.id,
        "activation_settings": {
            "activation_status": said["activation"],
            "fast_port_eligible": said["fast"],
            "foc_datetime_actual": maybe(said["foc_actual"], seconds),
            "foc_datetime_requested": seconds(said["foc_requested"]),
        },
        "additional_steps": said["steps"],
        "created_at": seconds(order.born_at),
        "customer_group_reference": said["group"],
        "customer_reference": said["customer"],
        "description": "Simulated port",
        "documents": {
            "invoice": "ce74b771-d23d-4960-81ec-8741b3862146",
            "loa": "64ffb720-04c7-455b-92d6-20fcca92e935",
        },
        "end_user": _end_user(order),
        "messaging": {
            "enable_messaging": said["messaging"] != "not_applicable",
            "messaging_capable": said["messaging"] != "not_applicable",
            "messaging_port_completed": said["messaging"] == "ported",
            "messaging_port_status": said["messaging"],
        },
        "misc": {
            "new_billing_phone_number": None,
            "remaining_numbers_action": "disconnect" if said["type"] == "partial" else None,
            "type": said["type"],
        },
        "old_service_provider_ocn": said["carrier"],
        "parent_support_key": said["parent_key"],
        "phone_number_configuration": {
            "billing_group_id": None,
            "connection_id": "1752379429071357070",
            "emergency_address_id": None,
            "messaging_profile_id": None,
            "tags": ["simulated"],
        },
        "phone_number_type": "local",
        "porting_phone_numbers_count": len(order.numbers),
        "record_type": "porting_order",
        "requirements": [
            {
                "field_type": "document",
                "field_value": "9787fb5f-cbe5-4de4-b765-3303774ee9fe" if met else None,
                "record_type": "porting_requirement",
                "requirement_type_id": "59b0762a-b274-4f76-ac32-4d5cf0272e66",
            }
        ],
        "requirements_met": met,
        "status": {"details": said["details"], "value": said["status"]},
        "support_key": said["support_key"],
        "updated_at": seconds(order.updated_at),
        "user_feedback": {"user_comment": None, "user_rating": None},
        "user_id": USER,
        "webhook_url": "https://example.com/porting?secret=hook-canary",
    }
    if embed:
        shown["phone_numbers"] = [number_line(order, number) for number in order.numbers[:EMBEDDED]]
    return shown


def _end_user(order: Order) -> dict[str, Any]:
    return {
        "admin": {
            "account_number": "ACCT-CANARY-77",
            "auth_person_name": order.said["person"],
            "billing_phone_number": order.numbers[0],
            "business_identifier": "BUSINESS-CANARY",
            "entity_name": "Canary Entity Ltd",
            "pin_passcode": order.said["pin"],
            "tax_identifier": "TAX-CANARY-88",
        },
        "location": {
            "administrative_area": "TX",
            "country_code": "US",
            "extended_address": "Canary Floor 14",
            "locality": "Austin",
            "postal_code": "78701",
            "street_address": "600 Canary Avenue",
        },
    }


def number_line(order: Order, number: str) -> dict[str, Any]:
    """One number of a porting order; published examples lack the plus."""
    said = order.said
    return {
        "activation_status": said["lagging"].get(number, said["activation"]),
        "phone_number": number.lstrip("+"),
        "phone_number_type": "local",
        "portability_status": "pending" if said["status"] == "draft" else "confirmed",
        "porting_order_id": order.id,
        "porting_order_status": said["status"],
        "record_type": "porting_phone_number",
        "requirements_status": said["requirements"],
        "support_key": said["support_key"],
    }


def job(order: Order) -> dict[str, Any]:
    """The activation job of an order that has a date."""
    said = order.said
    foc = said["foc_actual"]
    at = foc.replace(hour=23, minute=59) if said["job"]["type"] == "on-demand" else foc
    return {
        "id": said["job"]["id"],
        "status": said["job"]["status"],
        "activation_type": said["job"]["type"],
        "activate_at": seconds(at),
        "activation_windows": [{"start_at": seconds(foc), "end_at": seconds(at)}],
        "created_at": seconds(order.born_at),
        "updated_at": seconds(order.updated_at),
        "record_type": "porting_activation_job",
    }


def _lacking(said: dict[str, Any]) -> bool:
    """Whether the act that an order requires is still to be done: before the losing carrier hears of it."""
    return bool(said["acts"]) and said["status"] in ("draft", "in-process")


def action(order: Order) -> dict[str, Any]:
    """The act that an order requires, where it requires one."""
    said = order.said
    return {
        "id": str(uuid.uuid5(uuid.UUID(order.id), "action requirement")),
        "action_type": "au_id_verification",
        "action_url": "https://example.com/verify?secret=action-canary",
        "cancel_reason": None,
        "porting_order_id": order.id,
        "record_type": "porting_action_requirement",
        "requirement_type_id": "59b0762a-b274-4f76-ac32-4d5cf0272e66",
        "status": "created" if said["status"] == "draft" else "pending" if _lacking(said) else "completed",
        "created_at": seconds(order.born_at),
        "updated_at": seconds(order.updated_at),
    }


def portout(order: Order) -> dict[str, Any]:
    """A port-out."""
    said = order.said
    return {
        "already_ported": said["status"] == "ported",
        "authorized_name": said["person"],
        "carrier_name": said["carrier"],
        "city": said["city"],
        "created_at": millis(order.born_at),
        "current_carrier": "telnyx",
        "end_user_name": said["person"],
        "foc_date": maybe(said["foc"]),
        "host_messaging": False,
        "id": order.id,
        "inserted_at": offset(order.born_at),
        "lsr": ["https://example.com/files/lsr-canary.pdf"],
        "phone_numbers": order.numbers,
        "pon": said["pon"],
        "reason": said["reason"],
        "record_type": "portout",
        "rejection_code": said["code"],
        "requested_foc_date": millis(said["requested"]),
        "service_address": "1 Canary Street",
        "spid": said["spid"],
        "state": "IL",
        "status": said["status"],
        "support_key": said["support_key"],
        "updated_at": millis(order.updated_at),
        "user_id": USER,
        "vendor": "0e66ed3b-37e6-4fed-93d6-a30ce2493661",
        "zip": "00000",
    }


def comment(order: Order, said: dict[str, Any]) -> dict[str, Any]:
    """A comment on a porting order or port-out."""
    shown = {"id": said["id"], "body": said["body"]}
    if order.kind == "in":
        rest = {
            "porting_order_id": order.id,
            "user_type": said["user_type"],
            "record_type": "porting_comment",
        }
        return {**shown, "created_at": said["inserted_at"], **rest}
    rest = {"portout_id": order.id, "user_id": said["user_id"], "record_type": "portout"}
    return {**shown, "created_at": said["created_at"], **rest}


def exception_types() -> list[dict[str, str]]:
    """The published codes."""
    return [{"code": code, "description": text} for code, text in REASONS.items()]
