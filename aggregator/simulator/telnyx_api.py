"""Telnyx's porting operations."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aggregator.simulator import telnyx_filters as filters
from aggregator.simulator import telnyx_shown as shown
from aggregator.simulator.spoiled import Spoiled
from aggregator.simulator.telnyx_filters import BadParameterError, Query
from aggregator.simulator.things import Event, Order, compact
from aggregator.simulator.world import World

Handler = Callable[[Request], Response]
LOCKED = timedelta(hours=48)
EVENT_TYPES = {
    "in": {
        "porting_order.deleted", "porting_order.loa_updated", "porting_order.messaging_changed",
        "porting_order.status_changed", "porting_order.sharing_token_expired", "porting_order.new_comment",
        "porting_order.split",
    },
    "out": {"portout.status_changed", "portout.new_comment", "portout.foc_date_changed"},
}  # fmt: skip


def routes(world: World, spoiled: Spoiled) -> list[Route]:
    """Every operation under `/v2`."""
    api = _Api(world, spoiled)

    def route(path: str, handler: Handler, method: str = "GET") -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                return handler(request)
            except BadParameterError as bad:
                return refused(422, bad.code, bad.title, parameter=bad.name)

        return Route(f"/v2{path}", endpoint, methods=[method])

    return [
        route("/porting/events", lambda r: api.events(r, "in")),
        route("/portouts/events", lambda r: api.events(r, "out")),
        route("/porting/events/{id}", lambda r: api.event(r, "in")),
        route("/portouts/events/{id}", lambda r: api.event(r, "out")),
        route("/porting/events/{id}/republish", lambda r: api.republish(r, "in"), "POST"),
        route("/portouts/events/{id}/republish", lambda r: api.republish(r, "out"), "POST"),
        route("/porting_orders", api.orders),
        route("/porting_orders/exception_types", lambda r: _data(shown.exception_types())),
        route("/porting_orders/{id}", api.order),
        route("/porting_orders/{id}/comments", lambda r: api.comments(r, "in")),
        route("/porting_orders/{id}/activation_jobs", api.jobs),
        route("/porting_orders/{id}/activation_jobs/{job}", api.job),
        route("/porting_orders/{id}/action_requirements", api.actions),
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


def missing() -> JSONResponse:
    """What is not there."""
    return refused(404, "10005", "Resource not found", "The requested resource or URL could not be found.")


def _data(data: Any, **more: Any) -> Response:
    return Response(compact({"data": data, **more}), media_type="application/json")


class _Api:
    """The handlers."""

    def __init__(self, world: World, spoiled: Spoiled) -> None:
        self.world, self.spoiled, self.faults = world, spoiled, world.faults

    def _query(self, request: Request) -> Query:
        return Query(request.query_params, self.faults.dropped_filters)

    def _paging(self, query: Query) -> tuple[int, int]:
        number, size = query.number("page[number]", 1), query.number("page[size]", 20, 250)
        return number, min(size, self.faults.telnyx_clamp or size)

    def _page(
        self, query: Query, things: Sequence[Any], show: Callable[[Any], bytes], name: str = "id"
    ) -> Response:
        number, size = self._paging(query)
        things, total = self.spoiled.listed(things, later=number > 1)
        page = self.spoiled.unwrapped(things[(number - 1) * size : number * size])
        items = [show(thing) for thing in page]
        if self.spoiled.touches_items:
            read = [json.loads(item) for item in items]
            items = [compact(item) for item in self.spoiled.items(read, name)]
        body = b'{"data":[' + b",".join(items) + b"]" + self._meta(number, size, total) + b"}"
        return Response(body, media_type="application/json")

    def _meta(self, number: int, size: int, total: int) -> bytes:
        pages = -(-total // size)
        meta: dict[str, Any] = {
            "page_number": number,
            "page_size": size,
            "total_pages": pages,
            "total_results": total,
        }
        style = self.faults.meta_style
        if style == "missing":
            return b""
        if style == "zero":
            meta.update(total_pages=0, total_results=0)
        elif style != "whole":
            meta = {key: (float if style == "float" else str)(value) for key, value in meta.items()}
        return b',"meta":' + compact(meta)

    def _before(self, kind: str, query: Query) -> None:
        """Time that may pass before a later page."""
        self.spoiled.drift(kind, later=self._paging(query)[0] > 1)

    def _one(self, kind: str, request: Request) -> Order | None:
        return self.world.find(kind, request.path_params["id"])

    # --- events -----------------------------------------------------------------------------------------

    def events(self, request: Request, feed: str) -> Response:
        query = self._query(request)
        type = query.one_of(EVENT_TYPES[feed], "type" if feed == "in" else "event_type")
        order_id = query.uuid(shown.OWNER[feed])
        since, until = query.time("created_at", "gte"), query.time("created_at", "lte")
        self._before(feed, query)
        found = self.spoiled.arranged(self.world.window(feed, since, until, type, order_id))
        return self._page(query, found, self._event)

    def _event(self, event: Event) -> bytes:
        return shown.event_text(event, self.world.clock.now(), self.faults.empty_style)

    def event(self, request: Request, feed: str) -> Response:
        event = self._known_event(request, feed)
        if event is None:
            return missing()
        return Response(b'{"data":' + self._event(event) + b"}", media_type="application/json")

    def republish(self, request: Request, feed: str) -> Response:
        return Response(status_code=204) if self._known_event(request, feed) else missing()

    def _known_event(self, request: Request, feed: str) -> Event | None:
        self.world.now()
        return self.world.by_id[feed].get(request.path_params["id"])

    # --- porting orders ---------------------------------------------------------------------------------

    def orders(self, request: Request) -> Response:
        query = self._query(request)
        self._before("in", query)
        embed = request.query_params.get("include_phone_numbers", "true") != "false"
        found = filters.porting_orders(query, self.world.listed("in"))
        return self._page(query, found, lambda order: compact(shown.porting_order(order, embed)))

    def order(self, request: Request) -> Response:
        order = self._one("in", request)
        if order is None:
            return missing()
        embed = request.query_params.get("include_phone_numbers", "true") != "false"
        url = f"/v2/porting_phone_numbers?filter[porting_order_id]={order.id}"
        item = shown.porting_order(order, embed)
        return _data(self.spoiled.items([item], "id")[0], meta={"phone_numbers_url": url})

    def numbers(self, request: Request) -> Response:
        query = self._query(request)
        self._before("in", query)
        listed = self.spoiled.arranged(self.world.listed("in"))
        found = filters.phone_numbers(query, listed, lambda id: self.world.find("in", id))
        if request.headers.get("accept") == "text/csv":
            return self._csv(query, found)
        return self._page(query, found, lambda pair: compact(shown.number_line(*pair)), "phone_number")

    def _csv(self, query: Query, found: Sequence[filters.Numbered]) -> Response:
        number, size = self._paging(query)
        columns = (
            "phone_number",
            "phone_number_type",
            "porting_order_id",
            "support_key",
            "porting_order_status",
        )
        lines = [",".join(columns)]
        for order, one in found[(number - 1) * size : number * size]:
            line = {**shown.number_line(order, one), "phone_number": one}
            lines.append(",".join(str(line[column] or "") for column in columns))
        return Response("\r\n".join(lines) + "\r\n", media_type="text/csv")

    def jobs(self, request: Request) -> Response:
        order = self._one("in", request)
        if order is None:
            return missing()
        dated = [order] if order.said["foc_actual"] else []
        # An older copy from before there was a date shows no job at all, so it is the present one.
        return self._page(
            self._query(request),
            dated,
            lambda one: compact(shown.job(one if one.said["foc_actual"] else order)),
        )

    def job(self, request: Request) -> Response:
        order = self._one("in", request)
        if order is None or not order.said["foc_actual"]:
            return missing()
        job = shown.job(order)
        return _data(job) if job["id"] == request.path_params["job"] else missing()

    def actions(self, request: Request) -> Response:
        order = self._one("in", request)
        if order is None:
            return missing()
        acting = [order] if order.said["acts"] else []
        return self._page(self._query(request), acting, lambda one: compact(shown.action(one)))

    def cancel(self, request: Request) -> Response:
        order = self._one("in", request)
        if order is None:
            return missing()
        if order.said["status"] in ("draft", "ported", "cancelled", "cancel-pending"):
            return refused(422, "10027", "Unprocessable entity", "The order cannot be cancelled.")
        foc = order.said["foc_actual"]
        if foc and foc - self.world.now() < LOCKED:
            return refused(422, "10027", "Unprocessable entity", "Within 48 hours of the FOC date.")
        self.world.cancel(order)
        return self.order(request)

    # --- port-outs and comments -------------------------------------------------------------------------

    def portouts(self, request: Request) -> Response:
        query = self._query(request)
        self._before("out", query)
        found = self.spoiled.arranged(filters.portouts(query, self.world.listed("out")))
        return self._page(query, found, lambda order: compact(shown.portout(order)))

    def portout(self, request: Request) -> Response:
        order = self._one("out", request)
        if order is None:
            return missing()
        return _data(self.spoiled.items([shown.portout(order)], "id")[0])

    def comments(self, request: Request, kind: str) -> Response:
        order = self._one(kind, request)
        if order is None:
            return missing()
        query = self._query(request)
        return self._page(query, order.comments, lambda said: compact(shown.comment(order, said)))

    def rejections(self, request: Request) -> Response:
        if self._one("out", request) is None:
            return missing()
        codes = self._query(request).several("code")
        return _data([one for one in shown.REJECTIONS if not codes or str(one["code"]) in codes])
