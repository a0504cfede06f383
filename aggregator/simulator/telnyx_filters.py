"""What Telnyx's lists are asked for: paging, filters and sorting, refused with 422 where they make no sense."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any, overload
from uuid import UUID

from starlette.datastructures import QueryParams

from aggregator.simulator.telnyx_shown import number_line
from aggregator.simulator.things import Order

STATUSES = ("draft", "in-process", "submitted", "exception", "foc-date-confirmed", "ported", "cancel-pending", "cancelled")  # fmt: skip
OUT_STATUSES = ("pending", "authorized", "ported", "rejected", "rejected-pending", "canceled")
SORTS: dict[str, Callable[[Order], Any]] = {
    "created_at": lambda order: order.born_at,
    "activation_settings.foc_datetime_requested": lambda order: order.said["foc_requested"],
}
Numbered = tuple[Order, str]


class BadParameterError(Exception):
    """A query parameter that the server refuses with 422, and the code it gives."""

    def __init__(self, name: str, code: str, title: str) -> None:
        super().__init__(name)
        self.name, self.code, self.title = name, code, title


class Query:
    """The parameters of one request. Nested names are read in brackets and, as once published, with dots."""

    def __init__(self, params: QueryParams, dropped: str) -> None:
        self.params, self.dropped = params, dropped

    def filter(self, *path: str) -> str | None:
        """The value of `filter[a][b]`, or of `filter[a.b]`."""
        return self.params.get(f"filter[{']['.join(path)}]", self.params.get(f"filter[{'.'.join(path)}]"))

    def several(self, name: str) -> list[str]:
        """Values given as a repeated key, with `[]`, as an `[in]` list, or separated by commas."""
        names = (f"filter[{name}]", f"filter[{name}][]", f"filter[{name}][in]", f"filter[{name}][in][]")
        return [one for key in names for said in self.params.getlist(key) for one in said.split(",") if one]

    def gone(self, name: str) -> list[str]:
        """Values of a filter that left the specification: taken, ignored or refused."""
        said = self.several(name)
        if said and self.dropped == "refused":
            raise BadParameterError(f"filter[{name}]", "10031", "Invalid filter")
        return said if self.dropped == "taken" else []

    def one_of(self, choices: Iterable[str], *path: str) -> str | None:
        """A filter with a closed set of values."""
        said = self.filter(*path)
        if said is not None and said not in choices:
            raise BadParameterError(f"filter[{']['.join(path)}]", "10032", "Invalid enum value")
        return said

    def uuid(self, name: str) -> str | None:
        """A filter by id."""
        said = self.filter(name)
        try:
            return None if said is None else str(UUID(said))
        except ValueError as error:
            raise BadParameterError(f"filter[{name}]", "10006", "Invalid ID") from error

    def time(self, *path: str) -> datetime | None:
        """A filter by time; one without its zone is refused."""
        at: datetime | None
        said = self.filter(*path)
        if said is None:
            return None
        try:
            at = datetime.fromisoformat(said)
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            raise BadParameterError(f"filter[{']['.join(path)}]", "10031", "Invalid filter")
        return at

    def number(self, name: str, default: int, most: int | None = None) -> int:
        """A whole number from 1 on."""
        said = self.params.get(name, str(default))
        if (
            not (said.isascii() and said.isdigit())
            or len(said) > 9
            or int(said) < 1
            or int(said) > (most or 10**9)
        ):
            raise BadParameterError(name, "10033", "Out of range")
        return int(said)


def porting_orders(query: Query, orders: list[Order]) -> list[Order]:
    """The orders that were asked for, newest first unless sorted otherwise."""
    sort = query.params.get("sort[value]", query.params.get("sort[]", "-created_at"))
    if sort.removeprefix("-") not in SORTS:
        raise BadParameterError("sort[value]", "10032", "Invalid enum value")
    found = _equal(query, orders, customer_reference="customer", customer_group_reference="group", parent_support_key="parent_key")  # fmt: skip
    found = _nested(query, found)
    if statuses := query.gone("status"):
        found = [order for order in found if order.said["status"] in statuses]
    if sort.endswith("created_at"):  # they are kept in this order
        return found[::-1] if sort.startswith("-") else found
    return sorted(found, key=SORTS[sort.removeprefix("-")], reverse=sort.startswith("-"))


def _nested(query: Query, found: list[Order]) -> list[Order]:
    if (kind := query.one_of(("full", "partial"), "misc", "type")) is not None:
        found = [order for order in found if order.said["type"] == kind]
    if (carrier := query.filter("phone_numbers", "carrier_name")) is not None:
        found = [order for order in found if order.said["carrier"] == carrier]
    if (country := query.filter("phone_numbers", "country_code")) is not None:
        found = found if country == "US" else []
    if (part := query.filter("phone_numbers", "phone_number", "contains")) is not None:
        found = [order for order in found if any(part.lstrip("+ ") in number for number in order.numbers)]
    if (person := query.filter("end_user", "admin", "auth_person_name")) is not None:
        found = [order for order in found if order.said["person"] == person]
    if (entity := query.filter("end_user", "admin", "entity_name")) is not None:
        found = found if entity == "Canary Entity Ltd" else []
    if (fast := query.one_of(("true", "false"), "activation_settings", "fast_port_eligible")) is not None:
        found = [order for order in found if order.said["fast"] == (fast == "true")]
    if (after := query.time("activation_settings", "foc_datetime_requested", "gt")) is not None:
        found = [order for order in found if order.said["foc_requested"] > after]
    if (until := query.time("activation_settings", "foc_datetime_requested", "lt")) is not None:
        found = [order for order in found if order.said["foc_requested"] < until]
    return found


def _equal(query: Query, orders: list[Order], **keys: str) -> list[Order]:
    for name, key in keys.items():
        if (wanted := query.filter(name)) is not None:
            orders = [order for order in orders if order.said[key] == wanted]
    return orders


class Numbers(Sequence[Numbered]):
    """The numbers of these orders, each with its order. A page of them is found without listing all."""

    def __init__(self, orders: list[Order]) -> None:
        self._orders = orders
        self._ends = list(accumulate(len(order.numbers) for order in orders))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, at: int) -> Numbered: ...

    @overload
    def __getitem__(self, at: slice) -> list[Numbered]: ...

    def __getitem__(self, at: int | slice) -> Numbered | list[Numbered]:
        wanted = range(len(self))[at]
        if isinstance(wanted, int):
            return self[wanted : wanted + 1][0]
        first, last = (bisect_right(self._ends, end) for end in (wanted.start, wanted.stop))
        before = self._ends[first - 1] if first else 0
        pairs = [(order, number) for order in self._orders[first : last + 1] for number in order.numbers]
        return pairs[wanted.start - before : wanted.stop - before]


def phone_numbers(
    query: Query, orders: list[Order], find: Callable[[str], Order | None]
) -> Sequence[Numbered]:
    """The numbers that were asked for, each with its order."""
    status = query.one_of(STATUSES, "porting_order_status")
    if ids := query.gone("porting_order_id"):
        orders = [order for id in dict.fromkeys(ids) if (order := find(id)) is not None]
    if keys := [*query.gone("support_key"), *query.gone("support_key][eq")]:
        orders = [order for order in orders if order.said["support_key"] in keys]
    if status is not None:
        orders = [order for order in orders if order.said["status"] == status]
    found: Sequence[Numbered] = Numbers(orders)
    if numbers := {number.lstrip("+ ") for number in query.gone("phone_number")}:
        found = [(order, number) for order, number in found if number.lstrip("+") in numbers]
    for name in ("activation_status", "portability_status"):
        if wanted := query.gone(name):
            found = [pair for pair in found if number_line(*pair)[name] in wanted]
    return found


def portouts(query: Query, orders: list[Order]) -> list[Order]:
    """The port-outs that were asked for."""
    found = _equal(query, orders, carrier_name="carrier", pon="pon", spid="spid", support_key="support_key")
    if (status := query.one_of(OUT_STATUSES, "status")) is not None:
        found = [order for order in found if order.said["status"] == status]
    if statuses := query.several("status_in"):
        if not set(statuses) <= set(OUT_STATUSES):
            raise BadParameterError("filter[status_in]", "10032", "Invalid enum value")
        found = [order for order in found if order.said["status"] in statuses]
    if (
        countries := query.several("country_code") + query.several("country_code_in")
    ) and "US" not in countries:
        found = []
    if (number := query.filter("phone_number")) is not None:
        found = [order for order in found if f"+{number.lstrip('+ ')}" in order.numbers]
    if (day := query.time("foc_date")) is not None:
        found = [order for order in found if order.said["foc"] and order.said["foc"].date() == day.date()]
    for name, time_of in (("inserted_at", _inserted), ("ported_out_at", _ported_out)):
        since, until = query.time(name, "gte"), query.time(name, "lte")
        if since is not None:
            found = [order for order in found if (at := time_of(order)) is not None and at >= since]
        if until is not None:
            found = [order for order in found if (at := time_of(order)) is not None and at <= until]
    return found


def _inserted(order: Order) -> datetime | None:
    return order.born_at


def _ported_out(order: Order) -> datetime | None:
    at: datetime | None = order.said["ported_at"]
    return at
