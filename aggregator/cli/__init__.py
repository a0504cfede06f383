"""The command line: parse, call, print. Thin; nobody imports it."""

import gc
import sys

from aggregator.cli.app import run


def main(argv: list[str] | None = None) -> int:
    """Run a command; the exit status tells the truth (docs/operations.md lists what each means)."""
    # Frozen values hold no cycles: looking for some at every 700th costs a sixth of a backfill's time.
    gc.set_threshold(50_000, 20, 50)
    return run(sys.argv[1:] if argv is None else argv)
