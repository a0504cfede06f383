"""The environment's part of the configuration: `PORTING_AGGREGATOR__SECTION__KEY`, outside the accounts."""

import re
from collections.abc import Mapping
from typing import Any, Final

from aggregator.config.checks import keys_of
from aggregator.config.shapes import Database, Display, Http, Log, Network, Retention, Waiting
from aggregator.config.values import near
from aggregator.core.model import State

TESTS: Final = "PORTING_AGGREGATOR_TEST_"
PREFIX: Final = "PORTING_AGGREGATOR__"
SECTIONS: Final[Mapping[str, type[Any]]] = {
    "database": Database,
    "log": Log,
    "network": Network,
    "retention": Retention,
    "waiting": Waiting,
    "http": Http,
    "display": Display,
}
_SWITCHES = {"true": True, "false": False}


def overridden(data: dict[str, Any], environ: Mapping[str, str], mistakes: list[str]) -> dict[str, str]:
    """Puts `PORTING_AGGREGATOR__SECTION__KEY` into the data; tells which key came from which variable."""
    known = {f"{PREFIX}{section}__{key}".upper(): (section, key) for section, key in _settings()}
    slips = {re.sub("_+", "_", name): name for name in known}
    variables: dict[str, str] = {}
    for name, value in sorted(environ.items()):
        if name in known:
            section, key = known[name]
            table = data.setdefault(section, {})
            if isinstance(table, dict):
                table[key] = _SWITCHES.get(value, value) if (section, key) == ("http", "page") else value
                variables[f"{section}.{key}"] = name
        elif name.startswith((f"{PREFIX}ACCOUNTS__", f"{PREFIX}PROVIDERS__")):
            mistakes.append(f"{name}: accounts and providers are set in the file only")
        elif name.startswith(PREFIX):
            mistakes.append(f"{name}: no such setting{near(name, list(known))}")
        elif re.sub("_+", "_", name) in slips and not name.startswith(TESTS):
            mistakes.append(f"{name}: no such setting (did you mean {slips[re.sub('_+', '_', name)]}?)")
    return variables


def _settings() -> list[tuple[str, str]]:
    """Every section and key that the environment may set."""
    plain = [(section, key) for section, shape in SECTIONS.items() for key in keys_of(shape)]
    return [*plain, *(("stuck", str(state)) for state in State)]


def with_variable(mistake: str, variables: Mapping[str, str]) -> str:
    """The mistake under the name of the variable it came from, where it came from one."""
    key, _, text = mistake.partition(": ")
    return f"{variables[key]}: {text}" if key in variables else mistake
