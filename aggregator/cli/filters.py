"""The filters that every read verb shares: declared once, parsed once."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import wraps
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar, get_type_hints

import typer

from aggregator.core.model import Direction, State

P = ParamSpec("P")
Kind = TypeVar("Kind", bound=StrEnum)


def accounts_known(context: typer.Context, incomplete: str) -> list[str]:
    """The configured accounts, for the shell to complete; none where the configuration cannot be read."""
    from aggregator.cli import setup
    from aggregator.cli.app import GLOBALS
    from aggregator.errors import AggregatorError

    GLOBALS.config = context.find_root().params.get("config")
    try:
        return [name for name in setup.configuration().accounts if name.startswith(incomplete)]
    except AggregatorError:
        return []


def moment(said: str) -> datetime:
    """A time option: a duration before now, or an instant with its zone. A naive one is refused."""
    from aggregator.cli import setup
    from aggregator.config import duration

    try:
        if re.fullmatch(r"\d+[smhd]", said):
            back = duration(said)
            assert isinstance(back, timedelta)
            return setup.now() - back
        at = datetime.fromisoformat(said)
        if at.tzinfo is None:
            raise typer.BadParameter(f"{said} needs its zone (write {at.isoformat()}Z for UTC)")
        return at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"not a time: {said} (write 7d or 2026-01-31T00:00:00Z)") from error


def _one_of(kind: type[Kind]) -> Callable[[str | Kind], Kind]:
    """An option whose values are a closed set; a misspelt one gets a hint."""

    def parsed(said: str | Kind) -> Kind:
        from aggregator.cli.opening import unlike

        if said not in [*kind]:
            raise typer.BadParameter(f"no such {kind.__name__.lower()}: {unlike(said, kind)}")
        return kind(said)

    return parsed


def _completed(kind: type[Kind]) -> Callable[[str], list[str]]:
    return lambda incomplete: [str(one) for one in kind if one.startswith(incomplete)]


Account = Annotated[
    str | None,
    typer.Option("--account", help="Only this account.", metavar="NAME", autocompletion=accounts_known),
]
Provider = Annotated[str | None, typer.Option("--provider", help="Only this provider.", metavar="NAME")]
Way = Annotated[
    Direction | None,
    typer.Option(
        "--direction",
        help="Only port-ins, or only port-outs.",
        metavar="|".join(Direction),
        parser=_one_of(Direction),
        autocompletion=_completed(Direction),
    ),
]
InState = Annotated[
    State | None,
    typer.Option(
        "--state",
        help=f"Only orders in this state: {', '.join(State)}.",
        metavar="STATE",
        parser=_one_of(State),
        autocompletion=_completed(State),
    ),
]
Customer = Annotated[
    str | None, typer.Option("--customer", help="Only this customer reference.", metavar="TEXT")
]
Since = Annotated[
    datetime | None,
    typer.Option("--since", help="From this time on: 7d, 2026-01-31T00:00Z.", metavar="TIME", parser=moment),
]
Until = Annotated[
    datetime | None, typer.Option("--until", help="Before this time.", metavar="TIME", parser=moment)
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many rows.", metavar="N")]
Json = Annotated[bool, typer.Option("--json", help="JSON lines: the keys are the view's columns.")]


@dataclass(frozen=True, slots=True)
class Filters:
    """What a read verb was asked for. Direction, state and customer speak of orders: rows that have no order
    of their own (feeds, accounts, …) are shown for the accounts that have such an order."""

    account: Account = None
    provider: Provider = None
    direction: Way = None
    state: InState = None
    customer: Customer = None
    since: Since = None
    until: Until = None
    limit: Limit = None
    json: Json = False

    def columns(self) -> dict[str, object]:
        """The conditions on columns, for the views."""
        said = {
            "account": self.account,
            "provider": self.provider,
            "direction": self.direction and str(self.direction),
            "state": self.state and str(self.state),
            "customer_reference": self.customer,
        }
        return {name: value for name, value in said.items() if value is not None}


def filtered(verb: Callable[Concatenate[Filters, P], int]) -> Callable[..., int]:
    """Give a verb, after its own arguments, the options of `Filters`, which it takes as one value."""

    @wraps(verb)
    def called(**said: Any) -> int:
        asked = Filters(**{option.name: said.pop(option.name) for option in fields(Filters)})
        return verb(asked, **said)  # type: ignore[call-arg]

    own = inspect.signature(verb)
    kinds = get_type_hints(Filters, include_extras=True)
    shared = [
        inspect.Parameter(
            option.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=option.default,
            annotation=kinds[option.name],
        )
        for option in fields(Filters)
    ]
    mine = [part.replace(kind=inspect.Parameter.KEYWORD_ONLY) for part in [*own.parameters.values()][1:]]
    called.__signature__ = own.replace(parameters=[*mine, *shared])  # type: ignore[attr-defined]
    return called
