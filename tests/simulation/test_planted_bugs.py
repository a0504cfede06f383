"""A simulation that lets one of these bugs pass proves nothing: each is planted, and has to be found."""

import pytest
from lives import one
from planted_bugs import BUGS

DEADLY = {"cursor first", "cursor per page", "two transactions"}
"""Bugs that only a death between two commits shows."""


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str) -> None:
    with BUGS[bug]():
        for seed in range(1, 37):
            if one(seed, deadly=bug in DEADLY).wrong:
                return
    pytest.fail(f"{bug}: thirty-six lives, and nobody noticed")
