"""Between its polls an account holds no connection, so that any number of accounts fits into the limit of files."""

import os
import time
from pathlib import Path

import pytest
from loopback import Loopback, reply

from aggregator.core.account import Auth
from aggregator.core.model import Request
from aggregator.descriptors import polls_at_once, told
from aggregator.errors import Stopped
from aggregator.fetch import Fetcher

ASK = Request("/ports")


def sockets() -> int:
    """How many sockets this process has open."""
    found = 0
    for one in Path("/proc/self/fd").iterdir():
        try:
            found += os.readlink(one).startswith("socket:")
        except OSError:
            continue
    return found


def test_after_a_poll_no_connection_is_left_and_the_next_one_makes_its_own() -> None:
    with Loopback(reply(200, b"{}")) as server:
        before = sockets()
        fetchers = [Fetcher(server.url, Auth.BEARER, None, lambda: "key") for _ in range(20)]
        for fetch in fetchers:
            assert fetch(ASK).status == 200 and fetch(ASK).status == 200
        assert server.connections == 20 and sockets() >= before + 20
        for fetch in fetchers:
            fetch.rest()
        end = time.monotonic() + 10
        while sockets() > before and time.monotonic() < end:  # the server's own side ends in its threads
            time.sleep(0.01)
        assert sockets() == before
        assert fetchers[0](ASK).status == 200
        assert server.connections == 21
        for fetch in fetchers:
            fetch.close()


def test_a_fetcher_that_is_closed_stays_so() -> None:
    with Loopback(reply(200, b"{}")) as server:
        fetch = Fetcher(server.url, Auth.BEARER, None, lambda: "key")
        fetch.close()
        fetch.rest()
        with pytest.raises(Stopped):
            fetch(ASK)
        assert server.connections == 0


@pytest.mark.parametrize(("limit", "most"), [(1_024, 176), (256, 32), (100, 2), (64, 0), (None, None)])
def test_how_many_accounts_can_be_polled_in_one_moment(limit: int | None, most: int | None) -> None:
    assert polls_at_once(limit) == most
    assert ("too few for 16" in told(limit, 16)) is (most is not None and most < 16)
