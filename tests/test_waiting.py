"""Who must act on an order, since when, and why in words."""

from typing import Any

import pytest
from made import account, event, hour, look

from aggregator.core.fold import fold
from aggregator.core.model import (
    Comment,
    Direction,
    Fact,
    Meaning,
    NumberSaid,
    Partial,
    ReasonSaid,
    Source,
    Status,
    Vocabulary,
    WaitingOn,
    Whole,
    Word,
)
from aggregator.core.normalise import normalise
from aggregator.core.standing import Order

A, B = "+13035550101", "+13035550102"
OUT = Direction.PORT_OUT


def order_of(*told: Fact) -> Order:
    """An order's columns after these facts."""
    return fold(None, told).order


# --- who must act ---------------------------------------------------------------------------------------

PORT_IN_WORDS = [
    ("draft", "draft", "us"),
    ("in-process", "with_provider", "provider"),
    ("submitted", "with_carrier", "losing_carrier"),
    ("exception", "exception", "us"),
    ("foc-date-confirmed", "scheduled", "nobody"),
    ("ported", "ported", "nobody"),
    ("cancel-pending", "cancel_pending", "provider"),
    ("cancelled", "cancelled", "nobody"),
    ("never-heard-of", "unknown", "unknown"),
]
PORT_OUT_WORDS = [
    ("pending", "action_needed", "us"),
    ("authorized", "scheduled", "nobody"),
    ("rejected-pending", "with_provider", "provider"),
    ("rejected", "rejected", "nobody"),  # good news: the number stays
    ("canceled", "cancelled", "nobody"),
    ("ported", "ported", "nobody"),
]
WORDS = [
    *((Direction.PORT_IN, *row) for row in PORT_IN_WORDS),
    *((Direction.PORT_OUT, *row) for row in PORT_OUT_WORDS),
]


@pytest.mark.parametrize(
    ("direction", "word", "state", "who"), WORDS, ids=[f"{d}: {w}" for d, w, *_ in WORDS]
)
def test_each_word_says_where_an_order_is_and_who_must_act(
    direction: Direction, word: str, state: str, who: str
) -> None:
    order = order_of(look(1, word, direction=direction))
    assert (order.state, order.waiting_on, order.raw_status) == (state, who, word)
    ended = state in ("ported", "cancelled", "rejected")
    assert order.is_open is not ended
    assert order.ended_at == (hour(1) if ended else None)


REASONS = [
    ((), "us"),
    (("PASSCODE_PIN_INVALID",), "us"),
    (("OSP_IRRESPONSIVE",), "losing_carrier"),
    (("SV_CONFLICT",), "provider"),
    (("OSP_IRRESPONSIVE", "SV_UNKNOWN_FAILURE"), "provider"),
    (("OSP_IRRESPONSIVE", "FOC_REJECTED", "SV_CONFLICT"), "us"),
    (("NEVER_HEARD_OF", "OSP_IRRESPONSIVE"), "us"),
]


@pytest.mark.parametrize(("codes", "who"), REASONS, ids=[" ".join(codes) or "none" for codes, _ in REASONS])
def test_the_set_of_reasons_decides_who_must_act_on_an_exception(codes: tuple[str, ...], who: str) -> None:
    assert order_of(event(1, "exception", *codes)).waiting_on == who
    assert order_of(event(1, "exception", *reversed(codes))).waiting_on == who


def test_reasons_beside_any_other_state_do_not_change_who_must_act() -> None:
    assert order_of(event(1, "submitted", "PASSCODE_PIN_INVALID")).waiting_on == "losing_carrier"


def test_an_operators_word_may_say_who_must_act() -> None:
    mine = {Vocabulary.PORT_IN: {"awaiting telstra": Meaning("with_carrier", waiting_on=WaitingOn.US)}}
    words = account("fonedynamics", operator=mine).words
    told = normalise(look(1, "Awaiting Telstra", provider="fonedynamics"), words)
    assert (order_of(told).state, order_of(told).waiting_on) == ("with_carrier", "us")
    assert order_of(told).why == "an act of ours is needed"


STEPS = ("sign_the_loa",)
REQUIRED = Partial((NumberSaid(A, requirement=Word("requirement-info-pending")),))


def test_steps_left_on_a_submitted_order_wait_for_us_and_its_state_stays() -> None:
    order = order_of(look(1, "submitted", steps=STEPS))
    assert (order.state, order.waiting_on, order.why) == ("with_carrier", "us", "needed: sign the loa")


def test_a_draft_with_steps_left_stays_a_draft() -> None:
    order = order_of(look(1, "draft", steps=STEPS, numbers=REQUIRED))
    assert (order.state, order.waiting_on, order.why) == ("draft", "us", "finish and submit the draft")
    assert order.waiting_since == hour(1)


@pytest.mark.parametrize(
    ("word", "who"),
    [
        ("requirement-info-pending", "us"),
        ("requirement-info-exception", "us"),
        ("requirement-info-under-review", "losing_carrier"),
        ("approved", "losing_carrier"),
    ],
)
def test_a_requirement_of_a_number_waits_for_us_while_it_is_ours(word: str, who: str) -> None:
    order = order_of(look(1, "submitted", numbers=Whole((NumberSaid(A, requirement=Word(word)),))))
    assert (order.state, order.waiting_on) == ("with_carrier", who)
    assert (order.why is not None) is (who == "us")


def test_an_ended_order_needs_nothing_more() -> None:
    assert order_of(look(1, "cancelled", steps=STEPS, numbers=REQUIRED)).waiting_on == "nobody"


def test_the_requirement_of_a_removed_number_is_nobodys_any_more() -> None:
    with_it = look(
        1, "submitted", numbers=Whole((NumberSaid(A, requirement=Word("requirement-info-pending")),))
    )
    order = order_of(with_it, look(2, "submitted", numbers=Whole((NumberSaid(B),))))
    assert (order.waiting_on, order.waiting_since) == ("losing_carrier", hour(2))


def test_an_order_waits_since_the_answer_has_been_the_same() -> None:
    facts = [
        look(1, "exception", steps=()),
        event(2, "exception", "FOC_REJECTED"),
        look(3, "exception", "FOC_REJECTED", steps=STEPS),
        look(4, "submitted", steps=STEPS),
        look(5, "submitted", steps=(*STEPS, "upload_an_invoice")),
    ]
    assert order_of(*facts).waiting_on == "us"
    assert order_of(*facts).waiting_since == hour(1), "us all the way, whatever for"
    assert order_of(*facts, look(6, "submitted", steps=())).waiting_since == hour(6)


def test_every_look_with_the_same_step_left_waits_since_the_first() -> None:
    facts = [look(1, "submitted", steps=()), *(look(hours, "submitted", steps=STEPS) for hours in (2, 3, 4))]
    assert order_of(*facts).waiting_since == hour(2)


def test_what_is_told_of_one_moment_counts_as_a_whole() -> None:
    order = look(2, "submitted", steps=(), source_id="a")
    numbers = look(2, numbers=REQUIRED, source_id="b")
    assert order_of(look(1, "exception"), order, numbers).waiting_since == hour(1)


def test_a_refusal_that_was_turned_down_waits_for_us_anew() -> None:
    facts = [event(1, "pending", direction=OUT), event(2, "rejected-pending", direction=OUT)]
    again = event(9, "pending", direction=OUT)
    assert order_of(*facts).waiting_on == "provider"
    order = order_of(*facts, again)
    assert (order.state, order.waiting_on, order.waiting_since) == ("action_needed", "us", hour(9))
    assert order.why == "decide: authorise or refuse; silence authorises it"


def test_trouble_with_messaging_on_a_ported_order_waits_for_the_provider() -> None:
    troubled = look(2, "ported", messaging=Word("exception"))
    order = order_of(look(1, "ported", messaging=Word("activating")), troubled)
    assert (order.waiting_on, order.waiting_since, order.messaging_open) == ("provider", hour(2), True)
    assert order_of(look(1, "exception", messaging=Word("exception"))).waiting_on == "us"


# --- why, in words --------------------------------------------------------------------------------------

WHY: list[tuple[str, dict[str, Any], str | None]] = [
    ("draft", {}, "finish and submit the draft"),
    ("exception", {}, "refused without a reason; the provider's comments or its support may give one"),
    ("submitted", {}, None),
    ("foc-date-confirmed", {}, None),
    ("never-heard-of", {}, "status nobody knows: never-heard-of"),
    ("submitted", {"steps": STEPS}, "needed: sign the loa"),
    ("submitted", {"numbers": REQUIRED}, "needed: requirement info pending"),
    ("exception", {"steps": STEPS}, "needed: sign the loa"),
    ("draft", {"requirements_met": False}, "finish and submit the draft; required documents are missing"),
    ("draft", {"requirements_met": True}, "finish and submit the draft"),
    ("submitted", {"requirements_met": False}, None),
    ("never-heard-of", {"numbers": REQUIRED, "steps": STEPS}, "status nobody knows: never-heard-of"),
]


@pytest.mark.parametrize(("word", "said", "why"), WHY, ids=[f"{w} {' '.join(s)}" for w, s, _ in WHY])
def test_why_says_in_words_what_an_order_waits_for(word: str, said: dict[str, Any], why: str | None) -> None:
    assert order_of(look(1, word, **said)).why == why


def test_why_gives_the_reason_with_the_providers_own_text() -> None:
    reasons = (ReasonSaid("PASSCODE_PIN_INVALID", "PIN is invalid"), ReasonSaid("NEVER_HEARD_OF", "call us"))
    told = Fact(event(1).order, Source.EVENT, "e", hour(1), hour(1), status=Status("exception", reasons))
    order = order_of(normalise(told, account("telnyx").words))
    assert order.why == "call us; PIN wrong (PIN is invalid)"
    assert order.reasons == ("pin_invalid", "unknown")


def test_why_gives_what_is_needed_and_the_reason_of_a_refusal() -> None:
    order = order_of(look(1, "exception", "PASSCODE_PIN_INVALID", steps=STEPS))
    assert order.why is not None
    assert order.why.startswith("needed: sign the loa; PIN wrong")


def test_why_is_silent_when_others_must_act() -> None:
    assert order_of(event(1, "exception", "SV_CONFLICT")).why is None


def test_a_port_out_waits_for_a_decision_and_a_rejected_one_for_nothing() -> None:
    opened = order_of(event(1, "pending", direction=OUT))
    assert opened.why == "decide: authorise or refuse; silence authorises it"
    assert order_of(event(1, "rejected", "1002", direction=OUT)).why is None


def test_an_order_of_which_no_status_was_told_says_so() -> None:
    order = order_of(event(1, comment=Comment("c1", "provider", None)))
    assert (order.state, order.waiting_on, order.why) == ("unknown", "unknown", "no status told yet")
    assert (order.mapping_basis, order.state_since, order.waiting_since) == ("none", None, None)
