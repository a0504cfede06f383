"""Credentials: where they lie, and a type that never shows them."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from aggregator.errors import ConfigError

SYSTEM = Path("/etc/porting-aggregator/credentials")


class Secret:
    """A secret text. `repr` and `str` are stars; `reveal` is for the one place that sends it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))


def secret(reference: str, base: Path, environ: Mapping[str, str], *, account: str = "") -> Secret:
    """The secret behind `credential:NAME`, `file:PATH` or `env:NAME`. ConfigError when it is missing, empty,
    of several lines, or readable by others; the message names the reference, never the content."""
    kind, _, name = reference.partition(":")
    where = f"accounts.{account}.secret: {reference}" if account else reference
    if kind == "env":
        if name not in environ:
            raise ConfigError(f"{where}: the environment variable {name} is not set")
        return _checked(environ[name], where)
    if kind == "file":
        return _checked(_read(base / Path(name).expanduser(), where), where)
    if kind == "credential":
        return _checked(_read(_credential(name, environ, where), where), where)
    raise ConfigError(f"{where}: write credential:NAME, file:PATH or env:NAME, never the secret itself")


def _credential(name: str, environ: Mapping[str, str], where: str) -> Path:
    """systemd's directory, as NAME or account_NAME; without systemd, the system-wide one."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    places = [Path(folder, name), Path(folder, f"account_{name}")] if folder else [SYSTEM / name]
    for place in places:
        if place.exists():
            return place
    raise ConfigError(f"{where}: no such credential (looked at {', '.join(map(str, places))})")


def _read(path: Path, where: str) -> str:
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IROTH | stat.S_IWOTH) and not os.environ.get("CREDENTIALS_DIRECTORY"):
            raise ConfigError(f"{where}: others can read or change {path}; type: chmod o-rwx {path}")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{where}: {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: {path}: not a text file") from error


def _checked(value: str, where: str) -> Secret:
    value = value.rstrip("\r\n")
    if not value.strip():
        raise ConfigError(f"{where}: is empty")
    if any(not letter.isprintable() for letter in value):
        raise ConfigError(f"{where}: has control characters or more than one line")
    return Secret(value)
