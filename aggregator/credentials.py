"""Credentials: where they lie, and a type that never shows them."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aggregator import trust
from aggregator.errors import ConfigError

SYSTEM: Final = Path("/etc/porting-aggregator/credentials")
LONGEST: Final = 65_536
READ: Final = set[str]()
"""Every secret that this process has read, for the logs to hide."""

_REFERENCE = re.compile(r"credential:[A-Za-z0-9][A-Za-z0-9._-]*|file:[^\0\r\n]+|env:[A-Za-z_][A-Za-z0-9_]*")


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


def is_reference(text: str) -> bool:
    """Whether a text says where a secret lies.

    >>> is_reference("credential:telnyx-main"), is_reference("KEY0123456789")
    (True, False)
    """
    return _REFERENCE.fullmatch(text) is not None


def secret(reference: str, base: Path, environ: Mapping[str, str], *, account: str = "") -> Secret:
    """The secret behind `credential:NAME`, `file:PATH` (relative to `base`) or `env:NAME`.

    ConfigError when it is missing, empty, of several lines, or in a file that others can read or write. The
    message names the reference, never the content.
    """
    where = f"accounts.{account}.secret: " if account else ""
    if not is_reference(reference):
        raise ConfigError(f"{where}write credential:NAME, file:PATH or env:NAME, never the secret itself")
    where += reference
    kind, _, name = reference.partition(":")
    if kind == "env":
        if name not in environ:
            raise ConfigError(f"{where}: the environment variable {name} is not set")
        return _checked(environ[name], where)
    if kind == "file":
        return _checked(_read(base / Path(name).expanduser(), where), where)
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder:
        return _checked(_given(Path(folder), name, where), where)
    return _checked(_read(SYSTEM / name, where), where)


def _given(folder: Path, name: str, where: str) -> str:
    """A credential of systemd's directory, as NAME or account_NAME. Its rights are the service manager's."""
    places = (folder / name, folder / f"account_{name}")
    for place in places:
        if os.path.lexists(place):
            return _read(place, where, guarded=True)
    raise ConfigError(f"{where}: not there (looked at {' and '.join(map(str, places))})")


def _read(path: Path, where: str, *, guarded: bool = False) -> str:
    """A small text file. Unless its folder is `guarded`, one that others can read or write is refused."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigError(f"{where}: {path} is not a file")
            if mode & (stat.S_IROTH | stat.S_IWOTH) and not guarded:
                raise ConfigError(f"{where}: others can read or write {path}; type: chmod o-rw '{path}'")
            if not guarded and (why := trust.judged(path, os.fstat(descriptor))) is not None:
                raise ConfigError(f"{where}: {why}")
            content = file.read(LONGEST + 1)
    except OSError as error:
        raise ConfigError(f"{where}: {path}: {error.strerror}") from error
    if len(content) > LONGEST:
        raise ConfigError(f"{where}: {path} is too long for a secret")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: {path} is not UTF-8 text") from None


def _checked(value: str, where: str) -> Secret:
    value = value.rstrip("\r\n")
    if not value.strip():
        raise ConfigError(f"{where}: is empty")
    if not value.isprintable():
        raise ConfigError(f"{where}: has control characters or more than one line")
    if value != value.strip():
        raise ConfigError(f"{where}: begins or ends with a space")
    READ.add(value)
    return Secret(value)
