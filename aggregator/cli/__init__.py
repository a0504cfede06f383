"""The command line: parse, call, print. Thin; nobody imports it."""

import sys

from aggregator.cli.app import run


def main(argv: list[str] | None = None) -> int:
    """Run a command; the exit status tells the truth (docs/operations.md lists what each means)."""
    return run(sys.argv[1:] if argv is None else argv)
