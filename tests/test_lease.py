"""Who may write an account: time-outs decide who may try, the epoch who may write."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from made import NOW, account
from stored import Desk, desk, event

from aggregator.errors import Fenced
from aggregator.store import lease

SECOND = timedelta(seconds=1)


@pytest.fixture
def acme(database_url: str) -> Iterator[Desk]:
    """An account on a database of the test's own, held by us."""
    with desk(database_url) as opened:
        yield opened


@contextmanager
def living() -> Iterator[subprocess.Popen[bytes]]:
    """Another process of this host."""
    process = subprocess.Popen([sys.executable, "-Sc", "input()"], stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def held_by(acme: Desk, process: subprocess.Popen[bytes]) -> Desk:
    """The account as another process would have taken it."""
    acme.store.release(acme.lease)
    place = acme.store.me.rsplit("/", 2)[0]
    other = acme.again()
    other.store.release(other.lease)
    other.store.me = f"{place}/{process.pid}/{lease.started(process.pid)}"
    taken = other.store.take("acme", NOW)
    assert taken is not None
    return Desk(other.store, other.account, taken)


def test_a_living_holder_keeps_the_account_until_it_is_silent_for_twenty_seconds(acme: Desk) -> None:
    with living() as process:
        other = held_by(acme, process)
        assert acme.store.take("acme", NOW + 19 * SECOND) is None
        assert other.store.renew(other.lease, NOW + 15 * SECOND)
        assert acme.store.take("acme", NOW + 34 * SECOND) is None
        taken = acme.store.take("acme", NOW + 35 * SECOND)
        assert taken is not None
        assert taken.epoch == other.lease.epoch + 1
        other.store.close()


def test_a_dead_process_of_this_host_is_replaced_at_once(acme: Desk) -> None:
    with living() as process:
        other = held_by(acme, process)
        process.kill()
        process.wait()
        assert acme.store.take("acme", NOW + SECOND) is not None
        other.store.close()


def test_a_dead_process_that_nobody_buried_is_dead_too(acme: Desk) -> None:
    """In a container whose first process does not reap, a killed daemon stays as a zombie."""
    with living() as process:
        other = held_by(acme, process)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert process.returncode is None
        assert acme.store.take("acme", NOW + SECOND) is not None
        other.store.close()


@pytest.fixture
def in_a_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """/proc as the shipped units show it (`ProcSubset=pid`, `ProtectProc=invisible`): our own process, nothing of
    the host. The unit names the boot in the environment, as systemd writes it: without dashes."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
    monkeypatch.setenv(lease.BOOT, boot.strip().replace("-", ""))
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/pid").symlink_to(os.readlink("/proc/self/ns/pid"))
    (tmp_path / str(os.getpid())).symlink_to("/proc/self")
    monkeypatch.setattr(lease, "PROC", tmp_path)
    return tmp_path


def test_a_holder_has_the_same_name_inside_a_unit_and_beside_it(request: pytest.FixtureRequest) -> None:
    beside = lease.holder()
    proc = request.getfixturevalue("in_a_unit")
    assert lease.holder() == beside
    assert not (proc / "sys").exists()


def test_a_unit_that_may_not_see_its_living_holder_does_not_take_the_account_from_it(
    acme: Desk, request: pytest.FixtureRequest
) -> None:
    with living() as process:
        other = held_by(acme, process)
        request.getfixturevalue("in_a_unit")
        assert acme.store.take("acme", NOW + 19 * SECOND) is None
        assert acme.store.take("acme", NOW + 20 * SECOND) is not None
        other.store.close()


def test_a_unit_replaces_a_dead_holder_at_once(acme: Desk, request: pytest.FixtureRequest) -> None:
    with living() as process:
        other = held_by(acme, process)
        process.kill()
        process.wait()
        request.getfixturevalue("in_a_unit")
        assert acme.store.take("acme", NOW + SECOND) is not None
        other.store.close()


def test_a_holder_of_another_host_lives_until_it_is_silent(acme: Desk) -> None:
    acme.store.release(acme.lease)
    elsewhere = acme.again()
    elsewhere.store.release(elsewhere.lease)
    elsewhere.store.me = "another-boot/pid:[4026531836]/1/7"
    assert elsewhere.store.take("acme", NOW + SECOND) is not None
    assert acme.store.take("acme", NOW) is None, "its clock is a second ahead of ours"
    assert acme.store.take("acme", NOW + 20 * SECOND) is None
    assert acme.store.take("acme", NOW + 21 * SECOND) is not None
    elsewhere.store.close()


def test_a_process_that_was_stopped_and_goes_on_is_refused(acme: Desk) -> None:
    with living() as process:
        stopped = held_by(acme, process)
        taken = acme.store.take("acme", NOW + 60 * SECOND)
        assert taken is not None
        before = acme.everything()
        assert not stopped.store.renew(stopped.lease, NOW + 61 * SECOND)
        with pytest.raises(Fenced):
            stopped.record(event(1, "submitted"))
        stopped.store.release(stopped.lease)
        assert acme.everything() == before
        assert Desk(acme.store, acme.account, taken).record(event(1, "submitted")).events == 1
        stopped.store.close()


def test_two_stores_of_one_process_fence_each_other(acme: Desk) -> None:
    other = acme.again()
    with pytest.raises(Fenced):
        acme.record(event(1, "submitted"))
    assert other.record(event(1, "submitted")).events == 1
    other.store.close()


def test_an_epoch_that_was_let_go_never_comes_back(acme: Desk) -> None:
    acme.store.release(acme.lease)
    taken = acme.store.take("acme", NOW)
    assert taken is not None
    acme.store.release(taken)
    assert [acme.lease.epoch, taken.epoch] == [1, 2]
    assert not acme.store.renew(acme.lease, NOW)
    assert acme.rows("select holder from lease") == [{"holder": None}]


def test_renewing_several_names_those_that_are_lost(acme: Desk) -> None:
    acme.store.sync([acme.account, account(name="beta")], timedelta(days=14), NOW)
    beta = acme.store.take("beta", NOW)
    assert beta is not None
    acme.again().store.close()
    assert acme.store.renew_all([acme.lease, beta], NOW + SECOND) == ["acme"]
    assert acme.store.renew_all([], NOW) == []


def test_a_clock_that_was_set_back_does_not_keep_an_account(acme: Desk) -> None:
    with living() as process:
        other = held_by(acme, process)
        assert acme.store.take("acme", NOW - timedelta(hours=2)) is not None
        other.store.close()
