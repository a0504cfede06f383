"""What had happened by a moment, as far as is known now, beside what was known then."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import filled
import pytest
from filled import ACME
from made import account, hour
from stored import NUMBER, desk, event, look

from aggregator.core.model import Fact, Word
from aggregator.store.past import Past, Then

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(run: Run, tmp_path: Path, database_url: str) -> Callable[..., dict[str, Any]]:
    filled.fill(database_url)
    path = filled.configuration(tmp_path, database_url)

    def ask(*arguments: str) -> dict[str, Any]:
        code, out, err = run(f"--config={path}", *arguments, "--json")
        assert (code, err) == (0, "")
        (found,) = (row for row in map(json.loads, out.splitlines()) if row["provider_order_id"] == ACME)
        return dict(found)

    return ask


@pytest.mark.parametrize("verb", [("orders", "--all"), ("show", ACME)])
def test_what_was_learned_late_had_happened_before_it_was_known(
    ask: Callable[..., dict[str, Any]], verb: tuple[str, ...]
) -> None:
    at = "2026-06-01T12:00Z"  # submitted at 10:00 that day, which was read on the 5th
    assert ask(*verb, "--as-of", at)["state"] == "with_provider"
    then = ask(*verb, "--happened-by", at)
    assert (then["state"], then["raw_status"]) == ("with_carrier", "submitted")
    assert then["state_since"] == "2026-06-01T10:00:00.000000Z"
    assert ask(*verb, "--happened-by", "2026-06-02T12:00Z")["state"] == "exception"
    assert all(row["sort_at"] <= "2026-06-01T12" for row in then.get("timeline", ()))


def test_before_all_that_was_told_there_was_no_order(
    run: Run, ask: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    config = f"--config={tmp_path / 'aggregator.toml'}"
    assert run(config, "orders", "--all", "--happened-by", "2026-05-01T00:00Z") == (
        0,
        "no such order was known\n",
        "",
    )
    assert run(config, "show", ACME, "--happened-by", "2026-05-01T00:00Z")[0] == 1
    code, _, err = run(config, "orders", "--as-of", "1d", "--happened-by", "1d")
    assert code == 2 and "--as-of does not go with it" in " ".join(err.split())


def happened(url: str, at: float, *facts: Fact) -> list[Then]:
    """What had happened to the orders by that hour, of what these facts tell, recorded one by one."""
    with desk(url) as acme:
        for fact in facts:
            acme.record(fact)
        reader = acme.reader()
        past = Past(reader, {"acme": account(name="acme")}, hour(at), timedelta(days=14), happened=True)
        found = list(past.orders(reader.select("orders")))
        reader.close()
        return found


def test_a_document_counts_from_its_own_word_and_not_from_when_we_looked(database_url: str) -> None:
    """What was announced of something else since puts a look behind it, but not what it says of the rest."""
    told = event(1, messaging=Word("pending"), key="messaging")
    read = look(9, "exception", NUMBER, as_of=-5, said_at=hour(-5))
    (then,) = happened(database_url, -4, told, read)
    assert (then.order["state"], then.order["numbers_total"]) == ("exception", 1)
    assert then.order["state_since"] == "2026-06-15T07:00:00.000000Z"
    assert then.order["messaging_state"] is None
    assert happened(database_url, -6) == []
