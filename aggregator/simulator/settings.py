"""The knobs of the stand-ins: the world's size and clock, and the faults that can be injected.

A knob says its group, its sentence for `--help` and `/_sim/faults`, and what values it takes. Everything is
off unless asked for, save the detours that real lives take anyway.
"""

import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any

BOTH = ("none", "telnyx", "fonedynamics", "both")


def _knob(kind: str, group: str, default: Any, meaning: str, *choices: str) -> Any:
    said = {"kind": kind, "group": group, "meaning": meaning, "choices": choices}
    return field(default=default, metadata=said)


_share, _amount = partial(_knob, "share"), partial(_knob, "amount")
_choice, _switch, _text = partial(_knob, "choice"), partial(_knob, "switch"), partial(_knob, "text")

WHICH = "which requests"
REFUSED = "refusals (shares of requests)"
WIRE = "connections and bodies (shares of requests)"
CONTENT = "contents of replies (shares of requests)"
LISTS = "lists (shares of items, or of pages after the first)"
FONE = "what Fone Dynamics leaves open"
TELNYX = "what Telnyx leaves open"
EVENTS = "Telnyx events made from now on"
ORDERS = "orders made from now on"
CLOCK = "the Date header"


@dataclass(slots=True)
class Faults:
    """What goes wrong, and how often. A share is a probability between 0 and 1."""

    strikes: str = _text(
        WHICH,
        "both",
        "requests that the next three groups strike: both, telnyx, fonedynamics or part of a path",
    )
    times: int = _amount(WHICH, 0, "faults of the next three groups end after so many, counted anew when set")

    outage: bool = _switch(REFUSED, False, "every request is answered 503")
    rate_limit: float = _share(REFUSED, 0.0, "answered 429 (Telnyx error code 10011)")
    rate_limit_style: str = _choice(
        REFUSED, "retry_after", "how a 429 says when to come back",
        "retry_after", "http_date", "reset_seconds", "reset_unix", "none", "fraction", "negative", "nan",
        "infinite", "absurd", "absurd_date", "past_date", "absurd_reset", "words",
    )  # fmt: skip
    rate_limit_s: int = _amount(REFUSED, 1, "seconds a 429 asks the client to wait")
    quota: int = _amount(
        REFUSED, 0, "requests each provider takes in quota_s, then 429 until it is over (0: any)"
    )
    quota_s: int = _amount(REFUSED, 60, "real seconds after which a quota begins anew")
    error: float = _share(REFUSED, 0.0, "answered 500, 502, 503 or 504")
    error_style: str = _choice(REFUSED, "any", "their body", "any", "json", "html", "empty")
    revoked: str = _choice(REFUSED, "none", "the provider whose keys are refused", *BOTH)
    revoked_status: int = _amount(REFUSED, 401, "with this status: 401 or 403")
    false_404: float = _share(REFUSED, 0.0, "single orders and events answered 404 although they are there")
    redirect: float = _share(REFUSED, 0.0, "answered 302 to /_sim/elsewhere, which counts who comes")

    slow: float = _amount(WIRE, 0.0, "seconds every reply is held back")
    reset: float = _share(WIRE, 0.0, "connections cut")
    reset_style: str = _choice(WIRE, "any", "where they are cut", "any", "before", "headers", "body")
    drip: float = _share(WIRE, 0.0, "sent in small pieces")
    drip_style: str = _choice(WIRE, "body", "what drips", "body", "headers")
    drip_bytes: int = _amount(WIRE, 16, "bytes in such a piece")
    drip_s: float = _amount(WIRE, 0.5, "seconds between two pieces")
    huge: float = _share(WIRE, 0.0, "padded with blanks, without a length said beforehand")
    huge_mb: int = _amount(WIRE, 9, "to so many MB")
    bomb: float = _share(WIRE, 0.0, "answered by a small gzip body, whatever the client accepts")
    bomb_mb: int = _amount(WIRE, 200, "that unpacks to so many MB")

    cut: float = _share(CONTENT, 0.0, "whose JSON is cut short, whole as HTTP")
    foreign: float = _share(CONTENT, 0.0, "with status 200 that are something else")
    foreign_style: str = _choice(
        CONTENT, "any", "namely",
        "any", "html", "object", "null", "list", "text", "empty", "error", "other_provider",
    )  # fmt: skip
    bad_json: float = _share(CONTENT, 0.0, "whose JSON no careful reader takes")
    bad_json_style: str = _choice(
        CONTENT, "any", "because of", "any", "deep", "nan", "infinity", "huge_int", "not_utf8"
    )
    empty_list: float = _share(CONTENT, 0.0, "lists that are empty, whatever there is")

    duplicate: float = _share(LISTS, 0.0, "items listed twice in a row, always the same ones")
    twin: float = _share(LISTS, 0.0, "items listed again with older content beside the present one")
    drift: float = _share(LISTS, 0.0, "later pages before which the clock jumps to the next row of the list")
    leave: float = _share(LISTS, 0.0, "later pages before which an earlier row has left the list")
    leave_style: str = _choice(
        LISTS, "counted", "whether the total tells, or another row takes its place", "counted", "swapped"
    )
    list_order: str = _choice(
        LISTS, "oldest", "order of the lists that have no stated one", "oldest", "newest", "shuffled"
    )
    unreadable_item: float = _share(LISTS, 0.0, "items without id, with a mistyped time, or no object at all")
    wrong_type: float = _share(LISTS, 0.0, "items with one field of another type")
    nulls: float = _share(LISTS, 0.0, "items with null in one field besides id and status")
    new_fields: float = _share(LISTS, 0.0, "items with fields that nobody knows")
    odd_text: float = _share(LISTS, 0.0, "orders whose texts hold NUL, a lone surrogate and terminal escapes")

    token_style: str = _choice(
        FONE, "offset", "NextPageToken: what it is and what is honoured (stuck: nothing; endless: begins again)",
        "offset", "offset_only", "token_only", "page_number", "constant", "none", "stuck", "endless",
    )  # fmt: skip
    total_style: str = _choice(
        FONE, "requests", "what TotalCount counts, or how it is wrong",
        "requests", "numbers", "page", "missing", "zero", "more", "text",
    )  # fmt: skip
    page_clamp: int = _amount(FONE, 0, "largest page given, whatever is asked for (0: as asked)")
    count_max: int = _amount(FONE, 0, "a larger Results_Count is answered 400 (0: any is taken)")
    window: str = _choice(FONE, "any", "which update of a request must lie in the window", "any", "latest")
    window_max_s: int = _amount(FONE, 0, "a window of more seconds is answered 400 (0: any is taken)")
    bounds: str = _choice(FONE, "inclusive", "whether From and To belong to it", "inclusive", "exclusive")
    history_style: str = _choice(
        FONE, "whole", "StatusHistory: whole, or what lies in the window", "whole", "window"
    )
    array_style: str = _choice(
        FONE, "any", "PortingRequestNumbers: spelling that is honoured", "any", "comma", "repeated", "ignored"
    )
    unstarted: str = _choice(FONE, "listed", "requests that had no update yet", "listed", "hidden")

    telnyx_clamp: int = _amount(TELNYX, 0, "largest page given, whatever is asked for (0: as asked)")
    meta_style: str = _choice(
        TELNYX, "whole", "numbers in meta, or how they are wrong", "whole", "float", "text", "missing", "zero"
    )
    dropped_filters: str = _choice(
        TELNYX, "taken", "filters that left the specification, such as porting_order_id of numbers",
        "taken", "ignored", "refused",
    )  # fmt: skip

    late: float = _share(EVENTS, 0.0, "listed only after a delay")
    late_max_s: int = _amount(EVENTS, 1_800, "longest such delay, in seconds of the simulated clock")
    very_late: float = _share(EVENTS, 0.0, "listed only after very_late_s, up to twice that")
    very_late_s: int = _amount(EVENTS, 7_200, "more than the usual lookback of an hour")
    empty_payload: float = _share(EVENTS, 0.0, "whose payload is empty for a while")
    empty_payload_s: int = _amount(EVENTS, 600, "how long, in seconds of the simulated clock")
    never_filled: float = _share(EVENTS, 0.0, "whose payload stays empty for ever")
    empty_style: str = _choice(
        EVENTS, "object", "an empty payload is {}, null or absent", "object", "null", "absent"
    )

    unknown_words: float = _share(ORDERS, 0.0, "that show a status nobody knows")
    unknown_codes: float = _share(
        ORDERS, 0.0, "Telnyx orders whose exceptions have codes outside the published"
    )
    unknown_types: float = _share(ORDERS, 0.0, "Telnyx orders with an event of a type nobody knows")
    unlisted: float = _share(ORDERS, 0.0, "Telnyx port-outs that no list shows, only their events")
    splits: float = _share(ORDERS, 0.06, "Telnyx orders of several numbers that are split")
    deletions: float = _share(
        ORDERS, 0.04, "Telnyx drafts that are deleted, with an event and 404 from then on"
    )
    silent_deletions: float = _share(ORDERS, 0.0, "Telnyx drafts that are deleted without an event")

    date_skew_s: int = _amount(CLOCK, 0, "seconds it is ahead of the simulated clock, or behind if negative")
    date_style: str = _choice(CLOCK, "clock", "what it holds", "clock", "missing", "words")

    def set(self, name: str, value: object) -> None:
        """Set one knob from its text or JSON value. ValueError for a knob or value that is not there."""
        self.set_all({name: value})

    def set_all(self, said: Mapping[str, object]) -> None:
        """Set several knobs, all or none."""
        taken = {name: _taken(name, value) for name, value in said.items()}
        for name, value in taken.items():
            setattr(self, name, value)

    def clear(self) -> None:
        """Everything as it is by default."""
        for one in fields(self):
            setattr(self, one.name, one.default)

    def shown(self) -> dict[str, dict[str, object]]:
        """Every knob with its value and meaning."""
        return {
            one.name: {
                "value": getattr(self, one.name),
                "default": one.default,
                **{key: one.metadata[key] for key in ("meaning", "group", "choices")},
            }
            for one in fields(self)
        }


KNOBS = {one.name: one for one in fields(Faults)}


def _taken(name: str, value: object) -> Any:
    """A knob's value from text or JSON. ValueError says what is wrong and what would do."""
    if name not in KNOBS:
        near = difflib.get_close_matches(name, KNOBS, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else "simulate --help lists them all"
        raise ValueError(f"no knob {name}; {hint}")
    knob, said = KNOBS[name], str(value).strip().lower()
    kind, choices = knob.metadata["kind"], knob.metadata["choices"]
    if kind == "choice":
        if said not in choices:
            raise ValueError(f"{name}={value}: must be one of {', '.join(choices)}")
        return said
    if kind == "switch":
        if said not in ("true", "false", "1", "0"):
            raise ValueError(f"{name}={value}: must be true or false")
        return said in ("true", "1")
    return str(value) if kind == "text" else _numeric(name, kind, value)


def _numeric(name: str, kind: str, value: object) -> float | int:
    whole = isinstance(KNOBS[name].default, int)
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or (whole and number != int(number)):
        raise ValueError(f"{name}={value}: must be a {'whole ' if whole else ''}number")
    if kind == "share" and not 0 <= number <= 1:
        raise ValueError(f"{name}={value}: a share lies between 0 and 1")
    if name == "revoked_status" and number not in (401, 403):
        raise ValueError(f"{name}={value}: must be 401 or 403")
    if number < 0 and name != "date_skew_s":
        raise ValueError(f"{name}={value}: must not be negative")
    return int(number) if whole else number


def groups() -> Iterator[tuple[str, list[Any]]]:
    """The knobs by group, in their order."""
    for group, knobs in groupby(fields(Faults), key=lambda one: one.metadata["group"]):
        yield str(group), list(knobs)


@dataclass(frozen=True, slots=True)
class Settings:
    """The world: its seed and size, how long it lives, how fast its clock runs."""

    seed: int = 1
    orders: int = 120
    days: int = 45
    history: int = 0
    speed: float = 1.0
    start: datetime | None = None
    require_auth: bool = False
    account_sid: str = "A5EQ333XCXHTRHUS5DEOXLLA36ZQSZQQ"
    property_sid: str = "S6QW333XCXHTRHUS5DEOXLLA36ZQSAAA"
    telnyx_key: str = "KEY0123456789ABCDEFSIMULATED"
    fonedynamics_token: str = "simulated-token-0123456789"
