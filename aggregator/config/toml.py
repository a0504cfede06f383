"""The configuration file as TOML: read, or refused in a sentence that names the file and the line."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aggregator.errors import ConfigError

Key = tuple[str, ...]
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_KEY = re.compile(r"\((.*)\)")
_PART = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
_BARE = re.compile("[A-Za-z0-9_-]+")


def read(path: Path) -> dict[str, Any]:
    """What the file says. ConfigError when it cannot be read, or is not TOML."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{path}: not TOML: nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}, {_wrong(str(error), text)}") from None
    except ValueError:  # Python itself refuses a number of thousands of digits
        raise ConfigError(f"{path}: not TOML: a number with too many digits") from None


def tables(text: str) -> dict[Key, int]:
    """The headers of tables in a text, each with the line it first stands in."""
    found: dict[Key, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.lstrip().startswith("["):
            continue
        try:
            said = tomllib.loads(line)
        except ValueError:
            continue
        key: Key = ()
        while isinstance(said, Mapping) and len(said) == 1:
            ((name, said),) = said.items()
            key += (name,)
        found.setdefault(key, number)
    return found


def dotted(key: Key) -> str:
    """A table's or key's name as TOML writes it.

    >>> dotted(("accounts", "main", "Sent to carrier"))
    'accounts.main."Sent to carrier"'
    """
    return ".".join(part if _BARE.fullmatch(part) else f'"{part}"' for part in key)


def _wrong(error: str, text: str) -> str:
    """The line, and what is wrong there, in words of our own where the parser's are those of a programmer."""
    place = _PLACE.search(error)
    lines = text.rstrip().count("\n") + 1
    line = int(place[1]) if place and place[1] else lines
    column = f" (column {place[2]})" if place and place[1] else ""
    said = error[: place.start()] if place else error
    if said.startswith(("Cannot overwrite a value", "Duplicate inline table key")):
        return f"line {line}: a key stands twice in its table, or is a value and a table; leave one of them"
    inside = _KEY.search(said)
    if not said.startswith("Cannot") or inside is None:
        return f"line {line}: not TOML: {said}{column}"
    key = tuple(first or second for first, second in _PART.findall(inside[1]))
    if said.startswith("Cannot mutate immutable"):
        return f"line {line}: {dotted(key)} is written in braces, so all of it must stand in them"
    first = tables(text).get(key)
    where = f" (it is there from line {first} on)" if first and first != line else ""
    return f"line {line}: the table [{dotted(key)}] stands twice{where}; write its lines below the first one"
