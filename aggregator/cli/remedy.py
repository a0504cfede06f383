"""The lines that explain a word nobody knows, ready to be pasted into the configuration."""

import re
import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aggregator.config import AccountConfig
    from aggregator.core.account import Words

Row = dict[str, Any]
FURTHER = "…"  # stands for all words beyond those that are noted
MEANINGS = {
    "status": "with_carrier",
    "port_out": "action_needed",
    "reason": "other",
    "requirement": "us",
    "action_requirement": "us",
    "activation_job": "created",
}
"""The meaning that is proposed, by word list; a person puts the right one there."""


def remedy(rows: list[Row], text: str = "") -> list[str]:
    """The lines that give each word a meaning, under the table they belong to. A table that the configuration's
    `text` has already cannot be written again: its lines stand alone then, below a comment that says where they
    belong. A carrier's bare code has no line: it moves no state, and nobody here could say what it means."""
    tables: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        if row["word"] == FURTHER:
            continue
        if row["vocabulary"] == "carrier_status" and not re.search("[^\\W\\d_]{3}", row["word"]):
            continue
        sub = () if row["vocabulary"] == "status" else (row["vocabulary"],)
        line = f'"{escaped(row["word"])}" = "{MEANINGS.get(row["vocabulary"], "pending")}"'
        words = tables.setdefault(("accounts", row["account"], "statuses", *sub), {})
        words.setdefault(_folded(row["word"]), line)
    lines = []
    for table, words in tables.items():
        lines.append(_header(table, text))
        lines += [line if word else f"# cannot be explained: {line}" for word, line in words.items()]
    return lines


def _header(table: tuple[str, ...], text: str) -> str:
    """The header of a table; where it cannot be written (again), a comment."""
    from aggregator.config import toml

    name = toml.dotted(table)
    try:
        tomllib.loads(f"{text}\n[{name}]\n")
    except tomllib.TOMLDecodeError:
        line = toml.tables(text).get(table)
        if line is None:
            return f"# into {name}, which is written without a header of its own:"
        return f"# below the [{name}] that is there (line {line}):"
    return f"[{name}]"


def words_of(account: "AccountConfig") -> "Words":
    """An account's words, as it is configured now."""
    from aggregator.accounts import account_of

    return account_of(account).words


def explained(row: Row, words: "Words") -> bool:
    """Whether these words give a word its meaning already."""
    from aggregator.core.model import Vocabulary
    from aggregator.core.normalise import is_known

    return is_known(row["word"], Vocabulary(row["vocabulary"]), words)


def _folded(word: str) -> str:
    """Words that are one word to the configuration stand in it once; the empty one not at all."""
    from aggregator.core.normalise import folded

    return folded(word)


def escaped(word: str) -> str:
    r"""A word between quotation marks in TOML, with nothing in it that a terminal could obey.

    >>> escaped('say "no"\t\x1b')
    'say \\"no\\"\\u0009\\u001b'
    """
    return "".join(
        f"\\{letter}" if letter in '"\\' else letter if letter.isprintable() else _code(letter)
        for letter in word
    )


def _code(letter: str) -> str:
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"
