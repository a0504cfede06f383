"""Whether what came for a want answers it. What does not, three times in the same way, will not get better by asking."""

from dataclasses import replace
from datetime import datetime
from hashlib import blake2b

from aggregator.core.findings import CERTAIN
from aggregator.core.model import Direction, Fact, OrderRef, Part, Skipped, Source, Want
from aggregator.core.normalise import gathered
from aggregator.errors import TooLarge
from aggregator.sweep import Sweep


def unanswered(want: Want, found: Sweep) -> Want | None:
    """None where the answer is whole; else the want with what it was answered with, and how often. A number list is
    whole only when all of its pages came and fit together, and it is asked for only where there are numbers."""
    if want.part is Part.NUMBERS and found.complete and (found.short or not found.came):
        found.incomplete = "drift" if found.short else "contradiction"
    if isinstance(found.error, TooLarge):
        return replace(want, answer="too large", answers=max(want.answers + 1, CERTAIN))
    if found.error is not None:
        return want
    if found.complete and (want.part is not Part.NUMBERS or want.expected in (None, 0, found.came)):
        return None
    answer = _answer(want, found)
    again = replace(want, answer=answer, answers=want.answers + 1 if answer == want.answer else 1)
    listed_all = want.part is Part.NUMBERS and want.expected == found.came and again.answers >= CERTAIN
    if listed_all:  # as many as the order says: only the list's own count is wrong
        found.incomplete = None
    return None if listed_all else again


def _answer(want: Want, found: Sweep) -> str:
    """What came, in few words: the same text for the same rows beside the same counts."""
    rows = blake2b("\n".join(sorted(found.seen)).encode(), digest_size=8).hexdigest()
    counts = f"{found.came} of {found.totals[0] if found.totals else None} of {want.expected}"
    return f"{found.incomplete or 'differs'} {counts} {rows}"


def conclude(want: Want, unanswered: Want | None, found: Sweep, at: datetime) -> None:
    """Make of what came what is to be recorded: a whole list as one fact, and what the provider keeps saying that is
    no answer as told, not as a failure."""
    if want.part is Part.NUMBERS and found.complete:
        found.facts = list(gathered(found.facts))
    if unanswered is None:
        return
    if found.complete and unanswered.answers < CERTAIN:  # the order's own count may have changed meanwhile
        found.wants.append(Want(Part.ORDER, want.id, want.direction, since=found.started_at))
    if unanswered.answers < CERTAIN or not (found.incomplete or found.complete or _too_large(found)):
        return
    if want.part is Part.NUMBERS and want.expected and found.error is None:
        found.facts = _listed(want, found, at) if unanswered.answers == CERTAIN else []
    else:
        found.skipped.append(Skipped(want.id, f"{want.part}: {found.trouble}"))
    found.incomplete = found.error = None


def _too_large(found: Sweep) -> bool:
    return isinstance(found.error, TooLarge)


def _listed(want: Want, found: Sweep, at: datetime) -> list[Fact]:
    """What came, with the fact that the list has so many numbers, whatever the order's count says."""
    if found.complete and found.facts:
        return [replace(fact, listed=found.came) for fact in found.facts]
    order = OrderRef(want.direction or Direction.PORT_IN, want.id)
    looked_at = found.started_at or at
    id = f"listed:{want.ref}@{at.isoformat()}"
    told = Fact(
        order, Source.SNAPSHOT, id, looked_at, at, Part.NUMBERS, looked_at=looked_at, listed=found.came
    )
    return [*found.facts, told]
