"""The knobs of the stand-ins: the world's size and clock, and the faults that can be injected."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any


def knob(default: Any, meaning: str) -> Any:
    """A fault knob with the sentence that `--help` and `/_sim/faults` show."""
    return field(default=default, metadata={"meaning": meaning})


@dataclass(slots=True)
class Faults:
    """What goes wrong, and how often. Shares are probabilities for each request or each item."""

    rate_limit: float = knob(0.0, "share of requests answered 429 (Telnyx error code 10011)")
    rate_limit_style: str = knob(
        "retry_after", "how the 429 says when: retry_after, http_date, reset_seconds, reset_unix or none"
    )
    rate_limit_s: int = knob(1, "seconds a 429 asks the client to wait")
    error: float = knob(0.0, "share of requests answered 500, 502, 503 or 504, as JSON or HTML")
    reset: float = knob(0.0, "share of connections cut before or in the middle of the reply")
    duplicate: float = knob(0.0, "share of list items that are listed twice")
    drift: float = knob(
        0.0, "share of later pages of an open window that are shifted by a row born meanwhile"
    )
    late: float = knob(0.0, "share of events that show up in the list only after a delay")
    late_max_s: int = knob(1_800, "longest such delay, in seconds of the simulated clock")
    empty_payload: float = knob(0.1, "share of Telnyx events whose payload is empty for a while")
    empty_payload_s: int = knob(600, "how long such a payload stays empty, in simulated seconds")
    unknown_words: float = knob(0.0, "share of orders that show a status nobody knows")
    token_style: str = knob(
        "offset",
        "Fone Dynamics NextPageToken: offset, offset_only, token_only, page_number, constant or none",
    )
    total_style: str = knob("requests", "Fone Dynamics TotalCount counts: requests, numbers, page or missing")
    page_clamp: int = knob(0, "largest page Fone Dynamics gives, whatever is asked for (0: as asked)")
    window: str = knob("any", "Fone Dynamics selects requests with any update in the window, or the latest")
    slow: float = knob(0.0, "seconds every reply is held back")
    cut: float = knob(0.0, "share of replies whose JSON is cut short")
    foreign: float = knob(0.0, "share of replies that are HTML, {}, null or [] with status 200")
    unreadable_item: float = knob(0.0, "share of list items with missing or mistyped fields")
    outage: bool = knob(False, "every request is answered 503")

    def set(self, name: str, value: object) -> None:
        """Set one knob from its text or JSON value. ValueError for a knob that is not there."""
        known = {one.name: one for one in fields(self)}
        if name not in known:
            raise ValueError(f"no knob {name} (there is {', '.join(known)})")
        kind = type(getattr(self, name))
        setattr(self, name, value in (True, "true", "1", 1) if kind is bool else kind(value))

    def shown(self) -> dict[str, dict[str, object]]:
        """Every knob with its value and meaning."""
        return {
            one.name: {"value": getattr(self, one.name), "meaning": one.metadata["meaning"]}
            for one in fields(self)
        }


@dataclass(frozen=True, slots=True)
class Settings:
    """The world: its seed and size, how long it lives, how fast its clock runs."""

    seed: int = 1
    orders: int = 120
    days: int = 45
    speed: float = 1.0
    start: datetime | None = None
    require_auth: bool = False
    account_sid: str = "A5EQ333XCXHTRHUS5DEOXLLA36ZQSZQQ"
    property_sid: str = "S6QW333XCXHTRHUS5DEOXLLA36ZQSAAA"
    telnyx_key: str = "KEY0123456789ABCDEFSIMULATED"
    fonedynamics_token: str = "simulated-token-0123456789"
