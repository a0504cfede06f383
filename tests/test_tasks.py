"""What an order waits for beside its status: activation jobs and action requirements, asked for where they
can matter, followed until they are over, and told by nothing but facts."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from made import NOW, account
from stored import Desk, desk

from aggregator.core.model import Page, Part, Reading, Request
from aggregator.poll import poll_account
from aggregator.store.replay import compare

ORDER, JOB, ACT = (f"00000000-0000-4000-8000-0000000000{n}" for n in ("01", "51", "61"))
MAIN = account("telnyx")
HOUR = timedelta(hours=1)
AT_THREE = datetime(2026, 6, 15, 15, tzinfo=UTC)
AT_FIVE = AT_THREE + 2 * HOUR


def at(moment: datetime) -> str:
    """A time as the provider writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def job(status: str = "created", kind: str = "on-demand", **more: Any) -> dict[str, Any]:
    """An activation job whose window is from three to five, made a day before."""
    return {
        "id": JOB,
        "status": status,
        "activation_type": kind,
        "activate_at": at(AT_FIVE),
        "activation_windows": [{"start_at": at(AT_THREE), "end_at": at(AT_FIVE)}],
        "created_at": at(AT_THREE - 24 * HOUR),
        "updated_at": at(AT_THREE - 24 * HOUR),
        "record_type": "porting_activation_job",
        **more,
    }


def act(status: str, updated: datetime) -> dict[str, Any]:
    """An action requirement."""
    return {
        "id": ACT,
        "porting_order_id": ORDER,
        "action_type": "au_id_verification",
        "action_url": "https://example.com/act",
        "status": status,
        "created_at": at(AT_THREE - 48 * HOUR),
        "updated_at": at(updated),
        "record_type": "porting_action_requirement",
    }


@dataclass
class Provider:
    """One porting order, with its jobs and requirements, at a time of its own; `asked` are the paths."""

    now: datetime = AT_THREE - 6 * HOUR
    order: dict[str, Any] = field(default_factory=dict)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    acts: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def says(self, status: str, fast: bool = True, **more: Any) -> None:
        """The order changes."""
        dates = {"foc_datetime_actual": at(AT_THREE), "fast_port_eligible": fast}
        said = {"status": {"value": status, "details": []}, "activation_settings": dates}
        self.order = {
            "id": ORDER,
            "porting_phone_numbers_count": 0,
            **said,
            "updated_at": at(self.now),
            **more,
        }

    def __call__(self, request: Request) -> Page:
        lists = {
            "/porting_orders": [self.order],
            f"/porting_orders/{ORDER}/activation_jobs": self.jobs,
            f"/porting_orders/{ORDER}/action_requirements": self.acts,
        }
        data = lists.get(request.path, [])
        self.asked.append(request.path)
        meta = {"page_number": 1, "page_size": 250, "total_pages": 1, "total_results": len(data)}
        body = json.dumps({"data": data, "meta": meta}).encode()
        return Page(request, 200, body, self.now, self.now)

    def beside(self) -> list[str]:
        """What was asked for beside feeds and lists since the last time."""
        paths = [path.rsplit("/", 1)[1] for path in self.asked if path.count("/") > 2]
        self.asked.clear()
        return paths


@pytest.fixture
def telnyx() -> Provider:
    """A provider with one order."""
    return Provider()


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    """An account on a database of the test's own."""
    with desk(database_url) as opened:
        yield opened


def poll(acme: Desk, telnyx: Provider, hours: float = 0) -> list[str]:
    """Poll so much later; returns what was asked for beside the feeds."""
    telnyx.now += hours * HOUR
    feeds = [acme.account.feeds["porting_orders"]]
    outcomes = poll_account(acme.account, feeds, acme.store, acme.lease, telnyx, lambda: telnyx.now)
    assert all(outcome.complete for outcome in outcomes), outcomes
    return telnyx.beside()


def stands(acme: Desk, *columns: str) -> tuple[Any, ...]:
    """Columns of the one order."""
    (row,) = acme.rows("select * from v1_orders")
    return tuple(row[name] for name in columns)


def nothing_would_differ(acme: Desk) -> bool:
    """Whether the facts alone give what stands."""
    slices = compare(acme.store.engine, acme.account, NOW)
    return [difference for found in slices for difference in found.differences] == []


# --- an activation on demand ----------------------------------------------------------------------------


def test_a_cutover_on_demand_waits_for_us_from_the_start_of_its_window(acme: Desk, telnyx: Provider) -> None:
    telnyx.jobs = [job()]
    telnyx.says("foc-date-confirmed")
    assert poll(acme, telnyx) == ["activation_jobs"]
    assert stands(acme, "state", "waiting_on", "why") == ("scheduled", "nobody", None)
    assert poll(acme, telnyx, 5.9) == [], "nothing can be new before the window"
    assert poll(acme, telnyx, 0.1) == ["activation_jobs"]
    assert stands(acme, "state", "waiting_on", "waiting_since", "why") == (
        "scheduled",
        "us",
        "2026-06-15T15:00:00.000000Z",
        "cutover waits for our activation, window from 2026-06-15 15:00 to 2026-06-15 17:00 UTC",
    )
    assert acme.steps("waiting_on") == [("nobody", "us")]
    (row,) = acme.rows("select observed_at, source from v1_changes where field = 'waiting_on'")
    assert row == {"observed_at": "2026-06-15T15:00:00.000000Z", "source": "snapshot"}


def test_once_we_have_activated_nobody_waits_for_us(acme: Desk, telnyx: Provider) -> None:
    telnyx.jobs = [job()]
    telnyx.says("foc-date-confirmed")
    poll(acme, telnyx)
    poll(acme, telnyx, 6)
    telnyx.now += HOUR / 2
    telnyx.jobs = [job("in-process", updated_at=at(telnyx.now))]
    telnyx.says("foc-date-confirmed", additional_steps=[])
    assert poll(acme, telnyx) == ["activation_jobs"], "the order has changed"
    assert stands(acme, "waiting_on", "why") == ("nobody", None)
    telnyx.now += HOUR / 2
    telnyx.jobs = [job("completed", updated_at=at(telnyx.now))]
    telnyx.says("ported")
    poll(acme, telnyx, 2)
    assert stands(acme, "state", "waiting_on") == ("ported", "nobody")
    assert poll(acme, telnyx, 48) == [], "a job that is over is not asked for again"
    rows = acme.rows(
        "select kind, new_value from v1_changes where field = 'activation_job_status' order by seq"
    )
    assert [(row["kind"], row["new_value"]) for row in rows] == [
        ("activation_changed", "created"),
        ("activation_changed", "in-process"),
        ("activation_changed", "completed"),
    ]
    assert acme.steps("waiting_on") == [("nobody", "us"), ("us", "nobody")]


def test_an_activation_that_we_did_in_time_never_waits_for_us(acme: Desk, telnyx: Provider) -> None:
    telnyx.jobs = [job()]
    telnyx.says("foc-date-confirmed")
    poll(acme, telnyx)
    telnyx.jobs = [job("completed", updated_at=at(AT_THREE))]
    assert poll(acme, telnyx, 6) == ["activation_jobs"]
    assert acme.steps("waiting_on") == []


def test_a_window_that_was_moved_waits_until_it_begins(acme: Desk, telnyx: Provider) -> None:
    telnyx.jobs = [job()]
    telnyx.says("foc-date-confirmed")
    poll(acme, telnyx)
    poll(acme, telnyx, 6)
    later = {"start_at": at(AT_THREE + 24 * HOUR), "end_at": at(AT_FIVE + 24 * HOUR)}
    telnyx.now += HOUR
    moved: dict[str, Any] = {"activation_windows": [later], "activate_at": at(AT_FIVE + 24 * HOUR)}
    telnyx.jobs = [job(**moved, updated_at=at(telnyx.now))]
    telnyx.says("foc-date-confirmed", additional_steps=[])
    poll(acme, telnyx)
    assert stands(acme, "waiting_on") == ("nobody",)
    poll(acme, telnyx, 23)
    assert stands(acme, "waiting_on", "waiting_since") == ("us", "2026-06-16T15:00:00.000000Z")


def test_a_scheduled_activation_never_waits_for_us(acme: Desk, telnyx: Provider) -> None:
    telnyx.jobs = [job(kind="scheduled")]
    telnyx.says("foc-date-confirmed")
    poll(acme, telnyx)
    assert poll(acme, telnyx, 6) == []
    assert poll(acme, telnyx, 2) == ["activation_jobs"], "by now it should be over"
    assert stands(acme, "waiting_on") == ("nobody",)


def test_an_activation_that_failed_waits_for_us_until_another_is_made(acme: Desk, telnyx: Provider) -> None:
    telnyx.jobs = [job(kind="scheduled")]
    telnyx.says("foc-date-confirmed")
    poll(acme, telnyx)
    failed = job("failed", "scheduled", updated_at=at(AT_FIVE))
    telnyx.jobs = [failed]
    poll(acme, telnyx, 8)
    assert stands(acme, "state", "waiting_on", "why") == ("scheduled", "us", "the activation failed")
    again = job(kind="scheduled", id=ACT, created_at=at(AT_FIVE + HOUR), updated_at=at(AT_FIVE + HOUR))
    telnyx.jobs = [failed, again]
    assert poll(acme, telnyx, 2) == ["activation_jobs"]
    assert stands(acme, "waiting_on", "why", "activation_job_status") == ("nobody", None, "created")


def test_an_activation_on_demand_without_a_window_waits_for_us_at_once(acme: Desk, telnyx: Provider) -> None:
    telnyx.jobs = [job(activation_windows=[], activate_at=None)]
    telnyx.says("foc-date-confirmed")
    poll(acme, telnyx)
    assert stands(acme, "waiting_on", "why") == ("us", "cutover waits for our activation")


@pytest.mark.parametrize("status", ["exception", "submitted", "cancel-pending", "ported"])
def test_an_activation_counts_only_while_a_date_is_agreed(acme: Desk, telnyx: Provider, status: str) -> None:
    telnyx.jobs = [job()]
    telnyx.says("foc-date-confirmed")
    poll(acme, telnyx)
    poll(acme, telnyx, 6)
    assert stands(acme, "waiting_on") == ("us",)
    telnyx.now += HOUR
    telnyx.says(status)
    poll(acme, telnyx)
    assert "activation" not in (stands(acme, "why")[0] or "")


def test_an_order_that_no_job_can_hold_up_costs_no_request(acme: Desk, telnyx: Provider) -> None:
    for status in ("draft", "in-process", "submitted", "cancel-pending", "ported", "cancelled"):
        telnyx.says(status, requirements_met=status != "draft")
        assert poll(acme, telnyx, 1) == [], status
    telnyx.says("foc-date-confirmed", fast=False)
    assert poll(acme, telnyx, 1) == []


def test_an_order_that_names_its_kind_of_activation_is_asked_for_its_jobs(
    acme: Desk, telnyx: Provider
) -> None:
    telnyx.says("foc-date-confirmed")
    telnyx.order["activation_settings"] = {"activation_type": "on-demand"}
    assert poll(acme, telnyx) == ["activation_jobs"]


# --- acts that an order requires ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "who", "why"),
    [
        ("created", "us", "needed: au id verification"),
        ("pending", "us", "needed: au id verification"),
        ("failed", "us", "needed again, it failed: au id verification"),
        ("completed", "losing_carrier", None),
        ("cancelled", "losing_carrier", None),
        ("dawdling", "losing_carrier", None),
    ],
)
def test_an_act_that_an_order_requires_waits_for_us_while_it_is_open(
    acme: Desk, telnyx: Provider, status: str, who: str, why: str | None
) -> None:
    telnyx.says("submitted", requirements_met=False)
    telnyx.acts = [act(status, telnyx.now)]
    assert poll(acme, telnyx) == ["action_requirements"]
    assert stands(acme, "state", "waiting_on", "why") == ("with_carrier", who, why)


def test_an_open_requirement_is_looked_at_until_it_is_met_though_the_order_stays_as_it_is(
    acme: Desk, telnyx: Provider
) -> None:
    telnyx.says("exception", requirements_met=True)
    telnyx.acts = [act("pending", telnyx.now)]
    assert set(poll(acme, telnyx)) == {"comments", "action_requirements"}
    assert poll(acme, telnyx, 0.9) == []
    assert poll(acme, telnyx, 0.1) == ["action_requirements"]
    assert stands(acme, "why") == ("needed: au id verification",)
    telnyx.acts = [act("completed", telnyx.now)]
    poll(acme, telnyx, 1)
    assert stands(acme, "why") == (
        "refused without a reason; the provider's comments or its support may give one",
    )
    assert poll(acme, telnyx, 100) == []


def test_the_looks_at_an_open_requirement_grow_rare_and_end(acme: Desk, telnyx: Provider) -> None:
    telnyx.says("exception")
    telnyx.acts = [act("pending", telnyx.now)]
    days = [len(poll(acme, telnyx, 1)) for _ in range(24 * 3)]
    assert sum(days[:24]) > sum(days[24:48]) >= sum(days[48:]) > 0
    poll(acme, telnyx, 24 * 61)
    assert poll(acme, telnyx, 48) == []


def test_an_act_that_an_ended_order_required_is_nobodys(acme: Desk, telnyx: Provider) -> None:
    telnyx.says("submitted", requirements_met=False)
    telnyx.acts = [act("created", telnyx.now)]
    poll(acme, telnyx)
    telnyx.now += HOUR
    telnyx.says("cancelled", requirements_met=False)
    poll(acme, telnyx)
    assert stands(acme, "state", "waiting_on", "why") == ("cancelled", "nobody", None)


def test_documents_that_are_missing_are_said_and_told(acme: Desk, telnyx: Provider) -> None:
    telnyx.says("draft", requirements_met=False)
    poll(acme, telnyx)
    assert stands(acme, "requirements_met", "why") == (
        False,
        "finish and submit the draft; required documents are missing",
    )
    telnyx.now += HOUR
    telnyx.says("draft", requirements_met=True)
    poll(acme, telnyx)
    assert stands(acme, "requirements_met", "why") == (True, "finish and submit the draft")
    (row,) = acme.rows("select kind, old_value, new_value from v1_changes where field = 'requirements_met'")
    assert row == {"kind": "requirements_changed", "old_value": "false", "new_value": "true"}


# --- as pages -------------------------------------------------------------------------------------------


def read(part: Part, *items: Any, status: int = 200, now: datetime = AT_THREE) -> Reading:
    request = Request(f"/porting_orders/{ORDER}/{part}", (("page[number]", "1"),))
    body = b"" if status == 404 else json.dumps({"data": items}).encode()
    return MAIN.adapter.read(Page(request, status, body, now, now), MAIN.options)


@pytest.mark.parametrize("part", [Part.ACTIVATION_JOBS, Part.ACTION_REQUIREMENTS])
def test_an_order_that_is_not_there_has_no_tasks(part: Part) -> None:
    assert read(part, status=404) == Reading(done=True)
    assert read(part).facts == () and read(part).done


def test_the_address_that_lets_anybody_act_is_never_stored() -> None:
    assert "example.com" not in repr(read(Part.ACTION_REQUIREMENTS, act("created", AT_THREE)).facts)


def test_a_task_read_twice_is_one_fact_and_a_window_that_begins_is_another() -> None:
    early, later = (read(Part.ACTIVATION_JOBS, job(), now=AT_THREE - hours * HOUR) for hours in (3, 2))
    assert early.facts[0].source_id == later.facts[0].source_id
    begun = [read(Part.ACTIVATION_JOBS, job(), now=AT_THREE + hours * HOUR).facts[0] for hours in (0, 1)]
    assert len({fact.source_id for fact in begun} | {early.facts[0].source_id}) == 2
    assert {fact.as_of for fact in begun} == {AT_THREE}


def test_a_job_without_its_times_is_a_fact_of_the_look() -> None:
    bare = {"id": JOB, "status": "failed"}
    first, second = (read(Part.ACTIVATION_JOBS, bare, now=AT_THREE + hours * HOUR) for hours in (0, 1))
    assert first.facts[0].as_of == AT_THREE
    assert first.facts[0].source_id != second.facts[0].source_id


def test_whatever_is_polled_the_facts_alone_give_what_stands(acme: Desk, telnyx: Provider) -> None:
    telnyx.jobs, telnyx.acts = [job()], [act("created", telnyx.now)]
    for status in ("submitted", "exception", "submitted", "foc-date-confirmed"):
        telnyx.says(status, requirements_met=status != "submitted")
        poll(acme, telnyx, 1.5)
    assert stands(acme, "waiting_on") == ("us",)
    assert nothing_would_differ(acme)
