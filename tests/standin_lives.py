"""What happens at the two providers of the stand-in: orders that are born and move, drawn from a seed.

Written from the providers' own papers and nothing else, so that it shares no mistake with what it tests.
A life is a generator that does one step and says how long until the next one.
"""

import heapq
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]
Life = Iterator[timedelta]
BEGAN = datetime(2026, 5, 20, 8, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=span) for span in (1, 60, 3_600, 86_400))
CODES = ("PASSCODE_PIN_INVALID", "ENTITY_NAME_MISMATCH", "OTHER", "LOA_ILLEGIBLE", "A_CODE_NOBODY_KNOWS")


class World:
    """A seed, a clock of its own, and an agenda of lives."""

    def __init__(self, seed: int, began: datetime = BEGAN) -> None:
        self.rng = random.Random(seed)
        self.now = began
        self.agenda: list[tuple[datetime, int, Life]] = []
        self.lives = 0

    def begin(self, life: Life) -> None:
        self.lives += 1
        heapq.heappush(self.agenda, (self.now, self.lives, life))

    def run(self, until: datetime) -> None:
        """Let happen what happens up to then."""
        while self.agenda and self.agenda[0][0] <= until:
            at, number, life = heapq.heappop(self.agenda)
            self.now = max(self.now, at)
            pause = next(life, None)
            if pause is not None:
                heapq.heappush(self.agenda, (self.now + pause, number, life))
        self.now = max(self.now, until)

    def born(self, life: Callable[[], Life], every: timedelta, most: int) -> Life:
        """New lives, one after the other."""
        for _ in range(most):
            self.begin(life())
            yield every

    def uuid(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def soon(self, least: timedelta, most: timedelta) -> timedelta:
        return timedelta(seconds=self.rng.uniform(least.total_seconds(), most.total_seconds()))


# --- Telnyx ---------------------------------------------------------------------------------------------


@dataclass
class Event:
    """An event with what the provider does not show: when it can be seen, and when its payload is there."""

    said: Json
    payload: Json | None
    at: datetime
    seen_from: datetime
    filled_from: datetime | None

    def json(self, now: datetime) -> Json:
        filled = self.filled_from is not None and self.filled_from <= now
        status = "completed" if filled else "created"
        return {**self.said, "payload": self.payload if filled else {}, "payload_status": status}


@dataclass
class Knobs:
    """How awkward the events are; nothing of it changes the truth."""

    late: float = 0.0  # share of events that can be seen only later, within 50 minutes
    empty: float = 0.0  # share whose payload comes only later
    for_ever: float = 0.0  # share whose payload never comes
    split: float = 0.05
    many_numbers: float = 0.03


class Telnyx(World):
    """Porting orders, port-outs and their two event feeds."""

    def __init__(self, seed: int, knobs: Knobs | None = None) -> None:
        super().__init__(seed)
        self.knobs = knobs or Knobs()
        self.orders: dict[str, Json] = {}
        self.portouts: dict[str, Json] = {}
        self.numbers: dict[str, list[str]] = {}
        self.deleted: set[str] = set()
        self.unlisted: set[str] = set()
        self.comments: dict[str, list[Json]] = {}
        self.events: dict[str, list[Event]] = {"porting": [], "portouts": []}
        self.given = 0

    def fill(self, orders: int, portouts: int, over: timedelta) -> None:
        """Let so many orders be born within a span."""
        self.begin(self.born(self.port_in, over / orders, orders))
        self.begin(self.born(self.port_out, over / portouts, portouts))
        self.run(self.now + over)

    def number(self) -> str:
        self.given += 1
        plus = "+" if self.given % 3 else ""  # the published examples lack it
        return f"{plus}1{201 + self.given // 100}55501{self.given % 100:02}"

    def written(self, at: datetime) -> str:
        """A moment in one of the four published forms."""
        form = self.rng.choice(("micro", "micro", "milli", "offset", "second"))
        if form == "micro":
            return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if form == "milli":
            return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"
        return at.strftime("%Y-%m-%dT%H:%M:%S") + ("+00:00" if form == "offset" else "Z")

    def tell(self, kind: str, order: str, payload: Json | None) -> None:
        """An event: now, or visible and filled only later."""
        feed = "porting" if kind.startswith("porting") else "portouts"
        at = self.now
        seen_from = at + (
            self.soon(MINUTE, 50 * MINUTE) if self.rng.random() < self.knobs.late else 0 * MINUTE
        )
        filled_from: datetime | None = at
        if payload is not None and self.rng.random() < self.knobs.empty:
            filled_from = seen_from + self.soon(MINUTE, HOUR)
        if payload is not None and self.rng.random() < self.knobs.for_ever:
            filled_from = None
        said = {
            "id": self.uuid(),
            "event_type": kind,
            "available_notification_methods": ["email", "webhook"],
            "record_type": f"{feed.removesuffix('s')}_event",
            "created_at": self.written(at),
            "updated_at": self.written(at),
            "porting_order_id" if feed == "porting" else "portout_id": order,
        }
        if kind == "porting_order.deleted" and payload is not None and self.rng.random() < 0.5:
            payload = {**payload, "record_type": "porting_event", "created_at": said.pop("created_at")}
            del said["updated_at"], said["record_type"]
        self.events[feed].append(Event(said, payload, at, seen_from, filled_from))

    def comment(self, id: str) -> None:
        """Somebody writes a comment."""
        body, comment = "Please send the latest bill, PIN 9021 is refused.", self.uuid()
        said: Json
        payload: Json
        if id in self.portouts or id in self.unlisted:
            said = {"id": comment, "body": body, "portout_id": id, "user_id": None, "record_type": "portout"}
            payload = {"id": comment, "portout_id": id, "user_id": None, "comment": body}
            self.tell("portout.new_comment", id, payload)
        else:
            said = {"id": comment, "porting_order_id": id, "body": body, "user_type": "admin"}
            inner = {"id": comment, "body": body, "user_id": None, "user_type": "admin"}
            inner["inserted_at"] = self.written(self.now)
            payload = {"porting_order_id": id, "support_key": f"sr_{id[:6]}", "comment": inner}
            self.tell("porting_order.new_comment", id, payload)
        self.comments.setdefault(id, []).append({**said, "created_at": self.written(self.now)})

    def stir(self, count: int) -> None:
        """Comments on orders that are there, a second apart: rows that are born between two pages."""
        for _ in range(count):
            self.run(self.now + self.soon(SECOND, 3 * SECOND))
            pool = sorted(self.orders) if self.rng.random() < 0.7 else sorted(self.portouts)
            if pool:
                self.comment(self.rng.choice(pool))

    # --- port-in ----------------------------------------------------------------------------------------

    def port_in(self, numbers: list[str] | None = None, parent: str | None = None) -> Life:
        rng, id = self.rng, self.uuid()
        if numbers is None:
            count = rng.randint(51, 130) if rng.random() < self.knobs.many_numbers else rng.randint(1, 4)
            numbers = [self.number() for _ in range(count)]
        self.numbers[id] = numbers
        order = self.orders[id] = self.draft(id, parent)
        yield self.soon(MINUTE, 3 * HOUR)
        if rng.random() < 0.08 and parent is None:
            self.erase(id)
            return
        self.move(order, "in-process")
        order["support_key"], order["parent_support_key"] = f"sr_{id[:6]}", f"pr_{id[:6]}"
        yield self.soon(HOUR, 9 * HOUR)
        self.move(order, "submitted")
        while rng.random() < 0.35:
            yield self.soon(HOUR, 30 * HOUR)
            codes = rng.sample(CODES, rng.randint(0, 2))
            self.move(order, "exception", [{"code": code, "description": f"{code}: said"} for code in codes])
            if rng.random() < 0.6:
                yield self.soon(MINUTE, 5 * HOUR)
                self.comment(id)
            yield self.soon(HOUR, 20 * HOUR)
            if rng.random() < 0.5:
                self.tell("porting_order.loa_updated", id, None)
            self.move(order, "submitted")
        if rng.random() < self.knobs.split and len(numbers) > 1 and parent is None:
            yield self.soon(HOUR, 3 * HOUR)
            self.divide(order)
        yield self.soon(HOUR, 30 * HOUR)
        if rng.random() < 0.12:
            self.move(order, "cancel-pending")
            yield self.soon(HOUR, 20 * HOUR)
            self.move(order, "cancelled")
            return
        if rng.random() < 0.04:
            self.move(order, "a-status-nobody-knows")
            yield self.soon(HOUR, 9 * HOUR)
        settings = order["activation_settings"]
        settings["foc_datetime_actual"] = self.written(self.now + timedelta(days=3))
        settings["activation_status"] = "Pending"
        self.move(order, "foc-date-confirmed")
        if rng.random() < 0.2:  # the date slips, and no event says so: the order is the only witness
            yield self.soon(MINUTE, HOUR)
            settings["foc_datetime_actual"] = self.written(self.now + timedelta(days=5))
            order["updated_at"] = self.written(self.now)
            self.tell("porting_order.sharing_token_expired", id, None)
            self.comment(id)
        yield self.soon(20 * HOUR, 60 * HOUR)
        settings["activation_status"] = "Active"
        self.move(order, "ported")
        for word in ("activating", "ported"):
            yield self.soon(MINUTE, 9 * HOUR)
            order["messaging"] = {"messaging_capable": True, "messaging_port_status": word}
            order["updated_at"] = self.written(self.now)
            names = {name: order[name] for name in ("id", "customer_reference", "support_key")}
            self.tell("porting_order.messaging_changed", id, {**names, "messaging": dict(order["messaging"])})

    def draft(self, id: str, parent: str | None) -> Json:
        at = self.written(self.now)
        return {
            "id": id,
            "record_type": "porting_order",
            "status": {"value": "draft", "details": []},
            "customer_reference": f"customer {self.lives % 40}",
            "customer_group_reference": None,
            "support_key": None,
            "parent_support_key": f"pr_{parent[:6]}" if parent else None,
            "old_service_provider_ocn": "Unreal Communications",
            "phone_number_type": "local",
            "activation_settings": {"foc_datetime_requested": None, "foc_datetime_actual": None},
            "additional_steps": [],
            "messaging": {"messaging_capable": True, "messaging_port_status": "pending"},
            "end_user": {
                "admin": {"pin_passcode": "9021", "account_number": "AC-55", "entity_name": "Somebody"}
            },
            "webhook_url": "https://example.com/hook?key=9021",
            "requirements_met": True,
            "created_at": at,
            "updated_at": at,
        }

    def move(self, order: Json, status: str, details: list[Json] | None = None) -> None:
        order["status"] = {"value": status, "details": details or []}
        order["updated_at"] = self.written(self.now)
        names = {name: order[name] for name in ("id", "customer_reference", "support_key", "webhook_url")}
        payload = {**names, "status": dict(order["status"]), "updated_at": order["updated_at"]}
        self.tell("porting_order.status_changed", order["id"], payload)

    def divide(self, order: Json) -> None:
        """Half of the numbers move to an order of their own."""
        id = order["id"]
        half = len(self.numbers[id]) // 2
        stay, go = self.numbers[id][half:], self.numbers[id][:half]
        self.numbers[id] = stay
        self.begin(self.port_in(go, parent=id))
        known = set(self.orders)
        self.run(self.now)  # the new order's first step: it exists
        (child,) = set(self.orders) - known
        order["updated_at"] = self.written(self.now)
        ids = [{"id": self.uuid()} for _ in go]
        self.tell(
            "porting_order.split", id, {"from": {"id": id}, "to": {"id": child}, "porting_phone_numbers": ids}
        )

    def erase(self, id: str) -> None:
        """A draft is deleted: out of every list, a 404 on its own."""
        order = self.orders.pop(id)
        self.deleted.add(id)
        payload = {"id": id, "customer_reference": order["customer_reference"]}
        self.tell("porting_order.deleted", id, {**payload, "deleted_at": self.written(self.now)})

    # --- port-out ---------------------------------------------------------------------------------------

    def port_out(self) -> Life:
        rng, id = self.rng, self.uuid()
        self.numbers[id] = [self.number() for _ in range(rng.randint(1, 3))]
        if rng.random() < 0.04:  # announced, but in no list
            self.unlisted.add(id)
            self.announce({"id": id, "status": "pending"})
            return
        at = self.written(self.now)
        order = self.portouts[id] = {
            "id": id,
            "record_type": "portout",
            "status": "pending",
            "support_key": f"PO_{id[:6]}",
            "pon": None,
            "spid": "987H",
            "carrier_name": "Testing Carrier",
            "current_carrier": "Telnyx",
            "foc_date": None,
            "requested_foc_date": self.written(self.now + timedelta(days=4)),
            "reason": None,
            "authorized_name": None,
            "end_user_name": "Somebody",
            "created_at": at,
            "inserted_at": at,
            "updated_at": at,
        }
        self.announce(order)
        yield self.soon(HOUR, 30 * HOUR)
        if rng.random() < 0.3:
            self.move_out(order, "rejected-pending")
            yield self.soon(HOUR, 9 * HOUR)
            if rng.random() < 0.5:
                order["reason"], order["rejection_code"] = "PIN 9021 is wrong", 1002
                self.move_out(order, "rejected")
                return
            self.move_out(order, "pending")
            yield self.soon(HOUR, 9 * HOUR)
        self.move_out(order, "authorized")
        for _ in range(rng.randint(1, 2)):
            yield self.soon(MINUTE, 9 * HOUR)
            order["foc_date"] = order["updated_at"] = self.written(self.now)
            payload = {"id": id, "user_id": self.uuid(), "foc_date": order["foc_date"]}
            self.tell("portout.foc_date_changed", id, payload)
        if rng.random() < 0.3:
            self.comment(id)
        yield self.soon(20 * HOUR, 60 * HOUR)
        self.move_out(order, "canceled" if rng.random() < 0.2 else "ported")

    def move_out(self, order: Json, status: str) -> None:
        order["status"], order["updated_at"] = status, self.written(self.now)
        self.announce(order)

    def announce(self, order: Json) -> None:
        payload = {
            "id": order["id"],
            "status": order["status"],
            "phone_numbers": list(self.numbers[order["id"]]),
            "carrier_name": "Testing Carrier",
            "spid": "987H",
            "user_id": self.uuid(),
            "subscriber_name": None,
            "rejection_reason": order.get("reason"),
            "attempted_pin": "9021",
        }
        self.tell("portout.status_changed", order["id"], payload)


# --- Fone Dynamics --------------------------------------------------------------------------------------


@dataclass
class Entry:
    """One line of a number's `StatusHistory`."""

    fdx: tuple[str, str]
    carrier: tuple[str, str]
    at: datetime

    def json(self) -> Json:
        return {
            "FdxStatusFrom": self.fdx[0],
            "FdxStatusTo": self.fdx[1],
            "CarrierPortingStatusFrom": self.carrier[0],
            "CarrierPortingStatusTo": self.carrier[1],
            "Created": int(self.at.timestamp()),
        }


@dataclass
class Porting:
    """One porting request with its numbers, each with a status and a history of its own."""

    no: str
    created: datetime
    status: str = "Received"
    port_date: datetime | None = None
    numbers: dict[str, str] = field(default_factory=dict)
    history: dict[str, list[Entry]] = field(default_factory=dict)

    @property
    def moments(self) -> list[datetime]:
        return [self.created, *(entry.at for entries in self.history.values() for entry in entries)]

    def json(self, account: str) -> Json:
        lines = [
            {
                "Number": number,
                "Status": status,
                "PortType": "Cat-A",
                "PortAddress": "1 Nowhere St",
                "IncomingActionType": "Flow",
                "IncomingActionId": "flow-1",
                "StatusHistory": [entry.json() for entry in self.history[number]],
            }
            for number, status in self.numbers.items()
        ]
        said = {
            "PortingNo": self.no,
            "AccountSid": account,
            "PropertySid": "S6QW",
            "CustomerDescription": f"customer {self.no[-1]}",
            "AuthorisedContactName": "Somebody",
            "CurrentCarrier": "Example Carrier",
            "CurrentCarrierAccountNo": "AC-55",
            "PreferredPortSchedule": "ASAP",
            "WebHookURL": "https://example.com/hook?key=9021",
            "Created": int(self.created.timestamp()),
            "Status": self.status,
            "PortingNumbers": lines,
        }
        return said if self.port_date is None else {**said, "PortDate": int(self.port_date.timestamp())}


class FoneDynamics(World):
    """Porting requests of one account."""

    def __init__(self, seed: int, account: str) -> None:
        super().__init__(seed)
        self.account = account
        self.requests: dict[str, Porting] = {}
        self.given = 0

    def fill(self, requests: int, over: timedelta) -> None:
        """Let so many requests be born within a span."""
        self.begin(self.born(self.port, over / requests, requests))
        self.run(self.now + over)

    def port(self) -> Life:
        rng = self.rng
        no = f"P-{len(self.requests) + 1:06}"
        request = self.requests[no] = Porting(no, self.now)
        for _ in range(rng.randint(1, 3)):
            self.given += 1
            number = f"+6125550{self.given:04}" if self.given % 9 else f"+61111111{self.given:04}"
            request.numbers[number] = "Received"
            request.history[number] = []
        yield self.soon(MINUTE, 3 * HOUR)
        yield from self.move(request, "Queued")
        midnight = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        request.port_date = midnight + timedelta(days=6)
        yield self.soon(HOUR, 30 * HOUR)
        if rng.random() < 0.2:
            yield from self.move(request, "Awaiting Example Carrier")
            yield self.soon(HOUR, 30 * HOUR)
        while rng.random() < 0.3:
            yield from self.move(request, "Rejected")
            yield self.soon(HOUR, 30 * HOUR)
            yield from self.move(request, "Queued")
            yield self.soon(HOUR, 30 * HOUR)
        if rng.random() < 0.1:
            yield from self.move(request, "Cancelled")
            return
        yield from self.move(request, "Confirmed")
        yield self.soon(20 * HOUR, 60 * HOUR)
        yield from self.move(request, "Completed")

    def move(self, request: Porting, status: str) -> Life:
        """The numbers follow one another; the request moves with the last of them."""
        for number, before in request.numbers.items():
            request.numbers[number] = status
            carrier = ("1", self.rng.choice(("1", "1", "2")))
            entry = Entry((before, status), carrier, self.now.replace(microsecond=0))
            request.history[number].append(entry)
            if self.rng.random() < 0.1:  # the carrier's side moves alone, sometimes twice in one second
                alone = Entry((status, status), ("1", "2"), entry.at)
                request.history[number].extend([alone, alone])
            if number != list(request.numbers)[-1]:
                yield self.soon(SECOND, 3 * MINUTE)
        request.status = status
