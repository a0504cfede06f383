"""What a seed draws: how its provider is for a whole life, which storms pass over it, how it is polled."""

import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

MINUTE, HOUR, DAY = (timedelta(seconds=span) for span in (60, 3_600, 86_400))
LIMITS = (
    "retry_after", "http_date", "reset_seconds", "reset_unix", "none", "fraction", "negative", "nan",
    "infinite", "absurd", "absurd_date", "past_date", "absurd_reset", "words",
)  # fmt: skip
FOREIGN = ("html", "object", "null", "list", "text", "empty", "error", "other_provider")
LIES = frozenset({"leave", "empty_list", "unreadable_item", "wrong_type", "nulls", "false_404", "cut"})
"""Storms under which a provider may hide what it has, and nobody could tell."""
SPOILS = frozenset({"unreadable_item", "wrong_type", "nulls", "false_404"})
"""Storms under which what is stored of an event may differ from what it is."""


@dataclass(frozen=True)
class Storm:
    """Some knobs for some hours. `broken` is the share of requests without a reply."""

    knobs: dict[str, Any] = field(default_factory=dict)
    broken: float = 0.0

    @property
    def lies(self) -> bool:
        return not LIES.isdisjoint(self.knobs)

    @property
    def spoils(self) -> bool:
        return not SPOILS.isdisjoint(self.knobs)


def storm(rng: random.Random) -> Storm:
    """One thing that goes wrong, now and then two."""
    first = _storm(rng)
    if rng.random() < 0.25:
        second = _storm(rng)
        return Storm({**first.knobs, **second.knobs}, max(first.broken, second.broken))
    return first


def _storm(rng: random.Random) -> Storm:
    share = rng.choice((0.05, 0.2, 0.5, 1.0))
    some = rng.choice((0.05, 0.2, 0.4))
    kinds: tuple[Storm, ...] = (
        Storm({"outage": True}),
        Storm({"error": share}),
        Storm(
            {
                "rate_limit": share,
                "rate_limit_style": rng.choice(LIMITS),
                "rate_limit_s": rng.choice((1, 20, 400, 3_000)),
            }
        ),
        Storm({"quota": rng.choice((2, 5)), "quota_s": rng.choice((10, 60, 600))}),
        Storm(broken=share),
        Storm(broken=some),
        Storm({"cut": some}),
        Storm({"foreign": some, "foreign_style": rng.choice(FOREIGN)}),
        Storm({"bad_json": some, "bad_json_style": rng.choice(("nan", "infinity", "huge_int", "not_utf8"))}),
        Storm({"empty_list": some}),
        Storm({"redirect": some}),
        Storm({"revoked": "both", "revoked_status": rng.choice((401, 403))}),
        Storm({"false_404": some}),
        Storm({"drift": share}),
        Storm({"leave": some, "leave_style": "counted"}),
        Storm({"leave": some, "leave_style": "swapped"}),
        Storm({"unreadable_item": some}),
        Storm({"wrong_type": some}),
        Storm({"nulls": some}),
        Storm({"new_fields": share}),
    )
    return rng.choice(kinds)


@dataclass(frozen=True)
class Plan:
    """How a life goes. Times scale: the seconds of real polls are minutes or hours here, so that a life is cheap;
    what counts is how they lie to one another, and that is drawn anew for each seed."""

    providers: tuple[str, ...]
    every: timedelta
    listing: timedelta
    lookback: timedelta
    uptime: timedelta
    spans: int
    kills: float
    meddling: float
    knobs: dict[str, Any]
    orders: int
    clocks: float
    storms: int


def plan(rng: random.Random, days: float) -> Plan:
    """Draw a life."""
    kinds: dict[tuple[str, ...], float] = {
        ("telnyx",): 1.0,
        ("fonedynamics",): 0.6,
        ("telnyx", "fonedynamics"): 1.6,
    }
    providers, cost = rng.choices(list(kinds.items()), (45, 35, 20))[0]
    every = rng.choice((3 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 5 * HOUR))
    polls = 16 / cost
    uptime = min(days * DAY, polls * 1.5 * every)
    lookback = max(6 * HOUR, rng.choice((2, 4)) * every)
    knobs = {**_telnyx(rng, lookback), **_fone(rng), **_both(rng)}
    if knobs.keys() & {"duplicate", "twin"}:
        # Pages of two or three rows can be made of copies alone, which only a server without an end would send.
        knobs.pop("page_clamp", None)
        knobs.pop("telnyx_clamp", None)
        if knobs.get("token_style") == "token_only":
            knobs.pop("token_style")
    if knobs.get("window") == "latest" and knobs.get("history_style") == "window":
        knobs.pop("history_style")  # what no window shows cannot be found
    return Plan(
        providers,
        every,
        listing=every * rng.choice((4, 8)),
        lookback=lookback,
        uptime=uptime,
        spans=rng.choice((1, 2, 3, 4)),
        kills=rng.choice((0.0, 0.5, 1.0)),
        meddling=rng.choice((0.0, 0.02, 0.1, 0.3)),
        knobs=knobs,
        orders=rng.choice((8, 14, 20)),
        clocks=rng.choice((0.0, 0.0, 1.0, 3.0)),
        storms=rng.choice((0, 1, 2, 4)),
    )


def _maybe(rng: random.Random, share: float, *values: Any) -> dict[str, Any]:
    """A knob and a value for it, or nothing."""
    name, *choices = values
    return {name: rng.choice(choices)} if rng.random() < share else {}


def _telnyx(rng: random.Random, lookback: timedelta) -> dict[str, Any]:
    most = int(lookback.total_seconds())
    return {
        "late": 0.3,
        "late_max_s": most - 1,
        **_maybe(rng, 0.4, "very_late", 0.05, 0.2),
        "very_late_s": most + 60,
        **_maybe(rng, 0.5, "empty_payload", 0.1, 0.5),
        "empty_payload_s": rng.choice((600, 5_000, 30_000)),
        **_maybe(rng, 0.2, "never_filled", 0.1),
        **_maybe(rng, 0.5, "empty_style", "null", "absent"),
        **_maybe(rng, 0.5, "telnyx_clamp", 3, 7, 20),
        **_maybe(rng, 0.3, "meta_style", "float", "text", "missing", "zero"),
        **_maybe(rng, 0.2, "dropped_filters", "ignored"),
        **_maybe(rng, 0.2, "unknown_codes", 0.5),
        **_maybe(rng, 0.2, "unknown_types", 0.5),
        **_maybe(rng, 0.3, "unlisted", 0.3),
        **_maybe(rng, 0.3, "splits", 0.5),
        **_maybe(rng, 0.3, "deletions", 0.5),
        **_maybe(rng, 0.2, "silent_deletions", 0.3),
    }


def _fone(rng: random.Random) -> dict[str, Any]:
    # A total that counts less than there is can only be told from a true one by pages of the usual size; one that
    # always counts more than there is makes every empty window a contradiction.
    totals = _maybe(rng, 0.4, "total_style", "numbers", "page", "missing", "zero", "text")
    tokens = ("offset", "offset_only", "token_only", "page_number", "constant", "none")
    return {
        **_maybe(rng, 0.5, "token_style", *tokens),
        **totals,
        **_maybe(rng, 0.4 if totals.get("total_style") not in ("page", "zero") else 0.0, "page_clamp", 2, 5),
        **_maybe(rng, 0.2, "count_max", 50, 100),
        **_maybe(rng, 0.3, "window", "latest"),
        **_maybe(rng, 0.2, "window_max_s", 7 * 86_400),
        **_maybe(rng, 0.3, "bounds", "exclusive"),
        **_maybe(rng, 0.3, "history_style", "window"),
        **_maybe(rng, 0.4, "array_style", "comma", "repeated", "ignored"),
        **_maybe(rng, 0.2, "unstarted", "hidden"),
    }


def _both(rng: random.Random) -> dict[str, Any]:
    return {
        **_maybe(rng, 0.6, "list_order", "newest", "shuffled"),
        **_maybe(rng, 0.3, "duplicate", 0.05, 0.3),
        **_maybe(rng, 0.3, "twin", 0.05, 0.3),
        **_maybe(rng, 0.2, "unknown_words", 0.5),
        **_maybe(rng, 0.3, "odd_text", 0.5),
        **_maybe(rng, 0.3, "date_skew_s", -7_200, -90, 90, 7_200),
        **_maybe(rng, 0.2, "date_style", "missing", "words"),
    }
