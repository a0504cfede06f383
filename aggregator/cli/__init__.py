"""The command line: parse, call, print. Thin; nobody imports it."""

import gc
import resource
import sys

from aggregator.cli.app import run


def main(argv: list[str] | None = None) -> int:
    """Run a command; the exit status tells the truth (docs/operations.md lists what each means)."""
    # Frozen values hold no cycles: looking for some at every 700th costs a sixth of a backfill's time.
    gc.set_threshold(50_000, 20, 50)
    resource.setrlimit(
        resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1])
    )  # it holds keys
    return run(sys.argv[1:] if argv is None else argv)
