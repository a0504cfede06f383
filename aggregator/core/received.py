"""What a page says, as it is taken in: without the secrets in its free text, and without times that cannot be.

Whatever an adapter read comes through here, so that no adapter can forget it.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from aggregator.core.account import Words
from aggregator.core.documents import masked
from aggregator.core.model import (
    NOT_TOLD,
    Fact,
    NotTold,
    NumberSaid,
    Page,
    Reading,
    ReasonSaid,
    Skipped,
    Source,
    Status,
    Vocabulary,
    Word,
)
from aggregator.core.normalise import NO_MEANING, NO_REASON, SIDE, meaning, reason, status_words
from aggregator.core.reading import LONGEST_ID, is_overlong

FUTURE: Final = timedelta(days=366)
"""A time further ahead of the provider's clock, and of ours, is a mistake."""


def received(reading: Reading, page: Page, words: Words) -> Reading:
    """What a page says, in the form in which it is kept."""
    return discreet(identified(believed(reading, page)), words)


# --- ids ------------------------------------------------------------------------------------------------


def identified(reading: Reading) -> Reading:
    """What a page says, without ids that are none: they would be keys, parts of paths, and asked for again and again.
    What such an id names is set aside; what merely hangs on it is left out."""
    if not any(map(_overlong, reading.facts)) and not any(is_overlong(want.id) for want in reading.wants):
        return reading
    facts, aside = [], dict[Skipped, None]()
    for fact in reading.facts:
        beside: dict[str, Any] = {}
        for where, id in _overlong(fact):
            aside[Skipped(id[:LONGEST_ID], f"{where}: its id is longer than {LONGEST_ID} characters")] = None
            beside[where] = None
        if "order" in beside or "event" in beside or (beside and fact.source is Source.SNAPSHOT):
            continue
        facts.append(replace(fact, **beside) if beside else fact)
    for want in reading.wants:
        if is_overlong(want.id):
            aside.setdefault(
                Skipped(want.id[:LONGEST_ID], f"{want.part}: longer than {LONGEST_ID} characters")
            )
    wants = tuple(want for want in reading.wants if not is_overlong(want.id))
    return replace(reading, facts=tuple(facts), wants=wants, skipped=(*reading.skipped, *aside))


def _overlong(fact: Fact) -> tuple[tuple[str, str], ...]:
    """What of a fact is named by an id that is none, with the field of the fact that holds it."""
    ids = {"order": fact.order.id}
    if fact.announced is not None:
        ids["event"] = fact.announced.key
    if fact.comment is not None:
        ids["comment"] = fact.comment.id
    if fact.task is not None:
        ids["task"] = fact.task.id
    if fact.link is not None:
        ids["link"] = max(fact.link.parent or "", fact.link.child, key=len)
    return tuple((where, id) for where, id in ids.items() if is_overlong(id))


# --- times ----------------------------------------------------------------------------------------------


def believed(reading: Reading, page: Page) -> Reading:
    """What a page says, without times that cannot be: what claims to be of the far future is taken as of now, or it
    would outweigh all that is said until then, and what is wanted because of it would be wanted until then."""
    latest = max(page.at, page.fetched_at)

    def far(at: datetime | None) -> bool:
        return at is not None and at - latest > FUTURE

    if not any(far(fact.as_of) for fact in reading.facts):
        return reading
    facts = (
        replace(fact, as_of=page.at, looked_at=page.at) if far(fact.as_of) else fact for fact in reading.facts
    )
    wants = (replace(want, since=page.at) if far(want.since) else want for want in reading.wants)
    return replace(reading, facts=tuple(facts), wants=tuple(wants))


# --- free text ------------------------------------------------------------------------------------------


def discreet(reading: Reading, words: Words) -> Reading:
    """What a page says, with the PINs and account numbers in its free text masked: in the texts of reasons, the
    description, comments, what is set aside, and in words that nobody knows, which may be sentences."""
    facts = tuple(_fact(fact, words) for fact in reading.facts)
    skipped = tuple(Skipped(masked(part.ref), masked(part.error)) for part in reading.skipped)
    return replace(reading, facts=facts, skipped=skipped)


def _fact(fact: Fact, words: Words) -> Fact:
    vocabulary = status_words(fact.order.direction)
    said: dict[str, Any] = {}
    if fact.status is not None:
        said["status"] = _status(fact.status, vocabulary, words)
    if fact.messaging is not None:
        said["messaging"] = _word(fact.messaging, Vocabulary.MESSAGING, words)
    if fact.activation is not None:
        said["activation"] = _word(fact.activation, Vocabulary.ACTIVATION, words)
    if fact.missing:
        said["missing"] = tuple(map(masked, fact.missing))
    if fact.steps:
        said["steps"] = tuple(map(masked, fact.steps))
    if fact.task is not None:
        status = _word(fact.task.status, fact.task.kind, words)
        said["task"] = replace(fact.task, status=status, name=_masked(fact.task.name))
    if fact.references is not None and isinstance(description := fact.references.description, str):
        said["references"] = replace(fact.references, description=masked(description))
    if fact.comment is not None:
        author, body = masked(fact.comment.author_type), _masked(fact.comment.body)
        said["comment"] = replace(fact.comment, author_type=author, body=body)
    if fact.numbers is not None:
        numbers = fact.numbers.numbers
        said["numbers"] = type(fact.numbers)(tuple(_number(one, vocabulary, words) for one in numbers))
    if fact.announced is not None:
        before, after = _masked(fact.announced.raw_from), _masked(fact.announced.raw_to)
        said["announced"] = replace(fact.announced, raw_from=before, raw_to=after)
    moved = {name: value for name, value in said.items() if value != getattr(fact, name)}
    return replace(fact, **moved) if moved else fact


def _masked(text: str | None) -> str | None:
    return text and masked(text)


def _status(said: Status, vocabulary: Vocabulary, words: Words) -> Status:
    raw = _raw(said.raw, vocabulary, words)
    if raw is said.raw and not said.given:
        return said
    if said.reasons is NOT_TOLD:
        return Status(raw, NOT_TOLD)
    return Status(raw, tuple(_reason(one, words) for one in said.reasons))


def _reason(said: ReasonSaid, words: Words) -> ReasonSaid:
    known = reason(said.code, words) is not NO_REASON
    return ReasonSaid(said.code if known else masked(said.code), _masked(said.text))


def _word(said: Word, vocabulary: Vocabulary, words: Words) -> Word:
    raw = _raw(said.raw, vocabulary, words)
    return said if raw is said.raw else Word(raw)


def _raw(word: str | None, vocabulary: Vocabulary, words: Words) -> str | None:
    """A word as it may be kept: one that is known holds no secret."""
    return word if word is None or meaning(word, vocabulary, words) is not NO_MEANING else masked(word)


def _number(said: NumberSaid, vocabulary: Vocabulary, words: Words) -> NumberSaid:
    moved: dict[str, Any] = {}
    if said.status is not NOT_TOLD and (status := _status(said.status, vocabulary, words)) is not said.status:
        moved["status"] = status
    for name, kind in SIDE.items():
        word: Word | NotTold = getattr(said, name)
        if word is not NOT_TOLD and (kept := _word(word, kind, words)) is not word:
            moved[name] = kept
    return replace(said, **moved) if moved else said
