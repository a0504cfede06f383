"""Every fault knob of the stand-ins does what its help says."""

import json
import socket
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import pytest
from simulated import ALL, DAY, FONE, START, WORLD, client, counted, get, listed, lived, of, sent

from aggregator.simulator import Running, start
from aggregator.simulator.settings import KNOBS, Faults
from aggregator.simulator.wire import bomb

MB = 1024 * 1024


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


TRIED: set[str] = set()


def trying(*knobs: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Notes which knobs a test is about."""
    TRIED.update(knobs)
    return lambda test: test


def test_every_knob_is_tried_by_a_test_below() -> None:
    assert {one.name for one in fields(Faults)} - TRIED == set()


def test_every_fault_is_off_unless_asked_for(sim: Running) -> None:
    lives = {"splits", "deletions"}
    shares = [one for one in fields(Faults) if one.metadata["kind"] == "share" and one.name not in lives]
    assert all(one.default == 0 for one in shares)
    assert sim.faults()["outage"]["value"] is False
    assert set(sim.stats()["faults"]) <= set(KNOBS)


@trying("strikes")
def test_strikes_chooses_the_requests_that_faults_befall(sim: Running) -> None:
    for strikes, struck in (("telnyx", (503, 200)), ("fonedynamics", (200, 503)), ("portouts", (200, 200))):
        sim.set_faults(error=1, error_style="json", strikes=strikes)
        statuses = (get(sim, "/porting_orders").status_code, get(sim, FONE, **ALL).status_code)
        assert tuple(503 if status >= 500 else status for status in statuses) == struck
    assert get(sim, "/portouts/events").status_code >= 500


@trying("times")
def test_times_ends_the_faults_and_counts_anew_when_set(sim: Running) -> None:
    for _ in range(2):
        sim.set_faults(error=1, times=2)
        statuses = [get(sim, "/portouts").status_code for _ in range(4)]
        assert [status == 200 for status in statuses] == [False, False, True, True]


@trying("outage")
def test_an_outage_answers_everybody_503(sim: Running) -> None:
    before = counted(sim, "outage")
    sim.set_faults(outage=True)
    assert [get(sim, path, **ALL).status_code for path in ("/portouts", FONE)] == [503, 503]
    assert counted(sim, "outage") == before + 2
    sim.set_faults(outage=False)
    assert get(sim, "/portouts").status_code == 200


LIMITS = {
    "retry_after": {"retry-after": "7"},
    "http_date": {"retry-after": "Mon, 31 Mar 2025 00:00:07 GMT"},
    "reset_seconds": {"x-ratelimit-reset": "7"},
    "reset_unix": {"x-ratelimit-reset": "1743379207"},
    "none": {},
    "fraction": {"retry-after": "7.5"},
    "negative": {"retry-after": "-7"},
    "nan": {"retry-after": "NaN"},
    "infinite": {"retry-after": "Infinity"},
    "absurd": {"retry-after": "9" * 30},
    "absurd_date": {"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"},
    "past_date": {"retry-after": "Sun, 30 Mar 2025 00:00:00 GMT"},
    "absurd_reset": {"x-ratelimit-reset": "9" * 30},
    "words": {"retry-after": "in a moment"},
}


@trying("rate_limit", "rate_limit_style", "rate_limit_s")
@pytest.mark.parametrize("style", KNOBS["rate_limit_style"].metadata["choices"])
def test_a_429_says_when_to_come_back_in_every_style(sim: Running, style: str) -> None:
    sim.set_faults(rate_limit=1, rate_limit_style=style, rate_limit_s=7)
    reply = get(sim, "/porting/events")
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (429, "10011")
    said = {
        name: reply.headers[name] for name in ("retry-after", "x-ratelimit-reset") if name in reply.headers
    }
    assert said == LIMITS[style]
    assert "ResponseStatus" in get(sim, FONE, **ALL).json()


@trying("quota", "quota_s")
def test_a_quota_is_spent_by_each_provider_and_begins_anew(sim: Running) -> None:
    sim.set_faults(quota=2, quota_s=3_600)
    replies = [get(sim, "/portouts") for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert [reply.headers["x-ratelimit-remaining"] for reply in replies] == ["1", "0", "0"]
    assert {reply.headers["x-ratelimit-limit"] for reply in replies} == {"2"}
    assert 3_500 < int(replies[2].headers["x-ratelimit-reset"]) <= 3_600
    assert [get(sim, FONE, **ALL).status_code for _ in range(3)] == [200, 200, 429]
    sim.set_faults(quota_s=0)
    assert get(sim, "/portouts").status_code == 200


@trying("error", "error_style")
@pytest.mark.parametrize("style", ["json", "html", "empty"])
def test_an_error_has_the_body_of_its_style(sim: Running, style: str) -> None:
    sim.set_faults(error=1, error_style=style)
    for path, envelope in (("/portouts", "errors"), (FONE, "ResponseStatus")):
        reply = get(sim, path, **ALL)
        assert reply.status_code in (500, 502, 503, 504)
        kind = {"json": f'{{"{envelope}"', "html": "<html>", "empty": ""}[style]
        assert reply.text.startswith(kind) and bool(reply.text) == bool(kind)


@trying("revoked", "revoked_status")
def test_a_revoked_key_is_refused_until_it_is_given_back(sim: Running) -> None:
    for revoked, wanted in (("telnyx", [403, 200]), ("fonedynamics", [200, 403]), ("both", [403, 403])):
        sim.set_faults(revoked=revoked, revoked_status=403)
        assert [get(sim, path, **ALL).status_code for path in ("/portouts", FONE)] == wanted
    sim.set_faults(revoked_status=401)
    assert get(sim, "/portouts").json()["errors"][0]["code"] == "10009"
    assert get(sim, FONE, **ALL).headers["www-authenticate"] == "Basic"
    sim.set_faults(revoked="none")
    assert get(sim, "/portouts").status_code == 200


@trying("false_404")
def test_a_false_404_denies_single_things_and_no_lists(sim: Running) -> None:
    id = listed(get(sim, "/portouts"))[0]
    sim.set_faults(false_404=1)
    assert get(sim, f"/portouts/{id}").status_code == 404
    assert get(sim, "/portouts").status_code == 200
    sim.set_faults(false_404=0)
    assert get(sim, f"/portouts/{id}").status_code == 200


@trying("redirect")
def test_a_redirection_leads_to_where_it_is_counted_who_comes(sim: Running, http: httpx.Client) -> None:
    sim.set_faults(redirect=1)
    url, key = f"{sim.telnyx}/portouts", {"Authorization": "Bearer KEY"}
    assert http.get(url, headers=key).status_code == 302
    assert sim.stats()["elsewhere"].get("followed", 0) == 0
    assert http.get(url, headers=key, follow_redirects=True).status_code == 200
    assert sim.stats()["elsewhere"] == {"followed": 1, "with_credentials": 1}


@trying("slow")
def test_a_slow_reply_is_held_back(sim: Running, http: httpx.Client) -> None:
    sim.set_faults(slow=60)
    with pytest.raises(httpx.ReadTimeout):
        http.get(f"{sim.telnyx}/portouts", timeout=0.1)


@trying("reset", "reset_style")
@pytest.mark.parametrize("style", ["before", "headers", "body"])
def test_a_connection_is_cut_where_its_style_says(sim: Running, style: str) -> None:
    sim.set_faults(reset=1, reset_style=style)
    before = counted(sim, "reset")
    with sent(sim, "/v2/portouts") as connection:
        got = b""
        try:
            while chunk := connection.recv(65_536):
                got += chunk
        except ConnectionResetError:
            assert style != "body"
    head, blank, body = got.partition(b"\r\n\r\n")
    if style == "before":
        assert got == b""
    elif style == "headers":
        assert not blank
    else:
        assert head.startswith(b"HTTP/1.1 200") and body.startswith(b'{"data":[')
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)
    assert counted(sim, "reset") == before + 1


@trying("drip", "drip_style", "drip_bytes", "drip_s")
@pytest.mark.parametrize("style", ["body", "headers"])
def test_a_reply_drips(sim: Running, style: str) -> None:
    whole = get(sim, "/portouts/events").content
    sim.set_faults(drip=1, drip_style=style, drip_bytes=1_000, drip_s=0.001)
    assert get(sim, "/portouts/events").content == whole
    sim.set_faults(drip_bytes=10, drip_s=60)
    with sent(sim, "/v2/portouts/events") as connection:
        connection.settimeout(0.3)
        got = b"".join(_until_it_stops(connection))
    assert (b"\r\n\r\n" in got) == (style == "body")
    assert len(got.partition(b"\r\n\r\n")[2]) <= 10


def _until_it_stops(connection: socket.socket) -> Iterator[bytes]:
    try:
        while chunk := connection.recv(65_536):
            yield chunk
    except TimeoutError:
        return
    raise AssertionError("the reply ended")


@trying("huge", "huge_mb")
def test_a_huge_reply_is_good_json_and_does_not_say_its_length(sim: Running) -> None:
    plain = get(sim, "/portouts").json()
    sim.set_faults(huge=1, huge_mb=2)
    reply = get(sim, "/portouts")
    assert len(reply.content) > 2 * MB and "content-length" not in reply.headers
    assert reply.json() == plain


@trying("bomb", "bomb_mb")
def test_a_bomb_is_small_on_the_wire_and_unpacks_to_its_size(sim: Running, http: httpx.Client) -> None:
    sim.set_faults(bomb=1, bomb_mb=20)
    with http.stream("GET", f"{sim.telnyx}/portouts", headers={"Accept-Encoding": "identity"}) as reply:
        assert reply.headers["content-encoding"] == "gzip"
        raw = b"".join(reply.iter_raw())
    assert len(raw) < 100_000
    assert zlib.decompress(raw, zlib.MAX_WBITS | 16) == b" " * 20 * MB
    assert len(bomb(200)) < MB


@trying("cut")
def test_cut_json_is_whole_as_http(sim: Running) -> None:
    sim.set_faults(cut=1)
    reply = get(sim, "/porting/events")
    assert int(reply.headers["content-length"]) == len(reply.content) > 100
    with pytest.raises(json.JSONDecodeError):
        reply.json()


@trying("foreign", "foreign_style")
@pytest.mark.parametrize(
    ("style", "telnyx", "fone"),
    [
        ("html", "<html>", "<html>"),
        ("object", "{}", "{}"),
        ("null", "null", "null"),
        ("list", "[]", "[]"),
        ("text", '"OK"', '"OK"'),
        ("empty", "", ""),
        ("error", '{"errors":', '{"ResponseStatus":'),
        ("other_provider", '{"PortingRequests":', '{"data":'),
    ],
)
def test_foreign_replies_are_something_else_with_status_200(
    sim: Running, style: str, telnyx: str, fone: str
) -> None:
    sim.set_faults(foreign=1, foreign_style=style)
    for path, wanted in (("/portouts", telnyx), (FONE, fone)):
        reply = get(sim, path, **ALL)
        assert reply.status_code == 200
        assert reply.text.startswith(wanted) and bool(reply.text) == bool(wanted)


@trying("bad_json", "bad_json_style")
@pytest.mark.parametrize(
    ("style", "error"),
    [
        ("deep", RecursionError),
        ("nan", ValueError),
        ("infinity", ValueError),
        ("huge_int", ValueError),
        ("not_utf8", UnicodeDecodeError),
    ],
)
def test_bad_json_is_refused_by_a_careful_reader(sim: Running, style: str, error: type[Exception]) -> None:
    sim.set_faults(bad_json=1, bad_json_style=style)
    for path in ("/portouts", FONE):
        with pytest.raises(error):
            json.loads(get(sim, path, **ALL).content, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


@trying("empty_list")
def test_an_empty_list_comes_where_there_are_orders(sim: Running) -> None:
    sim.set_faults(empty_list=1)
    for path in ("/porting/events", "/porting_orders", "/portouts"):
        body = get(sim, path).json()
        assert (body["data"], body["meta"]["total_results"]) == ([], 0)
    assert get(sim, FONE, **ALL).json() == {"PortingRequests": [], "TotalCount": 0}
    id = sim.truth()["telnyx"]["portout_events"][0]
    assert get(sim, f"/portouts/events/{id}").json()["data"]["id"] == id


@trying("duplicate")
def test_duplicates_stand_beside_each_other_and_count(sim: Running) -> None:
    plain = listed(get(sim, "/portouts/events", **{"page[size]": 250}))
    sim.set_faults(duplicate=0.5)
    for _ in range(2):
        reply = get(sim, "/portouts/events", **{"page[size]": 250})
        ids = listed(reply)
        assert list(dict.fromkeys(ids)) == plain
        assert len(plain) < len(ids) == reply.json()["meta"]["total_results"]
    sim.set_faults(duplicate=1)
    numbers = listed(get(sim, FONE, **ALL, Results_Count=500), "PortingNo")
    assert set(Counter(numbers).values()) == {2}


@trying("twin")
def test_a_twin_has_the_same_id_and_older_content(sim: Running) -> None:
    sim.set_faults(twin=1)
    truths = sim.truth()
    by: dict[str, list[Any]] = {}
    for item in get(sim, "/portouts", **{"page[size]": 250}).json()["data"]:
        by.setdefault(item["id"], []).append(item)
    for id, pair in by.items():
        old, new = sorted(pair, key=lambda item: item["updated_at"])
        assert new["status"] == truths["telnyx"]["portouts"][id]["status"]
        assert old["updated_at"] <= new["updated_at"]
    assert any(pair[0]["status"] != pair[1]["status"] for pair in by.values())
    events = get(sim, "/portouts/events", **{"page[size]": 250}).json()["data"]
    assert {event["payload_status"] for event in events} == {"created", "completed"}
    for request in get(sim, FONE, **ALL, Results_Count=500).json()["PortingRequests"]:
        by.setdefault(request["PortingNo"], []).append(request)
    for id, request in truths["fonedynamics"]["requests"].items():
        earlier, later = by[id]  # without a time of its own, the last one counts
        shown = {line["Number"]: line["StatusHistory"] for line in later["PortingNumbers"]}
        assert (later["Status"], shown) == (request["Status"], request["history"])
        assert earlier != later or not any(shown.values())


@trying("drift")
def test_drift_lets_rows_be_born_between_pages() -> None:
    with start(*WORLD, "--fault", "drift=1") as running:
        running.advance(20 * DAY)
        first, second = (
            get(running, "/porting_orders", **{"page[size]": 5, "page[number]": n}) for n in (1, 2)
        )
        for number in range(3, 8):
            second = get(running, "/porting_orders", **{"page[size]": 5, "page[number]": number})
        assert running.clock()["now"] > "2025-03-21T00:00:00.000Z"
        newest = get(running, "/porting_orders", **{"page[size]": 5})
        assert second.json()["meta"]["total_results"] >= first.json()["meta"]["total_results"]
        assert newest.json() != first.json()
        assert counted(running, "drift") == 6
        closed = {"filter[created_at][lte]": "2025-03-21T00:00:00Z", "page[size]": 20}
        totals = {
            get(running, "/porting/events", **closed, **{"page[number]": number}).json()["meta"][
                "total_results"
            ]
            for number in range(1, 5)
        }
        assert len(totals) == 1


@trying("leave", "leave_style")
@pytest.mark.parametrize("style", ["counted", "swapped"])
def test_a_row_that_leaves_the_list_hides_another_one(sim: Running, style: str) -> None:
    def page(number: int) -> httpx.Response:
        return get(sim, "/portouts/events", **{"page[size]": 10, "page[number]": number})

    plain = [*listed(page(1)), *listed(page(2))]
    total = page(1).json()["meta"]["total_results"]
    sim.set_faults(leave=1, leave_style=style)
    assert listed(page(1)) == plain[:10]
    assert listed(page(2))[:9] == plain[11:]
    assert page(2).json()["meta"]["total_results"] == total - (style == "counted")


@trying("list_order")
def test_lists_without_a_stated_order_come_in_any(sim: Running) -> None:
    size = {"page[size]": 250}
    oldest = listed(get(sim, "/portouts/events", **size))
    sim.set_faults(list_order="newest")
    assert listed(get(sim, "/portouts/events", **size)) == oldest[::-1]
    sim.set_faults(list_order="shuffled")
    shuffled = listed(get(sim, "/portouts/events", **size))
    assert sorted(shuffled) == sorted(oldest) and shuffled not in (oldest, oldest[::-1])
    assert listed(get(sim, "/portouts/events", **size)) == shuffled
    for path, params in ((FONE, ALL), ("/porting_phone_numbers", {}), ("/portouts", {})):
        assert get(sim, path, **params).status_code == 200


@trying("unreadable_item", "wrong_type", "nulls", "new_fields")
@pytest.mark.parametrize(
    "path", ["/porting/events", "/porting_orders", "/portouts", "/porting_phone_numbers", FONE]
)
def test_single_items_are_spoiled(sim: Running, path: str) -> None:
    def items(**knobs: float) -> list[Any]:
        sim.clear_faults()
        sim.set_faults(**knobs)
        body = get(sim, path, **ALL).json()
        found: list[Any] = body.get("data", body.get("PortingRequests"))
        return found

    name = "PortingNo" if path == FONE else "phone_number" if "numbers" in path else "id"
    plain = items()
    before = counted(sim, "unreadable_item")
    broken = items(unreadable_item=1)
    assert len(broken) == len(plain) == counted(sim, "unreadable_item") - before
    assert all(
        item == "unreadable" or name not in item or item.get("created_at") == item["Created"] == ["yesterday"]
        for item in broken
    )
    for was, item in zip(plain, items(wrong_type=1), strict=True):
        assert [type(item[key]) is type(value) for key, value in was.items()].count(False) == 1
    for was, item in zip(plain, items(nulls=1), strict=True):
        changed = [key for key in was if item[key] != was[key]]
        assert len(changed) <= 1 and all(item[key] is None for key in changed)
    for was, item in zip(plain, items(new_fields=1), strict=True):
        assert {key: item[key] for key in was} == was and "moon_phase" in item


@trying("odd_text")
def test_odd_texts_are_always_those_of_the_same_orders(sim: Running) -> None:
    sim.set_faults(odd_text=0.5)
    reply = get(sim, "/porting_orders")
    odd = [order["id"] for order in reply.json()["data"] if "\x00" in order["customer_reference"]]
    assert 0 < len(odd) < 20 and rb"\ud83d" in reply.content
    assert "\x00" in get(sim, f"/porting_orders/{odd[0]}").json()["data"]["customer_reference"]
    assert get(sim, "/porting_orders").content == reply.content
    requests = get(sim, FONE, **ALL).json()["PortingRequests"]
    assert any("\x1b" in request["CustomerDescription"] for request in requests)


# --- what Fone Dynamics leaves open ---------------------------------------------------------------------


def drained(page: Callable[..., httpx.Response], way: str, most: int = 60) -> list[str]:
    """Every PortingNo that comes by offset or by token, until a page brings nothing fresh."""
    seen: list[str] = []
    params: dict[str, object] = {}
    for _ in range(most):
        body = page(**params).json()
        ids = [item["PortingNo"] for item in body["PortingRequests"]]
        if not set(ids) - set(seen):
            break
        seen += ids
        token = body.get("NextPageToken")
        if way == "token" and token is None:
            break
        params = {"Results_Skip": len(seen)} if way == "offset" else {"NextPageToken": token}
    return list(dict.fromkeys(seen))


@trying("token_style")
@pytest.mark.parametrize(
    ("style", "by_offset", "by_token"),
    [
        ("offset", True, True),
        ("offset_only", True, False),
        ("token_only", False, True),
        ("page_number", True, True),
        ("constant", True, False),
        ("none", True, False),
        ("stuck", False, False),
        ("endless", False, True),
    ],
)
def test_a_token_style_honours_what_it_says(
    sim: Running, style: str, by_offset: bool, by_token: bool
) -> None:
    sim.set_faults(token_style=style)
    page = partial(get, sim, FONE, **ALL, Results_Count=4)
    there = set(sim.truth()["fonedynamics"]["requests"])
    assert (set(drained(page, "offset")) == there) == by_offset
    assert (set(drained(page, "token")) == there) == by_token
    first = page().json()
    assert len(first["PortingRequests"]) == 4
    assert ("NextPageToken" in first) == (style != "none")


def test_a_last_page_may_carry_a_token_and_an_endless_server_begins_again(sim: Running) -> None:
    there = len(sim.truth()["fonedynamics"]["requests"])
    last = get(sim, FONE, **ALL, Results_Count=4, Results_Skip=there - 2).json()
    assert (len(last["PortingRequests"]), last["NextPageToken"]) == (2, str(there))
    sim.set_faults(token_style="endless")
    tokens, params = set[str](), dict[str, str]()
    for _ in range(there):
        body = get(sim, FONE, **ALL, Results_Count=4, **params).json()
        assert body["PortingRequests"]
        params = {"NextPageToken": body["NextPageToken"]}
        tokens.add(body["NextPageToken"])
    assert len(tokens) == there


@trying("total_style")
def test_a_total_counts_what_its_style_says(sim: Running) -> None:
    requests = sim.truth()["fonedynamics"]["requests"]
    wanted = {
        "requests": len(requests),
        "numbers": sum(len(request["numbers"]) for request in requests.values()),
        "page": 4,
        "missing": None,
        "zero": 0,
        "more": len(requests) + 5,
        "text": str(len(requests)),
    }
    assert set(wanted) == set(KNOBS["total_style"].metadata["choices"])
    for style, total in wanted.items():
        sim.set_faults(total_style=style)
        assert get(sim, FONE, **ALL, Results_Count=4).json().get("TotalCount") == total


@trying("page_clamp", "count_max")
def test_a_page_of_fone_dynamics_is_clamped_or_refused(sim: Running) -> None:
    sim.set_faults(page_clamp=3)
    assert len(listed(get(sim, FONE, **ALL, Results_Count=50), "PortingNo")) == 3
    sim.set_faults(page_clamp=0, count_max=10)
    assert get(sim, FONE, **ALL, Results_Count=11).status_code == 400
    assert get(sim, FONE, **ALL, Results_Count=10).status_code == 200


@trying("window", "bounds", "history_style", "unstarted")
def test_what_a_window_of_fone_dynamics_selects(sim: Running) -> None:
    requests = sim.truth()["fonedynamics"]["requests"]
    id, request = next((id, r) for id, r in requests.items() if len(next(iter(r["history"].values()))) > 2)
    entries = next(iter(request["history"].values()))
    first, last = (
        entries[0]["Created"],
        max(e["Created"] for line in request["history"].values() for e in line),
    )

    def found(since: int, until: int) -> dict[str, Any]:
        body = get(sim, FONE, From=since, To=until, Results_Count=500).json()
        return {item["PortingNo"]: item for item in body["PortingRequests"]}

    assert id in found(first, first) and id in found(last, last)
    sim.set_faults(window="latest")
    assert id not in found(first, first) and id in found(last, last)
    sim.set_faults(window="any", bounds="exclusive")
    assert id not in found(first, first) and id in found(first - 1, first + 1)
    sim.set_faults(bounds="inclusive", history_style="window")
    shown = found(first, first)[id]["PortingNumbers"][0]["StatusHistory"]
    assert shown == [entry for entry in entries if entry["Created"] == first] != entries
    sim.set_faults(history_style="whole", unstarted="hidden")
    assert id not in found(request["Created"], request["Created"])
    sim.set_faults(unstarted="listed")
    assert id in found(request["Created"], request["Created"])


@trying("window_max_s")
def test_a_window_that_is_too_large_is_refused(sim: Running) -> None:
    sim.set_faults(window_max_s=3_600)
    assert get(sim, FONE, From=0, To=3_601).status_code == 400
    assert get(sim, FONE, From=0, To=3_600).status_code == 200


@trying("array_style")
def test_a_list_of_requests_is_spelled_in_the_style_that_is_honoured(
    sim: Running, http: httpx.Client
) -> None:
    every = sorted(sim.truth()["fonedynamics"]["requests"])
    one, two = every[:2]
    window = "From=0&To=2000000000&Results_Count=500"
    comma = f"{sim.telnyx}{FONE}?{window}&PortingRequestNumbers={one}%2C{two}"
    repeated = f"{sim.telnyx}{FONE}?{window}&PortingRequestNumbers={one}&PortingRequestNumbers={two}"
    both, none = {one, two}, set[str]()
    for style, by_comma, by_repetition in (
        ("any", both, both), ("comma", both, {two}), ("repeated", none, both), ("ignored", set(every), set(every)),
    ):  # fmt: skip
        sim.set_faults(array_style=style)
        assert set(listed(http.get(comma), "PortingNo")) == by_comma
        assert set(listed(http.get(repeated), "PortingNo")) == by_repetition


# --- what Telnyx leaves open ----------------------------------------------------------------------------


@trying("telnyx_clamp")
def test_a_page_of_telnyx_is_clamped_and_says_so(sim: Running) -> None:
    sim.set_faults(telnyx_clamp=10)
    body = get(sim, "/porting/events", **{"page[size]": 250, "page[number]": 2}).json()
    there = sim.truth()["telnyx"]["porting_events"]
    assert [item["id"] for item in body["data"]] == there[10:20]
    assert (body["meta"]["page_size"], body["meta"]["total_pages"]) == (10, -(-len(there) // 10))


@trying("meta_style")
def test_the_numbers_in_meta_come_in_every_style(sim: Running) -> None:
    plain = get(sim, "/portouts").json()["meta"]
    wanted = {
        "whole": plain,
        "float": {key: float(value) for key, value in plain.items()},
        "text": {key: str(value) for key, value in plain.items()},
        "missing": None,
        "zero": {**plain, "total_pages": 0, "total_results": 0},
    }
    assert set(wanted) == set(KNOBS["meta_style"].metadata["choices"])
    for style, meta in wanted.items():
        sim.set_faults(meta_style=style)
        said = get(sim, "/portouts").json()
        assert said.get("meta") == meta and said["data"]
    sim.set_faults(meta_style="float")
    assert '"page_number":1.0' in get(sim, "/portouts").text


@trying("dropped_filters")
def test_filters_that_left_the_specification_are_taken_ignored_or_refused(sim: Running) -> None:
    orders = sim.truth()["telnyx"]["porting_orders"]
    id = next(id for id, order in orders.items() if not order["deleted"])
    asked = partial(get, sim, "/porting_phone_numbers", **{"filter[porting_order_id]": id})
    assert set(listed(asked(), "porting_order_id")) == {id}
    sim.set_faults(dropped_filters="ignored")
    assert len(set(listed(asked(), "porting_order_id"))) > 1
    sim.set_faults(dropped_filters="refused")
    assert asked().status_code == 422


# --- events and orders born under a knob ----------------------------------------------------------------


@trying("late", "late_max_s")
def test_a_late_event_is_listed_later_at_its_own_time() -> None:
    world = of(late=1, late_max_s=86_400)
    world.clock.advance(10 * DAY)
    world.now()
    early = [event for event in world.by_id["in"].values() if event.visible_at > world.now()]
    listed = {event.id for event in world.window("in", None, None)}
    assert early and not listed & {event.id for event in early}
    delays = [event.visible_at - event.created_at for event in world.by_id["in"].values()]
    assert max(delays) <= timedelta(days=1) and min(delays) >= timedelta(0)
    world.clock.advance(DAY)
    now = world.window("in", None, None)
    assert {event.id for event in early} <= {event.id for event in now}
    assert [event.created_at for event in now] == sorted(event.created_at for event in now)
    assert world.injected["late"] == len(world.by_id["in"]) + len(world.by_id["out"])


@trying("very_late", "very_late_s")
def test_a_very_late_event_comes_beyond_the_usual_lookback() -> None:
    world = lived(10, very_late=1, very_late_s=7_200)
    delays = [event.visible_at - event.created_at for event in world.by_id["in"].values()]
    assert timedelta(hours=2) <= min(delays) and max(delays) <= timedelta(hours=4)
    assert world.injected["very_late"] > 0


@trying("empty_payload", "empty_payload_s", "empty_style")
@pytest.mark.parametrize(("style", "empty"), [("object", {}), ("null", None), ("absent", "absent")])
def test_a_payload_is_empty_for_a_while(style: str, empty: object) -> None:
    faults = ("empty_payload=1", "empty_payload_s=100000", f"empty_style={style}")
    with start(*WORLD, *(part for fault in faults for part in ("--fault", fault))) as running:
        running.advance(10 * DAY)
        id = [id for id, said in running.truth()["telnyx"]["events"]["in"].items() if not said["complete"]][
            -1
        ]
        event = get(running, f"/porting/events/{id}").json()["data"]
        assert (event.get("payload", "absent"), event["payload_status"]) == (empty, "created")
        running.advance(100_000)
        filled = get(running, f"/porting/events/{id}").json()["data"]
        assert filled["payload"] and filled["payload_status"] == "completed"
        assert filled["updated_at"] > event["updated_at"] == event["created_at"]


@trying("never_filled")
def test_a_payload_may_never_come() -> None:
    world = lived(60, never_filled=1)
    filled = [
        event for event in world.by_id["in"].values() if event.payload and event.filled_at <= world.now()
    ]
    assert not filled and world.injected["never_filled"]


@trying("unknown_words")
def test_unknown_words_are_shown_by_both_providers() -> None:
    told = lived(60, unknown_words=1)
    words = {
        entry["FdxStatusTo"]
        for order in told.orders["fone"].values()
        for line in order.lines.values()
        for entry in line.history
    }
    assert any(word.startswith("Moon Phase") for word in words)
    for feed in ("in", "out"):
        payloads = [event.payload or {} for event in told.by_id[feed].values()]
        assert any("awaiting-moonrise" in str(payload.get("status")) for payload in payloads)


@trying("unknown_codes", "unknown_types")
def test_unknown_codes_and_event_types_come_when_asked_for() -> None:
    with start(*WORLD, "--fault", "unknown_codes=1", "--fault", "unknown_types=1") as running:
        running.advance(30 * DAY)
        events = get(running, "/porting/events", **{"page[size]": 250}).json()["data"]
        odd = next(event for event in events if event["event_type"] == "porting_order.moon_phase_changed")
        assert get(running, f"/porting/events/{odd['id']}").json()["data"] == odd
        codes = {
            detail["code"]
            for event in events
            for detail in ((event["payload"] or {}).get("status") or {}).get("details", [])
        }
        published = {item["code"] for item in get(running, "/porting_orders/exception_types").json()["data"]}
        assert codes - published and codes & published


@trying("unlisted")
def test_unlisted_port_outs_are_known_by_their_events_alone(sim: Running) -> None:
    sim.set_faults(unlisted=1)
    assert get(sim, "/portouts").json()["data"] == []
    id = get(sim, "/portouts/events").json()["data"][0]["portout_id"]
    assert get(sim, f"/portouts/{id}").json()["data"]["id"] == id


@trying("splits", "deletions", "silent_deletions")
def test_splits_and_deletions_happen_as_often_as_asked_for() -> None:
    types = Counter(event.type for event in lived(60, splits=0, deletions=0).by_id["in"].values())
    assert not types["porting_order.split"] and not types["porting_order.deleted"]
    types = Counter(event.type for event in lived(60, splits=1, deletions=0).by_id["in"].values())
    assert types["porting_order.split"] > 20
    world = lived(60, silent_deletions=1)
    assert all(
        order.deleted for order in world.orders["in"].values() if order.born_at < START + timedelta(days=40)
    )
    assert not world.by_id["in"]


@trying("date_skew_s", "date_style")
def test_the_date_header_can_be_wrong(sim: Running) -> None:
    sim.set_faults(date_skew_s=-7_200)
    assert get(sim, "/portouts").headers["date"] == "Sun, 30 Mar 2025 22:00:00 GMT"
    sim.set_faults(date_style="missing")
    assert "date" not in get(sim, "/portouts").headers
    sim.set_faults(date_style="words")
    assert get(sim, "/portouts").headers["date"] == "yesterday, after tea"
