"""Telnyx's porting operations, with every published field."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aggregator.simulator import spoiled
from aggregator.simulator.things import REASONS, Event, Order, micros, millis, seconds
from aggregator.simulator.world import World

USER = "40d68ba2-0847-4df2-be9c-b0e0cb673e75"
EMBEDDED = 50
EVENT_TYPES = {
    "in": {
        "porting_order.deleted", "porting_order.loa_updated", "porting_order.messaging_changed",
        "porting_order.status_changed", "porting_order.sharing_token_expired", "porting_order.new_comment",
        "porting_order.split",
    },
    "out": {"portout.status_changed", "portout.new_comment", "portout.foc_date_changed"},
}  # fmt: skip


def routes(world: World) -> list[Route]:
    """Every operation under `/v2`."""
    api = _Api(world)

    def route(path: str, handler: Callable[[Request], Response], method: str = "GET") -> Route:
        async def endpoint(request: Request) -> Response:
            return handler(request)

        return Route(f"/v2{path}", endpoint, methods=[method])

    return [
        route("/porting/events", lambda r: api.events(r, "in")),
        route("/portouts/events", lambda r: api.events(r, "out")),
        route("/porting/events/{id}", lambda r: api.event(r, "in")),
        route("/portouts/events/{id}", lambda r: api.event(r, "out")),
        route("/porting/events/{id}/republish", lambda r: api.republish(r, "in"), "POST"),
        route("/portouts/events/{id}/republish", lambda r: api.republish(r, "out"), "POST"),
        route("/porting_orders", api.orders),
        route("/porting_orders/exception_types", lambda r: JSONResponse({"data": _exception_types()})),
        route("/porting_orders/{id}", api.order),
        route("/porting_orders/{id}/comments", lambda r: api.comments(r, "in")),
        route("/porting_orders/{id}/activation_jobs", api.jobs),
        route("/porting_orders/{id}/activation_jobs/{job}", api.job),
        route("/porting_orders/{id}/actions/cancel", api.cancel, "POST"),
        route("/porting_phone_numbers", api.numbers),
        route("/portouts", api.portouts),
        route("/portouts/rejections/{id}", api.rejections),
        route("/portouts/{id}", api.portout),
        route("/portouts/{id}/comments", lambda r: api.comments(r, "out")),
    ]


def refused(status: int, code: str, title: str, detail: str = "", parameter: str = "") -> JSONResponse:
    """An error in the documented envelope."""
    error: dict[str, Any] = {"code": code, "title": title, "detail": detail or title}
    if parameter:
        error["source"] = {"parameter": parameter}
    return JSONResponse({"errors": [error]}, status)


def _missing() -> JSONResponse:
    return refused(404, "10005", "Resource not found", "The requested resource or URL could not be found.")


def _exception_types() -> list[dict[str, str]]:
    return [{"code": code, "description": text} for code, text in REASONS.items()]


class _BadParameterError(Exception):
    """A query parameter the server refuses with 422."""


def _time(request: Request, name: str) -> datetime | None:
    said = request.query_params.get(name)
    if said is None:
        return None
    try:
        at = datetime.fromisoformat(said)
    except ValueError as error:
        raise _BadParameterError(name) from error
    if at.tzinfo is None:
        raise _BadParameterError(name)
    return at


def _number(request: Request, name: str, default: int, most: int | None = None) -> int:
    said = request.query_params.get(name, str(default))
    if not said.isdigit() or int(said) < 1 or (most is not None and int(said) > most):
        raise _BadParameterError(name)
    return int(said)


class _Api:
    """The handlers."""

    def __init__(self, world: World) -> None:
        self.world = world

    def _page(self, request: Request, items: list[Any], show: Callable[[Any], dict[str, Any]]) -> Response:
        try:
            number, size = _number(request, "page[number]", 1), _number(request, "page[size]", 20, 250)
        except _BadParameterError as bad:
            return refused(422, "10033", "Out of range", parameter=str(bad))
        frozen = "filter[created_at][lte]" in request.query_params
        items = spoiled.listed(self.world.faults, items, frozen, number)
        shown = [show(item) for item in items[(number - 1) * size : number * size]]
        meta = {
            "page_number": number,
            "page_size": size,
            "total_pages": -(-len(items) // size),
            "total_results": len(items),
        }
        return JSONResponse({"data": spoiled.items(self.world.faults, shown, "id"), "meta": meta})

    # --- events -----------------------------------------------------------------------------------------

    def events(self, request: Request, kind: str) -> Response:
        order, named = ("porting_order_id", "type") if kind == "in" else ("portout_id", "event_type")
        query = request.query_params
        type, id = query.get(f"filter[{named}]"), query.get(f"filter[{order}]")
        if type is not None and type not in EVENT_TYPES[kind]:
            return refused(422, "10032", "Invalid enum value", parameter=f"filter[{named}]")
        try:
            since, until = (
                _time(request, "filter[created_at][gte]"),
                _time(request, "filter[created_at][lte]"),
            )
        except _BadParameterError as bad:
            return refused(422, "10031", "Invalid filter", parameter=str(bad))
        found = [
            event
            for event in self.world.window(kind, since, until)
            if type in (None, event.type) and id in (None, event.order_id)
        ]
        return self._page(request, found, lambda event: self._event(event, kind))

    def event(self, request: Request, kind: str) -> Response:
        self.world.now()
        event = self.world.by_id.get(request.path_params["id"])
        if event is None or event.type not in EVENT_TYPES[kind]:
            return _missing()
        return JSONResponse({"data": self._event(event, kind)})

    def republish(self, request: Request, kind: str) -> Response:
        self.world.now()
        known = self.world.by_id.get(request.path_params["id"])
        return Response(status_code=204) if known and known.type in EVENT_TYPES[kind] else _missing()

    def _event(self, event: Event, kind: str) -> dict[str, Any]:
        owed = event.filled_at > self.world.clock.now()
        methods = ["email", "webhook", "webhook_v1"] if kind == "in" else ["email", "webhook"]
        return {
            "id": event.id,
            "event_type": event.type,
            "porting_order_id" if kind == "in" else "portout_id": event.order_id,
            "available_notification_methods": methods,
            "payload_status": "created" if owed else "completed",
            "payload": {} if owed else event.payload,
            "record_type": "porting_event" if kind == "in" else "portout_event",
            "created_at": micros(event.created_at),
            "updated_at": micros(event.created_at if owed else max(event.created_at, event.filled_at)),
        }

    # --- porting orders ---------------------------------------------------------------------------------

    def orders(self, request: Request) -> Response:
        query = request.query_params
        embed = query.get("include_phone_numbers", "true") != "false"
        sort = query.get("sort[value]", query.get("sort[]", "-created_at"))
        if sort.lstrip("-") not in ("created_at", "activation_settings.foc_datetime_requested"):
            return refused(422, "10032", "Invalid enum value", parameter="sort[value]")
        found = self.world.there("in")
        for name, key in (
            ("customer_reference", "customer"),
            ("customer_group_reference", "group"),
            ("parent_support_key", "parent_key"),
        ):
            if (wanted := query.get(f"filter[{name}]")) is not None:
                found = [order for order in found if order.said[key] == wanted]
        if (part := query.get("filter[phone_numbers][phone_number][contains]")) is not None:
            found = [order for order in found if any(part.lstrip("+") in number for number in order.numbers)]
        key_of: Callable[[Order], Any] = (
            (lambda o: o.born_at) if sort.endswith("created_at") else (lambda o: o.said["foc_requested"])
        )
        found = sorted(found, key=key_of, reverse=sort.startswith("-"))
        return self._page(request, found, lambda order: self._order(order, embed))

    def order(self, request: Request) -> Response:
        order = self.world.find("in", request.path_params["id"])
        if order is None:
            return _missing()
        embed = request.query_params.get("include_phone_numbers", "true") != "false"
        url = f"/v2/porting_phone_numbers?filter[porting_order_id]={order.id}"
        return JSONResponse({"data": self._order(order, embed), "meta": {"phone_numbers_url": url}})

    def _order(self, order: Order, embed: bool) -> dict[str, Any]:
        said = order.said
        foc = said["foc_actual"]
        shown: dict[str, Any] = {
            "id": order.id,
            "activation_settings": {
                "activation_status": said["activation"],
                "fast_port_eligible": False,
                "foc_datetime_actual": foc and seconds(foc),
                "foc_datetime_requested": seconds(said["foc_requested"]),
            },
            "additional_steps": said["steps"] if said["status"] == "in-process" else [],
            "created_at": seconds(order.born_at),
            "customer_group_reference": said["group"],
            "customer_reference": said["customer"],
            "description": "Simulated port",
            "documents": {
                "invoice": "ce74b771-d23d-4960-81ec-8741b3862146",
                "loa": "64ffb720-04c7-455b-92d6-20fcca92e935",
            },
            "end_user": {
                "admin": {
                    "account_number": "ACCT-CANARY-77",
                    "auth_person_name": said["person"],
                    "billing_phone_number": order.numbers[0],
                    "business_identifier": "BUSINESS-CANARY",
                    "entity_name": "Canary Entity Ltd",
                    "pin_passcode": said["pin"],
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
            },
            "messaging": {
                "enable_messaging": said["messaging"] != "not_applicable",
                "messaging_capable": said["messaging"] != "not_applicable",
                "messaging_port_completed": said["messaging"] == "ported",
                "messaging_port_status": said["messaging"],
            },
            "misc": {"new_billing_phone_number": None, "remaining_numbers_action": None, "type": "full"},
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
                    "field_value": "9787fb5f-cbe5-4de4-b765-3303774ee9fe",
                    "record_type": "porting_requirement",
                    "requirement_type_id": "59b0762a-b274-4f76-ac32-4d5cf0272e66",
                }
            ],
            "requirements_met": True,
            "status": {"details": said["details"], "value": said["status"]},
            "support_key": said["support_key"],
            "updated_at": seconds(order.updated_at),
            "user_feedback": {"user_comment": None, "user_rating": None},
            "user_id": USER,
            "webhook_url": "https://example.com/porting?secret=hook-canary",
        }
        if embed:
            shown["phone_numbers"] = [self._line(order, number) for number in order.numbers[:EMBEDDED]]
        return shown

    def _line(self, order: Order, number: str) -> dict[str, Any]:
        return {
            "activation_status": order.said["activation"],
            "phone_number": number.lstrip("+"),
            "phone_number_type": "local",
            "portability_status": "confirmed",
            "porting_order_id": order.id,
            "porting_order_status": order.said["status"],
            "record_type": "porting_phone_number",
            "requirements_status": "approved",
            "support_key": order.said["support_key"],
        }

    def numbers(self, request: Request) -> Response:
        query = request.query_params
        asked = set(query.getlist("filter[porting_order_id]")) | set(
            query.getlist("filter[porting_order_id][in][]")
        )
        status = query.get("filter[porting_order_status]")
        found = [
            (order, number)
            for order in self.world.there("in")
            if (not asked or order.id in asked) and status in (None, order.said["status"])
            for number in order.numbers
        ]
        return self._page(request, found, lambda pair: self._line(*pair))

    def jobs(self, request: Request) -> Response:
        order = self.world.find("in", request.path_params["id"])
        if order is None:
            return _missing()
        jobs = [self._job(order)] if order.said["foc_actual"] else []
        return self._page(request, jobs, lambda job: dict(job))

    def job(self, request: Request) -> Response:
        order = self.world.find("in", request.path_params["id"])
        if order is None or not order.said["foc_actual"]:
            return _missing()
        return JSONResponse({"data": self._job(order)})

    def _job(self, order: Order) -> dict[str, Any]:
        foc = seconds(order.said["foc_actual"])
        return {
            "id": order.id,
            "status": "completed" if order.said["status"] == "ported" else "created",
            "activation_type": "scheduled",
            "activate_at": foc,
            "activation_windows": [{"start_at": foc, "end_at": foc}],
            "created_at": seconds(order.updated_at),
            "updated_at": seconds(order.updated_at),
            "record_type": "porting_activation_job",
        }

    def cancel(self, request: Request) -> Response:
        order = self.world.find("in", request.path_params["id"])
        if order is None:
            return _missing()
        if order.said["status"] in ("ported", "cancelled", "cancel-pending"):
            return refused(422, "10027", "Unprocessable entity", "The order cannot be cancelled.")
        foc = order.said["foc_actual"]
        if foc and (foc - self.world.now()).total_seconds() < 48 * 3600:
            return refused(422, "10027", "Unprocessable entity", "Within 48 hours of the FOC date.")
        self.world.cancel(order)
        return self.order(request)

    # --- port-outs and comments -------------------------------------------------------------------------

    def portouts(self, request: Request) -> Response:
        query = request.query_params
        found = self.world.there("out")
        if (status := query.get("filter[status]")) is not None:
            found = [order for order in found if order.said["status"] == status]
        if (number := query.get("filter[phone_number]")) is not None:
            found = [order for order in found if number in order.numbers]
        return self._page(request, found, self._portout)

    def portout(self, request: Request) -> Response:
        order = self.world.find("out", request.path_params["id"])
        return _missing() if order is None else JSONResponse({"data": self._portout(order)})

    def _portout(self, order: Order) -> dict[str, Any]:
        said = order.said
        return {
            "already_ported": said["status"] == "ported",
            "authorized_name": said["person"],
            "carrier_name": said["carrier"],
            "city": "Canary City",
            "created_at": millis(order.born_at),
            "current_carrier": "telnyx",
            "end_user_name": said["person"],
            "foc_date": said["foc"] and millis(said["foc"]),
            "host_messaging": False,
            "id": order.id,
            "inserted_at": millis(order.born_at),
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

    def comments(self, request: Request, kind: str) -> Response:
        order = self.world.find(kind, request.path_params["id"])
        if order is None:
            return _missing()
        return self._page(request, order.comments, lambda comment: self._comment(order, comment, kind))

    def _comment(self, order: Order, comment: dict[str, Any], kind: str) -> dict[str, Any]:
        if kind == "in":
            at = comment["inserted_at"]
            rest = {
                "porting_order_id": order.id,
                "user_type": comment["user_type"],
                "record_type": "porting_comment",
            }
        else:
            at = comment["created_at"]
            rest = {"portout_id": order.id, "user_id": comment["user_id"], "record_type": "portout"}
        return {"id": comment["id"], "body": comment["body"], "created_at": at, **rest}

    def rejections(self, request: Request) -> Response:
        if self.world.find("out", request.path_params["id"]) is None:
            return _missing()
        codes = [
            {"code": 1001, "description": "Other", "reason_required": True},
            {"code": 1002, "description": "Invalid PIN", "reason_required": False},
        ]
        return JSONResponse({"data": codes})
