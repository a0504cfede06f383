"""A provider's words → ours: every text maps, documented words exactly, guesses and the operator's loosely."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made import NOW, Operator, account, hour

from aggregator.core.model import (
    NOT_TOLD,
    Basis,
    Direction,
    Fact,
    Meaning,
    NumberSaid,
    OrderRef,
    Part,
    Partial,
    Reason,
    ReasonSaid,
    Source,
    State,
    Status,
    Task,
    Vocabulary,
    WaitingOn,
    Whole,
    Word,
)
from aggregator.core.normalise import (
    NO_MEANING,
    folded,
    gathered,
    meaning,
    normalise,
    number,
    reason,
    unknown,
)

PORT_IN = Vocabulary.PORT_IN


def raw_fact(direction: Direction = Direction.PORT_IN, **said: Any) -> Fact:
    """A fact as an adapter gives it."""
    return Fact(OrderRef(direction, "order-1"), Source.SNAPSHOT, "id", NOW, NOW, **said)


def means(word: str | None, provider: str = "fonedynamics", **options: Any) -> Meaning:
    """What a status word of a port-in means."""
    return meaning(word, PORT_IN, account(provider, **options).words)


# --- words ----------------------------------------------------------------------------------------------


def test_a_documented_word_matches_exactly() -> None:
    assert means("foc-date-confirmed", "telnyx") == Meaning(State.SCHEDULED)
    assert means("FOC-date-confirmed", "telnyx") is NO_MEANING
    assert means("foc date confirmed", "telnyx") is NO_MEANING


@pytest.mark.parametrize("word", ["Sent to Carrier", "senttocarrier", "SENT-TO-CARRIER", "sent_to_carrier"])
def test_a_guessed_word_matches_without_case_spaces_and_hyphens(word: str) -> None:
    assert means(word) == Meaning(State.WITH_CARRIER, Basis.GUESS)


@pytest.mark.parametrize("word", ["not yet sent to carrier", "completed?", "unported", "portedx"])
def test_no_part_of_a_word_is_ever_matched(word: str) -> None:
    assert means(word) is NO_MEANING


def test_with_guessing_off_guesses_are_unknown_and_published_words_are_not() -> None:
    assert means("Completed", guess_statuses=False) is NO_MEANING
    assert means("Queued", guess_statuses=False) == Meaning(State.WITH_PROVIDER, Basis.INFERRED)


def test_the_two_spellings_of_cancelled_belong_to_their_own_direction() -> None:
    words = account("telnyx").words
    assert meaning("cancelled", Vocabulary.PORT_IN, words).value == State.CANCELLED
    assert meaning("canceled", Vocabulary.PORT_OUT, words).value == State.CANCELLED
    assert meaning("canceled", Vocabulary.PORT_IN, words) is NO_MEANING
    assert meaning("cancelled", Vocabulary.PORT_OUT, words) is NO_MEANING


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    st.one_of(st.none(), st.text()), st.sampled_from(("telnyx", "fonedynamics")), st.sampled_from(Direction)
)
def test_every_text_maps(text: str | None, provider: str, direction: Direction) -> None:
    status = Status(text, (ReasonSaid(text or ""),))
    word = Word(text)
    line = NumberSaid(text or "?", status, word, word, word, word, word)
    fact = normalise(
        raw_fact(direction, status=status, messaging=Word(text), numbers=Whole((line,))),
        account(provider).words,
    )
    assert fact.status is not None
    assert fact.status.meaning is not None
    assert fact.status.raw == text, "the provider's own word is always kept"
    assert State(fact.status.meaning.value) in State
    assert fact.status.given[0].meaning is not None


# --- the operator's words -------------------------------------------------------------------------------

OPERATOR: Operator = {
    PORT_IN: {
        "Awaiting Telstra": Meaning(State.WITH_CARRIER),
        "queued": Meaning(State.WITH_CARRIER),
        "Rejected": Meaning(State.REJECTED, waiting_on=WaitingOn.NOBODY),
    },
    Vocabulary.REASON: {"Bad PIN": Reason("pin_invalid"), "other": Reason("provider_handling")},
}


def test_an_operators_word_wins_over_published_and_guessed_ones_and_counts_as_documented() -> None:
    words = account("fonedynamics", operator=OPERATOR).words
    assert meaning("awaiting-telstra", PORT_IN, words) == Meaning(State.WITH_CARRIER, Basis.DOCUMENTED)
    assert meaning("Queued", PORT_IN, words) == Meaning(State.WITH_CARRIER, Basis.DOCUMENTED)
    assert meaning("REJECTED", PORT_IN, words).waiting_on is WaitingOn.NOBODY
    assert meaning("Received", PORT_IN, words) == Meaning(State.WITH_PROVIDER, Basis.INFERRED)


def test_an_operators_reason_matches_loosely_and_wins_over_the_documented_one() -> None:
    words = account("telnyx", operator=OPERATOR).words
    assert reason("bad pin", words) == reason("Bad PIN", words) == Reason("pin_invalid")
    assert reason("OTHER", words) == Reason("provider_handling")
    assert reason("FOC_REJECTED", words) == Reason("date_rejected")
    assert reason("foc_rejected", words).code == "unknown", "documented codes match exactly"


def test_an_operators_words_make_another_version_and_equal_ones_the_same() -> None:
    plain, mine = account("fonedynamics"), account("fonedynamics", operator=OPERATOR)
    backwards: Operator = {
        key: dict(reversed(list(table.items()))) for key, table in reversed(list(OPERATOR.items()))
    }
    assert mine.words.version != plain.words.version
    assert account("fonedynamics", operator=backwards).words.version == mine.words.version
    assert account("fonedynamics", guess_statuses=False).words.version != plain.words.version


# --- what nobody knows ----------------------------------------------------------------------------------


def test_every_unknown_word_of_a_fact_is_reported_with_its_vocabulary() -> None:
    line = NumberSaid("+13035550101", Status("odd number"), Word("odd activation"), Word("odd messaging"))
    line = replace(line, requirement=Word("odd requirement"), portability=Word("odd portability"))
    line = replace(line, carrier_status=Word("odd code"))
    fact = normalise(
        raw_fact(
            status=Status("odd status", (ReasonSaid("ODD_REASON"), ReasonSaid("OTHER"))),
            messaging=Word("odd messaging"),
            activation=Word("Active"),
            task=Task("t-1", Vocabulary.ACTION_REQUIREMENT, Word("odd task")),
            numbers=Partial((line,)),
        ),
        account("telnyx").words,
    )
    assert set(unknown(fact)) == {
        (Vocabulary.PORT_IN, "odd status"),
        (Vocabulary.PORT_IN, "odd number"),
        (Vocabulary.REASON, "ODD_REASON"),
        (Vocabulary.MESSAGING, "odd messaging"),
        (Vocabulary.ACTIVATION, "odd activation"),
        (Vocabulary.REQUIREMENT, "odd requirement"),
        (Vocabulary.PORTABILITY, "odd portability"),
        (Vocabulary.CARRIER_STATUS, "odd code"),
        (Vocabulary.ACTION_REQUIREMENT, "odd task"),
    }


def test_an_unknown_word_of_a_port_out_is_reported_as_such() -> None:
    fact = normalise(raw_fact(Direction.PORT_OUT, status=Status("odd")), account("telnyx").words)
    assert list(unknown(fact)) == [(Vocabulary.PORT_OUT, "odd")]


def test_a_word_that_was_not_told_is_not_unknown() -> None:
    said = NumberSaid("+13035550101", activation=Word(None), messaging=NOT_TOLD)
    fact = normalise(raw_fact(status=Status(None), numbers=Whole((said,))), account("telnyx").words)
    assert list(unknown(fact)) == []
    assert fact.status is not None
    assert fact.status.meaning is NO_MEANING
    assert fact.numbers is not None
    assert fact.numbers.numbers[0].activation == Word(None, None), "nothing said stays nothing"


def test_normalising_twice_is_normalising_once() -> None:
    words = account("telnyx").words
    once = normalise(
        raw_fact(
            status=Status("exception", (ReasonSaid("OTHER", "text"),)),
            numbers=Whole((NumberSaid("3035550101"),)),
        ),
        words,
    )
    assert normalise(once, words) == once


# --- numbers --------------------------------------------------------------------------------------------

NUMBERS = [
    ("+13035550101", "AU", "+13035550101", "+13035550101"),
    ("(303) 555-0101", "US", "+13035550101", "+13035550101"),
    ("02 5550 0101", "AU", "+61255500101", "+61255500101"),
    ("+61 (2) 5550 0101", "US", "+61255500101", "+61255500101"),
    ("+611111111112", "AU", "+611111111112", None),  # the published example's impossible number
    ("12345", "AU", "+6112345", None),
    ("no digits", "AU", "no digits", None),
    ("99999999999999999999999", "US", "99999999999999999999999", None),
]


@pytest.mark.parametrize(("raw", "region", "key", "e164"), NUMBERS, ids=[raw for raw, *_ in NUMBERS])
def test_a_number_is_keyed_by_its_parsed_form_and_e164_only_when_valid(
    raw: str, region: str, key: str, e164: str | None
) -> None:
    assert number(raw, region) == (key, e164)


def test_one_number_has_one_key_however_and_wherever_it_is_written() -> None:
    written = [
        ("+61255500101", "US"),
        ("02 5550 0101", "AU"),
        ("(02) 5550-0101", "AU"),
        ("0061255500101", "GB"),
    ]
    assert {number(raw, region)[0] for raw, region in written} == {"+61255500101"}


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.text(min_size=1), st.sampled_from(("US", "AU")))
def test_any_text_has_a_key(raw: str, region: str) -> None:
    key, e164 = number(raw, region)
    assert key
    assert e164 in (None, key)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.text("0012346+- ", min_size=1, max_size=20), st.sampled_from(("US", "AU", "DE", "IT")))
@example("0000-00-00", "AU")
def test_the_key_of_a_key_is_itself(raw: str, region: str) -> None:
    key, _ = number(raw, region)
    assert not key.startswith("+") or number(key, region)[0] == key


def test_the_form_an_adapter_finds_easier_to_parse_gives_the_key_and_the_raw_one_is_kept() -> None:
    told = raw_fact(numbers=Whole((NumberSaid("13035550101", key="+13035550101"),)))
    said = normalise(told, account("telnyx").words).numbers
    assert said is not None
    assert (said.numbers[0].raw, said.numbers[0].key) == ("13035550101", "+13035550101")


@pytest.mark.parametrize("raw", ["broken-1x5z", "5 or 61", "x", "+", "+61255500101", "1 555"])
def test_a_key_is_set_once_and_never_read_again(raw: str) -> None:
    words = account("fonedynamics").words
    once = normalise(raw_fact(numbers=Whole((NumberSaid(raw),))), words)
    assert normalise(once, words) == once


# --- many pages, one list -------------------------------------------------------------------------------


def test_the_pages_of_a_number_list_are_one_whole_list() -> None:
    def pages(hours: float, *raws: str) -> Fact:
        document = "[" + ",".join(f'{{"phone_number":"{raw}"}}' for raw in raws) + "]"
        return Fact(
            OrderRef(Direction.PORT_IN, "order-1"),
            Source.SNAPSHOT,
            f"numbers/{hours}",
            hour(hours),
            hour(hours),
            part=Part.NUMBERS,
            document=document,
            numbers=Partial(tuple(NumberSaid(raw) for raw in raws)),
        )

    first, second = pages(1, "+13035550101", "+13035550102"), pages(2, "+13035550102", "+13035550103")
    (whole,) = gathered([second, first])
    assert isinstance(whole.numbers, Whole)
    assert [said.raw for said in whole.numbers.numbers] == ["+13035550101", "+13035550102", "+13035550103"]
    assert whole.as_of == hour(2)
    assert gathered([first, second]) == (whole,)
    assert gathered([]) == ()


def test_folded_words_keep_what_tells_them_apart() -> None:
    assert folded("In Progress") == folded("in-progress") == folded("IN_PROGRESS") != folded("progress in")
