"""A provider's words → ours, and telephone numbers → the form they are keyed by. Total: every text maps."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import phonenumbers

from aggregator.core.account import Adapter, Words
from aggregator.core.documents import joined
from aggregator.core.model import (
    NOT_TOLD,
    Basis,
    Direction,
    Fact,
    Meaning,
    NotTold,
    NumberSaid,
    Reason,
    ReasonSaid,
    State,
    Status,
    Vocabulary,
    WaitingOn,
    Whole,
    Word,
)

REGIONS = phonenumbers.SUPPORTED_REGIONS
"""The countries, by their two letters, whose numbers can be read without their +."""
SIDE = {
    "activation": Vocabulary.ACTIVATION,
    "messaging": Vocabulary.MESSAGING,
    "carrier_status": Vocabulary.CARRIER_STATUS,
    "requirement": Vocabulary.REQUIREMENT,
    "portability": Vocabulary.PORTABILITY,
}
"""The word lists about single numbers, by what they tell of one."""
WORDED = ("status", "messaging", "activation", "task", "numbers")
"""The fields of a fact that hold a provider's words, or numbers."""
NO_MEANING = Meaning(State.UNKNOWN, Basis.NONE)
NO_REASON = Reason("unknown", WaitingOn.US, Basis.NONE)
_FOLDED = re.compile(r"[\s_-]+")


def folded(word: str) -> str:
    """A word without case, spaces, hyphens and underscores, the form guessed words are compared in.

    >>> folded("Sent to Carrier"), folded("in-progress")
    ('senttocarrier', 'inprogress')
    """
    return _FOLDED.sub("", word).casefold()


def words(
    adapter: Adapter,
    operator: Mapping[Vocabulary, Mapping[str, Meaning | Reason]],
    region: str,
    guess: bool = True,
) -> Words:
    """An account's words: the adapter's tables with the operator's on top, as look-ups with a version."""
    exact: dict[tuple[Vocabulary, str], Meaning] = {}
    loose: dict[tuple[Vocabulary, str], Meaning] = {}
    reasons = dict(adapter.reasons)
    for vocabulary, table in adapter.words.items():
        for word, meaning in table.items():
            if meaning.basis is not Basis.GUESS:
                exact[vocabulary, word] = meaning
            elif guess:
                loose[vocabulary, folded(word)] = meaning
    for vocabulary, table_said in operator.items():
        for word, said in table_said.items():
            if isinstance(said, Reason):
                for code in [code for code in reasons if folded(code) == folded(word)]:
                    reasons[code] = said
                reasons[word] = reasons[folded(word)] = said
            else:
                loose[vocabulary, folded(word)] = said
                _shadow(exact, vocabulary, folded(word))
    everything = (
        sorted(exact.items(), key=str),
        sorted(loose.items(), key=str),
        sorted(reasons.items(), key=str),
    )
    version = blake2b(repr((everything, region)).encode(), digest_size=6).hexdigest()
    return Words(exact, loose, reasons, region, version)


def _shadow(exact: dict[tuple[Vocabulary, str], Meaning], vocabulary: Vocabulary, loose: str) -> None:
    """The operator's word wins over every documented spelling of it."""
    for key in [key for key in exact if key[0] is vocabulary and folded(key[1]) == loose]:
        del exact[key]


def normalise(fact: Fact, words: Words) -> Fact:
    """The same fact with our words beside the provider's; what has no entry becomes `unknown`."""
    told = {name: value for name in WORDED if (value := getattr(fact, name)) is not None}
    if not told:
        return fact
    return replace(fact, **meanings(told, fact.order.direction, words))


def meanings(said: Mapping[str, Any], direction: Direction, words: Words) -> dict[str, Any]:
    """The parts of a fact, by its fields' names, with our words beside the provider's."""
    ours = dict(said)
    if status := said.get("status"):
        ours["status"] = meant(status, status_words(direction), words)
    if messaging := said.get("messaging"):
        ours["messaging"] = _word(messaging, Vocabulary.MESSAGING, words)
    if activation := said.get("activation"):
        ours["activation"] = _word(activation, Vocabulary.ACTIVATION, words)
    if task := said.get("task"):
        ours["task"] = replace(task, status=_word(task.status, task.kind, words))
    if numbers := said.get("numbers"):
        ours["numbers"] = type(numbers)(tuple(_number(one, direction, words) for one in numbers.numbers))
    return ours


def status_words(direction: Direction) -> Vocabulary:
    """The word list that an order's status belongs to."""
    return Vocabulary.PORT_IN if direction is Direction.PORT_IN else Vocabulary.PORT_OUT


def meant(status: Status, vocabulary: Vocabulary, words: Words) -> Status:
    """A status with its meaning, and each reason with its own. Reasons are a set, so they get a fixed order."""
    reasons: tuple[ReasonSaid, ...] | NotTold = status.reasons
    if reasons is not NOT_TOLD:
        given = {(said.code, said.text or ""): said for said in reasons}
        reasons = tuple(
            ReasonSaid(
                *(said.code, said.text, reason(said.code, words)),
                None if said.text else words.texts.get(said.code),
            )
            for _, said in sorted(given.items())
        )
    return Status(status.raw, reasons, meaning(status.raw, vocabulary, words))


def reason(code: str, words: Words) -> Reason:
    """What a reason's code stands for: exactly as documented, else as the operator has it, else unknown."""
    return words.reasons.get(code) or words.reasons.get(folded(code)) or NO_REASON


def meaning(word: str | None, vocabulary: Vocabulary, words: Words) -> Meaning:
    """What a word means: as documented, else as the operator or a guess has it, else unknown."""
    if word is None:
        return NO_MEANING
    return words.exact.get((vocabulary, word)) or words.folded.get((vocabulary, folded(word))) or NO_MEANING


def is_known(word: str, vocabulary: Vocabulary, words: Words) -> bool:
    """Whether a word has a meaning: as documented, as the operator has it, or by a guess."""
    if vocabulary is Vocabulary.REASON:
        return reason(word, words) is not NO_REASON
    return meaning(word, vocabulary, words).basis is not Basis.NONE


def _word(word: Word, vocabulary: Vocabulary, words: Words) -> Word:
    return Word(word.raw, None if word.raw is None else meaning(word.raw, vocabulary, words).value)


def _number(said: NumberSaid, direction: Direction, words: Words) -> NumberSaid:
    if said.key and not said.key.startswith("+"):  # once set, of digits that are no number: never read again
        key, e164 = said.key, None
    else:
        key, e164 = number(said.key or said.raw, words.region)
    status = said.status
    if status is not NOT_TOLD:
        status = meant(status, status_words(direction), words)
    side: dict[str, Any] = {name: _word(word, vocabulary, words) for name, word, vocabulary in _side(said)}
    return NumberSaid(said.raw, status, key=key, e164=e164, **side)


def _side(said: NumberSaid) -> Iterator[tuple[str, Word, Vocabulary]]:
    """What is told of a number beside its status, each with the list its word belongs to."""
    for name, vocabulary in SIDE.items():
        word: Word | NotTold = getattr(said, name)
        if word is not NOT_TOLD:
            yield name, word, vocabulary


@lru_cache(maxsize=1 << 16)
def number(raw: str, region: str) -> tuple[str, str | None]:
    """The key a number is known by, and its E.164 form when it is a *valid* number. A key read again is the same
    key: of digits that are no number, each reading may drop a zero as the one that is dialled at home.

    >>> number("+61 2 5550 0101", "AU")
    ('+61255500101', '+61255500101')
    >>> number("13035550123", "US")
    ('+13035550123', '+13035550123')
    >>> number("+611111111112", "AU")
    ('+611111111112', None)
    """
    try:
        parsed = phonenumbers.parse(raw, region)
    except phonenumbers.NumberParseException:
        return ("".join(filter(str.isdigit, raw)) or raw, None)
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if phonenumbers.is_valid_number(parsed):
        return e164, e164
    return (e164, None) if e164 == raw else number(e164, region)


def unknown(fact: Fact) -> Iterator[tuple[Vocabulary, str]]:
    """Every word of a (normalised) fact that nobody knows."""
    said = fact.numbers.numbers if fact.numbers else ()
    statuses = [fact.status, *(n.status for n in said if n.status is not NOT_TOLD)]
    for status in statuses:
        if status is None:
            continue
        if status.raw is not None and status.meaning and status.meaning.basis is Basis.NONE:
            yield status_words(fact.order.direction), status.raw
        yield from (
            (Vocabulary.REASON, reason.code) for reason in status.given if reason.meaning is NO_REASON
        )
    side = [(fact.messaging, Vocabulary.MESSAGING), (fact.activation, Vocabulary.ACTIVATION)]
    side += [(fact.task.status, fact.task.kind)] if fact.task else []
    side += [(word, vocabulary) for number in said for _, word, vocabulary in _side(number)]
    for word, vocabulary in side:
        if word is not None and word.raw is not None and word.meaning == State.UNKNOWN:
            yield vocabulary, word.raw


def gathered(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """The pages of one order's number list as one fact: only a list read to its end is a whole list."""
    pages = sorted(facts, key=lambda fact: fact.read_at)
    if not pages:
        return ()
    numbers = {said.raw: said for fact in pages if fact.numbers for said in fact.numbers.numbers}
    kept = joined(fact.document or "[]" for fact in pages)
    return (replace(pages[-1], numbers=Whole(tuple(numbers.values())), document=kept),)
