"""What is so, for whoever checks a client against the stand-ins."""

from typing import Any

from aggregator.simulator.things import Event, Order, maybe, micros, millis
from aggregator.simulator.world import World


def truth(world: World) -> dict[str, Any]:
    """Everything of both providers at this moment.

    `porting_events` and `portout_events` are the ids that the lists show now, oldest first; `events` tells more
    of every event there is, listed or not yet.
    """
    now = world.now()
    fone = world.orders["fone"]
    return {
        "now": millis(now),
        "telnyx": {
            "porting_orders": {id: _porting_order(order) for id, order in world.orders["in"].items()},
            "portouts": {id: _portout(order) for id, order in world.orders["out"].items()},
            "porting_events": [event.id for event in world.window("in", None, None)],
            "portout_events": [event.id for event in world.window("out", None, None)],
            "events": {
                feed: {id: _event(event, now) for id, event in world.by_id[feed].items()}
                for feed in ("in", "out")
            },
        },
        "fonedynamics": {
            "requests": {id: _request(order) for id, order in fone.items()},
            "history": [
                [id, number, *entry.values()]
                for id, order in fone.items()
                for number, line in order.lines.items()
                for entry in line.history
            ],
        },
    }


def _event(event: Event, now: Any) -> dict[str, Any]:
    return {
        "type": event.type,
        "order": event.order_id,
        "created_at": micros(event.created_at),
        "complete": event.filled_at <= now,
        "listed": event.visible_at <= now,
    }


def _porting_order(order: Order) -> dict[str, Any]:
    said = order.said
    return {
        "status": said["status"],
        "details": [detail["code"] for detail in said["details"]],
        "numbers": order.numbers,
        "deleted": order.deleted,
        "foc_datetime_actual": maybe(said["foc_actual"]),
        "foc_datetime_requested": millis(said["foc_requested"]),
        "messaging": said["messaging"],
        "activation": said["activation"],
        "lagging": said["lagging"],
        "requirements": said["requirements"],
        "steps": said["steps"],
        "job": said["job"],
        "customer_reference": said["customer"],
        "support_key": said["support_key"],
        "parent_support_key": said["parent_key"],
        "created_at": millis(order.born_at),
        "updated_at": millis(order.updated_at),
        "comments": len(order.comments),
        "comment_ids": [comment["id"] for comment in order.comments],
    }


def _portout(order: Order) -> dict[str, Any]:
    said = order.said
    return {
        "status": said["status"],
        "numbers": order.numbers,
        "foc_date": maybe(said["foc"]),
        "requested_foc_date": millis(said["requested"]),
        "reason": said["reason"],
        "rejection_code": said["code"],
        "support_key": said["support_key"],
        "carrier_name": said["carrier"],
        "spid": said["spid"],
        "created_at": millis(order.born_at),
        "updated_at": millis(order.updated_at),
        "comments": len(order.comments),
        "comment_ids": [comment["id"] for comment in order.comments],
    }


def _request(order: Order) -> dict[str, Any]:
    said = order.said
    return {
        "Status": said["status"],
        "numbers": {number: line.status for number, line in order.lines.items()},
        "history": {number: line.history for number, line in order.lines.items()},
        "PortDate": said["port_date"],
        "PreferredPortDate": None if said["asap"] else said["preferred"],
        "CustomerDescription": said["customer"],
        "CurrentCarrier": said["carrier"],
        "Created": int(order.born_at.timestamp()),
    }
