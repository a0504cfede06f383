"""What every adapter keeps to, whichever provider it is for: found by itself, tested with recorded bytes alone."""

import json
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import account
from recordings import FIXTURES, Recording, recordings, said, text_of, without_comments

from aggregator import providers
from aggregator.core.account import Account, Adapter, KeepTree
from aggregator.core.diff import diff
from aggregator.core.documents import FREE
from aggregator.core.fold import fold
from aggregator.core.model import (
    Direction,
    Events,
    Fact,
    Listing,
    Orders,
    Page,
    Part,
    Reading,
    State,
    Vocabulary,
    Window,
)
from aggregator.core.normalise import folded, normalise, unknown
from aggregator.errors import PageChanged
from aggregator.sweep import read

PROVIDERS = providers.names()
RECORDINGS = recordings()
NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
CANARY = "canary-5150"

every_provider = pytest.mark.parametrize("name", PROVIDERS)
every_recording = pytest.mark.parametrize("recording", RECORDINGS, ids=str)


def lists() -> list[Recording]:
    """The recordings of pages with several items that say something about orders."""
    return [recording for recording in RECORDINGS if recording.keeps and len(items_of(recording)) > 1]


def items_of(recording: Recording) -> list[Any]:
    """The items of a page: the one list at its top."""
    return next((value for value in recording.body.values() if isinstance(value, list)), [])


def with_items(recording: Recording, items: list[Any]) -> dict[str, Any]:
    """The body with other items."""
    name = next(name for name, value in recording.body.items() if isinstance(value, list))
    return {**recording.body, name: items}


def atoms(reading: Reading) -> set[Fact]:
    """What a reading says, so that one saying can be missed: a page of numbers number by number."""
    found: set[Fact] = set()
    for fact in reading.facts:
        if fact.part is Part.NUMBERS and fact.numbers is not None:
            lines = fact.numbers.numbers
            found |= {
                replace(fact, document=None, numbers=replace(fact.numbers, numbers=(line,))) for line in lines
            }
        else:
            found.add(fact)
    return found


# --- its tables -----------------------------------------------------------------------------------------


@every_provider
def test_a_provider_has_a_recording(name: str) -> None:
    assert recordings(name), f"put a reply of the provider into tests/fixtures/{name}; see docs/providers.md"


@every_provider
def test_no_word_stands_twice_and_none_says_unknown(name: str) -> None:
    adapter = providers.load(name)
    for vocabulary, table in adapter.words.items():
        twins = [word for word in table if sum(folded(word) == folded(other) for other in table) > 1]
        assert not twins, (vocabulary, twins)
        assert all(meaning.value != State.UNKNOWN for meaning in table.values())
    assert all(reason.code != "unknown" for reason in adapter.reasons.values())
    folded_reasons = [folded(code) for code in adapter.reasons]
    assert len(folded_reasons) == len(set(folded_reasons))


@every_provider
def test_status_words_map_to_states(name: str) -> None:
    adapter = providers.load(name)
    for vocabulary in ("status", "port_out"):
        meanings = adapter.words.get(vocabulary, {})  # type: ignore[call-overload]
        assert {meaning.value for meaning in meanings.values()} <= set(State)


@every_provider
def test_requests_are_relative_paths_with_text_parameters(name: str) -> None:
    own = account(name)
    for ask in asks(own.adapter):
        try:
            requests = own.adapter.plan(ask, own.options)
        except (ValueError, KeyError):
            continue  # not every provider can be asked for everything
        assert requests
        for request in requests:
            parts = urlsplit(request.path)
            assert request.path.startswith("/") and not request.path.startswith("//")
            assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
            assert ".." not in request.path.split("/")
            assert all(isinstance(part, str) for pair in request.params for part in pair)


def asks(adapter: Adapter) -> Iterator[Any]:
    """Everything an adapter may be asked for, with ids that want to leave their place."""
    ids = ("P-1", "../../../etc", "a/b?c=d#e", "//example.com/x")
    for feed in adapter.feeds:
        yield Window(feed, NOW - timedelta(days=1), NOW)
        yield Window(feed, datetime.min.replace(tzinfo=UTC), NOW)
        yield Listing(feed)
        yield Events(feed, ids)
    for direction in Direction:
        for part in (Part.ORDER, Part.NUMBERS, Part.COMMENTS):
            yield Orders(direction, ids, part, datetime.min.replace(tzinfo=UTC), NOW)


# --- a recording ----------------------------------------------------------------------------------------


@every_recording
def test_reading_twice_gives_equal_results_and_the_expected_ones(recording: Recording) -> None:
    reading = recording.read()
    assert recording.read() == reading
    assert recording.expected.exists(), "what should it say? Write it down with: python tests/recordings.py"
    assert text_of(reading, recording.account) == recording.expected.read_text("utf-8"), (
        "it reads differently now; if that is meant: python tests/recordings.py"
    )


def test_no_expected_file_is_left_without_its_recording() -> None:
    expected = {recording.expected for recording in RECORDINGS}
    stored = set(FIXTURES.glob("*/*.expected.json"))
    assert stored == expected


@every_recording
def test_every_word_is_mapped(recording: Recording) -> None:
    """But for a carrier's own codes behind a provider that has no key to them."""
    own = recording.account
    facts = [normalise(fact, own.words) for fact in recording.read().facts]
    words = [word for fact in facts for word in unknown(fact) if word[0] is not Vocabulary.CARRIER_STATUS]
    assert words == []


@every_recording
def test_every_time_has_a_zone(recording: Recording) -> None:
    times = list(times_in(recording.read()))
    assert all(at.utcoffset() == timedelta(0) for at in times)


def times_in(value: Any) -> Iterator[datetime]:
    if isinstance(value, datetime):
        yield value
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            yield from times_in(getattr(value, name))
    elif isinstance(value, tuple):
        for entry in value:
            yield from times_in(entry)


@every_recording
def test_a_second_look_changes_nothing(recording: Recording) -> None:
    own, reading = recording.account, recording.read()
    facts = [normalise(fact, own.words) for fact in reading.facts]
    for ref in {fact.order for fact in facts}:
        told = [fact for fact in facts if fact.order == ref]
        standing = fold(None, told)
        for fact in told:
            after = fold(standing, [fact])
            assert after == standing
            assert diff(standing, after, fact) == ()


@every_recording
def test_a_later_look_at_the_same_says_nothing_new(recording: Recording) -> None:
    first, later = recording.read(), recording.read(later=timedelta(hours=1))
    known = {fact.source_id for fact in first.facts}
    documents = {(fact.order, fact.part, fact.document) for fact in first.facts if fact.document is not None}
    fresh = [
        fact
        for fact in later.facts
        if fact.source_id not in known
        and (fact.order, fact.part, fact.document) not in documents
        and not fact.deleted
    ]
    assert fresh == []


@every_recording
def test_no_two_facts_of_a_page_share_an_id(recording: Recording) -> None:
    ids = [fact.source_id for fact in recording.read().facts]
    assert len(ids) == len(set(ids))


# --- what is no page ------------------------------------------------------------------------------------

NOT_JSON = [
    b"",
    b" \n",
    b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>",
    b"\xff\xfe{\x00}\x00",
    b'{"data": "\xc3"}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
]
NOT_A_PAGE = [b"[]", b"{}", b"null", b"true", b"0", b'"text"', b"[{}]", b'{"error": "maintenance"}']
SURPLUS = [
    b"NaN",
    b"-Infinity",
    b"[" * 100 + b"]" * 100,
    b'{"a":' * 100 + b"1" + b"}" * 100,
    b"[" * 600 + b"]" * 600,
]
BEYOND = [b"1e999", b"-1e999", b"9" * 5_000, b"-" + b"9" * 5_000, b"9223372036854775808"]


def is_refused(recording: Recording, page: Page) -> bool:
    """Whether the adapter says that this is no page it knows."""
    own = recording.account
    try:
        own.adapter.read(page, own.options)
    except PageChanged:
        return True
    return False


@every_recording
def test_a_foreign_page_is_refused_and_never_means_no_orders(recording: Recording) -> None:
    for body in NOT_JSON + NOT_A_PAGE:
        assert is_refused(recording, replace(recording.page(body), status=200)), body[:20]
        if recording.status != 404 or body.strip():  # without a body it may be the provider's "not found"
            assert is_refused(recording, recording.page(body)), body[:20]


@every_recording
def test_a_value_that_is_no_json_or_too_deep_makes_a_page_foreign(recording: Recording) -> None:
    body = recording.page().body
    for value in SURPLUS:
        assert is_refused(recording, recording.page(b'{"surplus": ' + value + b", " + body[1:])), value[:20]
        assert is_refused(recording, recording.page(body[:-1] + b', "surplus": ' + value + b"}")), value[:20]


@every_recording
def test_a_number_that_no_database_holds_costs_nothing_but_itself(recording: Recording) -> None:
    body = recording.page().body
    for value in BEYOND:
        page = recording.page(b'{"surplus": ' + value + b", " + body[1:])
        if recording.status != 404 or body.strip():
            assert recording.account.adapter.read(page, recording.account.options) == recording.read()


@every_recording
def test_a_page_with_another_status_is_refused(recording: Recording) -> None:
    for status in (301, 400, 401, 403, 410, 429, 500, 503):
        assert is_refused(recording, replace(recording.page(), status=status)), status


@every_recording
def test_a_page_cut_at_any_byte_is_refused(recording: Recording) -> None:
    own, page = recording.account, recording.page()
    size = len(page.body)
    step = max(1, size // 400)
    cuts = {*range(0, size, step), *range(max(0, size - 60), size)}
    for at in cuts:
        if recording.status != 404 or at > 0:
            assert is_refused(recording, replace(page, body=page.body[:at])), at
    for tail in (b"\n", b" \r\n"):
        assert own.adapter.read(replace(page, body=page.body + tail), own.options) == recording.read()
    assert own.adapter.read(replace(page, body=b"\xef\xbb\xbf" + page.body), own.options) == recording.read()


# --- secrets and personal data --------------------------------------------------------------------------


def planted(value: Any, trees: Mapping[str, KeepTree], where: str, tree: KeepTree | None) -> Any:
    """The same JSON with a canary in every field that no tree names, and in a new field of every object.
    `trees` holds the keep tree that begins at a dotted path; `tree` is the one we are in."""
    tree = trees.get(where, tree)
    if isinstance(value, list):
        return [planted(entry, trees, where, tree) for entry in value]
    if isinstance(value, dict):
        inside = {
            name: planted(
                entry, trees, f"{where}.{name}".lstrip("."), None if tree is None else tree.get(name)
            )
            for name, entry in value.items()
        }
        return {**inside, "surplus": CANARY, "pin_passcode": {"value": CANARY}}
    return value if tree == {} else CANARY


def trees_of(recording: Recording) -> dict[str, KeepTree]:
    return {where: recording.account.adapter.keep[kind] for where, kind in recording.keeps.items()}


def kept_text(reading: Reading) -> str:
    """Everything of a reading that reaches database or log, comment bodies apart."""
    return repr((without_comments(reading.facts), reading.wants, reading.skipped))


@every_recording
def test_what_no_keep_tree_names_goes_nowhere(recording: Recording) -> None:
    if recording.status != 200:
        return
    body = planted(recording.body, trees_of(recording), "", None)
    for name in ("meta", "TotalCount", "NextPageToken"):
        if name in body:
            body[name] = recording.body[name]
    assert CANARY in json.dumps(body)
    reading = recording.read(body)
    assert len(reading.facts) == len(recording.read().facts)
    assert CANARY not in kept_text(reading)
    silent = replace(recording, options={**recording.options, "keep_comments": False}).read(body)
    assert CANARY not in repr((silent.facts, silent.wants, silent.skipped))


SECRETS = ("4321", "998-1")
SENTENCE = "PIN 4321 is invalid, account no. 998-1 too"


def in_free_text(value: Any, trees: Mapping[str, KeepTree], where: str, tree: KeepTree | None) -> Any:
    """The same JSON with a PIN and an account number in every text that is marked as free."""
    tree = trees.get(where, tree)
    if isinstance(value, list):
        return [in_free_text(entry, trees, where, tree) for entry in value]
    if isinstance(value, dict) and tree is not FREE:
        return {
            name: in_free_text(entry, trees, f"{where}.{name}".lstrip("."), (tree or {}).get(name))
            for name, entry in value.items()
        }
    return SENTENCE if tree is FREE else value


@every_recording
def test_secrets_in_free_text_are_masked_wherever_it_is_kept(recording: Recording) -> None:
    body = in_free_text(recording.body, trees_of(recording), "", None)
    told = repr(recording.read(body))
    assert not [secret for secret in SECRETS if secret in told]
    assert (body == recording.body) or "PIN *** is invalid, account no. *** too" in told


@every_recording
def test_a_secret_in_any_text_gets_into_no_text_for_people(recording: Recording) -> None:
    own = recording.account
    for path in paths_of(recording.body):
        try:
            reading = read(own, recording.page(changed(recording.body, path, SENTENCE)))
        except PageChanged:
            continue
        for fact in reading.facts:
            task, comment = fact.task, fact.comment
            numbers = [replace(said, raw="", key="") for said in fact.numbers.numbers] if fact.numbers else ()
            told = (fact.status, fact.messaging, fact.activation, fact.steps, numbers, reading.skipped)
            texts = (
                *told,
                task and (task.name, task.status),
                comment and (comment.author_type, comment.body),
            )
            description = fact.references and fact.references.description
            assert not [secret for secret in SECRETS if secret in repr((texts, description))], path


def reshaped(value: Any, tree: KeepTree | None, trees: Mapping[str, KeepTree], where: str) -> Iterator[Any]:
    """The JSON again and again, each time with one kept field in another shape that hides a canary."""
    tree = trees.get(where, tree)
    if isinstance(value, list):
        for at, entry in enumerate(value[:2]):
            for other in reshaped(entry, tree, trees, where):
                yield [*value[:at], other, *value[at + 1 :]]
        return
    if isinstance(value, dict):
        for name, entry in value.items():
            branch = None if tree is None else tree.get(name)
            place = f"{where}.{name}".lstrip(".")
            for other in reshaped(entry, branch, trees, place):
                yield {**value, name: other}
        if tree:
            yield CANARY  # an object that arrives as a plain value
        return
    if tree == {}:
        yield {"value": CANARY}
        yield [{"value": CANARY}]


def told_by(recording: Recording, body: Any) -> str:
    """What reading this body tells database and log: what it says, or the whole trace of its refusal."""
    try:
        return kept_text(recording.read(body))
    except PageChanged as error:
        return "".join(traceback.format_exception(error))


@every_recording
def test_a_kept_field_in_another_shape_hides_nothing(recording: Recording) -> None:
    for body in reshaped(recording.body, None, trees_of(recording), ""):
        assert CANARY not in told_by(recording, body)


@every_recording
def test_a_refusal_names_the_field_and_never_tells_its_content(recording: Recording) -> None:
    for path in paths_of(recording.body):
        try:
            error = "".join(
                said.error for said in recording.read(changed(recording.body, path, CANARY)).skipped
            )
        except PageChanged as refusal:
            error = "".join(traceback.format_exception(refusal))
        assert CANARY not in error


# --- poison ---------------------------------------------------------------------------------------------

Path = tuple[str | int, ...]


def paths_of(value: Any, here: Path = ()) -> Iterator[Path]:
    """Every place in a JSON value, of lists the first two entries."""
    if here:
        yield here
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from paths_of(entry, (*here, name))
    elif isinstance(value, list):
        for at, entry in enumerate(value[:2]):
            yield from paths_of(entry, (*here, at))


def changed(value: Any, path: Path, new: Any) -> Any:
    """The same JSON with another value in one place."""
    if not path:
        return new
    at, *rest = path
    if isinstance(value, list):
        return [changed(entry, tuple(rest), new) if i == at else entry for i, entry in enumerate(value)]
    return {**value, at: changed(value[at], tuple(rest), new)}


def without(value: Any, path: Path) -> Any:
    """The same JSON without one place."""
    at, *rest = path
    if rest:
        return changed(value, (at,), without(value[at], tuple(rest)))
    if isinstance(value, list):
        return [entry for i, entry in enumerate(value) if i != at]
    return {name: entry for name, entry in value.items() if name != at}


@pytest.mark.parametrize("recording", lists(), ids=str)
def test_one_poisoned_item_is_set_aside_and_the_others_are_kept(recording: Recording) -> None:
    items = items_of(recording)
    poisons: tuple[Any, ...] = (None, CANARY, 5, 1.5, True, [], [[]], {})
    for at, poison in product(range(len(items)), poisons):
        others = recording.read(with_items(recording, [*items[:at], *items[at + 1 :]]))
        reading = recording.read(with_items(recording, [*items[:at], poison, *items[at + 1 :]]))
        assert atoms(reading) == atoms(others)
        assert reading.wants == others.wants
        assert len(reading.skipped) == 1 and CANARY not in repr(reading.skipped)
        assert reading.items == len(items)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=()), max_size=30)
    | st.sampled_from(
        ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59Z", "1780358400", "²"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
quick = settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def is_storable(reading: Reading, account: Account) -> bool:
    """Whether the whole of what is said can go into both databases, and folds."""
    text = json.dumps(said(reading, account), ensure_ascii=False)
    text.encode("utf-8")  # a lone surrogate raises
    for fact in reading.facts:
        fold(None, [normalise(fact, account.words)])
    return "\\u0000" not in text and "\x00" not in text


@given(st.data())
@quick
def test_any_value_anywhere_costs_at_most_its_own_item(data: st.DataObject) -> None:
    recording = data.draw(st.sampled_from(lists()))
    items = items_of(recording)
    at = data.draw(st.integers(0, len(items) - 1))
    path = data.draw(st.sampled_from(list(paths_of(items[at]))))
    item = (
        changed(items[at], path, data.draw(json_values))
        if data.draw(st.booleans())
        else without(items[at], path)
    )
    others = recording.read(with_items(recording, [*items[:at], *items[at + 1 :]]))
    reading = recording.read(with_items(recording, [*items[:at], item, *items[at + 1 :]]))
    assert atoms(others) <= atoms(reading)
    assert is_storable(reading, recording.account)


@given(st.data())
@quick
def test_any_value_anywhere_in_a_page_raises_page_changed_at_most(data: st.DataObject) -> None:
    recording = data.draw(st.sampled_from(RECORDINGS))
    path = data.draw(st.sampled_from(list(paths_of(recording.body))))
    try:
        reading = recording.read(changed(recording.body, path, data.draw(json_values)))
    except PageChanged:
        return
    assert is_storable(reading, recording.account)


# --- paging ---------------------------------------------------------------------------------------------


@every_recording
def test_a_page_never_leads_back_to_itself_or_elsewhere(recording: Recording) -> None:
    for request in recording.read().next:
        assert request != recording.request
        assert request.path == recording.request.path


@pytest.mark.parametrize("recording", lists(), ids=str)
def test_what_came_is_named_and_counted(recording: Recording) -> None:
    reading = recording.read()
    assert reading.items == len(items_of(recording))
    assert len(reading.ids) == reading.items
