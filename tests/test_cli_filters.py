"""What the read verbs are asked for: each filter of each verb is applied, what is no filter of a verb is refused,
repeated values add up, and what does not exist is a usage error with a hint, in every verb.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filled
import pytest
import typer
from filled import ACME, NUMBER

from aggregator.cli import main
from aggregator.cli.app import app
from aggregator.core.diff import EVERY_KIND

Run = Callable[..., tuple[int, str, str]]
FILTERS = {
    "account": ("telnyx-main", "fone-au"),
    "provider": ("telnyx", "fonedynamics"),
    "direction": ("port_in", "port_out"),
    "state": ("exception", "scheduled"),
    "customer": ("Acme Dental", "Cedar Lane Vets"),
}
TIMES = {
    "waiting": "waiting_since",
    "orders": "last_changed_at",
    "changes": "observed_at",
    "events": "occurred_at",
    "unknown": "last_seen_at",
    "quarantine": "last_seen_at",
}
VERBS = ("waiting", "orders", "changes", "events", "feeds", "accounts", "unknown", "quarantine")
LOOSE = {"feeds", "accounts", "unknown", "quarantine"}
"""The verbs whose rows belong to no order."""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    filled.fill(f"sqlite:///{folder}/aggregator.db")
    filled.settle(f"sqlite:///{folder}/aggregator.db")
    return filled.configuration(folder, "sqlite:///aggregator.db")


def rows(run: Run, config: Path, verb: str, *more: str) -> list[dict[str, Any]]:
    every = ("--all",) if verb == "orders" else ()
    code, out, err = run("--config", str(config), verb, *every, *more, "--json")
    assert (code, err) == (0, "")
    return [*map(json.loads, out.splitlines())]


def options(verb: str) -> set[str]:
    main(["--version"])
    root: Any = typer.main.get_command(app)
    return {name for param in root.commands[verb].params for name in param.opts if name.startswith("--")}


def value(run: Run, config: Path, row: dict[str, Any], name: str) -> Any:
    """What a row is filtered by: its own column, or that of its order."""
    column = "customer_reference" if name == "customer" else name
    if column in row:
        return row[column]
    (order,) = (one for one in rows(run, config, "orders") if one["order_id"] == row["order_id"])
    return order[column]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_has_the_filters_that_it_can_apply_and_no_others(run: Run, config: Path, verb: str) -> None:
    expected = {"--account", "--provider"} if verb in LOOSE else {f"--{name}" for name in FILTERS}
    expected |= {"--since", "--until"} if verb in TIMES else set()
    expected |= {"--limit"} if verb != "feeds" else set()
    every = {f"--{name}" for name in (*FILTERS, "since", "until", "limit")}
    assert options(verb) & every == expected
    for option in every - expected:
        code, out, err = run("--config", str(config), verb, option, "1")
        assert (code, out) == (2, "")
        assert f"No such option: {option}" in " ".join(err.split())


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", FILTERS)
def test_each_filter_leaves_its_rows_and_repeated_values_add_up(
    run: Run, config: Path, verb: str, name: str
) -> None:
    if f"--{name}" not in options(verb):
        return
    everything = rows(run, config, verb)
    shares = {}
    for one in FILTERS[name]:
        shares[one] = rows(run, config, verb, f"--{name}", one)
        assert shares[one] == [row for row in everything if value(run, config, row, name) == one]
    first, second = FILTERS[name]
    both = rows(run, config, verb, f"--{name}", first, f"--{name}", second)
    assert both == [row for row in everything if row in shares[first] or row in shares[second]]
    assert any(shares.values()), "a filter that never finds anything is not tested"


@pytest.mark.parametrize("verb", TIMES)
def test_times_bound_the_rows_of_each_verb_that_takes_them(run: Run, config: Path, verb: str) -> None:
    everything = rows(run, config, verb)
    moments = sorted({row[TIMES[verb]] for row in everything})
    middle = moments[len(moments) // 2]
    late = rows(run, config, verb, "--since", middle)
    early = rows(run, config, verb, "--until", middle)
    assert late == [row for row in everything if row[TIMES[verb]] >= middle]
    assert early == [row for row in everything if row[TIMES[verb]] < middle]


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "feeds"])
def test_a_limit_bounds_the_rows_of_each_verb_that_takes_it(run: Run, config: Path, verb: str) -> None:
    everything = rows(run, config, verb)
    newest = verb in ("changes", "events")
    assert rows(run, config, verb, "--limit", "1") == (everything[-1:] if newest else everything[:1])


@pytest.mark.parametrize("arguments", [("show", ACME), ("number", NUMBER), ("number", "12025550130")])
@pytest.mark.parametrize("name", FILTERS)
def test_a_story_takes_the_filters_of_its_order(
    run: Run, config: Path, arguments: tuple[str, ...], name: str
) -> None:
    def found(*more: str) -> list[str]:
        code, out, err = run("--config", str(config), *arguments, *more, "--json")
        assert code == 0 or (code == 1 and err.startswith("no order"))
        return [json.loads(line)["order_id"] for line in out.splitlines()]

    orders = {row["order_id"]: row for row in rows(run, config, "orders")}
    column = "customer_reference" if name == "customer" else name
    first, second = FILTERS[name]
    for wanted in ((first,), (second,), (first, second)):
        asked = [part for one in wanted for part in (f"--{name}", one)]
        assert found(*asked) == [one for one in found() if orders[one][column] in wanted]


@pytest.mark.parametrize("as_of", [(), ("--as-of", "2026-06-20T00:00Z")])
def test_repeated_values_add_up_in_what_was_known_then_too(
    run: Run, config: Path, as_of: tuple[str, ...]
) -> None:
    found = rows(run, config, "orders", "--state", "exception", "--state", "scheduled", *as_of)
    assert {row["state"] for row in found} == {"exception", "scheduled"}


@pytest.mark.parametrize("form", [(), ("--after", "0"), ("--follow", "--after", "0", "--limit", "1")])
def test_a_kind_of_change_that_does_not_exist_is_refused(
    run: Run, config: Path, form: tuple[str, ...]
) -> None:
    code, out, err = run("--config", str(config), "changes", "--kind", "state_change", *form)
    assert (code, out) == (2, "")
    assert "no such kind: state_change (did you mean state_changed?)" in " ".join(err.split())


def test_every_kind_of_change_there_is_can_be_asked_for(run: Run, config: Path) -> None:
    there = {row["kind"] for row in rows(run, config, "changes")}
    assert there <= {*EVERY_KIND}
    assert len(EVERY_KIND) == len({*EVERY_KIND})
    for kind in EVERY_KIND:
        found = rows(run, config, "changes", "--kind", kind)
        assert {row["kind"] for row in found} == {kind} & there


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("poll", "telnyx-mian"), "no such account: telnyx-mian (did you mean telnyx-main?)"),
        (
            ("backfill", "telnyx-mian", "--since", "3d"),
            "no such account: telnyx-mian (did you mean telnyx-main?)",
        ),
        (("event", "telnyx-mian", "e-1"), "no such account: telnyx-mian (did you mean telnyx-main?)"),
        (("poll", "x"), "no such account: x (there is telnyx-main, fone-au)"),
        (("providers", "telnix"), "no such provider: telnix (did you mean telnyx?)"),
        (("show", "sr_ac3e01"), "no such order: sr_ac3e01 (did you mean sr_ac3e00?)"),
        (("show", f"telnyx-main/port_in/{ACME[:-1]}7"), f"(did you mean telnyx-main/port_in/{ACME}?)"),
        (("show", "P-0000417"), "no such order: P-0000417 (did you mean P-000417?)"),
        (("show", f"{ACME[:12]}7"), f"(did you mean {ACME}?)"),  # the beginning of an id
        (("show", "zzz"), "no such order: zzz"),
        (("show", ""), "no such order:"),
        (("show", "P-0000417", "--as-of", "1d"), "(did you mean P-000417?)"),
        (("cancel", "sr_ac3e01"), "no such order: sr_ac3e01 (did you mean sr_ac3e00?)"),
        (("cancel", "zzz", "--yes"), "no such order: zzz"),
        (("--log-level", "inof", "feeds"), "(did you mean info?)"),
        (("--log-format", "jsno", "feeds"), "(did you mean json?)"),
        (("orders", "--limit", "3", "--limit", "4"), "was given twice, and takes one value"),
        (("changes", "--since", "1d", "--after", "3", "--since", "2d"), "was given twice"),
        (("backfill", "telnyx-main", "--since", "3d", "--since", "4d"), "was given twice"),
    ],
)
def test_what_does_not_exist_is_a_usage_error_with_what_may_have_been_meant(
    run: Run, config: Path, arguments: tuple[str, ...], hint: str
) -> None:
    code, out, err = run("--config", str(config), *arguments)
    assert (code, out) == (2, "")
    assert hint in " ".join(err.split())
