"""The configuration in force as TOML, without its secrets."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from aggregator.config.shapes import AccountConfig, Config
from aggregator.config.values import written
from aggregator.core.model import Meaning, Reason, Vocabulary

_USER = re.compile(r"(://[^:/?#]*):.*@")
_PARAMETER = re.compile(r"([?&][a-z_]*(?:password|secret)=)[^&#]*", re.IGNORECASE)


def shown(config: Config) -> str:
    """The configuration in force as TOML: where a secret lies is shown, a password in a URL is stars."""
    lines: list[str] = []
    for name in ("database", "log", "network", "retention", "waiting", "http", "display"):
        lines += _section(name, _values(getattr(config, name)))
    lines += _section("stuck", config.stuck)
    for account in config.accounts.values():
        lines += _account(account)
    for one in config.broken.values():
        lines += ["", *(f"# {line}" for line in one.error.splitlines()), f"[accounts.{one.name}]"]
        lines.append(f"provider = {_value(one.provider)}")
    return "\n".join(lines).lstrip("\n") + "\n"


def _account(account: AccountConfig) -> Iterator[str]:
    keys = ("provider", "secret", "label", "enabled", "allow_actions", "base_url")
    values = {key: getattr(account, key) for key in keys} | _values(account.options)
    if account.min_interval_s == int(account.min_interval_s):  # else it is the adapter's default
        values["min_interval"] = timedelta(seconds=account.min_interval_s)
    yield from _section(f"accounts.{account.name}", values)
    for feed in account.feeds.values():
        names = ("enabled", "every", "lookback", "stale_after", "start")
        said = {key: getattr(feed, key) for key in names}
        yield from _section(f"accounts.{account.name}.feeds.{_key(feed.name)}", said)
    for vocabulary, words in account.statuses.items():
        inner = "" if vocabulary is Vocabulary.PORT_IN else f".{vocabulary}"
        yield from _section(f"accounts.{account.name}.statuses{inner}", words)


def _section(name: str, values: Mapping[str, Any]) -> list[str]:
    """A table with its keys; what is not set is left out, and a table without keys too."""
    lines = [f"{_key(key)} = {_value(value)}" for key, value in values.items() if value is not None]
    return ["", f"[{name}]", *lines] if lines else []


def _values(shape: Any) -> dict[str, Any]:
    return {field.name: getattr(shape, field.name) for field in fields(shape) if field.init}


def _key(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else _text(key)


def _value(value: object) -> str:
    if isinstance(value, bool | int):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, timedelta):
        return f'"{written(value)}"'
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Meaning) and value.waiting_on is None:
        return _text(value.value)
    if isinstance(value, Meaning):
        return f"{{ state = {_text(value.value)}, waiting_on = {_text(value.waiting_on or '')} }}"
    if isinstance(value, Reason):
        return f"{{ reason = {_text(value.code)}, waiting_on = {_text(value.waiting_on)} }}"
    return _text(_PARAMETER.sub(r"\1***", _USER.sub(r"\1:***@", str(value))))


def _text(value: str) -> str:
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
