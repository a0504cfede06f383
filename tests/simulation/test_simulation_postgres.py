"""A handful of lives on Postgres, where a process that dies leaves its connections to the server."""

from pathlib import Path

import pytest
from host import Host
from life import Life


@pytest.mark.parametrize("first", [2, 8])
def test_every_promise_is_kept_on_postgres(first: int, postgres_url: str, tmp_path: Path) -> None:
    host = Host(tmp_path, postgres_url)
    wrong = {seed: told for seed in range(first, first + 2) if (told := Life(host, seed).run().wrong)}
    assert not wrong
