"""The filters that every read verb shares: declared once, parsed once."""

import inspect
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Annotated, Any, Concatenate, ParamSpec, get_type_hints

import typer

from aggregator.core.model import Direction, State

P = ParamSpec("P")


def accounts_known(context: typer.Context, incomplete: str) -> list[str]:
    """The configured accounts, for the shell to complete; none where the configuration cannot be read."""
    from aggregator.cli import setup
    from aggregator.cli.app import GLOBALS
    from aggregator.errors import AggregatorError

    GLOBALS.config = context.find_root().params.get("config")
    try:
        return [name for name in setup.configuration().names if name.startswith(incomplete)]
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


def one_of(what: str, there: Collection[str]) -> Callable[[str], str]:
    """An option whose values are a closed set; a misspelt one is refused with a hint."""

    def parsed(said: str) -> str:
        if said not in there:
            raise typer.BadParameter(f"no such {what}: {unlike(said, there)}")
        return said

    return parsed


def completed(there: Collection[str]) -> Callable[[str], list[str]]:
    """For the shell: the values that begin so."""
    return lambda incomplete: [one for one in there if one.startswith(incomplete)]


def unlike(said: str, there: Iterable[str]) -> str:
    """What was said, with a hint at what may have been meant, or at what there is."""
    from aggregator.config.values import near, some

    known = [*there]
    return said + (near(said, known) or f" (there is {some(known) or 'none'})")


STATES, DIRECTIONS = tuple(map(str, State)), tuple(map(str, Direction))
AGAIN = "can be repeated"
Account = Annotated[
    list[str] | None,
    typer.Option(
        "--account", help=f"Only this account; {AGAIN}.", metavar="NAME", autocompletion=accounts_known
    ),
]
Provider = Annotated[
    list[str] | None,
    typer.Option("--provider", help=f"Only this provider; {AGAIN}.", metavar="NAME"),
]
Way = Annotated[
    list[str] | None,
    typer.Option(
        "--direction",
        help="Only port-ins, or only port-outs.",
        metavar="|".join(DIRECTIONS),
        parser=one_of("direction", DIRECTIONS),
        autocompletion=completed(DIRECTIONS),
    ),
]
InState = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        help=f"Only orders in this state; {AGAIN}: {', '.join(STATES)}.",
        metavar="STATE",
        parser=one_of("state", STATES),
        autocompletion=completed(STATES),
    ),
]
Customer = Annotated[
    list[str] | None,
    typer.Option("--customer", help=f"Only this customer reference; {AGAIN}.", metavar="TEXT"),
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
    """What a read verb was asked for; of an option that was repeated, any value will do. Direction, state and
    customer speak of orders: of rows that belong to orders, those are left whose order is such a one."""

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
        """The conditions on columns, for the views: each a list of the values that will do."""
        said = {
            "account": self.account,
            "provider": self.provider,
            "direction": self.direction,
            "state": self.state,
            "customer_reference": self.customer,
        }
        return {name: values for name, values in said.items() if values}

    def of_account(self, account: str, provider: str) -> bool:
        """Whether an account is one of those that were asked for, or none was named."""
        return account in (self.account or [account]) and provider in (self.provider or [provider])


EVERY = tuple(option.name for option in fields(Filters))


def filtered(*names: str) -> Callable[[Callable[Concatenate[Filters, P], int]], Callable[..., int]]:
    """Give a verb, after its own arguments, these options of `Filters` (all of them, where none is named), which
    it takes as one value. A verb has only those that it can apply: any other is a usage error."""

    def decorated(verb: Callable[Concatenate[Filters, P], int]) -> Callable[..., int]:
        @wraps(verb)
        def called(**said: Any) -> int:
            asked = Filters(**{name: said.pop(name) for name in names or EVERY})
            return verb(asked, **said)  # type: ignore[call-arg]

        own, kinds = inspect.signature(verb), get_type_hints(Filters, include_extras=True)
        shared = [
            inspect.Parameter(
                option.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=option.default,
                annotation=kinds[option.name],
            )
            for option in fields(Filters)
            if option.name in (names or EVERY)
        ]
        mine = [part.replace(kind=inspect.Parameter.KEYWORD_ONLY) for part in [*own.parameters.values()][1:]]
        called.__signature__ = own.replace(parameters=[*mine, *shared])  # type: ignore[attr-defined]
        return called

    return decorated
