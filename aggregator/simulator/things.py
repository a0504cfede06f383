"""What the world is made of: orders with a script, steps, events; and values reserved for fiction."""

import random
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

US_AREAS = ("212", "303", "312", "415", "512", "617", "702", "808", "919")
AU_AREAS = ("2", "3", "7", "8")
CUSTOMERS = (
    "Acme Dental", "Blue Harbor Books", "Cedar Lane Vets", "Delta Plumbing", "Evergreen Motors", "Fable Cafe",
    "Granite Legal", "Horizon Travel", "Ivy Physio", "Juniper Foods", "Kestrel Print", "Lumen Optics",
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
    "PASSCODE_PIN_INVALID": "Passcode/PIN is invalid",
    "ACCOUNT_NUMBER_MISMATCH": "Account number does not match that on the CSR",
    "ENTITY_NAME_MISMATCH": "Entity name does not match that on the CSR",
    "LOCATION_MISMATCH": "Service address does not match that on the CSR",
    "LOA_ILLEGIBLE": "Letter of authorization is illegible",
    "OSP_IRRESPONSIVE": "Old service provider is not responding",
    "FOC_REJECTED": "Requested FOC date was rejected",
    "PHONE_NUMBER_MISMATCH": "Phone number is not on this account",
    "SV_CONFLICT": "Conflict at the clearing house",
}


@dataclass(slots=True)
class Event:
    """A provider event: its payload is empty until `filled_at`, and it is listed from `visible_at` on."""

    id: str
    type: str
    order_id: str
    created_at: datetime
    payload: dict[str, Any] | None
    filled_at: datetime
    visible_at: datetime


@dataclass(slots=True)
class Order:
    """An order's present state, which its steps change as the clock moves."""

    id: str
    kind: str
    born_at: datetime
    numbers: list[str]
    said: dict[str, Any] = field(default_factory=dict)
    comments: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    alive: bool = False
    deleted: bool = False
    updated_at: datetime = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Step:
    """At this time an order changes so, and this event announces it."""

    at: datetime
    order: Order
    changes: dict[str, Any]
    event: Event | None = None


def identity(rng: random.Random) -> str:
    """A uuid from the seed."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def us_numbers(rng: random.Random, count: int) -> list[str]:
    """American numbers reserved for fiction: 555-0100 to 555-0199; longer lists go on into 555-1xxx."""
    first = rng.randrange(100)
    area = rng.choice(US_AREAS)
    if count > 100:
        return [f"+1{area}555{1000 + number:04}" for number in range(count)]
    return [f"+1{area}55501{(first + number) % 100:02}" for number in range(count)]


def au_number(rng: random.Random) -> str:
    """An Australian number reserved for fiction: 5550 xxxx or 7010 xxxx."""
    return f"+61{rng.choice(AU_AREAS)}{rng.choice(('5550', '7010'))}{rng.randrange(10_000):04}"


def micros(at: datetime) -> str:
    """The form of times in events."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds(at: datetime) -> str:
    """The form of times in porting orders."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def millis(at: datetime) -> str:
    """The form of times in port-outs."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"
