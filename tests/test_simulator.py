"""The stand-ins: the same world from the same seed, a clock of their own, documented paging and filters."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from simulated import ALL, DAY, FONE, HOUR, START, WORLD, client, get, listed, lived, of, sent

from aggregator.simulator import Running, main, start
from aggregator.simulator.clock import Clock
from aggregator.simulator.settings import KNOBS, Settings
from aggregator.simulator.truth import truth


@pytest.fixture(scope="module")
def world() -> Iterator[Running]:
    """A world of a month, whose clock stands."""
    with start(*WORLD) as running:
        running.advance(30 * DAY)
        yield running


@pytest.fixture
def sim(world: Running) -> Iterator[Running]:
    """The same; its knobs are set back after each test."""
    world.clear_faults()
    yield world
    world.clear_faults()


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with client() as http:
        yield http


# --- the same world -------------------------------------------------------------------------------------

PROPERTY = "/Properties/S6QW333XCXHTRHUS5DEOXLLA36ZQSAAA/Porting/Status"
PAGES: tuple[tuple[str, dict[str, object]], ...] = (
    ("/porting/events", {"page[size]": 250, "page[number]": 2}),
    ("/portouts/events", {}),
    ("/porting_orders", {"page[size]": 50}),
    ("/porting_phone_numbers", {"page[size]": 100}),
    ("/portouts", {}),
    (FONE, {**ALL, "Results_Count": 50}),
)
SPOILED = ("duplicate", "twin", "unreadable_item", "wrong_type", "nulls", "late", "empty_payload")


def test_the_same_seed_and_clock_give_the_same_bytes(world: Running) -> None:
    with start(*WORLD) as twin:
        for _ in range(60):
            twin.advance(DAY / 2)
        for path, params in PAGES:
            assert get(twin, path, **params).content == get(world, path, **params).content
        assert twin.truth() == world.truth()


def test_another_seed_gives_another_world(world: Running) -> None:
    with start(*WORLD, "--seed", "4") as other:
        other.advance(30 * DAY)
        for path, params in PAGES:
            assert get(other, path, **params).content != get(world, path, **params).content


def test_equal_requests_in_equal_order_meet_equal_faults() -> None:
    faults = [part for knob in SPOILED for part in ("--fault", f"{knob}=0.3")]
    with start(*WORLD, *faults) as one, start(*WORLD, *faults) as other:
        for running in (one, other):
            running.advance(30 * DAY)
        for path, params in PAGES:
            assert get(one, path, **params).content == get(other, path, **params).content


def test_a_world_that_lives_by_the_hour_is_the_world_that_jumps() -> None:
    jumped = lived(20, late=0.5, very_late=0.1, empty_payload=0.3)
    walked = of(late=0.5, very_late=0.1, empty_payload=0.3)
    for _ in range(20 * 24):
        walked.clock.advance(HOUR)
        walked.now()
    assert truth(walked) == truth(jumped)


# --- the clock ------------------------------------------------------------------------------------------


def test_the_date_header_is_the_simulated_present(sim: Running) -> None:
    date = parsedate_to_datetime(get(sim, "/portouts").headers["date"])
    assert date == START + timedelta(days=30)
    assert sim.clock()["now"] == "2025-03-31T00:00:00.000Z"


def test_neither_clock_nor_date_header_passes_the_real_clock() -> None:
    with start("--orders", "5", "--days", "1", "--speed", "1000000") as running:
        running.advance(30 * DAY)
        date = parsedate_to_datetime(get(running, "/portouts").headers["date"])
        now = datetime.fromisoformat(running.clock()["now"])
        assert max(date, now) <= datetime.now(UTC)
        assert date >= datetime.now(UTC) - timedelta(minutes=5)


def test_a_clock_runs_at_its_speed_and_stands_at_the_real_present() -> None:
    real, passed = [START + timedelta(days=10)], [0.0]
    clock = Clock(Settings(start=START, speed=60), lambda: real[0], lambda: passed[0])
    passed[0] = 60
    assert clock.now() == START + timedelta(hours=1)
    clock.set_speed(0)
    passed[0] = 1_000
    assert clock.now() == START + timedelta(hours=1)
    assert clock.advance(HOUR) == START + timedelta(hours=2)
    assert clock.advance(-HOUR) == START + timedelta(hours=2)
    assert clock.advance(90 * DAY) == real[0]
    real[0] += timedelta(days=1)
    assert clock.now() == START + timedelta(days=10)


def test_history_is_what_has_passed_when_the_clock_begins() -> None:
    with start(*WORLD, "--history", "20") as running:
        assert running.clock()["now"] == "2025-03-21T00:00:00.000Z"
        assert running.truth()["telnyx"]["porting_events"]


# --- paging and filters ---------------------------------------------------------------------------------


def test_pages_follow_each_other_and_tell_their_totals(sim: Running) -> None:
    there = sim.truth()["telnyx"]["porting_events"]
    seen: list[str] = []
    for number in range(1, -(-len(there) // 20) + 1):
        reply = get(sim, "/porting/events", **{"page[number]": number})
        assert reply.json()["meta"] == {
            "page_number": number,
            "page_size": 20,
            "total_pages": -(-len(there) // 20),
            "total_results": len(there),
        }
        seen += listed(reply)
    assert seen == there
    assert listed(get(sim, "/porting/events", **{"page[number]": 999})) == []


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/porting/events", {"page[size]": "251"}),
        ("/porting/events", {"page[size]": "0"}),
        ("/porting/events", {"page[size]": "ten"}),
        ("/porting/events", {"page[number]": "0"}),
        ("/porting/events", {"page[number]": "-1"}),
        ("/porting/events", {"filter[type]": "porting_order.moved"}),
        ("/porting/events", {"filter[porting_order_id]": "not-a-uuid"}),
        ("/porting/events", {"filter[created_at][gte]": "yesterday"}),
        ("/porting/events", {"filter[created_at][lte]": "2025-03-10T00:00:00"}),
        ("/portouts/events", {"filter[event_type]": "portout.moved"}),
        ("/porting_orders", {"sort[value]": "updated_at"}),
        ("/porting_orders", {"filter[misc][type]": "most"}),
        ("/porting_phone_numbers", {"filter[porting_order_status]": "lost"}),
        ("/portouts", {"filter[status]": "cancelled"}),
        ("/portouts", {"filter[status_in]": "pending,cancelled"}),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(sim: Running, path: str, params: dict[str, str]) -> None:
    reply = get(sim, path, **params)
    assert reply.status_code == 422
    (error,) = reply.json()["errors"]
    assert error["source"] == {"parameter": next(iter(params))}
    assert isinstance(error["code"], str)


def test_both_bounds_of_a_window_are_inclusive(sim: Running) -> None:
    events = sim.truth()["telnyx"]["events"]["in"]
    id, at = next((id, said["created_at"]) for id, said in events.items())
    window = {"filter[created_at][gte]": at, "filter[created_at][lte]": at}
    assert id in listed(get(sim, "/porting/events", **window))
    earlier = {"filter[created_at][lte]": "2025-03-10T12:00:00Z", "page[size]": 250}
    wanted = {id for id, said in events.items() if said["created_at"] <= "2025-03-10T12:00:00.000000Z"}
    assert set(listed(get(sim, "/porting/events", **earlier))) == wanted


def test_events_are_filtered_by_type_and_order(sim: Running) -> None:
    events = sim.truth()["telnyx"]["events"]
    by = [
        ("in", "/porting/events", "filter[type]", "porting_order.status_changed", "filter[porting_order_id]"),
        ("out", "/portouts/events", "filter[event_type]", "portout.status_changed", "filter[portout_id]"),
    ]
    for feed, path, type_filter, type, order_filter in by:
        order = next(iter(events[feed].values()))["order"]
        both = {type_filter: type, order_filter: order, "page[size]": 250}
        for params in (both, {order_filter: order, "page[size]": 250}):
            wanted = [
                id
                for id, said in events[feed].items()
                if said["order"] == order and (type_filter not in params or said["type"] == type)
            ]
            assert listed(get(sim, path, **params)) == wanted
        total = get(sim, path, **{type_filter: type}).json()["meta"]["total_results"]
        assert total == Counter(said["type"] for said in events[feed].values())[type]


def test_porting_orders_come_newest_first_unless_sorted_otherwise(sim: Running) -> None:
    size = {"page[size]": 250}
    newest = get(sim, "/porting_orders", **size).json()["data"]
    times = [order["created_at"] for order in newest]
    assert times == sorted(times, reverse=True)
    assert (
        listed(get(sim, "/porting_orders", **size, **{"sort[value]": "created_at"}))
        == [order["id"] for order in newest][::-1]
    )
    by_date = get(
        sim, "/porting_orders", **size, **{"sort[value]": "activation_settings.foc_datetime_requested"}
    )
    wishes = [order["activation_settings"]["foc_datetime_requested"] for order in by_date.json()["data"]]
    assert wishes == sorted(wishes)


def test_porting_orders_are_filtered_as_published(sim: Running) -> None:
    orders = get(sim, "/porting_orders", **{"page[size]": 250}).json()["data"]
    one = [order for order in orders if order["parent_support_key"]][len(orders) // 2]
    wish = one["activation_settings"]["foc_datetime_requested"]
    cases: list[tuple[str, object, Callable[[Any], bool]]] = [
        ("filter[customer_reference]", one["customer_reference"], lambda o: o["customer_reference"] == one["customer_reference"]),
        ("filter[customer_group_reference]", "Group-3", lambda o: o["customer_group_reference"] == "Group-3"),
        ("filter[parent_support_key]", one["parent_support_key"], lambda o: o["parent_support_key"] == one["parent_support_key"]),
        ("filter[phone_numbers][carrier_name]", "Sample Cable", lambda o: o["old_service_provider_ocn"] == "Sample Cable"),
        ("filter[misc.type]", "partial", lambda o: o["misc"]["type"] == "partial"),
        ("filter[activation_settings][fast_port_eligible]", "true", lambda o: o["activation_settings"]["fast_port_eligible"]),
        ("filter[activation_settings][foc_datetime_requested][gt]", wish, lambda o: o["activation_settings"]["foc_datetime_requested"] > wish),
        ("filter[activation_settings][foc_datetime_requested][lt]", wish, lambda o: o["activation_settings"]["foc_datetime_requested"] < wish),
        ("filter[phone_numbers][phone_number][contains]", one["phone_numbers"][0]["phone_number"][2:], lambda o: any(one["phone_numbers"][0]["phone_number"][2:] in n["phone_number"] for n in o["phone_numbers"])),
        ("filter[end_user][admin][auth_person_name]", "Robin Example", lambda o: o["end_user"]["admin"]["auth_person_name"] == "Robin Example"),
        ("filter[status]", "submitted", lambda o: o["status"]["value"] == "submitted"),
    ]  # fmt: skip
    for name, value, holds in cases:
        wanted = [order["id"] for order in orders if holds(order)]
        assert listed(get(sim, "/porting_orders", **{"page[size]": 250, name: value})) == wanted, name
        assert 0 < len(wanted) < len(orders), name


def test_an_order_embeds_fifty_numbers_and_the_rest_is_paged(sim: Running) -> None:
    orders = sim.truth()["telnyx"]["porting_orders"]
    id, order = max(orders.items(), key=lambda pair: len(pair[1]["numbers"]))
    assert len(order["numbers"]) > 50
    read = get(sim, f"/porting_orders/{id}").json()
    assert len(read["data"]["phone_numbers"]) == 50
    assert read["data"]["porting_phone_numbers_count"] == len(order["numbers"])
    assert read["meta"]["phone_numbers_url"] == f"/v2/porting_phone_numbers?filter[porting_order_id]={id}"
    lines = get(sim, "/porting_phone_numbers", **{"filter[porting_order_id]": id, "page[size]": 250})
    assert [f"+{number}" for number in listed(lines, "phone_number")] == order["numbers"]
    bare = get(sim, f"/porting_orders/{id}", include_phone_numbers="false")
    assert "phone_numbers" not in bare.json()["data"]


def test_any_page_of_all_numbers_is_the_same_as_the_whole_list(sim: Running) -> None:
    orders = sim.truth()["telnyx"]["porting_orders"].values()
    there = [number for order in orders if not order["deleted"] for number in order["numbers"]]
    for size in (7, 250):
        seen: list[str] = []
        for page in range(1, -(-len(there) // size) + 1):
            reply = get(sim, "/porting_phone_numbers", **{"page[size]": size, "page[number]": page})
            seen += [f"+{number}" for number in listed(reply, "phone_number")]
        assert seen == there


def test_numbers_can_be_had_as_csv(sim: Running, http: httpx.Client) -> None:
    reply = http.get(f"{sim.telnyx}/porting_phone_numbers", headers={"Accept": "text/csv"})
    head, first, *_ = reply.text.split("\r\n")
    assert head == "phone_number,phone_number_type,porting_order_id,support_key,porting_order_status"
    assert first.startswith("+1") and reply.headers["content-type"].startswith("text/csv")


def test_portouts_are_filtered_as_published(sim: Running) -> None:
    size = {"page[size]": 250}
    every = get(sim, "/portouts", **size).json()["data"]
    one = next(item for item in every[1:] if item["foc_date"])
    cases: list[tuple[str, object, Callable[[Any], bool]]] = [
        ("filter[status]", "ported", lambda p: p["status"] == "ported"),
        ("filter[status_in]", "ported,rejected", lambda p: p["status"] in ("ported", "rejected")),
        ("filter[carrier_name]", one["carrier_name"], lambda p: p["carrier_name"] == one["carrier_name"]),
        ("filter[spid]", one["spid"], lambda p: p["spid"] == one["spid"]),
        ("filter[pon]", one["pon"], lambda p: p["pon"] == one["pon"]),
        ("filter[support_key]", one["support_key"], lambda p: p["support_key"] == one["support_key"]),
        ("filter[phone_number]", one["phone_numbers"][0], lambda p: one["phone_numbers"][0] in p["phone_numbers"]),
        ("filter[foc_date]", one["foc_date"], lambda p: (p["foc_date"] or "")[:10] == one["foc_date"][:10]),
        ("filter[inserted_at][gte]", one["created_at"], lambda p: p["created_at"] >= one["created_at"]),
        ("filter[ported_out_at][lte]", "2026-01-01T00:00:00Z", lambda p: p["already_ported"]),
    ]  # fmt: skip
    for name, value, holds in cases:
        wanted = [item["id"] for item in every if holds(item)]
        assert listed(get(sim, "/portouts", **size, **{name: value})) == wanted, name
        assert 0 < len(wanted) < len(every), name
    assert listed(get(sim, "/portouts", **{"filter[country_code]": "CA"})) == []


def test_what_is_not_there_is_answered_404_in_the_envelope(sim: Running) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    for path in ("/porting/events/{}", "/portouts/events/{}", "/porting_orders/{}", "/portouts/{}",
                 "/porting_orders/{}/comments", "/portouts/{}/comments", "/porting_orders/{}/activation_jobs",
                 "/porting_orders/{}/action_requirements",
                 "/portouts/rejections/{}"):  # fmt: skip
        reply = get(sim, path.format(nobody))
        assert (reply.status_code, reply.json()["errors"][0]["code"]) == (404, "10005")


def test_an_event_is_found_in_its_own_feed_only(sim: Running) -> None:
    id = sim.truth()["telnyx"]["portout_events"][0]
    assert get(sim, f"/portouts/events/{id}").json()["data"]["id"] == id
    assert get(sim, f"/porting/events/{id}").status_code == 404


def test_a_fone_dynamics_window_holds_both_its_ends(sim: Running) -> None:
    requests = sim.truth()["fonedynamics"]["requests"]
    for at in sorted({entry[-1] for entry in sim.truth()["fonedynamics"]["history"]})[:5]:
        wanted = {
            id
            for id, request in requests.items()
            if request["Created"] == at
            or any(entry["Created"] == at for line in request["history"].values() for entry in line)
        }
        assert set(listed(get(sim, FONE, From=at, To=at), "PortingNo")) == wanted


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"From": "0"},
        {"From": "0", "To": "soon"},
        {"From": "10", "To": "5"},
        {**ALL, "Results_Count": "0"},
        {**ALL, "Results_Skip": "-1"},
        {**ALL, "Results_Count": "many"},
    ],
)
def test_a_fone_dynamics_call_without_a_proper_window_is_refused(
    sim: Running, params: dict[str, str]
) -> None:
    reply = get(sim, FONE, **params)
    assert reply.status_code == 400
    assert reply.json()["ResponseStatus"]["ErrorCode"] == "ArgumentException"


def test_fone_dynamics_answers_for_account_property_and_single_requests(sim: Running) -> None:
    every = listed(get(sim, FONE, **ALL, Results_Count=500), "PortingNo")
    assert len(every) == len(sim.truth()["fonedynamics"]["requests"])
    assert listed(get(sim, PROPERTY, **ALL, Results_Count=500), "PortingNo") == every
    assert listed(get(sim, FONE, **ALL), "PortingNo") == every[:20]
    two = get(sim, FONE, **ALL, PortingRequestNumbers=f"{every[3]},{every[5]}")
    assert listed(two, "PortingNo") == [every[3], every[5]]
    assert get(sim, FONE.replace("A5EQ", "B5EQ"), **ALL).status_code == 404
    longest = get(sim, FONE, **ALL, PortingRequestNumbers="P-000001," * 300)
    assert (longest.status_code, "html" in longest.text) == (404, True)


def test_what_the_pages_show_is_the_truth(sim: Running) -> None:
    told = sim.truth()
    orders = get(sim, "/porting_orders", **{"page[size]": 250}).json()["data"]
    there = {id: order for id, order in told["telnyx"]["porting_orders"].items() if not order["deleted"]}
    assert {order["id"] for order in orders} == set(there)
    for order in orders:
        true = there[order["id"]]
        settings = order["activation_settings"]
        assert order["status"]["value"] == true["status"]
        assert [detail["code"] for detail in order["status"]["details"]] == true["details"]
        assert order["messaging"]["messaging_port_status"] == true["messaging"]
        assert settings["activation_status"] == true["activation"]
        assert settings["foc_datetime_requested"][:19] == true["foc_datetime_requested"][:19]
        assert (settings["foc_datetime_actual"] or "")[:19] == (true["foc_datetime_actual"] or "")[:19]
        assert order["support_key"] == true["support_key"]
        comments = listed(get(sim, f"/porting_orders/{order['id']}/comments", **{"page[size]": 250}))
        assert comments == true["comment_ids"]
    for portout in get(sim, "/portouts", **{"page[size]": 250}).json()["data"]:
        true = told["telnyx"]["portouts"][portout["id"]]
        assert (portout["status"], portout["phone_numbers"]) == (true["status"], true["numbers"])
        assert (portout["foc_date"], portout["reason"]) == (true["foc_date"], true["reason"])
    for request in get(sim, FONE, **ALL, Results_Count=500).json()["PortingRequests"]:
        true = told["fonedynamics"]["requests"][request["PortingNo"]]
        assert (request["Status"], request.get("PortDate")) == (true["Status"], true["PortDate"])
        assert {line["Number"]: line["Status"] for line in request["PortingNumbers"]} == true["numbers"]
        assert {line["Number"]: line["StatusHistory"] for line in request["PortingNumbers"]} == true[
            "history"
        ]


def test_a_deleted_order_is_gone_everywhere_but_in_its_event() -> None:
    with start(*WORLD, "--fault", "deletions=1") as running:
        running.advance(40 * DAY)
        orders = running.truth()["telnyx"]["porting_orders"]
        gone = [id for id, order in orders.items() if order["deleted"]]
        (event,) = get(running, "/porting/events", **{"filter[porting_order_id]": gone[0]}).json()["data"]
        assert event["event_type"] == "porting_order.deleted"
        assert event["payload"]["id"] == gone[0]
        assert get(running, f"/porting_orders/{gone[0]}").status_code == 404
        assert not set(gone) & set(listed(get(running, "/porting_orders", **{"page[size]": 250})))


def test_a_cancelled_order_is_pending_first_and_its_script_is_dropped(http: httpx.Client) -> None:
    with start(*WORLD) as running:
        running.advance(20 * DAY)
        orders = running.truth()["telnyx"]["porting_orders"]
        id = next(id for id, order in orders.items() if order["status"] == "submitted")
        reply = http.post(f"{running.telnyx}/porting_orders/{id}/actions/cancel")
        assert reply.json()["data"]["status"] == {"details": [], "value": "cancel-pending"}
        assert http.post(f"{running.telnyx}/porting_orders/{id}/actions/cancel").status_code == 422
        running.advance(40 * DAY)
        events = running.truth()["telnyx"]["events"]["in"].values()
        assert running.truth()["telnyx"]["porting_orders"][id]["status"] == "cancelled"
        assert [event["type"] for event in events if event["order"] == id][-2:] == [
            "porting_order.status_changed"
        ] * 2


def test_an_order_within_48_hours_of_its_date_cannot_be_cancelled(http: httpx.Client) -> None:
    with start(*WORLD) as running:
        for _ in range(40):
            running.advance(DAY)
            told = running.truth()
            soon = datetime.fromisoformat(told["now"]) + timedelta(hours=40)
            for id, order in told["telnyx"]["porting_orders"].items():
                date = order["foc_datetime_actual"]
                if order["status"] == "foc-date-confirmed" and date and datetime.fromisoformat(date) < soon:
                    reply = http.post(f"{running.telnyx}/porting_orders/{id}/actions/cancel")
                    assert reply.status_code == 422
                    return
    raise AssertionError("no order was close to its date")


def test_a_surprise_is_a_port_out_born_now() -> None:
    with start(*WORLD) as running:
        running.advance(5 * DAY)
        id = running.surprise()["portout"]
        portout = get(running, f"/portouts/{id}").json()["data"]
        assert (portout["status"], portout["created_at"]) == ("pending", running.clock()["now"])
        assert running.truth()["telnyx"]["events"]["out"]
        running.advance(49 * HOUR)
        assert running.truth()["telnyx"]["portouts"][id]["status"] != "pending"


# --- knobs and clock at run time ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knobs", "hint"),
    [
        ({"ratelimit": 0.5}, "did you mean rate_limit"),
        ({"xyzzy": 1}, "simulate --help"),
        ({"error": 2}, "between 0 and 1"),
        ({"error": "often"}, "must be a number"),
        ({"error": float("nan")}, "must be a number"),
        ({"rate_limit_s": 1.5}, "whole number"),
        ({"page_clamp": -1}, "not be negative"),
        ({"token_style": "odd"}, "one of offset"),
        ({"outage": "perhaps"}, "true or false"),
        ({"revoked_status": 402}, "401 or 403"),
    ],
)
def test_a_knob_or_value_that_is_not_there_turns_none(
    sim: Running, knobs: Mapping[str, object], hint: str
) -> None:
    before = sim.faults()
    with pytest.raises(ValueError, match=hint):
        sim.set_faults(reset=0.5, **knobs)
    assert sim.faults() == before


def test_knobs_tell_their_group_meaning_and_choices(sim: Running) -> None:
    said = sim.set_faults(late=0.25)
    assert said["late"]["value"] == 0.25 and said["late"]["default"] == 0
    assert all(one["meaning"] and one["group"] for one in said.values())
    assert sim.clear_faults()["late"]["value"] == 0


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"advance_s": "soon"}', b'{"speed": -1}', b'{"advance_s": NaN}']
)
def test_a_clock_refuses_what_is_no_time(sim: Running, http: httpx.Client, body: bytes) -> None:
    before = sim.clock()
    assert http.post(f"{sim.admin}/clock", content=body).status_code == 422
    assert sim.clock() == before


def test_stats_count_requests_by_kind(sim: Running) -> None:
    def kinds() -> Counter[str]:
        return Counter(sim.stats()["requests"])

    before = kinds()
    get(sim, "/porting/events")
    get(sim, FONE, **ALL)
    assert kinds() - before == Counter({"porting/events": 1, "Accounts/Porting/Status": 1})


# --- the command ----------------------------------------------------------------------------------------


def test_credentials_are_asked_for_when_they_are_required(http: httpx.Client) -> None:
    with start(*WORLD, "--require-auth") as running:
        key = {"Authorization": f"Bearer {running.telnyx_key}"}
        basic = httpx.BasicAuth(running.account_sid, running.fonedynamics_token)
        assert http.get(f"{running.telnyx}/portouts").status_code == 401
        assert (
            http.get(f"{running.telnyx}/portouts", headers={"Authorization": "Bearer x"}).status_code == 401
        )
        assert http.get(f"{running.telnyx}/portouts", headers=key).status_code == 200
        assert http.get(f"{running.fonedynamics}{FONE}", params=ALL, headers=key).status_code == 401
        assert http.get(f"{running.fonedynamics}{FONE}", params=ALL, auth=basic).status_code == 200


def test_help_names_every_knob_with_its_choices(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    lines = {line.split()[0] for line in text.splitlines() if line.startswith("  ") and line.split()}
    assert set(KNOBS) <= lines
    flat = " ".join(text.split())
    for knob in KNOBS.values():
        assert knob.metadata["meaning"] in flat
        assert all(choice in flat for choice in knob.metadata["choices"])


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--fault", "token_stile=none"], "did you mean token_style?"),
        (["--fault", "late"], "late=(nothing): must be a number"),
        (["--fault", "late=2"], "a share lies between 0 and 1"),
        (["--start", "2025-03-01T00:00:00"], "must have its zone"),
        (["--start", "2999-01-01T00:00Z"], "must not be in the future"),
        (["--start", "march"], "must be an instant"),
        (["--orders", "-1"], "must lie between"),
        (["--orders", "few"], "invalid whole number value"),
        (["--port", "70000"], "must lie between"),
        (["--speed", "nan"], "must not be negative"),
        (["--days", "0"], "must lie between"),
    ],
)
def test_a_wrong_option_ends_with_status_2_and_a_hint(
    capsys: pytest.CaptureFixture[str], arguments: list[str], hint: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert hint in capsys.readouterr().err


def test_a_port_in_use_is_said_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 1
    assert capsys.readouterr().err == f"cannot listen on 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGINT, None])
def test_the_stand_ins_end_at_once_even_while_a_client_waits(way: signal.Signals | None) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "aggregator.simulator", "--exit-with-parent", "--fault", "slow=600"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None and process.stdin is not None
        ready = json.loads(process.stdout.readline())
        running = Running(**ready)
        with sent(running, "/v2/portouts"):
            while not running.stats()["requests"]:
                time.sleep(0.01)
            if way is None:
                process.stdin.close()
            else:
                process.send_signal(way)
            assert process.wait(20) == 0
