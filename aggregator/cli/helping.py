"""How `--help` shows options and arguments: flags without a type, arguments as people write them."""

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

Function = TypeVar("Function", bound=Callable[..., Any])


class Verb(TyperCommand):
    """A verb in the usual notation: `[OPTIONS] ACCOUNT [NAME]...`. An option that takes one value is taken once:
    of two values one would be dropped silently."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the arguments apart; a usage error where an option stands twice that takes one value."""
        if not ctx.ignore_unknown_options:
            order: list[Any] = self.make_parser(ctx).parse_args([*args])[2]
            for param, count in Counter(order).items():
                many = param.multiple or getattr(param, "is_flag", False)
                if param.param_type_name == "option" and count > 1 and not many:
                    raise typer.BadParameter("was given twice, and takes one value", ctx, param)
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """Its parameters, those of a flag without `<bool>`."""
        return plain(super().get_params(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What stands behind the verb in its usage line."""
        arguments = [param for param in self.get_params(ctx) if param.param_type_name == "argument"]
        return [str(self.options_metavar), *map(_written, arguments)]


class Verbs(TyperGroup):
    """The same for a group of verbs."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its parameters, those of a flag without `<bool>`."""
        return plain(super().get_params(ctx))


class Program(typer.Typer):
    """A program whose verbs are all of this kind."""

    def __init__(self, **said: Any) -> None:
        super().__init__(cls=Verbs, **said)

    def command(self, name: str | None = None, **said: Any) -> Callable[[Function], Function]:
        """Declare a verb."""
        return super().command(name, cls=Verb, **said)


def plain(params: list[Any]) -> list[Any]:
    """A flag takes no value, and an argument's name says what it is: no types are shown for them."""
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
        elif param.param_type_name == "argument":
            param.metavar = param.metavar or param.name.upper()
            param.display_type_rich = lambda ctx: None
    return params


def _written(argument: Any) -> str:
    name = argument.metavar if argument.required else f"[{argument.metavar}]"
    return f"{name}..." if argument.nargs != 1 else name
