"""A field that cannot be read costs nothing but itself, whatever stands in its place; and lists are sets."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import NOW, page
from recordings import Recording, recordings

from aggregator.adapter import (
    NOT_TOLD,
    Carrier,
    Carriers,
    Dates,
    Direction,
    Fact,
    NumberSaid,
    OrderRef,
    Page,
    Partial,
    References,
    Skipped,
    Status,
    Whole,
    each,
    get,
    inner,
    instant,
    local_date,
    one,
    several,
    sift,
    snapshot,
    text,
    told,
    written,
)
from aggregator.core.fold import fold
from aggregator.core.model import Part, Reading
from aggregator.core.normalise import gathered, normalise
from aggregator.core.reading import MAX_FIELDS
from aggregator.errors import PageChanged

RECORDINGS = [
    recording
    for recording in recordings()
    if recording.keeps and recording.status == 200 and [] not in recording.body.values()
]
every_recording = pytest.mark.parametrize("recording", RECORDINGS, ids=str)
IDS = {"id", "PortingNo", "porting_order_id", "portout_id", "phone_number"}
SAY_THE_STATUS = {"status", "Status", "payload", "event_type", "value"}

Place = tuple[str | int, ...]


def places(value: Any, here: Place = ()) -> Iterator[Place]:
    """Every place in an item."""
    if here:
        yield here
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, entry in inside:
        yield from places(entry, (*here, name))


def changed(value: Any, place: Place, new: Any) -> Any:
    """The same JSON with another value in one place."""
    if not place:
        return new
    at, *rest = place
    copied: Any = list(value) if isinstance(value, list) else dict(value)
    copied[at] = changed(value[at], tuple(rest), new)
    return copied


def items_at(recording: Recording) -> list[Place]:
    """Where the items of a recorded body are."""
    for name, value in recording.body.items():
        if isinstance(value, list):
            return [(name, at) for at in range(len(value))]
    return [("data",)]


def at(value: Any, place: Place) -> Any:
    for name in place:
        value = value[name]
    return value


def statuses(reading: Reading) -> dict[Any, Any]:
    """What a reading says of the status of orders, by the order and how it is told."""
    return {
        (fact.order, fact.source): fact.status and fact.status.raw for fact in reading.facts if fact.status
    }


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from([0, "0", 20261220, "0001-01-01", "12/09/2026", 1780000000000, "2026-06-16Z"]),
    lambda inside: st.lists(inside, max_size=2) | st.dictionaries(st.text(max_size=5), inside, max_size=2),
    max_leaves=5,
)
thorough = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@given(st.data())
@thorough
def test_any_value_in_place_of_any_optional_field_leaves_the_status_where_it_is(data: st.DataObject) -> None:
    recording = data.draw(st.sampled_from(RECORDINGS))
    item = data.draw(st.sampled_from(items_at(recording)))
    place = data.draw(st.sampled_from(list(places(at(recording.body, item)))))
    if place[-1] in IDS or {*place} & SAY_THE_STATUS == {place[-1]}:
        return
    if place[:1] == ("StatusHistory",) or any(name in SAY_THE_STATUS - {"payload"} for name in place):
        return
    reading = recording.read(changed(recording.body, (*item, *place), data.draw(JSON)))
    known = {key: raw for key, raw in statuses(recording.read()).items() if raw is not None}
    assert {key: raw for key, raw in statuses(reading).items() if raw is not None} == known


@every_recording
def test_without_an_id_an_item_is_set_aside_whole(recording: Recording) -> None:
    for item in items_at(recording):
        name = next(
            (name for name in ("id", "PortingNo", "phone_number") if name in at(recording.body, item)), ""
        )
        wrongs: tuple[Any, ...] = (None, "", [], {}, True, 1.5)
        for instead in wrongs:
            body = changed(recording.body, (*item, name), instead)
            if len(items_at(recording)) == 1:
                with pytest.raises(PageChanged):
                    recording.read(body)
                continue
            skipped = recording.read(body).skipped
            assert [said.error.split(":")[0] for said in skipped] == [name]


WRONG: dict[str, list[Any]] = {
    "telnyx/order-published": [
        ("customer_reference", {}), ("updated_at", 1780000000000), ("created_at", "soon"), ("misc", "x"),
        ("activation_settings", []), ("messaging", 5), ("description", ["x"]), ("parent_support_key", True),
        ("porting_phone_numbers_count", "many"), ("requirements_met", "yes"), ("old_service_provider_ocn", 1.5),
    ],
    "telnyx/portout-published": [
        ("foc_date", "12/09/2026"), ("pon", {}), ("updated_at", 1780000000000), ("spid", []), ("reason", {}),
        ("carrier_name", False), ("current_carrier", {}), ("phone_numbers", {"x": 1}), ("rejection_code", [1]),
        ("requested_foc_date", 0)
    ],
    "fonedynamics/published": [
        ("PortDate", 0), ("PortDate", "0001-01-01"), ("PortDate", 20261220), ("Created", 0), ("CurrentCarrier", {}),
        ("CustomerDescription", []), ("PropertySid", True), ("PreferredPortSchedule", {}), ("PreferredPortDate", -1),
    ],
}  # fmt: skip
CASES = [(name, field, value) for name, fields in WRONG.items() for field, value in fields]


@pytest.mark.parametrize(("name", "field", "value"), CASES, ids=str)
def test_what_cannot_be_read_is_named_with_its_path_and_empties_nothing(
    name: str, field: str, value: Any
) -> None:
    recording = next(one for one in RECORDINGS if str(one) == name)
    own, (item, *_) = recording.account, items_at(recording)
    known = [normalise(fact, own.words) for fact in recording.read().facts if fact.announced is None]
    reading = recording.read(changed(recording.body, (*item, field), value), later=timedelta(hours=1))
    assert statuses(reading) == statuses(recording.read())
    id = at(recording.body, item).get("id") or at(recording.body, item).get("PortingNo")
    assert {said.ref for said in reading.skipped} == {f"{id}/{field}"}
    before = fold(None, known)
    again = [normalise(fact, own.words) for fact in reading.facts if fact.announced is None]
    after = fold(before, [replace(fact, as_of=fact.as_of + timedelta(days=3650)) for fact in again])
    moved = {n for n in before.order._fields if getattr(before.order, n) != getattr(after.order, n)}
    assert moved <= {"waiting_since", "state_since", "numbers_total"}
    assert {key: n.is_current for key, n in after.numbers.items()} == dict.fromkeys(before.numbers, True)


# --- an adapter of another package ----------------------------------------------------------------------


def foreign(item: dict[str, Any], reply: Page) -> Iterator[Fact | Skipped]:
    """As somebody writes a reader who knows nothing of fields that cannot be read."""
    lines, skipped = sift(
        several(item, "lines"),
        lambda line: (NumberSaid(get(line, "number", str), status=Status(text(line, "state"))),),
        "number",
        {},
        get(item, "id", str),
    )
    yield from skipped
    yield snapshot(
        reply,
        OrderRef(Direction.PORT_IN, get(item, "id", str)),
        updated_at=instant(item, "updated"),
        status=Status(text(inner(item, "now"), "state")),
        dates=Dates(confirmed=local_date(item, "foc", "UTC"), created=instant(item, "made")),
        carriers=Carriers(losing=Carrier(text(item, "from"))),
        references=References(customer=text(item, "customer"), description=told(item, "note")),
        numbers=Partial(lines) if skipped else Whole(lines),
    )


GOOD = {
    "id": "A-1",
    "now": {"state": "date agreed"},
    "updated": "2026-06-14T23:10:00Z",
    "made": "2026-06-01T00:00:00Z",
    "foc": "2026-06-20",
    "from": "Example Telecom",
    "customer": "C-1",
    "note": "first",
    "lines": [{"number": "+61255500101", "state": "agreed"}],
}


@pytest.mark.parametrize(
    ("place", "value", "path"),
    [
        (("now",), [], "now"),
        (("now", "state"), {"x": 1}, "now.state"),
        (("updated",), 1780000000000, "updated"),
        (("made",), "12/09/2026", "made"),
        (("foc",), "12/09/2026", "foc"),
        (("from",), {}, "from"),
        (("customer",), {}, "customer"),
        (("note",), [1], "note"),
        (("lines",), {}, "lines"),
        (("lines", 0, "state"), {}, "lines.state"),
    ],
)
def test_the_kit_does_so_for_every_adapter(place: Place, value: Any, path: str) -> None:
    reply = page("/ports", "{}")
    (good,), _ = each([GOOD], lambda item: foreign(item, reply), "id", {})
    bad = changed(GOOD, place, value)
    (fact,), skipped = each([bad], lambda item: foreign(item, reply), "id", {})
    assert isinstance(good, Fact) and isinstance(fact, Fact)
    assert [said.ref for said in skipped] == [f"A-1/{path}"]
    before = fold(None, [good])
    after = fold(before, [replace(fact, as_of=NOW + timedelta(days=1))])
    assert {**after.order._asdict(), "state_since": None} == {**before.order._asdict(), "state_since": None}
    assert [(n.raw_status, n.is_current) for n in after.numbers.values()] == [("agreed", True)]
    assert one(bad, lambda item: foreign(item, reply), "id") == ((fact,), skipped)


def test_a_field_that_is_null_beside_one_that_cannot_be_read_is_still_emptied() -> None:
    bad = {**GOOD, "note": None, "foc": "12/09/2026"}
    (fact,), _ = each([bad], lambda item: foreign(item, page("/ports", "{}")), "id", {})
    assert isinstance(fact, Fact) and fact.references is not None and fact.dates is not None
    assert (fact.references.description, fact.dates.confirmed) == (None, NOT_TOLD)


def test_of_very_many_fields_that_cannot_be_read_the_first_are_named_and_all_are_counted() -> None:
    items = [{"id": f"A-{n}", "state": {}} for n in range(MAX_FIELDS + 50)]
    good, skipped = each(items, lambda item: (text(item, "state"),), "id", {})
    assert len(good) == len(items)
    assert len(skipped) == MAX_FIELDS + 1
    assert skipped[-1] == Skipped("fields", f"{MAX_FIELDS + 50} fields cannot be read")


def test_outside_of_an_item_there_is_no_one_to_tell() -> None:
    for read in (text, told, inner, several, instant):
        with pytest.raises(PageChanged, match="^a: not "):
            read({"a": True}, "a")


# --- ids and numbers that are written as JSON numbers ---------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("x", "x"), (1, "1"), (0, "0"), (-1, "-1"), (1.0, "1"), (1e3, "1000"), (13035550123.0, "13035550123"),
        (2**63 - 1, "9223372036854775807"), (1.5, None), (1e300, None), (True, None), (False, None), (None, None),
        ("", None), ([], None), ({}, None),
    ],
)  # fmt: skip
def test_a_json_number_is_taken_as_its_text(value: Any, said: str | None) -> None:
    assert written(value) == said
    if said is not None:
        assert get({"a": value}, "a", str) == text({"a": value}, "a") == told({"a": value}, "a") == said


def as_numbers(value: Any) -> Any:
    """The same JSON with every text of digits as a number."""
    if isinstance(value, dict):
        return {name: as_numbers(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [as_numbers(entry) for entry in value]
    return int(value) if isinstance(value, str) and value.isdigit() and not value.startswith("0") else value


def digits(value: Any) -> Any:
    """The same JSON with every id as a text of digits, and every telephone number without its plus."""
    if isinstance(value, dict):
        ids = {
            name: str(100 + len(str(entry)))
            for name, entry in value.items()
            if name in IDS - {"phone_number"} and entry
        }
        return {**{name: digits(entry) for name, entry in value.items()}, **ids}
    if isinstance(value, list):
        return [digits(entry) for entry in value]
    return value[1:] if isinstance(value, str) and value[:1] == "+" and value[1:].isdigit() else value


@every_recording
def test_ids_and_telephone_numbers_may_be_json_numbers_everywhere(recording: Recording) -> None:
    request = recording.request
    if (
        len(items_at(recording)) == 1
        and "data" in recording.body
        and isinstance(recording.body["data"], dict)
    ):
        id = str(100 + len(recording.body["data"]["id"]))
        request = replace(request, path=f"{request.path.rsplit('/', 1)[0]}/{id}")
    if request.param("PortingRequestNumbers") or request.param("filter[porting_order_id]"):
        return  # asked for by ids that these are not
    as_text = replace(recording, request=request, body=digits(recording.body))
    as_number = replace(as_text, body=as_numbers(as_text.body))

    def said(reading: Reading) -> Any:
        facts = (replace(fact, document=None, announced=None) for fact in reading.facts)
        ids = [fact.announced and (fact.announced.key, fact.announced.number) for fact in reading.facts]
        told = [replace(fact, source_id=fact.source_id.partition("#")[0]) for fact in facts]
        return told, ids, reading.ids, [(want.part, want.id) for want in reading.wants], reading.skipped

    assert said(as_number.read()) == said(as_text.read())


# --- lists are sets -------------------------------------------------------------------------------------


def shuffled(value: Any, by: random.Random) -> Any:
    """The same JSON with every list in another order."""
    if isinstance(value, dict):
        return {name: shuffled(entry, by) for name, entry in value.items()}
    if isinstance(value, list):
        return by.sample([shuffled(entry, by) for entry in value], len(value))
    return value


@every_recording
def test_lists_in_another_order_are_the_same_documents_and_the_same_why(recording: Recording) -> None:
    by, words = random.Random(str(recording)), recording.account.words

    def standing(reading: Reading) -> Any:
        facts = [normalise(fact, words) for fact in reading.facts]
        documents = {(fact.order, fact.part, fact.document, fact.source_id) for fact in facts}
        payloads = {(said.key, said.payload) for fact in facts if (said := fact.announced)}
        orders = {fact.order for fact in facts}
        folded = {ref: fold(None, [fact for fact in facts if fact.order == ref]) for ref in orders}
        return documents, payloads, {ref: (s.order, s.numbers, s.reasons) for ref, s in folded.items()}

    first = standing(recording.read())
    for _ in range(5):
        assert standing(recording.read(shuffled(recording.body, by))) == first


def test_numbers_that_come_on_other_pages_of_one_list_are_the_same_document() -> None:
    def fact(numbers: list[str], minute: int) -> Fact:
        lines = [{"phone_number": number} for number in numbers]
        at = datetime(2026, 6, 15, 12, minute, tzinfo=UTC)
        reply = page("/porting_phone_numbers", "{}", at=at)
        said = Partial(tuple(map(NumberSaid, numbers)))
        ref = OrderRef(Direction.PORT_IN, "A-1")
        return snapshot(reply, ref, Part.NUMBERS, kept=json.dumps(lines), numbers=said)

    first = gathered([fact(["+1", "+4"], 0), fact(["+3", "+2", "+2"], 1)])
    again = gathered([fact(["+2", "+3"], 0), fact(["+4"], 1), fact(["+1"], 2)])
    assert [said.document for said in first] == [said.document for said in again]


def test_why_names_reasons_and_steps_in_a_fixed_order() -> None:
    recording = next(one for one in RECORDINGS if str(one) == "telnyx/order-published")
    details = [
        {"code": code, "description": code.lower()} for code in ("OTHER", "FOC_EXPIRED", "LOCATION_MISMATCH")
    ]
    steps = ["phone_number_verification_codes", "associated_phone_numbers"]

    def why(turned: bool) -> Any:
        item = {
            **recording.body["data"],
            "status": {"value": "exception", "details": details[::-1] if turned else details},
            "additional_steps": steps[::-1] if turned else steps,
        }
        facts = [normalise(fact, recording.account.words) for fact in recording.read({"data": item}).facts]
        return fold(None, facts).order.why

    assert why(True) == why(False)
    assert "address" in why(True) and "needed: associated phone numbers, phone number" in why(True)
