"""What a page says, as it is taken in: without the secrets in its free text, without times that cannot be, and no
longer than it may be kept.

Whatever an adapter read comes through here, so that no adapter can forget it.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from aggregator.core.account import Words
from aggregator.core.bounds import BODY, LINE, WORD, shortened
from aggregator.core.documents import masked, without
from aggregator.core.model import (
    NOT_TOLD,
    Carrier,
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

T = TypeVar("T")
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
            wrong = f"longer than {LONGEST_ID} characters" if id else "empty"
            aside[Skipped(id[:LONGEST_ID], f"{where}: its id is {wrong}")] = None
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
    if not fact.order.id:
        return (("order", ""),)
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
    description, comments, what is set aside, and in words that nobody knows, which may be sentences; in the document
    that goes with them as well."""
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
    for name in ("steps", "missing"):
        if entries := getattr(fact, name):
            said[name] = tuple(masked(shortened(entry, WORD)) for entry in entries)
    if fact.task is not None:
        status = _word(fact.task.status, fact.task.kind, words)
        said["task"] = replace(fact.task, status=status, name=_masked(fact.task.name, WORD))
    for name in ("references", "carriers", "terms"):
        if (group := getattr(fact, name)) is not None:
            said[name] = _brief(group)
    references = said.get("references")
    if references is not None and isinstance(description := references.description, str):
        said["references"] = replace(references, description=masked(description))
    if fact.comment is not None:
        author = masked(shortened(fact.comment.author_type, WORD))
        body = _masked(fact.comment.body, BODY)
        said["comment"] = replace(fact.comment, author_type=author, body=body)
    if fact.numbers is not None:
        numbers = fact.numbers.numbers
        said["numbers"] = type(fact.numbers)(tuple(_number(one, vocabulary, words) for one in numbers))
    if fact.announced is not None:
        announced = fact.announced
        before, after = _masked(announced.raw_from, WORD), _masked(announced.raw_to, WORD)
        kind, number = shortened(announced.type, WORD), announced.number and shortened(announced.number, WORD)
        said["announced"] = replace(announced, type=kind, number=number, raw_from=before, raw_to=after)
    moved = {name: value for name, value in said.items() if value != getattr(fact, name)}
    if moved and fact.document is not None:
        told = {text for name in moved for text in _texts(getattr(fact, name)) if masked(text) != text}
        hidden = told - {text for value in moved.values() for text in _texts(value)}
        moved["document"] = without(fact.document, hidden) if hidden else fact.document
    return replace(fact, **moved) if moved else fact


def _texts(value: object) -> Iterator[str]:
    """Every text within a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for entry in value:
            yield from _texts(entry)
    elif is_dataclass(value):
        for column in fields(value):
            yield from _texts(getattr(value, column.name))


def _masked(text: str | None, longest: int = LINE) -> str | None:
    return text and masked(shortened(text, longest))


def _brief(group: T) -> T:
    """References, carriers or terms, each of which is a line at most."""
    moved: dict[str, Any] = {}
    for column in fields(group):  # type: ignore[arg-type]
        value = getattr(group, column.name)
        if isinstance(value, str) and len(value) > LINE:
            moved[column.name] = shortened(value, LINE)
        elif isinstance(value, Carrier) and (brief := _brief(value)) is not value:
            moved[column.name] = brief
    return replace(group, **moved) if moved else group  # type: ignore[type-var]


def _status(said: Status, vocabulary: Vocabulary, words: Words) -> Status:
    raw = _raw(said.raw, vocabulary, words)
    if raw is said.raw and not said.given:
        return said
    if said.reasons is NOT_TOLD:
        return Status(raw, NOT_TOLD)
    return Status(raw, tuple(_reason(one, words) for one in said.reasons))


def _reason(said: ReasonSaid, words: Words) -> ReasonSaid:
    known = reason(said.code, words) is not NO_REASON
    return ReasonSaid(said.code if known else masked(shortened(said.code, WORD)), _masked(said.text))


def _word(said: Word, vocabulary: Vocabulary, words: Words) -> Word:
    raw = _raw(said.raw, vocabulary, words)
    return said if raw is said.raw else Word(raw)


def _raw(word: str | None, vocabulary: Vocabulary, words: Words) -> str | None:
    """A word as it may be kept: one that is known holds no secret."""
    return word if word is None or meaning(word, vocabulary, words) is not NO_MEANING else _masked(word, WORD)


def _number(said: NumberSaid, vocabulary: Vocabulary, words: Words) -> NumberSaid:
    moved: dict[str, Any] = {}
    if len(said.raw) > WORD:
        moved["raw"], moved["key"] = shortened(said.raw, WORD), shortened(said.key, WORD)
    if said.status is not NOT_TOLD and (status := _status(said.status, vocabulary, words)) is not said.status:
        moved["status"] = status
    for name, kind in SIDE.items():
        word: Word | NotTold = getattr(said, name)
        if word is not NOT_TOLD and (kept := _word(word, kind, words)) is not word:
            moved[name] = kept
    return replace(said, **moved) if moved else said
