"""Three hundred lives of five days, and the same life twice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lives import one

HERE = Path(__file__).parent
LIVES, TOGETHER = 300, 10
AGAIN = "import sys; sys.path[:0] = sys.argv[1:3]; from lives import one; print(one(int(sys.argv[3])).digest)"


@pytest.mark.parametrize("first", range(1, LIVES + 1, TOGETHER))
def test_every_promise_is_kept_whatever_the_seed(first: int) -> None:
    wrong = {seed: told for seed in range(first, first + TOGETHER) if (told := one(seed).wrong)}
    assert not wrong, "\n".join(f"make sim FIRST={seed} SEEDS=1: {told}" for seed, told in wrong.items())


@pytest.mark.parametrize("seed", [4, 8])
def test_the_same_seed_gives_the_same_database_byte_for_byte(seed: int) -> None:
    here = one(seed).digest
    paths = (str(HERE), str(HERE.parent))
    for hashes in ("1", "2"):
        environ = {**os.environ, "PYTHONHASHSEED": hashes}
        command = [sys.executable, "-c", AGAIN, *paths, str(seed)]
        told = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
        assert told.stdout.strip() == here != ""
