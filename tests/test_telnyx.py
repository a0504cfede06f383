"""Telnyx: its words, its two event feeds, orders and port-outs, numbers, comments, absences, pages."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from made import NOW, account, page
from recordings import recording

from aggregator import providers
from aggregator.core.fold import fold
from aggregator.core.model import (
    NOT_TOLD,
    Basis,
    Carrier,
    Comment,
    Direction,
    Events,
    Fact,
    Link,
    Listing,
    Moment,
    OrderRef,
    Orders,
    Page,
    Part,
    Partial,
    Reading,
    ReasonSaid,
    Request,
    State,
    Vocabulary,
    WaitingOn,
    Want,
    Whole,
    Window,
    Word,
)
from aggregator.core.normalise import meaning, normalise
from aggregator.errors import PageChanged
from aggregator.sweep import sweep

TELNYX = providers.load("telnyx")
MAIN = account("telnyx")
ORDER, OTHER, EVENT = (f"00000000-0000-4000-8000-0000000000{n}" for n in ("01", "02", "91"))
AT = "2026-06-10T08:00:00.120000Z"


def read(
    path: str, body: Any, status: int = 200, options: Any = MAIN.options, params: dict[str, str] | None = None
) -> Reading:
    raw = body if isinstance(body, bytes) else json.dumps(body)
    return TELNYX.read(replied(Request(path, tuple((params or {}).items())), raw, status), options)


def replied(request: Request, body: bytes | str, status: int = 200) -> Page:
    """A reply to this very request."""
    return Page(request, status, body if isinstance(body, bytes) else body.encode(), NOW, None)


def event(kind: str, payload: Any = NOT_TOLD, **more: Any) -> dict[str, Any]:
    """A porting or port-out event of `ORDER`."""
    owner = "portout_id" if kind.startswith("portout.") else "porting_order_id"
    said = {"id": EVENT, "event_type": kind, owner: ORDER, "payload_status": "completed", "created_at": AT}
    return {**said, **({} if payload is NOT_TOLD else {"payload": payload}), **more}


def taken(said: dict[str, Any]) -> tuple[Fact, tuple[Want, ...]]:
    """The one fact of an event read by its id, and its wants."""
    root = "/portouts/events" if said["event_type"].startswith("portout.") else "/porting/events"
    reading = read(f"{root}/{EVENT}", {"data": said})
    fact, *linked = reading.facts
    assert all(one.announced is None and one.link for one in linked)
    return fact, reading.wants


def order(**more: Any) -> dict[str, Any]:
    return {"id": ORDER, "status": {"value": "submitted", "details": []}, "updated_at": AT, **more}


def looked(item: dict[str, Any], path: str = "/porting_orders") -> Reading:
    return read(f"{path}/{item['id']}", {"data": item})


# --- words, as the status model has them ----------------------------------------------------------------

D, I = Basis.DOCUMENTED, Basis.INFERRED  # noqa: E741
PORT_IN = {
    "draft": ("draft", D),
    "in-process": ("with_provider", D),
    "submitted": ("with_carrier", D),
    "exception": ("exception", D),
    "foc-date-confirmed": ("scheduled", D),
    "ported": ("ported", D),
    "cancel-pending": ("cancel_pending", D),
    "cancelled": ("cancelled", D),
}
PORT_OUT = {
    "pending": ("action_needed", D),
    "authorized": ("scheduled", D),
    "rejected-pending": ("with_provider", D),
    "rejected": ("rejected", D),
    "canceled": ("cancelled", D),
    "ported": ("ported", D),
}
MESSAGING = {
    "not_applicable": ("not_applicable", D),
    "pending": ("pending", D),
    "activating": ("activating", D),
    "exception": ("exception", D),
    "ported": ("ported", D),
    "canceled": ("cancelled", I),
    "partial_port_complete": ("partially_ported", I),
}
ACTIVATION = {
    "New": ("pending", I),
    "Pending": ("pending", I),
    "Concurrence Sent": ("pending", I),
    "Concurred": ("agreed", I),
    "Activate RDY": ("ready", I),
    "Conflict": ("conflict", I),
    "Sending": ("sending", I),
    "Active": ("active", I),
    "Failed": ("failed", I),
    "Cancel Pending": ("cancel_pending", I),
    "Cancelled": ("cancelled", I),
    "Disconnect Pending": ("disconnect_pending", I),
    "Old": ("old", I),
}
US, PROVIDER, CARRIER = WaitingOn.US, WaitingOn.PROVIDER, WaitingOn.LOSING_CARRIER
REASONS = {
    "ACCOUNT_NUMBER_MISMATCH": ("account_number_mismatch", US),
    "AUTH_PERSON_MISMATCH": ("authorized_person_mismatch", US),
    "BTN_ATN_MISMATCH": ("billing_number_mismatch", US),
    "ENTITY_NAME_MISMATCH": ("name_mismatch", US),
    "FOC_EXPIRED": ("date_expired", US),
    "FOC_REJECTED": ("date_rejected", US),
    "LOCATION_MISMATCH": ("address_mismatch", US),
    "LSR_PENDING": ("pending_order", US),
    "MAIN_BTN_PORTING": ("main_number_porting", US),
    "OSP_IRRESPONSIVE": ("carrier_unresponsive", CARRIER),
    "OTHER": ("other", US),
    "PASSCODE_PIN_INVALID": ("pin_invalid", US),
    "PHONE_NUMBER_HAS_SPECIAL_FEATURE": ("number_has_feature", US),
    "PHONE_NUMBER_MISMATCH": ("number_mismatch", US),
    "PHONE_NUMBER_NOT_PORTABLE": ("number_not_portable", US),
    "PORT_TYPE_INCORRECT": ("port_type_incorrect", US),
    "PORTING_ORDER_SPLIT_REQUIRED": ("split_required", US),
    "POSTAL_CODE_MISMATCH": ("postal_code_mismatch", US),
    "RATE_CENTER_NOT_PORTABLE": ("rate_center_not_portable", US),
    "SV_CONFLICT": ("clearinghouse_conflict", PROVIDER),
    "SV_UNKNOWN_FAILURE": ("clearinghouse_failure", PROVIDER),
    "LOA_ILLEGIBLE": ("authorization_document", US),
    "ACCOUNT_NUMBER_REQUIRED": ("account_number_mismatch", US),
    "AUTH_NAME_MISMATCH": ("authorized_person_mismatch", US),
    "BUSINESS_NAME_MISMATCH": ("name_mismatch", US),
    "DIFFERENT_ACCOUNTS": ("split_required", US),
    "DIFFERENT_RATE_CENTERS": ("split_required", US),
    "ILLEGIBLE_LOA": ("authorization_document", US),
    "INVALID_RESELLER": ("other", US),
    "1001": ("other", US),
    "1002": ("pin_invalid", US),
}
INFERRED_REASONS = {
    "LSR_PENDING", "LOA_ILLEGIBLE", "ACCOUNT_NUMBER_REQUIRED", "AUTH_NAME_MISMATCH", "BUSINESS_NAME_MISMATCH",
    "DIFFERENT_ACCOUNTS", "DIFFERENT_RATE_CENTERS", "ILLEGIBLE_LOA", "INVALID_RESELLER",
}  # fmt: skip


@pytest.mark.parametrize(
    ("vocabulary", "table"),
    [
        (Vocabulary.PORT_IN, PORT_IN),
        (Vocabulary.PORT_OUT, PORT_OUT),
        (Vocabulary.MESSAGING, MESSAGING),
        (Vocabulary.ACTIVATION, ACTIVATION),
    ],
)
def test_every_word_means_what_the_status_model_says(
    vocabulary: Vocabulary, table: dict[str, tuple[str, Basis]]
) -> None:
    ours = {word: (said.value, said.basis) for word, said in TELNYX.words[vocabulary].items()}
    assert ours == table
    assert all(said.waiting_on is None for said in TELNYX.words[vocabulary].values())


def test_every_reason_means_what_the_status_model_says() -> None:
    assert {code: (said.code, said.waiting_on) for code, said in TELNYX.reasons.items()} == REASONS
    assert {code for code, said in TELNYX.reasons.items() if said.basis is not D} == INFERRED_REASONS


def test_every_published_reason_is_known() -> None:
    published = {said["code"] for said in recording("telnyx", "exception-types").body["data"]}
    assert len(published) == 21
    assert published <= set(TELNYX.reasons)


def test_documented_words_match_exactly() -> None:
    for word in ("Ported", "foc date confirmed", "canceled", ""):
        assert meaning(word, Vocabulary.PORT_IN, MAIN.words).value == State.UNKNOWN


# --- events ---------------------------------------------------------------------------------------------


def test_a_status_event_tells_the_state_and_every_reason() -> None:
    details = [
        {"code": "PASSCODE_PIN_INVALID", "description": "PIN 4711 is wrong"},
        {"code": "SOMETHING_NEW", "description": None},
        {"description": "only words"},
    ]
    fact, wants = taken(
        event(
            "porting_order.status_changed",
            {"id": OTHER, "status": {"value": "exception", "details": details}},
        )
    )
    assert fact.order == OrderRef(Direction.PORT_IN, ORDER)  # the event's own, not its payload's
    assert fact.as_of == datetime(2026, 6, 10, 8, 0, 0, 120_000, tzinfo=UTC)
    assert fact.status is not None and fact.status.raw == "exception"
    assert fact.status.reasons == (
        ReasonSaid("PASSCODE_PIN_INVALID", "PIN *** is wrong"),
        ReasonSaid("SOMETHING_NEW", None),
        ReasonSaid("OTHER", "only words"),
    )
    assert fact.announced is not None and fact.announced.complete
    assert fact.announced.raw_to == "exception"
    assert [(want.part, want.id) for want in wants] == [(Part.ORDER, ORDER)]
    assert wants[0].since == fact.as_of


def test_a_messaging_event_tells_the_messaging_alone() -> None:
    fact, _ = taken(
        event("porting_order.messaging_changed", {"messaging": {"messaging_port_status": "activating"}})
    )
    assert fact.messaging is not None and fact.messaging.raw == "activating"
    assert fact.status is None and fact.numbers is None and fact.deleted is None


@pytest.mark.parametrize(
    ("user_type", "author"),
    [("user", "us"), ("admin", "provider"), ("system", "system"), ("bot", "bot"), (None, "unknown")],
)
def test_a_comment_event_tells_the_comment_with_its_secrets_masked(
    user_type: str | None, author: str
) -> None:
    comment = {"id": "c-1", "body": "PIN 4711", "user_id": None, "user_type": user_type, "inserted_at": AT}
    said = event("porting_order.new_comment", {"porting_order_id": ORDER, "comment": comment})
    fact, _ = taken(said)
    assert fact.comment == Comment("c-1", author, "PIN ***", fact.as_of)
    assert fact.announced is not None and "4711" not in (fact.announced.payload or "")
    silent = account("telnyx", keep_comments=False).options
    (fact,) = read(f"/porting/events/{EVENT}", {"data": said}, options=silent).facts
    assert fact.comment is not None and fact.comment.body is None


def test_a_split_links_the_orders_and_wants_both() -> None:
    fact, wants = taken(
        event(
            "porting_order.split",
            {"from": {"id": ORDER}, "to": {"id": OTHER}, "porting_phone_numbers": [{"id": "x"}]},
        )
    )
    assert fact.link == Link(ORDER, OTHER)
    assert [(want.part, want.id) for want in wants] == [(Part.ORDER, ORDER), (Part.ORDER, OTHER)]


@pytest.mark.parametrize("own", [ORDER, OTHER, "third"])
def test_a_split_is_a_fact_of_the_order_that_came_out_of_it_whosever_event_it_is(own: str) -> None:
    said = event("porting_order.split", {"from": {"id": ORDER}, "to": {"id": OTHER}}, porting_order_id=own)
    facts = read(f"/porting/events/{EVENT}", {"data": said}).facts
    assert [fact.order.id for fact in facts if fact.announced] == [own]
    assert [fact.link for fact in facts if fact.order.id == OTHER] == [Link(ORDER, OTHER)]
    assert len({fact.source_id for fact in facts}) == len(facts)


def test_a_split_of_an_order_from_itself_links_nothing() -> None:
    fact, _ = taken(event("porting_order.split", {"from": {"id": ORDER}, "to": {"id": ORDER}}))
    assert fact.link is None


@pytest.mark.parametrize("payload", [NOT_TOLD, None, {}, {"id": ORDER, "deleted_at": AT}])
def test_a_deletion_is_a_tombstone_with_or_without_a_payload_and_wakes_no_read(payload: Any) -> None:
    fact, wants = taken(event("porting_order.deleted", payload))
    assert fact.deleted is True
    assert Part.ORDER not in [want.part for want in wants]


def test_the_fields_of_a_deletion_are_found_in_its_payload() -> None:
    said = event(
        "porting_order.deleted", {"id": OTHER, "created_at": AT, "updated_at": "2027-01-01T00:00:00Z"}
    )
    del said["created_at"]
    fact, _ = taken(said)
    assert fact.as_of == datetime(2026, 6, 10, 8, 0, 0, 120_000, tzinfo=UTC)
    del said["payload"]["created_at"]
    said["payload"]["deleted_at"] = "2026-06-11T00:00:00Z"
    assert taken(said)[0].as_of == datetime(2026, 6, 11, tzinfo=UTC)
    del said["payload"]["deleted_at"]
    said["updated_at"] = "2026-06-12T00:00:00Z"
    assert taken(said)[0].as_of == datetime(2026, 6, 12, tzinfo=UTC)


@pytest.mark.parametrize("payload", [NOT_TOLD, None, {}])
def test_a_letter_of_authorisation_changes_the_documents_and_wakes_a_read(payload: Any) -> None:
    fact, wants = taken(event("porting_order.loa_updated", payload))
    assert fact.documents_changed
    assert fact.announced is not None and fact.announced.complete
    assert [want.part for want in wants] == [Part.ORDER]


@pytest.mark.parametrize("payload", [NOT_TOLD, None, {}])
def test_an_expired_token_is_kept_and_changes_nothing(payload: Any) -> None:
    fact, wants = taken(event("porting_order.sharing_token_expired", payload))
    assert wants == ()
    assert fact.announced is not None and fact.announced.complete
    assert fact == Fact(
        fact.order, fact.source, fact.source_id, fact.as_of, fact.read_at, announced=fact.announced
    )


def test_a_port_out_status_event_tells_status_numbers_and_who_takes_them() -> None:
    payload = {
        "id": OTHER, "status": "rejected-pending", "phone_numbers": ["+13035550160", 1.5, ""], "carrier_name": "Example Wireless",
        "spid": "073H", "rejection_reason": "account 55-1 unknown", "attempted_pin": "9999", "subscriber_name": "Zoë",
    }  # fmt: skip
    fact, _ = taken(event("portout.status_changed", payload))
    assert fact.order == OrderRef(Direction.PORT_OUT, ORDER)
    assert fact.status is not None and fact.status.raw == "rejected-pending"
    assert fact.status.reasons == (ReasonSaid("OTHER", "account *** unknown"),)
    assert fact.carriers is not None and fact.carriers.gaining == Carrier("Example Wireless", "073H")
    assert isinstance(fact.numbers, Partial) and [said.raw for said in fact.numbers.numbers] == [
        "+13035550160"
    ]
    assert "9999" not in repr(fact) and "Zoë" not in repr(fact)


def test_a_port_out_event_without_a_carrier_does_not_take_the_known_one_away() -> None:
    fact, _ = taken(event("portout.status_changed", {"status": "authorized"}))
    assert fact.carriers is not None
    assert fact.carriers.gaining is NOT_TOLD and fact.carriers.losing is NOT_TOLD
    fact, _ = taken(event("portout.status_changed", {"status": "authorized", "spid": "073H"}))
    assert fact.carriers is not None and fact.carriers.gaining == Carrier(NOT_TOLD, "073H")


def test_a_port_out_comment_is_ours_when_a_user_wrote_it() -> None:
    fact, _ = taken(event("portout.new_comment", {"id": "c-2", "user_id": "u", "comment": "account 5"}))
    assert fact.comment == Comment("c-2", "us", "account ***")
    fact, _ = taken(event("portout.new_comment", {"id": "c-2", "user_id": None, "comment": None}))
    assert fact.comment == Comment("c-2", "provider", None)


def test_a_new_date_of_a_port_out_is_the_confirmed_one_and_may_be_none() -> None:
    fact, _ = taken(event("portout.foc_date_changed", {"id": ORDER, "foc_date": "2026-06-20T15:00:00Z"}))
    at = datetime(2026, 6, 20, 15, tzinfo=UTC)
    assert fact.dates is not None and fact.dates.confirmed == Moment(at.date(), at)
    assert fact.dates.requested is NOT_TOLD
    fact, _ = taken(event("portout.foc_date_changed", {"id": ORDER, "foc_date": None}))
    assert fact.dates is not None and fact.dates.confirmed is None
    fact, _ = taken(event("portout.foc_date_changed", {"id": ORDER}))
    assert fact.dates is None


EMPTY_KINDS = [
    "porting_order.status_changed", "porting_order.messaging_changed", "porting_order.new_comment", "porting_order.split",
    "porting_order.deleted", "portout.status_changed", "portout.new_comment", "portout.foc_date_changed",
]  # fmt: skip


@pytest.mark.parametrize("kind", EMPTY_KINDS)
@pytest.mark.parametrize("payload", [NOT_TOLD, None, {}, "text", [1]])
@pytest.mark.parametrize("payload_status", ["created", "completed"])
def test_an_event_without_a_payload_is_kept_and_asked_for_again(
    kind: str, payload: Any, payload_status: str
) -> None:
    fact, wants = taken(event(kind, payload, payload_status=payload_status))
    assert fact.announced is not None
    assert (fact.announced.complete, fact.announced.payload) == (False, None)
    again = [want for want in wants if want.part is Part.EVENT]
    assert [(want.id, want.feed) for want in again] == [(EVENT, fact.announced.feed)]
    comments = [want for want in wants if want.part is Part.COMMENTS]
    assert bool(comments) is kind.endswith("new_comment")


NEEDED: dict[str, dict[str, Any]] = {
    "porting_order.status_changed": {"status": {"value": "submitted"}},
    "porting_order.messaging_changed": {"messaging": {"messaging_port_status": "ported"}},
    "porting_order.new_comment": {"comment": {"id": "c-1", "body": "text"}},
    "porting_order.split": {"from": {"id": ORDER}, "to": {"id": OTHER}},
    "porting_order.deleted": {"deleted_at": AT},
    "portout.status_changed": {"status": "authorized"},
    "portout.new_comment": {"id": "c-1", "comment": "text"},
    "portout.foc_date_changed": {"foc_date": AT},
}


@pytest.mark.parametrize("kind", EMPTY_KINDS)
@pytest.mark.parametrize("payload_status", ["created", None, 5])
def test_a_payload_that_is_still_being_made_counts_once_all_that_its_type_needs_is_there(
    kind: str, payload_status: Any
) -> None:
    whole, wants = taken(event(kind, NEEDED[kind], payload_status=payload_status))
    assert whole.announced is not None and whole.announced.complete and whole.announced.payload
    assert Part.EVENT not in [want.part for want in wants]
    partial, wants = taken(event(kind, {"customer_reference": "C-1"}, payload_status=payload_status))
    assert partial.announced is not None
    assert (partial.announced.complete, partial.announced.payload) == (False, None)
    assert [partial.status, partial.dates, partial.comment, partial.references] == [None] * 4
    assert Part.EVENT in [want.part for want in wants]


def test_an_exception_is_whole_only_with_its_reasons_unless_the_provider_says_so() -> None:
    refused = {"status": {"value": "exception"}}
    fact, _ = taken(event("porting_order.status_changed", refused, payload_status="created"))
    assert fact.announced is not None and not fact.announced.complete
    fact, _ = taken(event("porting_order.status_changed", refused, payload_status="completed"))
    assert fact.announced is not None and fact.announced.complete
    assert fact.status is not None and (fact.status.raw, fact.status.reasons) == ("exception", NOT_TOLD)


@pytest.mark.parametrize(
    ("kind", "payload", "path"),
    [
        ("porting_order.status_changed", {"status": "ported"}, "payload.status"),
        ("porting_order.status_changed", {"status": {"value": {"x": 1}}}, "payload.status.value"),
        ("porting_order.messaging_changed", {"messaging": []}, "payload.messaging"),
        ("porting_order.new_comment", {"comment": {"id": []}}, "payload.comment.id"),
        ("portout.status_changed", {"phone_numbers": {}}, "payload.phone_numbers"),
        ("portout.foc_date_changed", {"foc_date": "soon"}, "payload.foc_date"),
        ("portout.new_comment", {"id": True, "comment": "no id"}, "payload.id"),
    ],
)
def test_a_field_of_a_payload_that_cannot_be_read_is_not_told_and_named_with_its_path(
    kind: str, payload: Any, path: str
) -> None:
    root = "/portouts/events" if kind.startswith("portout.") else "/porting/events"
    reading = read(f"{root}/{EVENT}", {"data": event(kind, payload)})
    (fact,) = reading.facts
    assert fact.announced is not None and fact.announced.complete
    assert [fact.status, fact.comment, fact.numbers, fact.messaging] == [None] * 4
    assert fact.dates is None or fact.dates.confirmed is NOT_TOLD
    assert [said.ref for said in reading.skipped] == [f"{EVENT}/{path}"]
    wanted = {want.part for want in reading.wants}
    assert wanted == {Part.ORDER, *([Part.COMMENTS] if kind.endswith("new_comment") else [])}


@pytest.mark.parametrize("details", [["PIN"], [{"code": None}], "PIN", 5])
def test_the_status_of_an_event_is_taken_though_none_of_its_reasons_can_be_read(details: Any) -> None:
    payload = {"status": {"value": "exception", "details": details}}
    fact, _ = taken(event("porting_order.status_changed", payload))
    assert fact.status is not None and (fact.status.raw, fact.status.reasons) == ("exception", NOT_TOLD)


def test_a_type_nobody_knows_is_kept_and_wakes_a_read() -> None:
    fact, wants = taken(
        event("porting_order.sent_to_the_moon", {"id": ORDER, "support_key": "sr_1", "rocket": 7})
    )
    assert fact.announced is not None
    assert fact.announced.type == "porting_order.sent_to_the_moon"
    assert json.loads(fact.announced.payload or "") == {"id": ORDER, "support_key": "sr_1"}
    assert [want.part for want in wants] == [Part.ORDER]
    _, wants = taken(event("portout.sent_to_the_moon", {}))
    assert [want.part for want in wants] == [Part.ORDER, Part.EVENT]


def test_dispatch_is_on_the_string_and_not_on_the_shape() -> None:
    payload = {"id": ORDER, "status": "authorized", "phone_numbers": [], "foc_date": "2026-06-20T15:00:00Z"}
    fact, _ = taken(event("portout.foc_date_changed", payload))
    assert fact.status is None and fact.dates is not None


@pytest.mark.parametrize(
    ("kind", "payload", "ref"),
    [
        ("porting_order.status_changed", {"id": OTHER}, OTHER),
        ("porting_order.new_comment", {"porting_order_id": OTHER, "comment": {"id": "c"}}, OTHER),
        ("porting_order.split", {"from": {"id": OTHER}, "to": {"id": "x"}}, OTHER),
        ("portout.status_changed", {"id": OTHER}, OTHER),
        ("portout.new_comment", {"id": "the comment's", "portout_id": OTHER}, OTHER),
        ("portout.new_comment", {"id": "the comment's"}, None),
        ("porting_order.new_comment", {"id": "whose?", "comment": {"id": "c"}}, None),
    ],
)
def test_an_event_that_names_no_order_is_looked_for_in_its_payload(
    kind: str, payload: Any, ref: str | None
) -> None:
    said = event(kind, payload, porting_order_id=None, portout_id=None)
    if ref is None:
        with pytest.raises(PageChanged, match="missing"):
            taken(said)
    else:
        assert taken(said)[0].order.id == ref


def test_the_two_feeds_may_share_an_event_id() -> None:
    inwards, _ = taken(event("porting_order.status_changed", {}))
    outwards, _ = taken(event("portout.status_changed", {}))
    assert inwards.source_id != outwards.source_id
    assert inwards.announced is not None and outwards.announced is not None
    assert (inwards.announced.feed, outwards.announced.feed) == ("porting_events", "portout_events")


def test_an_empty_payload_that_fills_later_is_the_same_event() -> None:
    bare, _ = taken(event("porting_order.status_changed", {}))
    full, _ = taken(event("porting_order.status_changed", {"status": {"value": "ported"}}))
    assert bare.source_id == full.source_id and bare.as_of == full.as_of


def test_another_event_than_the_one_asked_for_is_no_answer() -> None:
    with pytest.raises(PageChanged, match="another id"):
        read(f"/porting/events/{OTHER}", {"data": event("porting_order.loa_updated")})
    assert read(f"/porting/events/{EVENT.upper()}", {"data": event("porting_order.loa_updated")}).facts


# --- orders ---------------------------------------------------------------------------------------------


def lines(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"phone_number": f"130355501{n:02d}", **more} for n in range(count)]


def numbers_of(reading: Reading) -> tuple[Whole | Partial | None, bool]:
    """The numbers a look at an order tells, and whether its list is wanted."""
    told = [fact.numbers for fact in reading.facts if fact.numbers is not None]
    assert len(told) <= 1
    return (told[0] if told else None, Part.NUMBERS in [want.part for want in reading.wants])


def test_up_to_fifty_numbers_are_embedded_and_whole() -> None:
    numbers, wanted = numbers_of(looked(order(phone_numbers=lines(50), porting_phone_numbers_count=50)))
    assert isinstance(numbers, Whole) and len(numbers.numbers) == 50
    assert not wanted


def test_the_rest_of_more_than_fifty_is_asked_for() -> None:
    numbers, wanted = numbers_of(looked(order(phone_numbers=lines(50), porting_phone_numbers_count=51)))
    assert isinstance(numbers, Partial) and len(numbers.numbers) == 50
    assert wanted


@pytest.mark.parametrize(
    ("more", "kind", "wanted"),
    [
        ({"porting_phone_numbers_count": 3}, type(None), True),
        ({"porting_phone_numbers_count": 3, "phone_numbers": None}, type(None), True),
        ({"porting_phone_numbers_count": 0}, Whole, False),
        ({"porting_phone_numbers_count": 0, "phone_numbers": []}, Whole, False),
        ({"phone_numbers": lines(49)}, Whole, False),
        ({"phone_numbers": lines(50)}, Partial, True),
        ({}, type(None), True),
        ({"phone_numbers": lines(3), "porting_phone_numbers_count": "3"}, Whole, False),
        ({"phone_numbers": lines(3), "porting_phone_numbers_count": 2**40}, Whole, False),
    ],
)
def test_a_number_list_is_whole_only_when_it_can_be_shown(
    more: dict[str, Any], kind: type, wanted: bool
) -> None:
    numbers, asked = numbers_of(looked(order(**more)))
    assert (type(numbers), asked) == (kind, wanted)


@pytest.mark.parametrize("bad", [None, 5, "13035550199", {}, {"phone_number": 1.5}, {"phone_number": ""}, []])
@pytest.mark.parametrize("count", [3, None])
def test_a_line_that_cannot_be_read_costs_neither_the_order_nor_its_other_numbers(
    bad: Any, count: int | None
) -> None:
    reading = looked(order(phone_numbers=[*lines(2), bad], porting_phone_numbers_count=count))
    numbers, wanted = numbers_of(reading)
    assert isinstance(numbers, Partial) and len(numbers.numbers) == 2  # so that nothing looks removed
    assert wanted
    assert [said.ref.startswith(f"{ORDER}/phone_numbers/") for said in reading.skipped] == [True]


def test_a_number_is_removed_by_a_whole_list_and_by_nothing_else() -> None:
    def at(day: int, **more: Any) -> list[Fact]:
        item = order(**{"updated_at": f"2026-06-{day:02d}T00:00:00Z", **more})
        return [normalise(fact, MAIN.words) for fact in looked(item).facts]

    standing = fold(None, at(1, phone_numbers=lines(3), porting_phone_numbers_count=3))
    for more in (
        {"porting_phone_numbers_count": 2},
        {"phone_numbers": lines(2), "porting_phone_numbers_count": 3},
    ):
        still = fold(standing, at(2, **more))
        assert [number.is_current for number in still.numbers.values()] == [True] * 3
    after = fold(standing, at(2, phone_numbers=lines(2), porting_phone_numbers_count=2))
    assert {key: number.is_current for key, number in after.numbers.items()} == {
        "+13035550100": True, "+13035550101": True, "+13035550102": False,
    }  # fmt: skip


def test_numbers_without_a_plus_get_one_for_their_key_and_keep_their_own_form() -> None:
    (_, fact) = looked(
        order(phone_numbers=[{"phone_number": "13035550101"}, {"phone_number": "+13035550102"}])
    ).facts
    assert fact.numbers is not None
    said = [(number.raw, number.key, number.e164) for number in normalise(fact, MAIN.words).numbers.numbers]  # type: ignore[union-attr]
    assert said == [
        ("13035550101", "+13035550101", "+13035550101"),
        ("+13035550102", "+13035550102", "+13035550102"),
    ]


def test_the_facets_of_a_number_are_told_only_where_they_are_there() -> None:
    everything = {
        "activation_status": "Conflict",
        "messaging_port_status": "pending",
        "requirements_status": "approved",
        "portability_status": "provisional",
    }
    said = lines(1) + lines(1, **everything) + lines(1, activation_status=None)
    (_, fact) = looked(order(phone_numbers=said)).facts
    assert fact.numbers is not None
    bare, full, null = fact.numbers.numbers
    assert bare.status is bare.activation is bare.messaging is bare.requirement is NOT_TOLD
    assert (bare.portability, full.portability) == (NOT_TOLD, Word("provisional"))
    words = (full.activation, full.messaging, full.requirement)
    assert words == (Word("Conflict"), Word("pending"), Word("approved"))
    assert null.activation.raw is None  # type: ignore[union-attr]


def test_an_order_without_a_status_is_unknown_and_no_refusal() -> None:
    for item in ({"id": ORDER}, {"id": ORDER, "status": None}, {"id": ORDER, "status": {"value": None}}):
        fact = normalise(looked(item).facts[0], MAIN.words)
        assert fact.status is not None and fact.status.meaning is not None
        assert fact.status.meaning.value == State.UNKNOWN


def test_what_an_order_leaves_out_is_not_told_and_what_is_null_is_none() -> None:
    fact = looked({"id": ORDER}).facts[0]
    assert fact.dates is not None and fact.references is not None and fact.carriers is not None
    absent = (fact.dates.requested, fact.dates.confirmed, fact.dates.created, fact.carriers.losing)
    assert set(absent) == {NOT_TOLD}
    assert {getattr(fact.references, name) for name in fact.references.__slots__} == {NOT_TOLD}
    assert (
        fact.steps is None
        and fact.messaging is None
        and fact.activation is None
        and fact.numbers_total is None
    )
    settings = {"foc_datetime_actual": None, "foc_datetime_requested": "2026-07-01T15:00:00Z"}
    names = (
        "customer_reference",
        "customer_group_reference",
        "support_key",
        "parent_support_key",
        "description",
    )
    fact = looked(order(activation_settings=settings, **dict.fromkeys(names))).facts[0]
    assert fact.dates is not None and fact.references is not None
    assert fact.dates.confirmed is None and isinstance(fact.dates.requested, Moment)
    assert fact.references.customer is fact.references.group_key is fact.references.description is None
    assert fact.references.sub_account is NOT_TOLD


@pytest.mark.parametrize(
    ("said", "carrier"),
    [
        ("6664", Carrier(spid="6664")), ("073H", Carrier(spid="073H")), ("Unreal Communications", Carrier("Unreal Communications")),
        ("ZAYO", Carrier("ZAYO")), ("COLT", Carrier("COLT")), ("12345", Carrier("12345")), ("073h", Carrier("073h")), (None, None),
    ],
)  # fmt: skip
def test_an_ocn_column_never_receives_a_name(said: str | None, carrier: Carrier | None) -> None:
    fact = looked(order(old_service_provider_ocn=said)).facts[0]
    assert fact.carriers is not None and fact.carriers.losing == carrier


def test_steps_are_words_and_nothing_else() -> None:
    reading = looked(order(additional_steps=["associated_phone_numbers", {"pin": "1"}, None]))
    assert reading.facts[0].steps == ("associated_phone_numbers",)
    assert looked(order(additional_steps=[])).facts[0].steps == ()


def test_a_reason_that_cannot_be_read_costs_neither_the_order_nor_the_other_reasons() -> None:
    details = [
        {"code": "OTHER", "description": "x"},
        "secret",
        {"code": {"x": 1}},
        {},
        {"description": "words"},
    ]
    reading = looked(order(status={"value": "exception", "details": details}))
    status = reading.facts[0].status
    assert status is not None
    assert status.reasons == (ReasonSaid("OTHER", "x"), ReasonSaid("OTHER", "words"))
    assert {said.ref for said in reading.skipped} == {
        f"{ORDER}/status.details",
        f"{ORDER}/status.details.code",
    }
    assert "3 of 5" in repr(reading.skipped) and "secret" not in repr(reading.skipped)


def test_an_exception_without_reasons_wants_the_comments() -> None:
    def wanted(value: str, details: list[Any]) -> list[Part]:
        item = order(status={"value": value, "details": details}, porting_phone_numbers_count=0)
        return [want.part for want in looked(item).wants]

    assert wanted("exception", []) == [Part.COMMENTS, Part.ACTION_REQUIREMENTS]
    assert wanted("exception", [{"code": "OTHER"}]) == [Part.ACTION_REQUIREMENTS]
    assert wanted("submitted", []) == []


def test_a_snapshot_is_as_old_as_the_order_says_else_as_the_reply() -> None:
    assert looked(order()).facts[0].as_of == datetime(2026, 6, 10, 8, 0, 0, 120_000, tzinfo=UTC)
    assert looked({"id": ORDER}).facts[0].as_of == NOW
    late = page("/portouts", json.dumps({"data": [{"id": ORDER}]}), provider_at=NOW - timedelta(minutes=3))
    assert TELNYX.read(late, MAIN.options).facts[0].as_of == NOW - timedelta(minutes=3)


# --- port-outs ------------------------------------------------------------------------------------------


def port_out(**more: Any) -> Fact:
    (fact,) = looked({"id": ORDER, "status": "rejected", **more}, "/portouts").facts
    return normalise(fact, MAIN.words)


@pytest.mark.parametrize(
    ("said", "code", "canonical", "text"),
    [
        ({"rejection_code": 1002, "reason": None}, "1002", "pin_invalid", None),
        ({"rejection_code": "1002"}, "1002", "pin_invalid", None),
        ({"rejection_code": 1001, "reason": "not theirs"}, "1001", "other", "not theirs"),
        ({"rejection_code": 4711}, "4711", "unknown", None),
        ({"reason": "PIN 1234"}, "OTHER", "other", "PIN ***"),
    ],
)
def test_a_refusal_has_a_numeric_code_or_only_words(
    said: dict[str, Any], code: str, canonical: str, text: str | None
) -> None:
    status = port_out(**said).status
    assert status is not None
    (reason,) = status.given
    assert (reason.code, reason.text) == (code, text)
    assert reason.meaning is not None and reason.meaning.code == canonical


def test_a_port_out_that_is_not_refused_has_no_reason() -> None:
    status = port_out(status="authorized", reason=None, rejection_code=None).status
    assert status is not None and status.reasons == ()


@pytest.mark.parametrize(
    ("said", "numbers"),
    [
        ({}, None),
        ({"phone_numbers": None}, None),
        ({"phone_numbers": ["+13035550160"]}, Whole),
        ({"phone_numbers": []}, None),
    ],
)
def test_the_numbers_of_a_port_out_are_whole_where_they_are_listed(
    said: dict[str, Any], numbers: type | None
) -> None:
    fact = port_out(**said)
    assert (type(fact.numbers) if fact.numbers else None) is numbers


@pytest.mark.parametrize("bad", [None, 1.5, "", {}, []])
def test_a_number_of_a_port_out_that_cannot_be_read_removes_none(bad: Any) -> None:
    item = {"id": ORDER, "status": "pending", "phone_numbers": ["+13035550161", bad]}
    reading = looked(item, "/portouts")
    assert isinstance(reading.facts[0].numbers, Partial)
    assert [said.ref for said in reading.skipped] == [f"{ORDER}/phone_numbers"]


@pytest.mark.parametrize("instead", ["+13035550160", {"x": 1}, 5])
def test_what_is_no_list_of_a_port_out_s_numbers_removes_none(instead: Any) -> None:
    reading = looked({"id": ORDER, "status": "pending", "phone_numbers": instead}, "/portouts")
    assert not isinstance(reading.facts[0].numbers, Whole)


def test_a_port_out_leaves_the_carrier_alone_that_it_does_not_name() -> None:
    carriers = port_out().carriers
    assert carriers is not None
    assert (carriers.losing, carriers.gaining) == (Carrier("Telnyx"), NOT_TOLD)


# --- absence --------------------------------------------------------------------------------------------

ENVELOPE = {"errors": [{"code": "10005", "title": "Resource not found"}]}


@pytest.mark.parametrize("path", ["/porting_orders", "/portouts"])
@pytest.mark.parametrize("body", [ENVELOPE, {"errors": []}, b"", b" \n"])
def test_a_404_on_the_order_itself_is_a_tombstone(path: str, body: Any) -> None:
    reading = read(f"{path}/{ORDER}", body, status=404)
    (fact,) = reading.facts
    assert fact.deleted is True and fact.status is None
    assert fact.order.id == ORDER
    assert reading.done


def test_a_tombstone_names_the_order_and_not_its_path() -> None:
    ask = Orders(Direction.PORT_OUT, ("a/b c",))
    (request,) = TELNYX.plan(ask, MAIN.options)
    assert read(request.path, ENVELOPE, status=404).facts[0].order.id == "a/b c"


@pytest.mark.parametrize(
    "body", [b"<html>Not Found</html>", b"{}", b"[]", b"null", {"data": []}, {"errors": {}}, {"errors": None}]
)
@pytest.mark.parametrize(
    "path",
    [
        f"/porting_orders/{ORDER}",
        f"/portouts/{ORDER}",
        f"/porting/events/{EVENT}",
        f"/porting_orders/{ORDER}/comments",
    ],
)
def test_a_foreign_404_is_no_tombstone(path: str, body: Any) -> None:
    with pytest.raises(PageChanged):
        read(path, body, status=404)


@pytest.mark.parametrize(
    "path", ["/porting_orders", "/portouts", "/porting/events", "/portouts/events", "/porting_phone_numbers"]
)
def test_a_404_on_a_list_means_nothing_about_orders(path: str) -> None:
    with pytest.raises(PageChanged):
        read(path, ENVELOPE, status=404, params={"page[number]": "1"})


@pytest.mark.parametrize(
    "path", [f"/porting/events/{EVENT}", f"/portouts/events/{EVENT}", f"/portouts/{ORDER}/comments"]
)
def test_an_event_or_comments_that_are_not_there_are_an_answer(path: str) -> None:
    assert read(path, ENVELOPE, status=404) == Reading(done=True)


def test_another_order_than_the_one_asked_for_is_no_answer() -> None:
    with pytest.raises(PageChanged, match="another id"):
        read(f"/porting_orders/{OTHER}", {"data": order()})


# --- requests -------------------------------------------------------------------------------------------


def planned(ask: Any) -> list[tuple[str, dict[str, str]]]:
    return [(request.path, dict(request.params)) for request in TELNYX.plan(ask, MAIN.options)]


def test_a_window_is_widened_to_whole_seconds() -> None:
    since, until = datetime(2026, 6, 1, 1, 2, 3, 999_999, UTC), datetime(2026, 6, 2, 1, 2, 3, 1, UTC)
    for feed, path in (("porting_events", "/porting/events"), ("portout_events", "/portouts/events")):
        assert planned(Window(feed, since, until)) == [
            (
                path,
                {
                    "page[number]": "1",
                    "page[size]": "250",
                    "filter[created_at][gte]": "2026-06-01T01:02:03Z",
                    "filter[created_at][lte]": "2026-06-02T01:02:04Z",
                },
            )
        ]
    ((_, params),) = planned(Window("porting_events", since.replace(microsecond=0)))
    assert params["filter[created_at][gte]"] == "2026-06-01T01:02:03Z"
    assert "filter[created_at][lte]" not in params
    ((_, params),) = planned(Window("porting_events", since, until.replace(microsecond=0)))
    assert params["filter[created_at][lte]"] == "2026-06-02T01:02:03Z"
    ((_, params),) = planned(Window("porting_events", datetime(1, 1, 1, tzinfo=UTC)))
    assert params["filter[created_at][gte]"] == "0001-01-01T00:00:00Z"


def test_a_window_in_another_zone_is_asked_for_in_utc() -> None:
    since = datetime.fromisoformat("2026-06-01T10:00:00+10:00")
    assert planned(Window("porting_events", since))[0][1]["filter[created_at][gte]"] == "2026-06-01T00:00:00Z"


def test_lists_come_oldest_first_where_the_order_can_be_asked_for() -> None:
    ((path, params),) = planned(Listing("porting_orders"))
    assert (path, params["sort[value]"], params["include_phone_numbers"]) == (
        "/porting_orders",
        "created_at",
        "true",
    )
    assert int(params["page[size]"]) <= 250
    assert planned(Listing("portouts")) == [("/portouts", {"page[number]": "1", "page[size]": "250"})]
    assert planned(TELNYX.check) == [("/porting_orders/exception_types", {})]


def test_orders_their_parts_and_events_are_asked_for_one_by_one() -> None:
    assert [path for path, _ in planned(Orders(Direction.PORT_IN, ("a", "b")))] == [
        "/porting_orders/a",
        "/porting_orders/b",
    ]
    assert planned(Orders(Direction.PORT_OUT, ("a",))) == [("/portouts/a", {})]
    assert planned(Orders(Direction.PORT_IN, ("a b",), Part.NUMBERS)) == [
        (
            "/porting_phone_numbers",
            {"page[number]": "1", "page[size]": "250", "filter[porting_order_id]": "a b"},
        )
    ]
    assert planned(Orders(Direction.PORT_OUT, ("a",), Part.COMMENTS)) == [("/portouts/a/comments", {})]
    assert planned(Events("portout_events", ("x/y",))) == [("/portouts/events/x%2Fy", {})]


# --- pages ----------------------------------------------------------------------------------------------


def listed(items: list[Any], number: str | None = "1", **meta: Any) -> Reading:
    params = {"page[number]": number, "page[size]": "2"} if number else {}
    body = {"data": items, **({"meta": meta} if meta else {})}
    return read("/portouts", body, params=params)


ITEMS = [{"id": ORDER}, {"id": OTHER}]


@pytest.mark.parametrize(
    ("items", "number", "meta", "done", "following"),
    [
        (ITEMS, "1", {"page_number": 1, "total_pages": 1, "total_results": 2}, True, None),
        (ITEMS, "1", {"page_number": 1.0, "total_pages": 3.0, "total_results": 5.0}, False, "2"),
        (ITEMS, "3", {"page_number": 3, "total_pages": 3, "total_results": 6}, True, None),
        (
            ITEMS,
            "2",
            {"page_number": 1, "total_pages": 3, "total_results": 6},
            False,
            "3",
        ),  # a counter that stands still
        (ITEMS, "1", {"total_results": 2}, False, "2"),
        (ITEMS, "1", {}, False, "2"),
        (ITEMS, "7", {"total_pages": "seven"}, False, "8"),
        (ITEMS, None, {"page_number": 3, "total_pages": 13, "total_results": 13}, False, "4"),
        ([], "1", {}, True, None),
        ([], "1", {"total_pages": 0, "total_results": 0}, True, None),
        ([], "4", {}, True, None),
        ([], "1", {"total_pages": 3, "total_results": 6}, False, None),  # nothing, though there should be
    ],
)
def test_a_list_is_over_at_its_last_page_or_at_an_empty_one(
    items: list[Any], number: str | None, meta: dict[str, Any], done: bool, following: str | None
) -> None:
    reading = listed(items, number, **meta)
    assert reading.done is done
    assert [request.param("page[number]") for request in reading.next] == ([following] if following else [])
    assert reading.more is bool(following)


def test_an_empty_page_in_the_middle_of_a_list_is_no_end() -> None:
    params = (("page[number]", "2"), ("page[size]", "2"))
    body = json.dumps({"data": [], "meta": {"page_number": 2, "total_pages": 3, "total_results": 6}})
    assert not TELNYX.read(replied(Request("/portouts", params, received=2), body), MAIN.options).done
    assert TELNYX.read(replied(Request("/portouts", params, received=6), body), MAIN.options).done


class Server:
    """A list of port-outs behind pages, as documented; it counts what it is asked."""

    def __init__(self, count: int, size: int, meta: str = "full") -> None:
        self.items = [{"id": f"po-{n}", "status": "pending"} for n in range(count)]
        self.size, self.meta, self.asked = size, meta, 0

    def __call__(self, request: Request) -> Page:
        self.asked += 1
        number = int(request.param("page[number]") or 1)
        items = self.items[(number - 1) * self.size : number * self.size]
        pages = -(-len(self.items) // self.size)
        full = {
            "page_number": number,
            "page_size": self.size,
            "total_pages": pages,
            "total_results": len(self.items),
        }
        meta = {"full": {"meta": full}, "stuck": {"meta": {**full, "page_number": 1}}, "none": {}}[self.meta]
        return replied(request, json.dumps({"data": items, **meta}))


@pytest.mark.parametrize("meta", ["full", "stuck", "none"])
@pytest.mark.parametrize("count", [0, 1, 5, 6, 7, 30])
def test_a_list_is_read_to_its_end_whatever_is_counted(count: int, meta: str) -> None:
    server = Server(count, size=3, meta=meta)
    found = sweep(MAIN, Listing("portouts"), server)
    assert found.complete
    assert found.seen == {item["id"] for item in server.items}
    assert server.asked <= count // 3 + 2


def test_the_comments_of_a_port_out_are_paged_although_no_parameter_is_declared() -> None:
    pages = {
        None: {
            "data": [{"id": "c-1", "body": "a"}],
            "meta": {"page_number": 1, "total_pages": 2, "total_results": 2},
        },
        "2": {
            "data": [{"id": "c-2", "body": "b"}],
            "meta": {"page_number": 2, "total_pages": 2, "total_results": 2},
        },
    }

    def fetch(request: Request) -> Page:
        return replied(request, json.dumps(pages[request.param("page[number]")]))

    found = sweep(MAIN, Orders(Direction.PORT_OUT, (ORDER,), Part.COMMENTS), fetch)
    assert found.complete
    assert [fact.comment.id for fact in found.facts if fact.comment] == ["c-1", "c-2"]


def test_numbers_of_other_orders_are_left_alone_when_the_filter_is_ignored() -> None:
    said = [*lines(2, porting_order_id=ORDER), {"phone_number": "13035550150", "porting_order_id": OTHER}]
    reading = read("/porting_phone_numbers", {"data": said}, params={"filter[porting_order_id]": ORDER})
    (fact,) = reading.facts
    assert fact.order.id == ORDER and fact.part is Part.NUMBERS
    assert isinstance(fact.numbers, Partial) and len(fact.numbers.numbers) == 2
    assert "13035550150" not in (fact.document or "")
    none = read("/porting_phone_numbers", {"data": said[2:]}, params={"filter[porting_order_id]": ORDER})
    assert none.facts == () and none.items == 1


def test_a_number_of_two_orders_counts_for_both_when_the_filter_is_ignored() -> None:
    """An order that was refused may stand beside the one that followed it (seed 2140)."""
    (line,) = lines(1, porting_order_id=ORDER)
    pages = {"1": line, "2": {**line, "porting_order_id": OTHER}}

    def fetch(request: Request) -> Page:
        number = request.param("page[number]") or "1"
        meta = {"page_number": int(number), "total_pages": 2, "total_results": 2}
        return replied(request, json.dumps({"data": [pages[number]], "meta": meta}))

    found = sweep(MAIN, Orders(Direction.PORT_IN, (ORDER,), Part.NUMBERS), fetch)
    assert found.complete and found.came == 2 and not found.short


@pytest.mark.parametrize(
    ("said", "author"),
    [
        ({"user_type": "user"}, "us"), ({"user_type": "admin"}, "provider"), ({"user_type": "system"}, "system"),
        ({"user_id": "u"}, "us"), ({"user_id": None}, "provider"),
    ],
)  # fmt: skip
def test_a_comment_is_a_fact_of_its_own_time(said: dict[str, Any], author: str) -> None:
    item = {"id": "c-1", "body": "passcode 12", "created_at": AT, **said}
    (fact,) = read(f"/portouts/{ORDER}/comments", {"data": [item]}).facts
    assert fact.comment == Comment("c-1", author, "passcode ***", fact.as_of)
    assert fact.as_of == datetime(2026, 6, 10, 8, 0, 0, 120_000, tzinfo=UTC)
    assert (fact.order, fact.part, fact.deleted, fact.document) == (
        OrderRef(Direction.PORT_OUT, ORDER), Part.COMMENTS, None, None,
    )  # fmt: skip


def test_an_order_of_the_page_on_cancelling_reads_whole() -> None:
    reading = recording("telnyx", "order-cancel-pending").read()
    standing = fold(None, [normalise(fact, MAIN.words) for fact in reading.facts])
    assert standing.order.state == State.CANCEL_PENDING
    assert (
        standing.order.losing_carrier == "Unreal Communications"
        and standing.order.losing_carrier_spid is None
    )
    assert (standing.order.support_key, standing.order.group_key) == ("sr_10b316", "pr_4bec1a")
    assert standing.order.requested_foc_at == datetime(2022, 4, 8, 15, tzinfo=UTC)
    assert standing.order.numbers_total == 1
