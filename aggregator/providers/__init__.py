"""The providers we know: a file here, or an installed entry point, is the registration."""

import ast
import inspect
import sys
import traceback
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pkgutil import iter_modules
from types import ModuleType

from aggregator.adapter import Adapter, Mistake, judged
from aggregator.errors import BrokenAdapter, ConfigError

GROUP = "porting_aggregator.providers"


def names() -> tuple[str, ...]:
    """Every provider that is installed, ours and those of other packages."""
    return tuple(sorted({*_ours(), *_others()}))


@cache
def load(name: str) -> Adapter:
    """The adapter of a provider, judged. ConfigError when there is no such provider; BrokenAdapter, which names
    package, file, line and field, when it cannot be relied on."""
    if name not in names():
        raise ConfigError(f"no such provider: {name} (there is {', '.join(names())})")
    found = _loaded(name)
    if isinstance(found, BrokenAdapter):
        raise found
    return found


def _loaded(name: str) -> Adapter | BrokenAdapter:
    """The adapter, or what is wrong with it."""
    point = None if name in _ours() else _others()[name]
    module, attribute = (f"{__name__}.{name}", "ADAPTER") if point is None else (point.module, point.attr)
    package = f" (package {_package(point)})" if point else ""
    try:
        found: object = import_module(module).ADAPTER if point is None else point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # another package's code: whatever it raises, it cannot be loaded
        return BrokenAdapter(
            f"provider {name}: cannot be loaded: {_told(error)}{_place(error, module)}{package}"
        )
    try:
        mistakes = judged(found)
    except (Exception, SystemExit) as error:  # data that is not even what it says it is
        return BrokenAdapter(
            f"provider {name}: cannot be judged: {type(error).__name__}{_place(error, module)}{package}"
        )
    if isinstance(found, Adapter) and not mistakes:
        return found
    return BrokenAdapter(
        *(
            f"provider {name}: {f'{mistake.field}: ' if mistake.field else ''}{mistake.error} ({_where(module, attribute, mistake)}){package}"
            for mistake in mistakes
        )
    )


@cache
def _ours() -> frozenset[str]:
    return frozenset(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


@cache
def _others() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


# --- what is wrong, and where ---------------------------------------------------------------------------


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "unknown"


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}".removesuffix(": ")


def _place(error: BaseException, module: str) -> str:
    """File and line at which a module's own code failed; of one that is not there, nothing."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}:{error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename != __file__ and "importlib" not in frame.filename]
    return f" ({own[-1].filename}:{own[-1].lineno})" if own else f" ({module})"


def _where(module: str, attribute: str, mistake: Mistake) -> str:
    """File and line of a mistake: of the word, else of the field, else of the adapter itself."""
    loaded = sys.modules.get(module)
    return module if loaded is None else ":".join(map(str, _line(loaded, attribute, mistake)))


def _line(module: ModuleType, attribute: str, mistake: Mistake) -> tuple[str, int]:
    field = mistake.field.partition("[")[0].partition(".")[0]
    package = module.__name__.partition(".")[0]
    near = f"{module.__name__ if package == 'aggregator' else package}."
    inside = [name for name in list(sys.modules) if name.startswith(near)]
    for one in (module, *(sys.modules[name] for name in sorted(inside))):
        try:
            tree, file = ast.parse(inspect.getsource(one)), inspect.getsourcefile(one)
        except (OSError, TypeError, SyntaxError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and mistake.word and node.value == mistake.word:
                return str(file), node.lineno
    try:
        tree, file = ast.parse(inspect.getsource(module)), inspect.getsourcefile(module)
    except (OSError, TypeError, SyntaxError):
        return str(module.__file__), 1
    nodes = list(ast.walk(tree))
    named = [node.lineno for node in nodes if isinstance(node, ast.keyword) and node.arg == field]
    names = [node for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    made = [node.lineno for node in names if node.id == attribute]
    return str(file), next(iter((*named, *made)), 1)
