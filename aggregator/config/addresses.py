"""Addresses that may hold a password, the database's and the proxy's: written plainly, or in a file or credential."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from urllib.parse import quote, urlsplit

from aggregator import trust
from aggregator.config.environ import PREFIX
from aggregator.config.shapes import Config
from aggregator.config.values import database_address, proxy
from aggregator.credentials import secret
from aggregator.errors import ConfigError

_PASSWORD = re.compile(r"[?&][a-z_]*(?:password|secret)=[^&#]", re.IGNORECASE)
_REFERENCES = ("file:", "credential:")


def database_url(config: Config, environ: Mapping[str, str], *, owner: bool = False) -> str:
    """The database's URL, from the file or credential that holds it where need be. A SQLite file is relative
    to the configuration file, whose own path is taken as it stands. `owner` asks for `owner_url`, where there is
    one."""
    key = "owner_url" if owner and config.database.owner_url else "url"
    written: str = getattr(config.database, key)
    base, url = config.path.parent, written
    try:
        if written.startswith(_REFERENCES):
            url = secret(written, base, environ).reveal()
            database_address(url)
        else:
            _refuse_shown(config, f"database.{key}", written, environ)
    except ConfigError as error:
        raise ConfigError(f"database.{key}: {error}") from None
    except ValueError:
        raise ConfigError(f"database.{key}: {written}: does not hold a database URL") from None
    if url.startswith("sqlite:///"):
        # What is written is a part of a URL, where %41 is an A; the folder is none.
        return f"sqlite:///{PurePosixPath(quote(str(base))) / url.removeprefix('sqlite:///')}"
    return url


def proxy_url(config: Config, environ: Mapping[str, str]) -> str | None:
    """The proxy's URL, from the file or credential that holds it where need be; None where there is none."""
    written = config.network.proxy
    if written is None:
        return None
    try:
        if not written.startswith(_REFERENCES):
            _refuse_shown(config, "network.proxy", written, environ)
            return written
        return proxy(secret(written, config.path.parent, environ).reveal())
    except ConfigError as error:
        raise ConfigError(f"network.proxy: {error}") from None
    except ValueError:
        raise ConfigError(f"network.proxy: {written}: does not hold the URL of a proxy") from None


def _refuse_shown(config: Config, key: str, url: str, environ: Mapping[str, str]) -> None:
    """ConfigError where a URL has a password in it and everybody may read the file that it stands in."""
    if f"{PREFIX}{key.replace('.', '__')}".upper() in environ or not _has_password(url):
        return
    if trust.read_by_others(config.path):
        raise ConfigError(
            f"it holds a password, and others can read {config.path}; put it into a file of its own and write "
            f"file:/path or credential:NAME, or type: chmod o-r '{config.path}'"
        )


def _has_password(url: str) -> bool:
    authority = urlsplit(url.replace("[", "").replace("]", "")).netloc.rpartition("@")[0]
    return bool(authority.partition(":")[2]) or _PASSWORD.search(url) is not None
