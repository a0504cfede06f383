"""The lines that explain a word nobody knows, ready to be pasted into the configuration."""

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aggregator.config import AccountConfig

Row = dict[str, Any]
MEANINGS = {
    "status": "with_carrier",
    "port_out": "action_needed",
    "reason": "other",
    "requirement": "us",
    "action_requirement": "us",
    "activation_job": "created",
}
"""The meaning that is proposed, by word list; a person puts the right one there."""


def remedy(rows: list[Row], there: Collection[str] = ()) -> list[str]:
    """The lines that give each word a meaning, under the table they belong to. A table that is `there` already
    must not be written again: its lines say below which they belong."""
    tables: dict[str, dict[str, str]] = {}
    for row in rows:
        sub = "" if row["vocabulary"] == "status" else f".{row['vocabulary']}"
        table = f"accounts.{row['account']}.statuses{sub}"
        line = f'"{escaped(row["word"])}" = "{MEANINGS.get(row["vocabulary"], "pending")}"'
        tables.setdefault(table, {}).setdefault(_folded(row["word"]), line)
    lines = []
    for table, words in tables.items():
        lines.append(f"# below the [{table}] that is there:" if table in there else f"[{table}]")
        lines += [line if word else f"# cannot be explained: {line}" for word, line in words.items()]
    return lines


def explained(row: Row, account: "AccountConfig") -> bool:
    """Whether the account's words, as it is configured now, give a word its meaning already."""
    from aggregator.accounts import account_of
    from aggregator.core.model import Vocabulary
    from aggregator.core.normalise import is_known

    return is_known(row["word"], Vocabulary(row["vocabulary"]), account_of(account).words)


def tables_of(path: Path) -> set[str]:
    """The tables of words that a configuration file has already."""
    accounts = tomllib.loads(path.read_text(encoding="utf-8-sig")).get("accounts", {})
    found = set()
    for name, account in accounts.items():
        statuses = account.get("statuses")
        if statuses is not None:
            found.add(f"accounts.{name}.statuses")
            found |= {
                f"accounts.{name}.statuses.{word}" for word in statuses if isinstance(statuses[word], dict)
            }
    return found


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
