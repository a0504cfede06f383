"""Every value that is handed from step to step; frozen, compared by what it holds.

    Ask → Request → Page → Reading → Fact → Standing → Change

A *fact* is "at `as_of`, the provider said this about that order", in the provider's words. An order as it
stands is a fold over its facts. Instants are aware UTC datetimes; dates are days in the account's time zone.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import Enum, StrEnum
from typing import Final, Literal, NamedTuple, TypeAlias


class Direction(StrEnum):
    """Which way the numbers go, seen from us."""

    PORT_IN = "port_in"
    PORT_OUT = "port_out"


class State(StrEnum):
    """Where an order or a number is. A closed set of thirteen; `core/states.py` says what each implies."""

    DRAFT = "draft"
    ACTION_NEEDED = "action_needed"
    WITH_PROVIDER = "with_provider"
    WITH_CARRIER = "with_carrier"
    EXCEPTION = "exception"
    SCHEDULED = "scheduled"
    CANCEL_PENDING = "cancel_pending"
    PORTED = "ported"
    PARTIALLY_PORTED = "partially_ported"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    REVERTED = "reverted"
    UNKNOWN = "unknown"


class WaitingOn(StrEnum):
    """Who must act next. A closed set."""

    US = "us"
    PROVIDER = "provider"
    LOSING_CARRIER = "losing_carrier"
    GAINING_CARRIER = "gaining_carrier"
    NOBODY = "nobody"
    UNKNOWN = "unknown"


class Basis(StrEnum):
    """What a mapping from a provider's word to ours rests on."""

    DOCUMENTED = "documented"
    INFERRED = "inferred"
    GUESS = "guess"
    NONE = "none"


class Vocabulary(StrEnum):
    """The word lists a provider may have; the values are the names used in the configuration."""

    PORT_IN = "status"
    PORT_OUT = "port_out"
    REASON = "reason"
    MESSAGING = "messaging"
    ACTIVATION = "activation"
    CARRIER_STATUS = "carrier_status"
    REQUIREMENT = "requirement"
    PORTABILITY = "portability"
    ACTIVATION_JOB = "activation_job"
    ACTION_REQUIREMENT = "action_requirement"


MOVES_STATE = frozenset(
    {
        *(Vocabulary.PORT_IN, Vocabulary.PORT_OUT),
        *(Vocabulary.MESSAGING, Vocabulary.ACTIVATION, Vocabulary.ACTIVATION_JOB),
    }
)
"""The lists whose words decide a state, of an order, a number, its messaging or its activation: a word of them that
nobody knows leaves a state unknown. Words of the others explain one."""


class Source(StrEnum):
    """How a fact reached us: the provider announced it, or we looked."""

    SNAPSHOT = "snapshot"
    EVENT = "event"


class Part(StrEnum):
    """What of the provider's is still to be asked for."""

    ORDER = "order"
    EVENT = "event"
    NUMBERS = "numbers"
    COMMENTS = "comments"
    ACTIVATION_JOBS = "activation_jobs"
    ACTION_REQUIREMENTS = "action_requirements"


class Told(Enum):
    """The sentinel for "this fact does not speak of it", which is not the same as "it is empty"."""

    NOT = "not told"


CLOCK_DOUBT: Final = timedelta(days=1)
"""Two clocks that are further apart than this are not both right."""
MADE_AT: Final = datetime(2025, 1, 1, tzinfo=UTC)
"""This program is younger, so a clock before it is wrong."""
NOT_TOLD: Final = Told.NOT
NotTold: TypeAlias = Literal[Told.NOT]


# --- asking ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OrderRef:
    """A porting order at one account: which way it goes, and the provider's own id, in the one form in which an
    adapter compares ids (a provider may write one in another case elsewhere). `written`: as it stood there."""

    direction: Direction
    id: str
    written: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Window:
    """A span of an event feed, both ends inclusive; `until` None means: up to now."""

    feed: str
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A feed's whole list."""

    feed: str


@dataclass(frozen=True, slots=True)
class Orders:
    """These orders, or for each of them one `part`; `since` is the oldest birth among them, where known."""

    direction: Direction
    ids: tuple[str, ...]
    part: Part = Part.ORDER
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Events:
    """These provider events, by id."""

    feed: str
    ids: tuple[str, ...]


Ask: TypeAlias = Window | Listing | Orders | Events


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, relative to the account's base URL. `received` counts the items of the pages before it
    in its sweep; it never goes over the wire. One that is no GET changes something, and is never repeated."""

    path: str
    params: tuple[tuple[str, str], ...] = ()
    received: int = field(default=0, compare=False)
    method: str = "GET"

    def param(self, name: str) -> str | None:
        """The first value of a query parameter, or None."""
        return next((value for key, value in self.params if key == name), None)


@dataclass(frozen=True, slots=True)
class Page:
    """One reply, a 404 included. `provider_at` is the reply's `Date` header, None beside an `Age`: then it tells when
    a cache was filled (`is_old`). What counts as the provider's time is `dated`."""

    request: Request
    status: int
    body: bytes
    fetched_at: datetime
    provider_at: datetime | None
    is_old: bool = False

    @property
    def dated(self) -> datetime | None:
        """The provider's time of the reply. One more than a day from ours is no time: it would outweigh all that is
        said until then, or nothing would count as new."""
        at = self.provider_at
        if at is None:
            return None
        ours_is_wrong = self.fetched_at < MADE_AT <= at
        return at if ours_is_wrong or abs(at - self.fetched_at) <= CLOCK_DOUBT else None

    @property
    def at(self) -> datetime:
        """When the provider said this, by its own clock where that can be believed."""
        return self.dated or self.fetched_at

    @property
    def doubt(self) -> str | None:
        """Why the reply's own time does not count, in words for the operator."""
        if self.is_old:
            return "the provider's replies come out of a cache (Age), so our own clock counts"
        if self.provider_at is None or self.dated is not None:
            return None
        off = self.provider_at - self.fetched_at
        where = "ahead of" if off > timedelta(0) else "behind"
        days = f"{abs(off).days} days" if abs(off).days > 1 else "a day"
        return f"the provider's clock (Date) is more than {days} {where} ours, so our own counts"


# --- what a page says -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Meaning:
    """Our word for one of a provider's. `value` is a `State` for the status vocabularies, else a plain word.
    `waiting_on` overrides who must act where the state alone would say somebody else."""

    value: str
    basis: Basis = Basis.DOCUMENTED
    waiting_on: WaitingOn | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """The canonical code of a provider's reason, and who can do something about it."""

    code: str
    waiting_on: WaitingOn = WaitingOn.US
    basis: Basis = Basis.DOCUMENTED


@dataclass(frozen=True, slots=True)
class ReasonSaid:
    """A reason as the provider wrote it; `meaning` is filled by `normalise`, and so is, where it gave no text,
    what it says elsewhere that such a reason means (`described`)."""

    code: str
    text: str | None = None
    meaning: Reason | None = None
    described: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """A status word with the reasons given beside it; `meaning` is filled by `normalise`. Reasons that are not told
    are those that stood, as long as the word is the same: a new word begins without any."""

    raw: str | None
    reasons: tuple[ReasonSaid, ...] | NotTold = ()
    meaning: Meaning | None = None

    @property
    def given(self) -> tuple[ReasonSaid, ...]:
        """The reasons that are told here, if any."""
        return () if self.reasons is NOT_TOLD else self.reasons


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a side vocabulary (messaging, activation, ...); `meaning` is filled by `normalise`."""

    raw: str | None
    meaning: str | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """A provider's date: a day in the account's time zone, and the instant when one is known."""

    on: date
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Carrier:
    """A carrier by name and by SPID or OCN, which are never mixed. Where one of the two is not told, it stands as
    it was."""

    name: str | NotTold | None = None
    spid: str | NotTold | None = None


@dataclass(frozen=True, slots=True)
class Dates:
    """The dates a fact speaks of. A requested or confirmed FOC of None means: there is none."""

    requested: Moment | NotTold | None = NOT_TOLD
    confirmed: Moment | NotTold | None = NOT_TOLD
    created: datetime | NotTold | None = NOT_TOLD


@dataclass(frozen=True, slots=True)
class Carriers:
    """Losing and gaining carrier."""

    losing: Carrier | NotTold | None = NOT_TOLD
    gaining: Carrier | NotTold | None = NOT_TOLD


@dataclass(frozen=True, slots=True)
class References:
    """The names under which the customer, the provider's support and the provider's grouping know an order; `pon`
    is the gaining carrier's purchase order number, which its people quote."""

    customer: str | NotTold | None = NOT_TOLD
    customer_group: str | NotTold | None = NOT_TOLD
    description: str | NotTold | None = NOT_TOLD
    support_key: str | NotTold | None = NOT_TOLD
    group_key: str | NotTold | None = NOT_TOLD
    sub_account: str | NotTold | None = NOT_TOLD
    pon: str | NotTold | None = NOT_TOLD


@dataclass(frozen=True, slots=True)
class Terms:
    """What was ordered: all of an account's numbers or some (`port_type`: `full`, `partial`), what becomes of
    those that stay (`remaining_numbers`), what kind the numbers are, and whether the order may port fast. The
    first three are the provider's words."""

    port_type: str | NotTold | None = NOT_TOLD
    remaining_numbers: str | NotTold | None = NOT_TOLD
    number_type: str | NotTold | None = NOT_TOLD
    fast_port: bool | NotTold | None = NOT_TOLD


@dataclass(frozen=True, slots=True)
class NumberSaid:
    """One telephone number as a fact speaks of it. A `status` that is not told means: a copy of the order's.
    `key` and `e164` are filled by `normalise`; an adapter may give as `key` a form with a `+`."""

    raw: str
    status: Status | NotTold = NOT_TOLD
    activation: Word | NotTold = NOT_TOLD
    messaging: Word | NotTold = NOT_TOLD
    carrier_status: Word | NotTold = NOT_TOLD
    requirement: Word | NotTold = NOT_TOLD
    portability: Word | NotTold = NOT_TOLD
    key: str = ""
    e164: str | None = None


@dataclass(frozen=True, slots=True)
class Partial:
    """Some of an order's numbers."""

    numbers: tuple[NumberSaid, ...]


@dataclass(frozen=True, slots=True)
class Whole:
    """All of an order's numbers: one that was known and is missing here has been removed."""

    numbers: tuple[NumberSaid, ...]


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment; `body` has its secrets masked and never enters a change row or a log."""

    id: str
    author_type: str
    body: str | None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """An order came out of another one (a split); without a `parent`, out of none (any more). Once recorded, `parent`
    is our order_id."""

    parent: str | None
    child: str


@dataclass(frozen=True, slots=True)
class Task:
    """Something beside an order that may wait for us: its activation at the cutover, an act it requires.

    `kind` is the word list that its status belongs to (an activation job's or an action requirement's), `name`
    what is to be done, in the provider's word. `from_at` and `until_at` are its window; `is_ours`: when we
    looked, the window had begun and the next step was ours. `made_at`: a younger task replaces one that failed.
    """

    id: str
    kind: Vocabulary
    status: Word
    name: str | None = None
    from_at: datetime | None = None
    until_at: datetime | None = None
    is_ours: bool = False
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Announced:
    """What an event is, beside what it says: the provider's type, and its kept payload as JSON text.
    `feed` and `key` identify it; `complete` is False while the provider still owes the payload."""

    feed: str
    key: str
    type: str
    payload: str | None = None
    complete: bool = True
    number: str | None = None
    raw_from: str | None = None
    raw_to: str | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """At `as_of`, the provider said this about that order; None or NOT_TOLD is "not told", never "empty".

    `source_id` names the fact within its account for ever. `part` tells a snapshot of the order from one
    of its number list; `document` is the kept JSON of a snapshot and `looked_at` the provider's time of the
    look; `announced` is the event of an event. `ordinal`: its place in the provider's own list,
    for what happened in one moment. `said_at`: when the provider last changed a document, by its own word; what it
    says is so since then, whenever we looked, but for the facets in `facets_at`, of which something newer spoke
    before. `deleted_at`: when it was deleted, where that is told. `absent`: it says so of an order that complete
    lists lacked before. `asked`: it shows the order as being cancelled because we asked. `missing`: what the
    provider requires of us and has not got, in its words.
    """

    order: OrderRef
    source: Source
    source_id: str
    as_of: datetime
    read_at: datetime
    part: Part = Part.ORDER
    document: str | None = None
    looked_at: datetime | None = None
    said_at: datetime | None = None
    facets_at: tuple[tuple[str, datetime], ...] = ()
    ordinal: int = field(default=0, compare=False)
    announced: Announced | None = None
    status: Status | None = None
    dates: Dates | None = None
    carriers: Carriers | None = None
    references: References | None = None
    terms: Terms | None = None
    messaging: Word | None = None
    activation: Word | None = None
    steps: tuple[str, ...] | None = None
    numbers: Partial | Whole | None = None
    numbers_total: int | None = None
    #: How many numbers the order's own list had in several looks, one after the other, beside another count.
    listed: int | None = None
    requirements_met: bool | None = None
    missing: tuple[str, ...] | None = None
    task: Task | None = None
    comment: Comment | None = None
    link: Link | None = None
    documents_changed: bool = False
    deleted: bool | None = None
    deleted_at: datetime | None = None
    asked: bool | None = None
    absent: bool | None = None


@dataclass(frozen=True, slots=True)
class Want:
    """Something that must still be asked: an order, its numbers or comments, or an event again.
    `feed` is set for events; `because` names the fact that caused it (a known fact causes nothing anew);
    `not_before` is the moment from which the answer can be another than the one just given; `noted_at` when the
    store was told (our clock)."""

    part: Part
    id: str
    direction: Direction | None = None
    feed: str | None = None
    since: datetime | None = None
    because: str | None = None
    not_before: datetime | None = None
    noted_at: datetime | None = field(default=None, compare=False)
    #: How many numbers the order says that it has, where its list is wanted.
    expected: int | None = field(default=None, compare=False)
    #: What it was answered with that is no whole answer, and how often, one after the other.
    answer: str | None = field(default=None, compare=False)
    answers: int = field(default=0, compare=False)

    @property
    def ref(self) -> str:
        """The key under which the want is stored: its direction or feed, and the provider's id."""
        return f"{self.feed or self.direction}/{self.id}"


@dataclass(frozen=True, slots=True)
class Skipped:
    """An item that could not be read: its id or a hash, and what is wrong, without its content."""

    ref: str
    error: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What one page says. `next` holds the requests that would go on, best first; `ids` what the page
    brought, `items` how many lines it had, `total` how many the provider says there are.

    `done`: the provider says that the list is over. `last`: a way of paging ended here, which alone does not
    prove that nothing is left. `more`: the page itself shows that its list has further pages. `texts`: what the
    provider says that codes of its reasons mean, each with its code.
    """

    facts: tuple[Fact, ...] = ()
    wants: tuple[Want, ...] = ()
    next: tuple[Request, ...] = ()
    total: int | None = None
    ids: frozenset[str] = frozenset()
    items: int = 0
    done: bool = False
    last: bool = False
    more: bool = False
    texts: tuple[tuple[str, str], ...] = ()
    skipped: tuple[Skipped, ...] = ()


# --- what we make of it ---------------------------------------------------------------------------------


class Change(NamedTuple):
    """One difference in one order, as text, the way `v1_changes` shows it. `number_key` and `field` are ''
    where there is none. `late` rows tell history and change nothing that stands."""

    kind: str
    field: str = ""
    old: str | None = None
    new: str | None = None
    number_key: str = ""
    occurred_at: datetime | None = None
    late: bool = False
    regression: bool = False
    unexpected: bool = False
