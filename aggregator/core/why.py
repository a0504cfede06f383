"""Why an order waits, in words a porting coordinator can act on."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from aggregator.core.model import Direction, ReasonSaid, State, Status, Task, Vocabulary, WaitingOn
from aggregator.core.states import state_of
from aggregator.core.waiting import Waiting

REASON_WORDS = {
    "account_number_mismatch": "account number does not match",
    "name_mismatch": "name does not match",
    "authorized_person_mismatch": "authorised person does not match",
    "address_mismatch": "address does not match",
    "postal_code_mismatch": "postal code does not match",
    "billing_number_mismatch": "billing number does not match",
    "pin_invalid": "PIN wrong",
    "tax_id_mismatch": "tax id does not match",
    "data_mismatch": "data do not match",
    "authorization_document": "letter of authorisation not accepted",
    "number_mismatch": "number does not belong to the account",
    "number_inactive": "number is not active",
    "number_not_portable": "number cannot be ported",
    "rate_center_not_portable": "rate centre cannot be ported",
    "number_has_feature": "number has a special feature",
    "number_locked": "number is locked",
    "pending_order": "local service request pending",
    "port_type_incorrect": "full or partial port chosen wrongly",
    "main_number_porting": "the main billing number is porting",
    "number_list_mismatch": "the list of numbers is not right",
    "split_required": "the order must be split",
    "date_rejected": "date refused",
    "date_expired": "date has passed",
    "carrier_unresponsive": "the losing carrier does not answer",
    "carrier_capacity": "the losing carrier has no capacity",
    "clearinghouse_conflict": "conflict at the clearing house",
    "clearinghouse_failure": "failure at the clearing house",
    "end_user_withdrew": "the end user withdrew",
    "provider_handling": "the provider is handling it",
    "other": "other reason",
}

MOST_NAMED = 5  # requirements in one sentence

_STATES = {
    State.DRAFT: "finish and submit the draft",
    State.ACTION_NEEDED: "an act of ours is needed",
    State.EXCEPTION: "refused without a reason; the provider's comments or its support may give one",
    State.PARTIALLY_PORTED: "some numbers did not move",
    State.REJECTED: "refused for good: a new order is needed",
    State.REVERTED: "had ported and was given back",
}


def why(
    direction: Direction, state: State, status: Status, waiting: Waiting, unmet: tuple[str, ...] | None
) -> str | None:
    """The step, requirement or task that waits for us, the reason with its raw text, else the decision or the
    unknown word; None where nothing waits for us. `unmet`: what the provider lacks."""
    if waiting.on not in (WaitingOn.US, WaitingOn.UNKNOWN):
        return None
    if state is not State.UNKNOWN and (waiting.needs or waiting.tasks):
        needed = ["needed: " + ", ".join(map(_plain, waiting.needs))] if waiting.needs else []
        refused = status.given if state is State.EXCEPTION else ()
        parts = (*map(task_words, waiting.tasks), *needed, *map(reason_words, refused))
        return "; ".join((*parts, *number_words(direction, waiting.numbers)))
    said = "; ".join(number_words(direction, waiting.numbers)) or _said(direction, state, status)
    return said if unmet is None else f"{said}; {unmet_words(unmet)}"


def unmet_words(unmet: tuple[str, ...]) -> str:
    """That requirements are not met, and which, where the provider names them.

    >>> unmet_words(("document 59b0762a", "textual"))
    'required documents are missing: document 59b0762a, textual'
    """
    few = (*unmet[:MOST_NAMED], *([f"{len(unmet) - MOST_NAMED} more"] if len(unmet) > MOST_NAMED else []))
    return "required documents are missing" + (f": {', '.join(few)}" if few else "")


def number_words(direction: Direction, numbers: Sequence[tuple[str, Status]]) -> Iterator[str]:
    """What single numbers wait for, those that wait for the same together, by name while they are few.

    >>> list(number_words(Direction.PORT_IN, [("+61255500101", Status("Odd")), ("+61255500102", Status("Odd"))]))
    ['+61255500101, +61255500102: status nobody knows: Odd']
    """
    together: dict[str, list[str]] = {}
    for key, status in numbers:
        together.setdefault(_said(direction, state_of(status), status), []).append(key)
    for words, keys in sorted(together.items(), key=lambda one: one[1]):
        yield f"{', '.join(keys) if len(keys) <= MOST_NAMED else f'{len(keys)} numbers'}: {words}"


def _said(direction: Direction, state: State, status: Status) -> str:
    """What the status alone says."""
    if state is State.UNKNOWN:
        return f"status nobody knows: {status.raw}" if status.raw else "no status told yet"
    if direction is Direction.PORT_OUT and state is State.ACTION_NEEDED:
        return "decide: authorise or refuse; silence authorises it"  # even where a refusal was turned down
    if status.given:
        return "; ".join(reason_words(reason) for reason in status.given)
    return _STATES.get(state, "an act of ours is needed")


def task_words(task: Task) -> str:
    """A task that waits for us, with its window.

    >>> from aggregator.core.model import Word
    >>> task_words(Task("1", Vocabulary.ACTION_REQUIREMENT, Word("failed", "us"), "au_id_verification"))
    'needed again, it failed: au id verification'
    """
    if task.kind is Vocabulary.ACTION_REQUIREMENT:
        again = " again, it failed" if task.status.raw == "failed" else ""
        return f"needed{again}: {_plain(task.name or 'an act of ours')}"
    if task.status.meaning == "failed":
        return "the activation failed"
    return "cutover waits for our activation" + _window(task.from_at, task.until_at)


def _window(start: datetime | None, end: datetime | None) -> str:
    bounds = [f"{word} {at:%Y-%m-%d %H:%M}" for word, at in (("from", start), ("to", end)) if at]
    return f", window {' '.join(bounds)} UTC" if bounds else ""


def _plain(name: str) -> str:
    return name.replace("_", " ").replace("-", " ")


def reason_words(reason: ReasonSaid) -> str:
    """A reason in our words, with the provider's own beside it.

    >>> reason_words(ReasonSaid("SOMETHING_NEW"))
    'SOMETHING_NEW'
    """
    ours = REASON_WORDS.get(reason.meaning.code) if reason.meaning else None
    theirs = reason.text or reason.described or reason.code
    return f"{ours} ({theirs})" if ours else theirs
