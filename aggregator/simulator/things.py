"""What the world is made of: orders, their steps and events; and values reserved for fiction."""

import json
import random
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

_AREAS = """
201 205 208 212 215 218 223 227 231 239 251 254 262 270 276 283 303 307 310 314
317 320 324 327 331 336 341 350 353 363 380 401 405 408 412 415 423 430 435 443
448 464 472 479 500 503 507 510 515 518 522 527 530 533 540 551 561 564 570 573
577 585 601 605 608 612 616 619 626 630 640 646 656 660 667 680 686 702 706 712
715 718 724 727 731 737 743 754 762 769 772 775 785 802 805 810 814 817 821 830
835 840 847 854 858 862 865 878 904 908 912 915 918 925 930 936 940 945 949 954
"""
US_AREAS = tuple(_AREAS.split())  # each has a hundred numbers reserved for fiction: 555-0100 to 555-0199
AU_AREAS = ("2", "3", "7", "8")
CUSTOMERS = (
    "Acme Dental", "Blue Harbor Books", "Cedar Lane Vets", "Delta Plumbing", "Evergreen Motors", "Fable Cafe",
    "Granite Legal", "Horizon Travel", "Ivy Physio", "Juniper Foods", "Kestrel Print", "Lumen Optics",
    "Maple Street Bakery", "Nimbus Storage", "Orchid Florist", "Pebble Nursery", "Quarry Gym", "Rivet Tools",
)  # fmt: skip
CARRIERS = (
    "Unreal Communications",
    "Fictional Bell",
    "Imaginary Wireless",
    "Example Telecom",
    "Sample Cable",
)
PEOPLE = ("Porter McPortersen", "Robin Example", "Sam Specimen", "Alex Placeholder")
REASONS = {
    "ACCOUNT_NUMBER_MISMATCH": "Account number does not match that on the CSR",
    "AUTH_PERSON_MISMATCH": "Authorized person does not match that on the CSR",
    "BTN_ATN_MISMATCH": "Billing phone number does not match that on the CSR",
    "ENTITY_NAME_MISMATCH": "Entity name does not match that on the CSR",
    "FOC_EXPIRED": "FOC date has expired",
    "FOC_REJECTED": "Requested FOC date was rejected",
    "LOCATION_MISMATCH": "Service address does not match that on the CSR",
    "LSR_PENDING": "An LSR is pending on the account",
    "MAIN_BTN_PORTING": "The main billing number is being ported",
    "OSP_IRRESPONSIVE": "Old service provider is not responding",
    "OTHER": "Other",
    "PASSCODE_PIN_INVALID": "Passcode/PIN is invalid",
    "PHONE_NUMBER_HAS_SPECIAL_FEATURE": "Phone number has a special feature",
    "PHONE_NUMBER_MISMATCH": "Phone number is not on this account",
    "PHONE_NUMBER_NOT_PORTABLE": "Phone number is not portable",
    "PORT_TYPE_INCORRECT": "Port type is incorrect",
    "PORTING_ORDER_SPLIT_REQUIRED": "The porting order has to be split",
    "POSTAL_CODE_MISMATCH": "Postal code does not match that on the CSR",
    "RATE_CENTER_NOT_PORTABLE": "Rate center is not portable",
    "SV_CONFLICT": "Conflict at the clearing house",
    "SV_UNKNOWN_FAILURE": "Unknown failure at the clearing house",
}
UNPUBLISHED = {
    "LOA_ILLEGIBLE": "Letter of authorization is illegible",
    "INVALID_RESELLER": "Reseller is invalid",
    "MOON_PHASE_WRONG": "The moon was not in the agreed phase",
}


@dataclass(slots=True)
class Event:
    """A provider event: its payload is empty until `filled_at`, and it is listed from `visible_at` on."""

    id: str
    feed: str
    type: str
    order_id: str
    created_at: datetime
    payload: dict[str, Any] | None
    filled_at: datetime
    visible_at: datetime
    text: bytes | None = None  # as rendered with its payload, once asked for


@dataclass(slots=True)
class Line:
    """One number of a Fone Dynamics request: its own status, carrier code and history."""

    status: str
    code: str
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Order:
    """An order's present state, which its steps change as the clock moves.

    `said` is what the provider shows of it. `before` and `before_at` are what the last step changed, for
    stale copies. `script` counts the scripts of its life: steps of an earlier one no longer happen.
    """

    id: str
    kind: str
    born_at: datetime
    numbers: list[str]
    said: dict[str, Any] = field(default_factory=dict)
    comments: list[dict[str, Any]] = field(default_factory=list)
    lines: dict[str, Line] = field(default_factory=dict)
    alive: bool = False
    deleted: bool = False
    script: int = 0
    updated_at: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    before: dict[str, Any] = field(default_factory=dict)
    before_at: datetime = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Step:
    """At this time an order changes so, and this event announces it.

    `moves` are words and carrier codes that some of its numbers take: what they had before is read when the
    step happens, so that every history fits together.
    """

    at: datetime
    order: Order
    changes: dict[str, Any]
    event: Event | None = None
    moves: tuple[tuple[str, str | None, str | None], ...] = ()
    script: int = 0


def chance(id: str, name: str) -> float:
    """A number below 1 that is always the same for this thing and this knob."""
    return int.from_bytes(blake2b(f"{name}/{id}".encode(), digest_size=7).digest(), "big") / 2**56


def stale(thing: Any) -> Any:
    """The same thing as it was before its last step; an event as it was before its payload came."""
    if isinstance(thing, tuple):
        return (stale(thing[0]), *thing[1:])
    if isinstance(thing, Event):
        return replace(thing, filled_at=datetime.max.replace(tzinfo=UTC), text=None)
    if isinstance(thing, Order):
        lines = {number: _line_before(line) for number, line in thing.lines.items()}
        said = {**thing.said, **thing.before}
        return replace(thing, said=said, lines=lines, updated_at=thing.before_at)
    return thing


def _line_before(line: Line) -> Line:
    if not line.history:
        return line
    last = line.history[-1]
    return Line(last["FdxStatusFrom"], last["CarrierPortingStatusFrom"], line.history[:-1])


def identity(rng: random.Random) -> str:
    """A uuid from the seed."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def us_numbers(rng: random.Random, count: int) -> list[str]:
    """Distinct American numbers reserved for fiction; a long list goes on in the next area code."""
    first = rng.randrange(100 * len(US_AREAS))
    return [
        f"+1{US_AREAS[at // 100 % len(US_AREAS)]}55501{at % 100:02}" for at in range(first, first + count)
    ]


def au_numbers(rng: random.Random, count: int) -> list[str]:
    """Distinct Australian numbers reserved for fiction: 5550 xxxx or 7010 xxxx."""
    block = f"+61{rng.choice(AU_AREAS)}{rng.choice(('5550', '7010'))}"
    return [f"{block}{number:04}" for number in sorted(rng.sample(range(10_000), count))]


def micros(at: datetime) -> str:
    """The form of times in events."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds(at: datetime) -> str:
    """The form of times in porting orders."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def millis(at: datetime) -> str:
    """The form of times in port-outs."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"


def offset(at: datetime) -> str:
    """The form that some published port-outs have."""
    return at.strftime("%Y-%m-%dT%H:%M:%S+00:00")


def maybe(at: datetime | None, form: Any = millis) -> str | None:
    """A time in this form, or nothing."""
    return None if at is None else str(form(at))


def compact(value: Any) -> bytes:
    """A value as JSON; texts that are no valid Unicode survive as escapes."""
    return json.dumps(value, separators=(",", ":")).encode()
