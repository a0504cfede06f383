"""Fone Dynamics: its words, its requests, every way of paging a server may have, orders and their history."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from made import ACCOUNT_SID, NOW, account
from recordings import recording

from aggregator import providers
from aggregator.core.account import Account
from aggregator.core.diff import diff
from aggregator.core.fold import fold
from aggregator.core.model import (
    NOT_TOLD,
    Basis,
    Carrier,
    Direction,
    Events,
    Fact,
    Listing,
    Meaning,
    Moment,
    OrderRef,
    Orders,
    Page,
    Partial,
    Reading,
    Request,
    Source,
    State,
    Vocabulary,
    Whole,
    Window,
    Word,
)
from aggregator.core.normalise import meaning, normalise
from aggregator.errors import PageChanged, Refused
from aggregator.sweep import Sweep, sweep

FONE = providers.load("fonedynamics")
MAIN = account("fonedynamics")
PATH = f"/Accounts/{ACCOUNT_SID}/Porting/Status"
WINDOW = Window("porting_status", NOW - timedelta(hours=1), NOW)


def replied(request: Request, body: Any) -> Page:
    """A reply to this very request."""
    return Page(request, 200, json.dumps(body).encode(), NOW, None)


def read(items: Any, own: Account = MAIN, params: Iterable[tuple[str, str]] = (), **more: Any) -> Reading:
    """What a page with these porting requests says."""
    body = {"PortingRequests": items, **more}
    return own.adapter.read(replied(Request(PATH, tuple(params)), body), own.options)


def looked(**item: Any) -> tuple[Fact, ...]:
    return read([{"PortingNo": "P-1", **item}]).facts


# --- words, as the status model has them ----------------------------------------------------------------

WORDS = {
    "Received": ("with_provider", Basis.INFERRED),
    "Queued": ("with_provider", Basis.INFERRED),
    **dict.fromkeys(["draft"], ("draft", Basis.GUESS)),
    **dict.fromkeys(["new", "pending", "processing", "inprogress"], ("with_provider", Basis.GUESS)),
    **dict.fromkeys(["submitted", "senttocarrier"], ("with_carrier", Basis.GUESS)),
    **dict.fromkeys(["accepted", "approved", "scheduled", "confirmed"], ("scheduled", Basis.GUESS)),
    **dict.fromkeys(["rejected", "failed", "error"], ("exception", Basis.GUESS)),
    **dict.fromkeys(["completed", "complete", "ported"], ("ported", Basis.GUESS)),
    **dict.fromkeys(["cancelled", "canceled", "withdrawn"], ("cancelled", Basis.GUESS)),
}


def means(word: str | None, own: Account = MAIN) -> tuple[str, Basis]:
    said = meaning(word, Vocabulary.PORT_IN, own.words)
    return said.value, said.basis


def test_every_word_means_what_the_status_model_says() -> None:
    table, codes = FONE.words[Vocabulary.PORT_IN], FONE.words[Vocabulary.CARRIER_STATUS]
    assert {word: (said.value, said.basis) for word, said in table.items()} == WORDS
    assert codes == {"1": Meaning("unresolved", Basis.NONE)}  # published without a meaning
    assert len(FONE.words) == 2
    assert FONE.reasons == {}  # the provider gives no reason anywhere


@pytest.mark.parametrize("word", ["In Progress", "in-progress", "IN_PROGRESS", " inprogress ", "inProgress"])
def test_a_guessed_word_matches_without_case_spaces_and_hyphens(word: str) -> None:
    assert means(word) == ("with_provider", Basis.GUESS)


@pytest.mark.parametrize("word", ["Sent to Carrier", "sent-to-carrier", "SentToCarrier"])
def test_words_of_several_parts_fold_alike(word: str) -> None:
    assert means(word) == ("with_carrier", Basis.GUESS)


@pytest.mark.parametrize(
    "word", ["Reject Resolved", "Not Rejected", "Unconfirmed", "Awaiting Cutover", "1", "", None]
)
def test_no_part_of_a_word_is_matched(word: str | None) -> None:
    assert means(word) == (State.UNKNOWN, Basis.NONE)


def test_published_words_match_exactly_and_stand_without_guessing() -> None:
    certain = account("fonedynamics", guess_statuses=False)
    for word, (_, basis) in WORDS.items():
        expected = (State.UNKNOWN, Basis.NONE) if basis is Basis.GUESS else WORDS[word]
        assert means(word, certain) == expected
    assert means("received") == (State.UNKNOWN, Basis.NONE)


def test_an_operator_s_words_win_in_any_spelling_and_stand_without_guessing() -> None:
    said = {
        "Awaiting Telstra": Meaning(State.WITH_CARRIER),
        "queued": Meaning(State.SCHEDULED),
        "Completed": Meaning(State.SCHEDULED),
    }
    for guess in (True, False):
        own = account("fonedynamics", operator={Vocabulary.PORT_IN: said}, guess_statuses=guess)
        assert means("AWAITING TELSTRA", own) == (State.WITH_CARRIER, Basis.DOCUMENTED)
        assert means("Queued", own) == means("completed", own) == (State.SCHEDULED, Basis.DOCUMENTED)
        assert means("Received", own) == (State.WITH_PROVIDER, Basis.INFERRED)


# --- requests -------------------------------------------------------------------------------------------


def planned(ask: Any, **options: Any) -> list[tuple[str, dict[str, str]]]:
    own = account("fonedynamics", **options)
    return [(request.path, dict(request.params)) for request in FONE.plan(ask, own.options)]


def test_a_window_is_asked_for_in_whole_seconds_with_one_to_spare_at_both_ends() -> None:
    since = datetime(2026, 6, 15, 11, 0, 0, 999_999, UTC)
    until = datetime(2026, 6, 15, 12, 0, 0, 1, UTC)
    begins, ends = int(datetime(2026, 6, 15, 11, tzinfo=UTC).timestamp()), int(NOW.timestamp())
    assert planned(Window("porting_status", since, until)) == [
        (PATH, {"From": str(begins - 1), "To": str(ends + 2), "Results_Count": "50"})
    ]
    assert planned(WINDOW)[0][1]["To"] == str(ends + 1)


def test_halves_of_a_window_overlap_whether_or_not_the_bounds_belong_to_it() -> None:
    middle = NOW - timedelta(minutes=30)
    ((_, older),) = planned(Window("porting_status", WINDOW.since, middle))
    ((_, newer),) = planned(Window("porting_status", middle, NOW))
    assert int(newer["From"]) < middle.timestamp() < int(older["To"])


def test_a_window_that_ends_before_it_begins_is_asked_for_as_an_empty_one() -> None:
    for ask in (
        Window("porting_status", NOW, NOW - timedelta(days=9)),
        Orders(Direction.PORT_IN, ("P-1",), since=NOW, until=NOW - timedelta(days=9)),
    ):
        ((_, params),) = planned(ask)
        assert int(params["From"]) <= int(params["To"])


@pytest.mark.parametrize("since", [datetime.min.replace(tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)])
def test_a_window_as_wide_as_the_calendar_can_be_asked_for(since: datetime) -> None:
    until = datetime.max.replace(tzinfo=UTC)
    for ask in (
        Window("porting_status", since, until),
        Orders(Direction.PORT_IN, ("P-1",), since=since, until=until),
    ):
        ((_, params),) = planned(ask)
        assert params["From"] == "0"
        assert int(params["To"]) >= 253402300799


def test_a_property_is_asked_for_in_place_of_the_account() -> None:
    assert planned(WINDOW, property_sid="S1/../x")[0][0] == "/Properties/S1%2F..%2Fx/Porting/Status"


def test_orders_are_asked_for_by_number_from_a_day_before_the_oldest_was_born() -> None:
    ask = Orders(Direction.PORT_IN, ("P-1", "P-2"), since=NOW - timedelta(days=9), until=NOW)
    ((path, params),) = planned(ask)
    assert (path, params["PortingRequestNumbers"]) == (PATH, "P-1,P-2")
    assert int(params["From"]) == int((NOW - timedelta(days=10)).timestamp()) - 1
    assert planned(Orders(Direction.PORT_IN, ("P-1",), until=NOW))[0][1]["From"] == "0"


@pytest.mark.parametrize("length", [8, 32, 200])
def test_many_orders_are_asked_for_in_batches_that_fit_into_a_query(length: int) -> None:
    ids = tuple(f"P-{n:0{length - 2}d}" for n in range(120))
    asked = [
        params["PortingRequestNumbers"] for _, params in planned(Orders(Direction.PORT_IN, ids, until=NOW))
    ]
    assert ",".join(asked).split(",") == list(ids)
    assert all(len(batch.split(",")) <= 50 for batch in asked)
    assert all(len(batch.replace(",", "%2C")) <= 1_500 for batch in asked)


def test_what_cannot_be_asked_for_is_said_at_once() -> None:
    for ask in (
        Listing("porting_status"),
        Events("porting_status", ("x",)),
        Window("porting_status", NOW),
        Orders(Direction.PORT_IN, ("P-1",)),
    ):
        with pytest.raises(ValueError, match="within a window"):
            planned(ask)


def test_a_page_size_that_is_refused_is_left_to_the_server() -> None:
    assert FONE.milder is not None
    (request,) = FONE.plan(WINDOW, MAIN.options)
    milder = FONE.milder(request)
    assert milder is not None and set(dict(milder.params)) == {"From", "To"}
    assert FONE.milder(milder) is None


# --- a page ---------------------------------------------------------------------------------------------


def test_a_page_without_its_list_means_nothing_only_where_the_total_is_nothing() -> None:
    for more in ({}, {"PortingRequests": None}):
        body = {"TotalCount": 0, **more}
        assert FONE.read(replied(Request(PATH), body), MAIN.options) == Reading(total=0, done=True)
        for total in (1, None, "none", True):
            with pytest.raises(PageChanged, match="PortingRequests"):
                FONE.read(replied(Request(PATH), {**body, "TotalCount": total}), MAIN.options)


@pytest.mark.parametrize(
    "status", [{"ErrorCode": "ArgumentException", "Message": "secret"}, {"ErrorCode": 5}]
)
def test_an_error_in_a_good_reply_is_no_page(status: Any) -> None:
    with pytest.raises(PageChanged, match="ErrorCode") as refusal:
        read([], ResponseStatus=status)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("status", [None, {}, {"ErrorCode": None}, {"ErrorCode": ""}, {"Message": "fine"}])
def test_an_envelope_without_an_error_is_no_fault(status: Any) -> None:
    assert read([], TotalCount=0, ResponseStatus=status).done


def test_orders_that_were_not_asked_for_are_left_alone() -> None:
    reading = recording("fonedynamics", "by-number").read()
    assert {fact.order.id for fact in reading.facts} == {"P-000501", "P-000502"}
    assert reading.ids == {"P-000501", "P-000502", "P-000777"}


# --- paging: every way a server may have ----------------------------------------------------------------


@dataclass
class Server:
    """A server with `count` porting requests that pages as it likes; a pure function of the request.

    honours: which of offset and token it follows. token: what its tokens look like; last: whether the last
    page has one. total: what TotalCount counts. clamp: the largest page.
    """

    count: int
    honours: str = "both"
    token: str = "offset"
    last: bool = True
    total: str = "requests"
    clamp: int = 200
    refuses: tuple[str, ...] = ()
    asked: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Page:
        self.asked.append(request)
        for name in self.refuses:
            if request.param(name) is not None:
                raise Refused(f"{name} is not known", 400)
        size = min(int(request.param("Results_Count") or 20), self.clamp)
        begin = self._begin(request, size)
        both = [{"Number": "+61255500101"}, {"Number": "+61255500102"}]
        every = [{"PortingNo": f"P-{n:06d}", "PortingNumbers": both} for n in range(self.count)]
        items = every[begin : begin + size]
        totals = {"requests": self.count, "numbers": 2 * self.count, "page": len(items), "missing": None}
        total = totals[self.total] if self.total in totals else int(self.total)
        body = {
            "PortingRequests": items,
            **({} if total is None else {"TotalCount": total}),
            **self._token(begin, size, len(items)),
        }
        return replied(request, body)

    def _begin(self, request: Request, size: int) -> int:
        token = request.param("NextPageToken")
        if token is not None and self.honours in ("token", "both"):
            if self.token == "page":
                return (int(token) - 1) * size
            if self.token == "page from 0":
                return int(token) * size
            if self.token != "constant":
                return int(token.removeprefix("opaque "))
        skip = request.param("Results_Skip")
        return int(skip) if skip is not None and self.honours in ("offset", "both") else 0

    def _token(self, begin: int, size: int, came: int) -> dict[str, str]:
        if self.token == "none" or (begin + came >= self.count and not self.last):
            return {}
        page = begin // size
        said = {"page": page + 2, "page from 0": page + 1, "constant": 1, "opaque": f"opaque {begin + came}"}
        return {"NextPageToken": str(said.get(self.token, begin + came))}

    @property
    def everything(self) -> set[str]:
        return {f"P-{n:06d}" for n in range(self.count)}


def swept(server: Server, own: Account = MAIN, ask: Any = WINDOW, **more: Any) -> Sweep:
    """A sweep of the server, which must end soon and ask for nothing twice."""
    found = sweep(own, ask, server, **more)
    size = min(20 if "Results_Count" in server.refuses else 50, server.clamp)
    assert len(server.asked) <= 2 * (server.count // size) + 6, server
    assert len({(request.path, request.params) for request in server.asked}) == len(server.asked), server
    assert {fact.order.id for fact in found.facts} <= server.everything
    return found


TOKENS = ("none", "offset", "page", "page from 0", "opaque", "constant")
TOTALS = ("requests", "numbers", "page", "missing")
CLAMPS = (20, 25, 50, 200)
COUNTS = (0, 1, 19, 20, 21, 50, 51, 100, 130)


def grid(honours: str, tokens: tuple[str, ...], counts: tuple[int, ...] = COUNTS) -> Iterable[Server]:
    """Every such server, with the counts at the edges of pages, and all of 0 to 130 among them."""
    for at, (token, last, total, clamp) in enumerate(product(tokens, (True, False), TOTALS, CLAMPS)):
        for count in {*counts, (at * 29) % 131, (at * 53) % 131}:
            yield Server(count, honours, token, last, total, clamp)


@pytest.mark.parametrize("token", TOKENS)
def test_a_server_that_honours_the_offset_is_drained_and_complete_whatever_its_tokens_and_totals(
    token: str,
) -> None:
    for server in grid("offset", (token,)):
        found = swept(server)
        assert found.seen == server.everything, server
        assert found.complete, (server, found.incomplete)


@pytest.mark.parametrize("token", [token for token in TOKENS if token not in ("none", "constant")])
@pytest.mark.parametrize("honours", ["token", "both"])
def test_a_server_that_honours_its_tokens_is_drained_whatever_it_counts(honours: str, token: str) -> None:
    for server in grid(honours, (token,), (0, 1, 20, 50, 100)):
        found = swept(server)
        assert found.seen == server.everything, server
        # A full page that no token led to, without a token and without a count that fits, cannot be told from
        # the first page of a server that knows no way on at all.
        alone = 20 <= server.count <= min(50, server.clamp) and not server.last and honours == "token"
        doubtful = alone and server.total in ("numbers", "missing")
        assert found.incomplete == ("no progress" if doubtful else None), server


@pytest.mark.parametrize("count", range(131))
def test_both_kinds_of_server_are_drained_at_every_size(count: int) -> None:
    for server in (
        Server(count, "offset", "constant", True, "numbers", 20),
        Server(count, "token", "opaque", False, "requests", 25),
        Server(count, "token", "page", True, "missing", 50),
    ):
        found = swept(server)
        assert found.seen == server.everything and found.complete, (server, found.incomplete)


def test_each_way_of_paging_can_be_prescribed() -> None:
    by_offset, by_token = (account("fonedynamics", paging=paging) for paging in ("offset", "token"))
    for server in grid("offset", ("page", "constant"), (0, 50)):
        found = swept(server, by_offset)
        assert found.complete and found.seen == server.everything, server
        assert all(request.param("NextPageToken") is None for request in server.asked)
    for server in grid("token", ("opaque", "page"), (0, 50)):
        found = swept(server, by_token)
        assert found.complete and found.seen == server.everything, server
        assert all(request.param("Results_Skip") is None for request in server.asked)


def test_a_server_that_follows_neither_is_never_complete_while_it_counts_more() -> None:
    for token, total, clamp in product(TOKENS, ("requests", "numbers", "missing"), CLAMPS):
        server = Server(130, "neither", token, True, total, clamp)
        found = swept(server)
        assert not found.complete, server
        assert 0 < len(found.seen) < 130


def test_a_prescribed_way_that_the_server_does_not_know_is_never_complete_while_it_counts_more() -> None:
    for paging, honours in (("offset", "token"), ("token", "offset")):
        own = account("fonedynamics", paging=paging)
        found = swept(Server(130, honours, "opaque", True, "requests", 50), own)
        assert found.incomplete == "no progress"


@pytest.mark.parametrize("total", [0, 1, 20, 49, 50, 51, 99, 129, 131, 10_000])
@pytest.mark.parametrize("clamp", [20, 50])
def test_a_wrong_total_never_ends_a_sweep_early(total: int, clamp: int) -> None:
    for honours, token in product(("offset", "both"), TOKENS):
        if honours == "both" and token == "constant":
            continue
        for count in (50, 110):
            server = Server(count, honours, token, True, str(total), clamp)
            found = swept(server)
            assert found.seen == server.everything, server
            assert found.complete, (server, found.incomplete)


def test_the_published_token_on_a_last_page_costs_no_request() -> None:
    server = Server(1)
    assert swept(server).complete
    assert len(server.asked) == 1


def test_nothing_where_something_is_counted_is_no_end() -> None:
    found = sweep(MAIN, WINDOW, lambda request: replied(request, {"PortingRequests": [], "TotalCount": 3}))
    assert not found.complete and found.pages == 1


def test_a_way_that_is_refused_leaves_the_other() -> None:
    for honours, refuses in (("offset", "NextPageToken"), ("token", "Results_Skip")):
        server = Server(130, honours, "opaque", False, "missing", 50, refuses=(refuses,))
        found = swept(server)
        assert found.complete and found.seen == server.everything, server


def test_a_server_that_refuses_the_page_size_is_read_with_its_own() -> None:
    server = Server(70, "offset", refuses=("Results_Count",))
    found = sweep(MAIN, WINDOW, server)
    assert found.complete and found.seen == server.everything


def test_a_token_goes_back_under_the_name_that_is_configured() -> None:
    own = account("fonedynamics", paging="token", page_token_param="PageToken")
    reading = read([{"PortingNo": "P-1"}], own, NextPageToken="abc", TotalCount=9)
    (request,) = reading.next
    assert (request.param("PageToken"), request.param("NextPageToken")) == ("abc", None)


@pytest.mark.parametrize(
    ("token", "params", "ways"),
    [
        ("1", {}, [("Results_Skip", "1"), ("NextPageToken", "1")]),
        ("2", {}, [("NextPageToken", "2"), ("Results_Skip", "1")]),
        ("1", {"NextPageToken": "0"}, [("NextPageToken", "1"), ("Results_Skip", "1")]),
        ("x", {"Results_Skip": "0"}, [("Results_Skip", "1"), ("NextPageToken", "x")]),
        (None, {}, [("Results_Skip", "1")]),
        ("", {"NextPageToken": "0"}, [("Results_Skip", "1")]),
    ],
)
def test_the_way_that_led_here_is_tried_first_and_a_token_that_is_the_offset_goes_out_as_one(
    token: str | None, params: dict[str, str], ways: list[tuple[str, str]]
) -> None:
    own = {"From": "1", "To": "2", **params}
    reading = read([{"PortingNo": "P-1"}], params=own.items(), NextPageToken=token)
    found = [
        tuple(pair for pair in request.params if pair[0] not in ("From", "To")) for request in reading.next
    ]
    assert found == [(way,) for way in ways]
    assert [request.received for request in reading.next] == [1] * len(ways)


def test_a_sweep_by_number_ends_when_everything_asked_for_has_come() -> None:
    ids = ("P-000003", "P-000007")
    server = Server(130, "offset", "none", True, "missing", 50)  # it ignores the filter
    ask = Orders(Direction.PORT_IN, ids, until=NOW)
    found = swept(server, ask=ask, asked=frozenset(ids))
    assert found.complete and len(server.asked) == 1
    assert {fact.order.id for fact in found.facts} == set(ids)


# --- an order -------------------------------------------------------------------------------------------


def test_the_published_page_reads_whole_with_its_impossible_number_and_dates() -> None:
    facts = [normalise(fact, MAIN.words) for fact in recording("fonedynamics", "published").read().facts]
    standing = fold(None, facts)
    order, number = standing.order, standing.numbers["+611111111112"]
    assert (order.state, order.raw_status, order.mapping_basis) == (
        State.WITH_PROVIDER,
        "Queued",
        Basis.INFERRED,
    )
    assert (order.requested_foc_on, order.requested_foc_at) == (date(2026, 2, 15), None)
    assert (order.confirmed_foc_on, order.confirmed_foc_at) == (date(2026, 3, 31), None)
    assert not order.foc_is_firm
    assert order.created_at == datetime(2026, 3, 31, 9, 54, tzinfo=UTC)
    assert order.customer_reference == "My Porting Request"
    assert (number.raw_number, number.e164, number.carrier_status_raw) == ("+611111111112", None, "1")
    assert number.state == State.WITH_PROVIDER


@pytest.mark.parametrize(
    ("said", "moment"),
    [
        (1771113600, Moment(date(2026, 2, 15))),
        ("1771113600", Moment(date(2026, 2, 15))),
        ("2026-02-15", Moment(date(2026, 2, 15))),
        ("2026-02-15T00:00:00Z", Moment(date(2026, 2, 15))),
        (1771160400, Moment(date(2026, 2, 16), datetime(2026, 2, 15, 13, tzinfo=UTC))),
        (None, None),
        ("", None),
    ],
)
def test_a_date_comes_as_a_number_as_digits_or_as_a_day(said: Any, moment: Moment | None) -> None:
    (order,) = looked(PreferredPortSchedule="Date", PreferredPortDate=said, PortDate=said)
    assert order.dates is not None
    assert (order.dates.requested, order.dates.confirmed) == (moment, moment)


@pytest.mark.parametrize("schedule", ["ASAP", None, "date"])
def test_a_preferred_date_counts_only_beside_the_schedule_date(schedule: str | None) -> None:
    (order,) = looked(PreferredPortSchedule=schedule, PreferredPortDate=1771113600)
    assert order.dates is not None and order.dates.requested is None


def test_the_references_and_the_carriers_of_an_order() -> None:
    (order,) = looked(
        CustomerDescription="C-9", PropertySid="S1", CurrentCarrier="Example Telecom", Status="Queued"
    )
    assert order.references is not None and order.carriers is not None
    assert (order.references.customer, order.references.sub_account) == ("C-9", "S1")
    assert (order.carriers.losing, order.carriers.gaining) == (
        Carrier("Example Telecom"),
        Carrier("Fone Dynamics"),
    )


def test_an_order_with_nothing_but_its_number_is_unknown_and_no_refusal() -> None:
    (order,) = looked()
    order = normalise(order, MAIN.words)
    assert order.status is not None and order.status.meaning is not None
    assert order.status.meaning.value == State.UNKNOWN
    assert order.numbers is None


def test_order_and_number_statuses_are_told_apart() -> None:
    (order,) = looked(
        Status="Queued",
        PortingNumbers=[{"Number": "+61255500101", "Status": "Completed"}, {"Number": "+61255500102"}],
    )
    assert isinstance(order.numbers, Whole)
    first, second = order.numbers.numbers
    assert first.status is not NOT_TOLD and first.status.raw == "Completed"
    assert second.status is NOT_TOLD  # a copy of the order's


@pytest.mark.parametrize("numbers", [None, []])
def test_an_order_without_a_number_list_removes_no_number(numbers: Any) -> None:
    assert looked(PortingNumbers=numbers)[0].numbers is None


GOOD = {"Number": "+61255500101", "Status": "Queued"}


@pytest.mark.parametrize("bad", [None, 5, "x", [], {}, {"Number": {}}, {"Number": 1.5}])
def test_a_number_that_cannot_be_read_costs_neither_the_order_nor_the_others(bad: Any) -> None:
    reading = read([{"PortingNo": "P-1", "Status": "Queued", "PortingNumbers": [GOOD, bad]}])
    order = reading.facts[0]
    assert isinstance(order.numbers, Partial) and [said.raw for said in order.numbers.numbers] == [
        "+61255500101"
    ]
    assert [said.ref.startswith("P-1/") for said in reading.skipped] == [True]


def test_a_reordered_list_of_numbers_is_the_same_document() -> None:
    lines = [{"Number": f"+612555001{n:02d}", "Status": "Queued"} for n in range(3)]
    assert looked(PortingNumbers=lines)[0].document == looked(PortingNumbers=lines[::-1])[0].document


def test_a_number_may_come_as_bare_digits() -> None:
    (order,) = looked(PortingNumbers=[{"Number": 61255500101}])
    assert order.numbers is not None and order.numbers.numbers[0].raw == "61255500101"


# --- history --------------------------------------------------------------------------------------------


def entry(before: Any, after: Any, at: Any = 1780003600, carrier: Any = ("1", "1")) -> dict[str, Any]:
    return {
        "FdxStatusFrom": before,
        "FdxStatusTo": after,
        "CarrierPortingStatusFrom": carrier[0],
        "CarrierPortingStatusTo": carrier[1],
        "Created": at,
    }


def history(*entries: Any) -> tuple[tuple[Fact, ...], Reading]:
    """The facts of a number's history, and the whole reading."""
    line = {"Number": "+61255500101", "Status": "Queued", "StatusHistory": list(entries)}
    reading = read([{"PortingNo": "P-1", "Status": "Queued", "PortingNumbers": [line]}])
    return tuple(fact for fact in reading.facts if fact.source is Source.EVENT), reading


def test_an_entry_is_an_event_of_its_own_time_with_a_natural_key() -> None:
    ((fact,), _) = history(entry("Received", "Queued", carrier=("1", "2")))
    assert fact.order == OrderRef(Direction.PORT_IN, "P-1")
    assert fact.as_of == datetime.fromtimestamp(1780003600, UTC)
    assert fact.announced is not None
    assert fact.announced.key == "P-1|+61255500101|1780003600|Received|Queued|1|2|1"
    assert (fact.announced.raw_from, fact.announced.raw_to) == ("Received", "Queued")
    assert fact.announced.number == "+61255500101" and fact.announced.complete
    assert isinstance(fact.numbers, Partial)
    (said,) = fact.numbers.numbers
    assert said.status is not NOT_TOLD and said.status.raw == "Queued"
    assert said.carrier_status == Word("2")
    assert fact.status is None  # the order's own status is told by the order alone


def test_an_entry_from_equal_to_is_history_and_no_change_of_state() -> None:
    ((fact,), _) = history(entry("Queued", "Queued", carrier=("1", "2")))
    assert fact.numbers is not None
    (said,) = fact.numbers.numbers
    assert (said.status, said.carrier_status) == (NOT_TOLD, Word("2"))
    assert fact.announced is not None and fact.announced.raw_from == fact.announced.raw_to == "Queued"


def test_a_move_of_the_carrier_s_code_alone_changes_the_raw_code_and_no_state() -> None:
    (facts, _) = history(
        entry("Received", "Queued", 1780003600), entry("Queued", "Queued", 1780003700, ("1", "2"))
    )
    first, second = (normalise(fact, MAIN.words) for fact in facts)
    before = fold(None, [first])
    changes = diff(before, fold(before, [second]), second)
    assert [(change.kind, change.field, change.old, change.new) for change in changes] == [
        ("raw_status_changed", "carrier_status_raw", "1", "2"),
        ("attribute_changed", "carrier_status", "unresolved", "unknown"),
    ]


def test_a_first_entry_may_have_no_before_and_no_carrier() -> None:
    ((fact,), _) = history(entry(None, "Received", carrier=(None, None)))
    assert fact.numbers is not None
    (said,) = fact.numbers.numbers
    assert said.status is not NOT_TOLD and said.status.raw == "Received"
    assert said.carrier_status is NOT_TOLD
    bare = {"FdxStatusTo": "Received", "Created": 1780003600}
    assert history(bare)[0][0].source_id == fact.source_id


def test_exact_twins_get_an_ordinal_and_anything_else_another_key() -> None:
    twin = entry("Received", "Queued")
    others = [
        entry("Received", "Queued", 1780003601),
        entry("New", "Queued"),
        entry("Received", "New"),
        entry("Received", "Queued", carrier=("1", "2")),
        entry("Received", "Queued", carrier=("2", "1")),
    ]
    (facts, _) = history(twin, *others, twin, twin)
    keys = [fact.source_id for fact in facts]
    assert len(set(keys)) == 8
    assert [key.rsplit("|", 1)[1] for key in keys] == ["1"] * 6 + ["2", "3"]
    (again, _) = history(*others, twin, twin, twin)
    assert {fact.source_id for fact in again} == set(keys)


def test_both_feeds_and_every_page_give_an_entry_the_same_id() -> None:
    ask = Orders(Direction.PORT_IN, ("P-1",), until=NOW)
    item = {
        "PortingNo": "P-1",
        "PortingNumbers": [{"Number": "+61255500101", "StatusHistory": [entry("A", "B")]}],
    }
    ids = set()
    for one in (WINDOW, ask):
        (request,) = FONE.plan(one, MAIN.options)
        reading = FONE.read(replied(request, {"PortingRequests": [item]}), MAIN.options)
        ids |= {fact.source_id for fact in reading.facts if fact.source is Source.EVENT}
    assert len(ids) == 1


@pytest.mark.parametrize(
    "bad",
    [
        None,
        5,
        "secret-5150",
        [],
        {},
        {"Created": "soon"},
        {"Created": 5, "FdxStatusTo": {"x": "secret-5150"}},
    ],
)
def test_an_entry_that_cannot_be_read_costs_neither_the_order_nor_the_others(bad: Any) -> None:
    (facts, reading) = history(entry("Received", "Queued"), bad)
    assert len(facts) == 1
    assert isinstance(reading.facts[0].numbers, Whole)
    assert [said.ref.startswith("P-1/+61255500101/history/") for said in reading.skipped] == [True]
    assert "secret-5150" not in repr(reading)


@pytest.mark.parametrize("bad", ["secret-5150", {"x": 1}, 5])
def test_a_history_that_is_no_list_costs_only_itself(bad: Any) -> None:
    line = {"Number": "+61255500101", "Status": "Queued", "StatusHistory": bad}
    reading = read([{"PortingNo": "P-1", "PortingNumbers": [line]}])
    assert isinstance(reading.facts[0].numbers, Whole)
    assert len(reading.skipped) == 1 and "secret-5150" not in repr(reading)


def test_status_is_the_truth_where_the_history_says_otherwise() -> None:
    (facts, reading) = history(entry("Queued", "Rejected", int(NOW.timestamp()) - 60))
    standing = fold(None, [normalise(fact, MAIN.words) for fact in reading.facts])
    assert standing.numbers["+61255500101"].state == State.WITH_PROVIDER
    assert facts[0].numbers is not None
