"""The weather of the simulation: what the fault matrix asks for is really drawn."""

import random

from weather import LIMITS, plan, storm

STORMS = {
    "outage", "error", "rate_limit", "quota", "cut", "foreign", "bad_json", "empty_list", "redirect", "revoked",
    "false_404", "drift", "leave", "unreadable_item", "wrong_type", "nulls", "new_fields",
}  # fmt: skip
CLIMATES = {
    "late", "very_late", "empty_payload", "never_filled", "duplicate", "twin", "unknown_words", "unknown_codes",
    "unknown_types", "odd_text", "token_style", "total_style", "page_clamp", "telnyx_clamp", "meta_style",
    "list_order", "splits", "deletions", "silent_deletions", "unlisted", "date_skew_s", "date_style", "window",
    "window_max_s", "bounds", "history_style", "array_style", "count_max", "unstarted", "dropped_filters",
}  # fmt: skip


def test_every_storm_and_every_way_to_say_later_is_drawn() -> None:
    rng = random.Random(1)
    storms = [storm(rng) for _ in range(2_000)]
    assert {knob for one in storms for knob in one.knobs} >= STORMS
    assert {one.knobs["rate_limit_style"] for one in storms if "rate_limit" in one.knobs} == set(LIMITS)
    assert any(one.broken for one in storms)


def test_every_climate_is_drawn_with_deaths_second_processes_and_wrong_clocks() -> None:
    plans = [plan(random.Random(seed), 5.0) for seed in range(300)]
    assert {knob for one in plans for knob in one.knobs} >= CLIMATES
    assert {one.providers for one in plans} == {("telnyx",), ("fonedynamics",), ("telnyx", "fonedynamics")}
    assert all(one.knobs["late"] == 0.3 for one in plans), "30 % of all events are late"
    for share in ("kills", "meddling", "clocks", "storms"):
        assert 0.2 < sum(getattr(one, share) > 0 for one in plans) / len(plans) < 0.9, share
