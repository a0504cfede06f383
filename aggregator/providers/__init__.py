"""The providers we know: a file here, or an installed entry point, is the registration."""

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pkgutil import iter_modules

from aggregator.adapter import Adapter
from aggregator.errors import ConfigError

GROUP = "porting_aggregator.providers"


def names() -> tuple[str, ...]:
    """Every provider that can be loaded, ours and those of other packages."""
    return tuple(sorted({*_ours(), *_others()}))


@cache
def load(name: str) -> Adapter:
    """The adapter of a provider. ConfigError when there is none, or when it is not an adapter."""
    if name in _ours():
        found = import_module(f"{__name__}.{name}").ADAPTER
    elif name in _others():
        try:
            found = _others()[name].load()
        except Exception as error:  # another package's code: whatever it raises, it cannot be loaded
            raise ConfigError(f"provider {name}: cannot be loaded: {error}") from error
    else:
        raise ConfigError(f"no such provider: {name} (there is {', '.join(names())})")
    if not isinstance(found, Adapter):
        raise ConfigError(f"provider {name}: its entry point is not an Adapter")
    return found


@cache
def _ours() -> frozenset[str]:
    return frozenset(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


@cache
def _others() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
