"""The typed look-ups that adapters read with: what they allow, what they refuse, what they never tell."""

import json
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from made import page

from aggregator.core.documents import cut, document, keep, masked
from aggregator.core.fields import entries, get, inner, several, text, whole
from aggregator.core.model import Moment, Skipped
from aggregator.core.reading import (
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_SKIPPED,
    MAX_VALUES,
    each,
    json_object,
    named,
    sift,
)
from aggregator.core.times import day, instant, local_date
from aggregator.errors import PageChanged

SECRET = "hidden-5150"


def refused(read: Callable[..., Any], *said: Any) -> str:
    """The message of the refusal."""
    with pytest.raises(PageChanged) as refusal:
        read(*said)
    return str(refusal.value)


# --- a page ---------------------------------------------------------------------------------------------


def test_nul_and_lone_surrogates_are_marked_in_keys_and_values() -> None:
    body = r'{"a\u0000": ["x\ud800y", {"\udfff": "\u0000"}], "emoji": "\ud83d\ude00", "plain": "é"}'
    assert json_object(page("/p", body)) == {
        "a\ufffd": ["x\ufffdy", {"\ufffd": "\ufffd"}],
        "emoji": "\U0001f600",
        "plain": "é",
    }


def test_numbers_are_taken_as_far_as_both_databases_hold_them_and_longer_ones_as_their_text() -> None:
    assert json_object(page("/p", '{"n": [9223372036854775807, -9223372036854775807]}'))["n"][0] == 2**63 - 1
    for digits in ("9223372036854775808", "-9223372036854775809", "1" * 21, "9" * 5_000, "1e999", "-1.5e400"):
        item = json_object(page("/p", f'{{"n": {digits}}}'))
        assert item == {"n": digits}
        assert (text(item, "n"), whole(item, "n")) == (digits, None)
        assert refused(instant, item, "n") == "n: not a time"


def test_the_depth_of_a_page_has_a_limit_that_no_later_step_reaches() -> None:
    def nested(levels: int) -> str:
        return '{"a":' * levels + "1" + "}" * levels

    deepest = json_object(page("/p", nested(MAX_DEPTH)))
    assert document(deepest, keep("a.a.a")) == '{"a":{"a":{"a":{}}}}'
    refused(json_object, page("/p", nested(MAX_DEPTH + 1)))
    refused(json_object, page("/p", '{"a": ' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}"))


def test_a_page_has_so_many_values_and_items_and_no_more() -> None:
    """Else a page within the cap of bytes swells to gigabytes: tiny objects, each with an error of its own."""
    commas = ",".join(["0"] * (MAX_VALUES - 1))  # with the two brackets so many, with two zeros more too many
    assert json_object(page("/v2/x", f'{{"data":[{commas}]}}'))
    with pytest.raises(PageChanged, match=r"^/v2/x: more than 400000 values$"):
        json_object(page("/v2/x", f'{{"data":[{commas},0,0]}}'))

    def read(item: dict[str, Any]) -> list[str]:
        return [get(item, "id", str)]

    good = [{"id": f"{number}"} for number in range(MAX_ITEMS)]
    assert len(each(good, read, "id", {})[0]) == MAX_ITEMS
    with pytest.raises(PageChanged, match="10001 items on one page"):
        each([*good, {"id": "one more"}], read, "id", {})
    bad: list[dict[str, Any]] = [{}] * MAX_SKIPPED
    assert len(each([*good[:1], *bad], read, "id", {})[1]) == MAX_SKIPPED
    with pytest.raises(PageChanged, match="more than 1000 items cannot be read: id: missing"):
        each([*good[:1], *bad, {}], read, "id", {})


def test_a_refusal_names_the_path_and_not_the_content() -> None:
    for body in ("secret", '{"a": secret}', '"secret"', '["secret"]'):
        assert "secret" not in refused(json_object, page("/p", body))


# --- items ----------------------------------------------------------------------------------------------


def numbers(item: dict[str, Any]) -> Iterator[int | Skipped]:
    if "aside" in item:
        yield Skipped("aside", "set aside by the reader")
    yield get(item, "n", int)


def test_what_cannot_be_read_is_set_aside_by_name_or_by_a_hash_of_what_may_be_kept() -> None:
    items = [
        {"id": "a", "n": 1},
        {"id": "b"},
        {"n": "x", "pin": "1"},
        {"n": "x", "pin": "2"},
        7,
        {"id": "c", "n": 3},
    ]
    good, skipped = each(items, numbers, "id", keep("id", "n"))
    assert good == (1, 3)
    assert [said.error for said in skipped] == [
        "n: missing",
        "n: not int",
        "n: not int",
        "item with id: not an object but int",
    ]
    assert skipped[0].ref == "b"
    assert skipped[1].ref == skipped[2].ref != skipped[3].ref  # a PIN makes no difference


def test_what_a_reader_sets_aside_itself_is_kept_beside_what_it_read() -> None:
    assert each([{"id": "a", "n": 1, "aside": True}], numbers, "id", {}) == (
        (1,),
        (Skipped("aside", "set aside by the reader"),),
    )


def test_an_item_that_fails_half_way_says_nothing() -> None:
    good, skipped = each([{"id": "a", "aside": 1}, {"id": "b", "n": 2}], numbers, "id", {})
    assert good == (2,)
    assert skipped == (Skipped("a", "n: missing"),)


def test_a_page_on_which_nothing_can_be_read_is_not_a_page_we_know() -> None:
    assert "none of 2 items" in refused(each, [{"id": "a"}, {"id": "b"}], numbers, "id", {})
    assert "none of 1 items" in refused(each, [{"name": "a"}], numbers, "id", {})
    assert "none of 1 items" in refused(each, ["a"], numbers, "id", {})


def test_a_single_item_that_is_named_may_just_be_a_bad_one() -> None:
    assert each([{"id": "a"}], numbers, "id", {}) == ((), (Skipped("a", "n: missing"),))


def test_items_that_say_nothing_are_no_fault() -> None:
    assert each([{"id": "a"}, {"id": "b"}], lambda item: (), "id", {}) == ((), ())
    assert each([], numbers, "id", {}) == ((), ())


def test_a_list_inside_an_item_is_sifted_even_when_nothing_of_it_can_be_read() -> None:
    assert sift([{"id": "x"}, 5], numbers, "id", {}, "order-1")[1][0] == Skipped("order-1/x", "n: missing")
    assert len(sift([{"id": "x"}, 5], numbers, "id", {}, "order-1")[1]) == 2


def test_the_ids_of_a_page_are_those_of_readable_and_unreadable_items() -> None:
    assert named([{"id": "a"}, {"id": ""}, {"id": 5}, {"id": {"x": 1}}, 7, {"id": "b", "n": []}], "id") == {
        "a",
        "5",
        "b",
    }


def test_a_very_long_id_is_cut_in_quarantine() -> None:
    (_, (skipped,)) = each([{"id": "a" * 5_000}], numbers, "id", {})
    assert skipped.ref == "a" * 200


# --- fields ---------------------------------------------------------------------------------------------


def test_a_field_that_must_be_there_is_there_and_of_its_kind() -> None:
    assert get({"a": "x"}, "a", str) == "x"
    assert get({"a": True}, "a", bool) is True
    assert refused(get, {}, "a", str) == refused(get, {"a": None}, "a", str) == "a: missing"
    assert refused(get, {"a": ""}, "a", str) == "a: missing"
    assert refused(get, {"a": 1.5}, "a", str) == refused(get, {"a": True}, "a", str) == "a: not str"
    assert refused(get, {"a": True}, "a", int) == "a: not int"


def test_a_text_may_be_missing_null_or_empty_and_a_bare_number_is_its_digits() -> None:
    assert [text(item, "a") for item in ({}, {"a": None}, {"a": ""})] == [None] * 3
    assert text({"a": 1002}, "a") == "1002"
    wrongs: tuple[Any, ...] = (True, 1.5, [], {})
    for wrong in wrongs:
        assert refused(text, {"a": wrong}, "a").startswith("a: not a text")


def test_objects_and_lists_may_be_missing_or_null() -> None:
    assert inner({}, "a") == inner({"a": None}, "a") == {}
    assert (
        several({}, "a") == several({"a": None}, "a") == entries({}, "a") == entries({"a": None}, "a") == []
    )
    assert refused(inner, {"a": []}, "a") == "a: not an object but list"
    assert refused(several, {"a": {}}, "a") == "a: not a list but dict"
    assert entries({"a": "x"}, "a") == ["x"]


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (3, 3), (3.0, 3), ("3", 3), (0, 0), (2**31 - 1, 2**31 - 1), ("2147483647", 2**31 - 1),
        (-1, None), (3.5, None), ("3.0", None), ("²", None), (True, None), (None, None), ("", None), ([], None),
        (2**31, None), ("2147483648", None), ("9" * 18, None), (1e300, None), (2**63 - 1, None),
    ],
)  # fmt: skip
def test_a_count_is_a_whole_number_that_a_column_holds(value: Any, count: int | None) -> None:
    assert whole({"n": value}, "n") == count


# --- times ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        "2021-03-19T10:07:15Z", "2021-03-19T10:07:15.000Z", "2021-03-19T10:07:15.000000Z", "2021-03-19T10:07:15+00:00",
        "2021-03-19T20:07:15+10:00", "2021-03-19T10:07:15", "20210319T100715Z", 1616148435, 1616148435.0, "1616148435",
    ],
)  # fmt: skip
def test_every_published_form_of_a_time_is_the_same_instant(said: Any) -> None:
    at = instant({"at": said}, "at")
    assert at == datetime(2021, 3, 19, 10, 7, 15, tzinfo=UTC)
    assert at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "said",
    [
        "soon", "2021-13-01", "²", 1e300, 2**62, -(2**62), 1780000000000, True, [], {}, "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00", "99999999999999999999", 0, "0", -1, "-1", float("nan"), 20261220, "20261220",
        20261220.0, "0001-01-01", "0001-01-01T00:00:00Z", "0001-01-01Z", "1999-12-31", "1999-12-31T23:59:59.999999Z",
        946684799, "2100-01-01", "2100-01-01T00:00:00Z", 4102444800, "9999-12-31", 1780000000000000, "1780000000000",
        "12/09/2026", "2026-06-16X", "2026-02-30Z", [1780000000], {"x": 1}, False,
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(said: Any) -> None:
    assert refused(instant, {"at": said}, "at") == "at: not a time"
    assert refused(local_date, {"at": said}, "at", "UTC") == "at: not a time"
    assert refused(day, {"at": said}, "at", "UTC") == "at: not a time"


def test_the_trace_of_a_refused_time_does_not_tell_it() -> None:
    with pytest.raises(PageChanged) as refusal:
        instant({"at": SECRET}, "at")
    assert SECRET not in "".join(traceback.format_exception(refusal.value))


def test_a_time_may_be_missing() -> None:
    assert [instant(item, "at") for item in ({}, {"at": None}, {"at": ""})] == [None] * 3
    for read in (local_date, day):
        assert [read(item, "at", "UTC") for item in ({}, {"at": None}, {"at": ""})] == [None] * 3


@pytest.mark.parametrize(
    "said", ["2000-01-01T00:00:00Z", 946684800, "2099-12-31T23:59:59.999999Z", 4102444799]
)
def test_from_2000_to_2099_there_are_times(said: Any) -> None:
    at = instant({"at": said}, "at")
    assert at is not None and 2000 <= at.year <= 2099


@pytest.mark.parametrize(
    ("said", "zone", "on", "hour"),
    [
        ("2026-02-15", "Australia/Sydney", date(2026, 2, 15), None),
        (1771113600, "Australia/Sydney", date(2026, 2, 15), None),
        ("1771113600", "America/New_York", date(2026, 2, 15), None),
        ("2026-02-15T00:00:00Z", "Pacific/Honolulu", date(2026, 2, 15), None),
        ("2026-02-15T00:00:00.000+00:00", "Pacific/Auckland", date(2026, 2, 15), None),
        ("2026-04-30T15:00:00Z", "Australia/Sydney", date(2026, 5, 1), 15),
        ("2026-04-30T02:00:00Z", "America/New_York", date(2026, 4, 29), 2),
        ("2026-03-29T01:30:00+01:00", "Europe/Berlin", date(2026, 3, 29), 0),
    ],
)
def test_of_a_date_that_is_documented_as_a_day_midnight_utc_is_the_day_without_an_hour(
    said: Any, zone: str, on: date, hour: int | None
) -> None:
    moment = day({"foc": said}, "foc", zone)
    assert isinstance(moment, Moment)
    assert (moment.on, moment.at.hour if moment.at else None) == (on, hour)


@pytest.mark.parametrize(
    ("said", "zone", "on", "hour"),
    [
        ("2026-06-16T00:00:00Z", "America/New_York", date(2026, 6, 15), 0),  # a cutover at 20:00 there
        ("2026-06-16T00:00:00Z", "UTC", date(2026, 6, 16), 0),
        ("2026-06-15T20:00:00-04:00", "America/New_York", date(2026, 6, 15), 0),
        (1781568000, "America/New_York", date(2026, 6, 15), 0),
        ("2026-06-16", "America/New_York", date(2026, 6, 16), None),
        ("2026-06-16Z", "America/New_York", date(2026, 6, 16), None),
        ("2026-06-16Z", "Australia/Sydney", date(2026, 6, 16), None),
        ("2026-06-16+10:00", "America/New_York", date(2026, 6, 16), None),
        ("2026-04-30T15:00:00Z", "Australia/Sydney", date(2026, 5, 1), 15),
    ],
)
def test_of_a_date_that_is_documented_with_its_time_every_instant_is_one(
    said: Any, zone: str, on: date, hour: int | None
) -> None:
    moment = local_date({"foc": said}, "foc", zone)
    assert isinstance(moment, Moment)
    assert (moment.on, moment.at.hour if moment.at else None) == (on, hour)


def test_a_day_with_a_zone_is_an_instant_where_one_is_asked_for() -> None:
    assert instant({"at": "2026-06-16Z"}, "at") == datetime(2026, 6, 16, tzinfo=UTC)


def test_a_date_at_the_edge_of_the_calendar_is_refused_and_raises_nothing_else() -> None:
    assert refused(local_date, {"d": "9999-12-31T23:59:59Z"}, "d", "Pacific/Auckland") == "d: not a time"
    assert refused(local_date, {"d": "0001-01-01T01:00:00Z"}, "d", "Pacific/Honolulu") == "d: not a time"
    assert refused(local_date, {"d": "2026-02-30"}, "d", "UTC") == "d: not a time"
    assert local_date({"d": "2099-12-31"}, "d", "UTC") == Moment(date(2099, 12, 31))


# --- what may be kept -----------------------------------------------------------------------------------

TREE = keep("id", "status.value", "lines.number", "tags")


def test_a_document_holds_the_named_fields_in_canonical_form() -> None:
    item = {
        "tags": ["b", "a"],
        "status": {"value": "x", "pin": "1"},
        "lines": [{"number": "1", "address": "y"}, {"number": "2"}],
        "secret": 1,
        "id": "é",
    }
    assert document(item, TREE) == (
        '{"id":"é","lines":[{"number":"1"},{"number":"2"}],"status":{"value":"x"},"tags":["a","b"]}'
    )
    assert document(dict(reversed(item.items())), TREE) == document(item, TREE)


def test_a_field_in_another_shape_is_emptied() -> None:
    assert cut({"id": {"pin": "1"}, "status": "secret", "lines": "secret", "tags": [{"pin": "1"}]}, TREE) == {
        "id": {},
        "status": None,
        "lines": None,
        "tags": [{}],
    }
    assert cut({"status": ["secret", {"value": "x"}]}, TREE) == {"status": [None, {"value": "x"}]}
    assert document("secret", TREE) == "null"


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("PIN 1234", "PIN ***"),
        ("pin: 1234.", "pin: ***."),
        ("PIN1234", "PIN***"),
        ("PINs 1234", "PINs ***"),
        ("pin_passcode=1234", "pin_passcode=***"),
        ("The Passcode is A-12", "The Passcode is A-***"),
        ("password hunter2", "password ***"),
        ("account no. 998-1", "account no. ***"),
        ("Account number 123 456 789 is not known", "Account number *** is not known"),
        ("Acct# 12.34", "Acct# ***"),
        ("PIN 1 and account 2", "PIN *** and account ***"),
        ("PIN\n1234", "PIN\n***"),
        ("PIN ***, call 2", "PIN ***, call 2"),
        ("PIN *** 1234", "PIN *** ***"),
        ("PIN **** 1234", "PIN **** ***"),
        ("call +1 303 555 0100", "call +1 303 555 0100"),
        ("spin 1234, opinion 5", "spin 1234, opinion 5"),
        ("accounting 2026", "accounting 2026"),
        ("account number mismatch, FOC 2026-05-01", "account number mismatch, FOC 2026-05-01"),
    ],
)
def test_digits_after_pin_passcode_password_and_account_are_masked(words: str, kept: str) -> None:
    assert masked(words) == kept
    assert masked(kept) == kept
    free = keep("note", free=["why", "Errors.Description"])
    item = {
        "why": words,
        "Errors": [{"Description": words, "Code": words}, words],
        "note": words,
        "reason": words,
    }
    said = {"why": kept, "Errors": [None, {"Description": kept}], "note": words}
    assert json.loads(document(item, free)) == said
    assert json.loads(document({"why": [words, {"at": words}]}, free)) == {"why": [kept, {}]}
