"""The provider's own client reads the Telnyx stand-in to its end, and finds every published field there.

The client validates strictly, so that a shape it does not know fails; what it leaves optional, the field lists
below ask for. They are transcribed from the provider's published specification.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from simulated import DAY, WORLD, get
from telnyx import NotFoundError, Omit, Telnyx, UnprocessableEntityError, omit

from aggregator.simulator import Running, start

EVENT = "id event_type porting_order_id available_notification_methods payload_status record_type created_at updated_at"
OUT_EVENT = EVENT.replace("porting_order_id", "portout_id")
PAYLOADS = {
    "porting_order.deleted": "id customer_reference deleted_at record_type created_at updated_at",
    "porting_order.messaging_changed": "id customer_reference support_key messaging.enable_messaging "
    "messaging.messaging_capable messaging.messaging_port_completed messaging.messaging_port_status",
    "porting_order.new_comment": "porting_order_id support_key comment.body comment.id comment.inserted_at "
    "comment.user_id comment.user_type",
    "porting_order.split": "from.id to.id porting_phone_numbers[].id",
    "porting_order.status_changed": "id customer_reference support_key updated_at webhook_url status.value "
    "status.details[].code status.details[].description",
    "porting_order.loa_updated": "",
    "porting_order.sharing_token_expired": "",
    "portout.status_changed": "attempted_pin carrier_name id phone_numbers rejection_reason spid status "
    "subscriber_name user_id",
    "portout.new_comment": "comment id portout_id user_id",
    "portout.foc_date_changed": "foc_date id user_id",
}
NUMBER = (
    "activation_status phone_number phone_number_type portability_status porting_order_id porting_order_status "
    "record_type requirements_status support_key"
)
ORDER = (
    "activation_settings.activation_status activation_settings.fast_port_eligible "
    "activation_settings.foc_datetime_actual activation_settings.foc_datetime_requested additional_steps created_at "
    "customer_group_reference customer_reference description documents.invoice documents.loa "
    "end_user.admin.account_number end_user.admin.auth_person_name end_user.admin.billing_phone_number "
    "end_user.admin.business_identifier end_user.admin.entity_name end_user.admin.pin_passcode "
    "end_user.admin.tax_identifier end_user.location.administrative_area end_user.location.country_code "
    "end_user.location.extended_address end_user.location.locality end_user.location.postal_code "
    "end_user.location.street_address id messaging.enable_messaging messaging.messaging_capable "
    "messaging.messaging_port_completed messaging.messaging_port_status misc.new_billing_phone_number "
    "misc.remaining_numbers_action misc.type old_service_provider_ocn parent_support_key "
    "phone_number_configuration.billing_group_id phone_number_configuration.connection_id "
    "phone_number_configuration.emergency_address_id phone_number_configuration.messaging_profile_id "
    "phone_number_configuration.tags phone_number_type porting_phone_numbers_count record_type "
    "requirements[].field_type requirements[].field_value requirements[].record_type "
    "requirements[].requirement_type_id requirements_met status.details[].code status.details[].description "
    "status.value support_key updated_at user_feedback.user_comment user_feedback.user_rating user_id webhook_url "
) + " ".join(f"phone_numbers[].{field}" for field in NUMBER.split())
PORTOUT = (
    "already_ported authorized_name carrier_name city created_at current_carrier end_user_name foc_date "
    "host_messaging id inserted_at lsr phone_numbers pon reason record_type rejection_code requested_foc_date "
    "service_address spid state status support_key updated_at user_id vendor zip"
)
JOB = (
    "activate_at activation_type activation_windows[].end_at activation_windows[].start_at created_at id "
    "record_type status updated_at"
)
ACT = (
    "action_type action_url cancel_reason created_at id porting_order_id record_type requirement_type_id status "
    "updated_at"
)
COMMENT = "body created_at id porting_order_id record_type user_type"
OUT_COMMENT = "body created_at id portout_id record_type user_id"
META = {"page_number", "page_size", "total_pages", "total_results"}
SIZES = pytest.mark.parametrize("size", [omit, 250], ids=["default size", "250"])


@pytest.fixture(scope="module")
def sim() -> Iterator[Running]:
    """A month of a hundred orders, whose clock stands."""
    with start(*WORLD, "--orders", "80", "--fault", "splits=0.5", "--require-auth") as running:
        running.advance(30 * DAY)
        yield running


@pytest.fixture
def client(sim: Running) -> Iterator[Telnyx]:
    """The official client, which neither repeats nor forgives anything."""
    with _client(sim) as client:
        yield client


def _client(sim: Running) -> Telnyx:
    return Telnyx(
        api_key=sim.telnyx_key,
        base_url=sim.telnyx,
        max_retries=0,
        timeout=10,
        _strict_response_validation=True,
    )


def raw(thing: Any) -> dict[str, Any]:
    """What came over the wire, field by field, also those the client does not know."""
    said: dict[str, Any] = thing.to_dict(mode="json", exclude_unset=True)
    return said


def absent(item: object, fields: str) -> list[str]:
    """The published fields that an item lacks; a list lacks one if any of its members does."""
    return [field for field in fields.split() if not _has(item, field.split("."))]


def _has(item: object, path: list[str]) -> bool:
    if not path:
        return True
    name, *rest = path
    if not isinstance(item, dict) or name.removesuffix("[]") not in item:
        return False
    below = item[name.removesuffix("[]")]
    return all(_has(one, rest) for one in below) if name.endswith("[]") else _has(below, rest)


def there(sim: Running) -> Any:
    """The porting orders that were not deleted."""
    orders = sim.truth()["telnyx"]["porting_orders"]
    return {id: order for id, order in orders.items() if not order["deleted"]}


# --- lists, to the end ----------------------------------------------------------------------------------


@SIZES
def test_it_lists_every_porting_event_with_every_published_field(
    sim: Running, client: Telnyx, size: int | Omit
) -> None:
    events = list(client.porting.events.list(page_size=size))
    truth = sim.truth()["telnyx"]
    assert [event.id for event in events] == truth["porting_events"]
    for event in events:
        assert event.event_type == truth["events"]["in"][event.id]["type"]
        assert event.porting_order_id == truth["events"]["in"][event.id]["order"]
        said = raw(event)
        assert absent(said, EVENT) == []
        assert absent(said["payload"], PAYLOADS[said["event_type"]]) == []
    assert {event.event_type for event in events} == {name for name in PAYLOADS if name.startswith("porting")}


@SIZES
def test_it_lists_every_portout_event_with_every_published_field(
    sim: Running, client: Telnyx, size: int | Omit
) -> None:
    events = list(client.portouts.events.list(page_size=size))
    truth = sim.truth()["telnyx"]
    assert [event.id for event in events] == truth["portout_events"]
    for event in events:
        assert event.portout_id == truth["events"]["out"][event.id]["order"]
        said = raw(event)
        assert absent(said, OUT_EVENT) == []
        assert absent(said["payload"], PAYLOADS[said["event_type"]]) == []
    assert {event.event_type for event in events} == {
        name for name in PAYLOADS if name.startswith("portout.")
    }


@SIZES
def test_it_lists_every_porting_order_with_every_published_field(
    sim: Running, client: Telnyx, size: int | Omit
) -> None:
    orders = list(client.porting_orders.list(page_size=size))
    truth = there(sim)
    assert [order.id for order in orders] == list(truth)[::-1]
    for order in orders:
        assert order.id and order.status and order.activation_settings and order.messaging
        true = truth[order.id]
        said = raw(order)
        assert absent(said, ORDER) == []
        assert order.status.value == true["status"]
        assert [detail.code for detail in order.status.details or []] == true["details"]
        assert order.messaging.messaging_port_status == true["messaging"]
        assert order.support_key == true["support_key"]
        assert order.porting_phone_numbers_count == len(true["numbers"])
        assert [f"+{line['phone_number']}" for line in said["phone_numbers"]] == true["numbers"][:50]
        assert order.activation_settings.foc_datetime_requested == instant(true["foc_datetime_requested"])
        assert order.activation_settings.foc_datetime_actual == instant(true["foc_datetime_actual"])
    assert any(raw(order)["status"]["details"] for order in orders)


def instant(text: str | None) -> datetime | None:
    """A time as the client reads it."""
    return datetime.fromisoformat(text) if text else None


@SIZES
def test_it_lists_every_number_with_every_published_field(
    sim: Running, client: Telnyx, size: int | Omit
) -> None:
    lines = [raw(line) for line in client.porting_phone_numbers.list(page_size=size)]
    assert [line for line in lines if absent(line, NUMBER)] == []
    said = [(line["porting_order_id"], f"+{line['phone_number']}") for line in lines]
    assert said == [(id, number) for id, order in there(sim).items() for number in order["numbers"]]


@SIZES
def test_it_lists_every_portout_with_every_published_field(
    sim: Running, client: Telnyx, size: int | Omit
) -> None:
    portouts = list(client.portouts.list(page_size=size))
    truth = sim.truth()["telnyx"]["portouts"]
    assert [portout.id for portout in portouts] == list(truth)
    for portout in portouts:
        assert portout.id
        true = truth[portout.id]
        assert absent(raw(portout), PORTOUT) == []
        assert (portout.status, portout.phone_numbers) == (true["status"], true["numbers"])
        assert (portout.reason, portout.rejection_code) == (true["reason"], true["rejection_code"])
        assert (portout.foc_date, portout.requested_foc_date) == (
            true["foc_date"],
            true["requested_foc_date"],
        )


def test_every_list_has_the_published_meta(sim: Running) -> None:
    paths = ("/porting/events", "/portouts/events", "/porting_orders", "/porting_phone_numbers", "/portouts")
    with start(*WORLD) as open_to_all:
        for path in paths:
            assert set(get(open_to_all, path).json()["meta"]) == META


# --- filters --------------------------------------------------------------------------------------------


def test_it_filters_events_by_time_and_type(sim: Running, client: Telnyx) -> None:
    events = sim.truth()["telnyx"]["events"]["in"]
    since, until = "2025-03-12T06:00:00Z", "2025-03-14T06:00:00Z"
    window: Any = {"created_at": {"gte": since, "lte": until}}
    wanted = {
        id
        for id, said in events.items()
        if instant(since) <= instant(said["created_at"]) <= instant(until)  # type: ignore[operator]
    }
    assert {event.id for event in client.porting.events.list(filter=window, page_size=250)} == wanted
    type = "porting_order.messaging_changed"
    both: Any = {**window, "type": type}
    found = {event.id for event in client.porting.events.list(filter=both, page_size=250)}
    assert found == {id for id in wanted if events[id]["type"] == type}
    assert 0 < len(found) < len(wanted) < len(events)


def test_it_filters_portout_events_by_time_type_and_portout(sim: Running, client: Telnyx) -> None:
    events = sim.truth()["telnyx"]["events"]["out"]
    aware = datetime(2025, 3, 15, tzinfo=UTC)
    found = list(client.portouts.events.list(filter={"created_at": {"gte": aware}}, page_size=250))
    assert {event.id for event in found} == {
        id for id, said in events.items() if datetime.fromisoformat(said["created_at"]) >= aware
    }
    comments = client.portouts.events.list(filter={"event_type": "portout.new_comment"})
    assert {event.id for event in comments} == {
        id for id, said in events.items() if said["type"] == "portout.new_comment"
    }
    portout = next(iter(events.values()))["order"]
    assert [event.id for event in client.portouts.events.list(filter={"portout_id": portout})] == [
        id for id, said in events.items() if said["order"] == portout
    ]


def test_it_sorts_and_filters_orders_numbers_and_portouts(sim: Running, client: Telnyx) -> None:
    truth = there(sim)
    asked = client.porting_orders.list(
        sort={"value": "created_at"}, include_phone_numbers=False, page_size=250
    )
    assert [order.id for order in asked] == list(truth)
    customer = next(iter(truth.values()))["customer_reference"]
    named = client.porting_orders.list(filter={"customer_reference": customer})
    assert {order.id for order in named} == {
        id for id, order in truth.items() if order["customer_reference"] == customer
    }
    lines = client.porting_phone_numbers.list(filter={"porting_order_status": "ported"}, page_size=250)
    assert {line.porting_order_id for line in lines} == {
        id for id, order in truth.items() if order["status"] == "ported"
    }
    portouts = sim.truth()["telnyx"]["portouts"]
    ended = client.portouts.list(filter={"status_in": ["ported", "rejected"]}, page_size=250)
    assert {portout.id for portout in ended} == {
        id for id, portout in portouts.items() if portout["status"] in ("ported", "rejected")
    }


def test_it_hears_that_a_value_makes_no_sense(client: Telnyx) -> None:
    with pytest.raises(UnprocessableEntityError):
        client.porting.events.list(page_size=251)
    with pytest.raises(UnprocessableEntityError):
        client.porting.events.list(filter={"created_at": {"gte": "yesterday"}})


# --- single things --------------------------------------------------------------------------------------


def test_it_retrieves_single_events(client: Telnyx) -> None:
    for event in client.porting.events.list(page_size=250):
        if event.event_type != "porting_order.status_changed":
            assert event.id and client.porting.events.retrieve(event.id).data == event
    out = next(iter(client.portouts.events.list()))
    assert out.id and client.portouts.events.retrieve(out.id).data == out


def test_it_retrieves_single_orders_and_portouts(sim: Running, client: Telnyx) -> None:
    order = next(iter(client.porting_orders.list()))
    assert order.id
    one = client.porting_orders.retrieve(order.id)
    assert one.data == order
    assert one.meta and one.meta.phone_numbers_url == (
        f"/v2/porting_phone_numbers?filter[porting_order_id]={order.id}"
    )
    bare = client.porting_orders.retrieve(order.id, include_phone_numbers=False).data
    assert bare and "phone_numbers" not in raw(bare)
    portout = next(iter(client.portouts.list()))
    assert portout.id and client.portouts.retrieve(portout.id).data == portout


def test_it_does_not_find_what_was_deleted(sim: Running, client: Telnyx) -> None:
    orders = sim.truth()["telnyx"]["porting_orders"]
    deleted = next(id for id, order in orders.items() if order["deleted"])
    with pytest.raises(NotFoundError) as refusal:
        client.porting_orders.retrieve(deleted)
    assert refusal.value.body == {
        "errors": [
            {
                "code": "10005",
                "title": "Resource not found",
                "detail": "The requested resource or URL could not be found.",
            }
        ]
    }


def test_it_reads_comments_of_staff_and_users(sim: Running, client: Telnyx) -> None:
    truth = sim.truth()["telnyx"]
    authors = set()
    for id, order in truth["porting_orders"].items():
        if order["comments"]:
            comments = list(client.porting_orders.comments.list(id, page_size=1))
            assert [comment.id for comment in comments] == order["comment_ids"]
            assert [comment for comment in comments if absent(raw(comment), COMMENT)] == []
            authors |= {comment.user_type for comment in comments}
    assert {"admin", "user"} <= authors


def test_it_reads_comments_of_port_outs(sim: Running) -> None:
    """Without strictness: the author is declared a required text, and described as null for staff."""
    truth = sim.truth()["telnyx"]["portouts"]
    with Telnyx(api_key=sim.telnyx_key, base_url=sim.telnyx, max_retries=0) as client:
        answers = {id: client.portouts.comments.list(id) for id in truth}
    assert any(portout["comments"] for portout in truth.values())
    for id, answer in answers.items():
        assert [comment.id for comment in answer.data or []] == truth[id]["comment_ids"]
        assert [comment for comment in answer.data or [] if absent(raw(comment), OUT_COMMENT)] == []
        assert set(raw(answer.meta)) == META


def test_it_reads_activation_jobs_once_there_is_a_date(sim: Running, client: Telnyx) -> None:
    for id, order in there(sim).items():
        jobs = list(client.porting_orders.activation_jobs.list(id))
        assert len(jobs) == bool(order["foc_datetime_actual"])
        for job in jobs:
            assert absent(raw(job), JOB) == []
            assert (job.id, job.status, job.activation_type) == (
                order["job"]["id"],
                order["job"]["status"],
                order["job"]["type"],
            )
            assert job.id and client.porting_orders.activation_jobs.retrieve(job.id, id=id).data == job


def test_it_reads_action_requirements_where_something_is_required(sim: Running, client: Telnyx) -> None:
    found = {id: list(client.porting_orders.action_requirements.list(id)) for id in there(sim)}
    assert {len(acts) for acts in found.values()} == {0, 1}
    for id, acts in found.items():
        for act in acts:
            assert absent(raw(act), ACT) == []
            assert (act.porting_order_id, act.record_type) == (id, "porting_action_requirement")
            assert act.status in ("created", "pending", "completed")


def test_it_reads_exception_types_and_rejection_codes(sim: Running, client: Telnyx) -> None:
    types = client.porting_orders.retrieve_exception_types().data or []
    assert len({type.code for type in types}) == 21
    assert [type for type in types if absent(raw(type), "code description")] == []
    portout = next(iter(sim.truth()["telnyx"]["portouts"]))
    codes = client.portouts.list_rejection_codes(portout).data or []
    assert [code.code for code in codes] == [1001, 1002]
    assert [code for code in codes if absent(raw(code), "code description reason_required")] == []
    one = client.portouts.list_rejection_codes(portout, filter={"code": 1002}).data or []
    assert [code.code for code in one] == [1002]


# --- what it may do -------------------------------------------------------------------------------------


def test_it_cancels_an_order_and_republishes_an_event() -> None:
    with start(*WORLD) as running, _client(running) as client:
        running.advance(20 * DAY)
        id = next(id for id, order in there(running).items() if order["status"] == "submitted")
        answer = client.porting_orders.actions.cancel(id)
        assert answer.data and answer.data.status and answer.data.status.value == "cancel-pending"
        assert absent(raw(answer.data), ORDER) == []
        *_, event = client.porting.events.list(filter={"porting_order_id": id})
        assert event.id and raw(event)["payload"]["status"]["value"] == "cancel-pending"
        before = len(running.truth()["telnyx"]["porting_events"])
        client.porting.events.republish(event.id)
        assert len(running.truth()["telnyx"]["porting_events"]) == before
        with pytest.raises(UnprocessableEntityError):
            client.porting_orders.actions.cancel(id)
        running.advance(timedelta(days=1, minutes=1).total_seconds())
        assert client.porting_orders.retrieve(id).data.status.value == "cancelled"  # type: ignore[union-attr]


def test_it_keeps_the_type_of_an_event_whose_payload_is_empty() -> None:
    with start(*WORLD, "--fault", "empty_payload=1", "--fault", "empty_payload_s=10000000") as running:
        running.advance(10 * DAY)
        with Telnyx(api_key="KEY", base_url=running.telnyx, max_retries=0) as client:
            events = list(client.porting.events.list(page_size=250))
        truth = running.truth()["telnyx"]["events"]["in"]
        assert {event.id: event.event_type for event in events} == {
            id: said["type"] for id, said in truth.items()
        }
        owed = {event.payload_status for event in events if raw(event)["payload"] is not None}
        assert owed == {"created"}
