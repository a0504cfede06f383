"""A database filled as in real life: replies of both providers, read by the real adapters, recorded by the real
store, in the middle of 2026. What stands in it is told in `fill`.
"""

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from made import account
from recordings import recording

from aggregator.core.findings import Findings, Progress
from aggregator.core.model import Direction, Page, Request, Skipped
from aggregator.store import open_store
from aggregator.store.store import Store

ACCOUNTS = """
[accounts.telnyx-main]
provider = "telnyx"
secret = "file:no-such-file"

[accounts.fone-au]
provider = "fonedynamics"
secret = "file:no-such-file"
account_sid = "A5EQ333XCXHTRHUS5DEOXLLA36ZQSZQQ"
"""
ACME, BLUE, ODD, GONE, OUT = (f"{n}{n}{n}{n}{n}{n}{n}{n}-0000-4000-8000-000000000000" for n in "abcde")
NUMBER = "+61255500101"
ODD_WORDS = {
    "status": "almost-there",
    "reason": "MOON_IN_CANCER",
    "messaging": "on-strike",
    "activation": "Half Active",
    "port_out": 'say "no"\u2028twice',
}


def configuration(folder: Path, url: str) -> Path:
    """A configuration for the filled database; its secrets are nowhere, and the `[accounts]` come last."""
    path = folder / "aggregator.toml"
    path.write_text(f'[database]\nurl = "{url}"\n{ACCOUNTS}', encoding="utf-8")
    return path


class Filler:
    """Records what one provider after the other says."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.accounts = {
            "telnyx": account("telnyx", "telnyx-main"),
            "fonedynamics": account("fonedynamics", "fone-au"),
        }
        store.sync(self.accounts.values(), timedelta(days=14), at("06-01 00:00"))
        self.leases = {name: store.take(one.name, at("06-01 00:00")) for name, one in self.accounts.items()}
        self.events = 0

    def take(self, provider: str, path: str, body: Any, when: datetime, initial: bool = False) -> None:
        """A reply with this body, read and recorded as of `when`."""
        ours = self.accounts[provider]
        feed = next(iter(ours.feeds))
        said = ours.adapter.read(
            Page(Request(path), 200, json.dumps(body).encode(), when, when), ours.options
        )
        self.record(provider, Findings(feed, when, said.facts, said.wants, said.skipped, initial=initial))

    def record(self, provider: str, findings: Findings, progress: Progress | None = None) -> None:
        """A slice of a sweep, as the poller would record it."""
        lease = self.leases[provider]
        assert lease is not None
        self.store.record(self.accounts[provider], lease, findings, progress)

    def event(
        self, order: str, status: str, when: str, *codes: str, read: str = "", late: bool = False
    ) -> None:
        """A status that Telnyx announced for a port-in, and when we read that (at once, unless said)."""
        payload = {
            "customer_reference": "Acme Dental",
            "support_key": "sr_ac3e00",
            "status": {"value": status, "details": [{"code": c, "description": f"about {c}"} for c in codes]},
        }
        self.announce(
            "porting", "porting_order.status_changed", {"porting_order_id": order}, payload, when, read
        )

    def announce(
        self,
        kind: str,
        type: str,
        order: Mapping[str, str],
        payload: Mapping[str, Any],
        when: str,
        read: str = "",
    ) -> None:
        """An event of Telnyx."""
        self.events += 1
        event = {
            **order,
            "id": f"{self.events:08}-0000-4000-8000-00000000000e",
            "event_type": type,
            "payload_status": "created",
            "payload": {**payload, **({"id": order["portout_id"]} if "portout_id" in order else {})},
            "created_at": stamp(when),
            "updated_at": stamp(when),
        }
        self.take("telnyx", f"/{kind}/events/{event['id']}", {"data": event}, at(read or when))

    def look(self, order: str, when: str, status: str, numbers: Iterable[str] = (), **said: Any) -> None:
        """A port-in at Telnyx as it stood."""
        body = deepcopy(recording("telnyx", "order-published").body)
        data = body["data"]
        (line,) = data["phone_numbers"]
        numbers = tuple(numbers)
        data |= {
            "id": order,
            "updated_at": stamp(when),
            "created_at": stamp("06-01 08:00"),
            "additional_steps": [],
        }
        data["status"] = {"value": status, "details": said.pop("details", [])}
        data["phone_numbers"] = [
            {
                **line,
                "phone_number": n,
                "activation_status": said.get("activation"),
                "porting_order_id": order,
            }
            for n in numbers
        ]
        data["porting_phone_numbers_count"] = len(numbers)
        data["activation_settings"] |= {
            "foc_datetime_actual": said.pop("foc", None),
            "foc_datetime_requested": said.pop("requested", None),
            "activation_status": said.pop("activation", None),
        }
        data["messaging"]["messaging_port_status"] = said.pop("messaging", "not_applicable")
        data |= {"customer_reference": "Acme Dental", "support_key": "sr_ac3e00", **said}
        self.take("telnyx", f"/porting_orders/{order}", body, at(when))

    def fone(
        self, number: str, when: str, status: str, *lines: tuple[str, str, Iterable[tuple[str, ...]]]
    ) -> None:
        """A porting request at Fone Dynamics as it stood: its numbers with their statuses and histories."""
        body = deepcopy(recording("fonedynamics", "flow").body)
        (order,) = body["PortingRequests"]
        order |= {
            "PortingNo": number,
            "Status": status,
            "CustomerDescription": "Cedar Lane Vets",
            "CurrentCarrier": "Example Telecom",
            "Created": _unix("06-02 00:00"),
            "PortDate": _unix("06-20 00:00"),
        }
        order["PortingNumbers"] = [
            {
                "Number": line,
                "PortType": "Cat-A",
                "Status": word,
                "StatusHistory": [
                    {
                        "FdxStatusFrom": old,
                        "FdxStatusTo": new,
                        "CarrierPortingStatusFrom": "1",
                        "CarrierPortingStatusTo": carrier,
                        "Created": _unix(moment),
                    }
                    for moment, old, new, carrier in history
                ],
            }
            for line, word, history in lines
        ]
        self.take("fonedynamics", "/Accounts/A5EQ333XCXHTRHUS5DEOXLLA36ZQSZQQ/Porting/Status", body, at(when))


def fill(url: str) -> None:
    """Both providers' orders: one with a long life that waits for us, one on its way, one full of words nobody
    knows, one deleted, a port-out that waits for a decision, two at Fone Dynamics."""
    store = open_store(url)
    try:
        filler = Filler(store)
        _acme(filler)
        filler.look(
            BLUE,
            "06-03 10:00",
            "foc-date-confirmed",
            ["12025550141", NUMBER],
            customer_reference="Blue Harbor Books",
            support_key="sr_b1ue00",
            foc=stamp("06-25 15:00"),
            activation="Pending",
        )
        _odd(filler)
        deleted = {"customer_reference": "Gone Fishing", "deleted_at": stamp("06-05 00:00")}
        filler.announce(
            "porting", "porting_order.deleted", {"porting_order_id": GONE}, deleted, "06-05 00:00"
        )
        _out(filler, OUT, "pending", "+12025550170")
        _fone(filler)
        _runs(filler)
    finally:
        store.close()


def _acme(filler: Filler) -> None:
    filler.event(ACME, "in-process", "06-01 09:00")
    filler.event(ACME, "exception", "06-02 11:00", "ENTITY_NAME_MISMATCH", "PASSCODE_PIN_INVALID")
    comment = {"id": "c-1", "body": "Please send\nthe *** again.", "user_type": "admin"}
    payload = {"comment": {**comment, "inserted_at": stamp("06-02 12:00")}}
    filler.announce(
        "porting", "porting_order.new_comment", {"porting_order_id": ACME}, payload, "06-02 12:00"
    )
    filler.event(ACME, "submitted", "06-03 09:30")
    numbers = ["12025550130", "12025550131"]
    filler.look(ACME, "06-04 08:00", "foc-date-confirmed", numbers, foc=stamp("06-10 15:00"))
    filler.look(ACME, "06-05 08:00", "foc-date-confirmed", numbers, foc=stamp("06-12 15:00"))
    filler.event(ACME, "submitted", "06-01 10:00", read="06-05 09:00")  # late
    filler.event(ACME, "exception", "06-08 16:45", "PHONE_NUMBER_MISMATCH")


def _odd(filler: Filler) -> None:
    filler.look(
        ODD,
        "06-04 10:00",
        ODD_WORDS["status"],
        ["12025550150"],
        customer_reference="Odd Socks",
        support_key=None,
        details=[{"code": ODD_WORDS["reason"], "description": "the stars say no"}],
        messaging=ODD_WORDS["messaging"],
        activation=ODD_WORDS["activation"],
    )
    _out(filler, "ffffffff-0000-4000-8000-000000000000", ODD_WORDS["port_out"], "+12025550171")


def _out(filler: Filler, order: str, status: str, number: str) -> None:
    payload = {
        "status": status,
        "phone_numbers": [number],
        "carrier_name": "Imaginary Wireless",
        "spid": "987H",
        "rejection_reason": None,
    }
    filler.announce("portouts", "portout.status_changed", {"portout_id": order}, payload, "06-06 07:00")


def _fone(filler: Filler) -> None:
    first = ("06-02 01:00", "Received", "Queued", "1")
    then = ("06-07 03:00", "Queued", "Completed", "2")
    other = ("+61255500102", "Queued", (first,))
    filler.fone("P-000417", "06-02 02:00", "Queued", (NUMBER, "Queued", (first,)), other)
    filler.fone("P-000417", "06-07 04:00", "Queued", (NUMBER, "Completed", (first, then)), other)
    filler.fone("P-000418", "06-07 04:00", "Awaiting Telstra", ("+61255500103", "Awaiting Telstra", ()))


def _runs(filler: Filler) -> None:
    """How the feeds went: one of them long ago, one never; and a record that could not be read."""
    when = at("06-08 17:00")
    for provider, feed in (("telnyx", "porting_events"), ("telnyx", "porting_orders")):
        covers = Direction.PORT_IN if feed == "porting_orders" else None
        progress = Progress(feed, "complete", when, True, when, when, covers)
        filler.record(provider, Findings(feed, when), progress)
    skipped = (Skipped("P-000999", "PortingNumbers: not a list"),)
    failed = Progress("porting_status", "incomplete", when, error="503 from api.fonedynamics.com")
    filler.record("fonedynamics", Findings("porting_status", when, skipped=skipped), failed)


def settle(url: str) -> None:
    """Every feed as one that has been read whole, and is not stale."""
    store = open_store(url)
    try:
        with store.engine.begin() as tx:
            tx.exec_driver_sql(
                "update feed set stale_after_s = 1000000000, "
                "last_complete_at = coalesce(last_complete_at, known_since)"
            )
    finally:
        store.close()


def at(short: str) -> datetime:
    """A moment of 2026: month, day and time, in UTC."""
    return datetime.strptime(f"2026-{short}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


def stamp(short: str) -> str:
    """The same as the providers write it."""
    return f"{at(short):%Y-%m-%dT%H:%M:%SZ}"


def _unix(short: str) -> int:
    return int(at(short).timestamp())
