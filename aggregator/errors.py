"""The tree of errors. Reactions go by type, never by message.

AggregatorError
├── ConfigError             the operator must change something (exit 78); no "log and go on" may swallow it
│   └── BrokenAdapter       an adapter that cannot be relied on; it costs the accounts of its provider, and no other
├── Stopped                 we are being stopped: what was under way ends here, and is nobody's fault
├── StoreError              the database refused, is locked, or is gone
│   ├── Unusable            it stays so until somebody changes something: a right, the file (exit 78)
│   │   └── SchemaError     its schema is not the one this version needs
│   └── Fenced              another process holds the account; nothing was written
└── ProviderError
    ├── FetchError          no usable reply; retried a few times, then the sweep ends incomplete
    │   ├── RateLimited     the provider names, or implies, a time before which it wants no request
    │   ├── Unanswered      no connection, or no whole reply in time
    │   └── HostSilent      not even asked: its host answers none of its accounts, and another one asks for all
    ├── AccessDenied        401 or 403: never retried, pauses its account
    ├── Refused             any other 4xx: this request will not get better by repeating it
    ├── Spent               one poll has asked as much as it may; the next one goes on
    ├── PollFailed          our own code broke on what this feed brought: it costs that feed's poll only
    └── PageChanged         a reply that is not the page we know; never counts as "nothing there"
        ├── TooLarge        a reply of more bytes, values or items than we take: to be asked for in smaller pieces
        └── AdapterFailed   the adapter itself broke on it: a fault of ours, which costs its own account only
"""

import traceback
from datetime import datetime
from pathlib import PurePath


class AggregatorError(Exception):
    """Whatever this program raises on purpose."""


class ConfigError(AggregatorError):
    """The configuration, a credential or the schema is wrong. `mistakes` holds one line for each fault."""

    def __init__(self, *mistakes: str) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class BrokenAdapter(ConfigError):
    """A provider's adapter cannot be loaded, or its data is wrong: the matter of that provider's accounts alone."""


class Stopped(AggregatorError):
    """This process wants to end, so a request or a wait was cut short. Not the provider's failure: it is
    neither retried nor recorded, and the next start goes on from what is committed."""


class StoreError(AggregatorError):
    """The database could not do what was asked; nothing of it was kept."""


class Unusable(StoreError):
    """The database cannot be used as it is, and trying again will not help; the message says what will."""


class SchemaError(Unusable):
    """The database's schema is older, newer or missing; the message holds the command to type."""


class Fenced(StoreError):
    """Another process took this account over; our transaction was rolled back whole."""


class ProviderError(AggregatorError):
    """Something between a provider and us."""


class FetchError(ProviderError):
    """The provider could not be reached or answered with a passing error."""


class RateLimited(FetchError):
    """The provider asks us to wait until `until` (UTC)."""

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class Unanswered(FetchError):
    """Nothing came back: no connection could be made, or no whole reply came in time."""


class HostSilent(FetchError):
    """The host answers nobody, so this account was not polled; it is not its failure."""


class AccessDenied(ProviderError):
    """The credential was refused. Repeating the request would only lock it sooner."""


class Refused(ProviderError):
    """The provider understood the request and will not answer it (a 4xx other than 401, 403, 404, 429)."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Spent(ProviderError):
    """A poll has made as many requests, or taken as long, as one poll may."""


class PollFailed(ProviderError):
    """Something that nobody foresaw was raised while a feed was polled. Named by type and place, as its text may hold
    what was read; `of` makes one."""

    @classmethod
    def of(cls, where: str, error: Exception) -> "PollFailed":
        """That this error ended `where`."""
        place = traceback.extract_tb(error.__traceback__)[-1]
        line = f"{PurePath(place.filename).name}:{place.lineno}"
        return cls(f"{where}: failed inside ({type(error).__name__} at {line}); please report it")


class PageChanged(ProviderError):
    """The reply is not a page this adapter knows; the message names what is wrong and where."""


class TooLarge(PageChanged):
    """A reply that is longer, or holds more, than we take. `at` is when the provider said it, where that is known."""

    at: datetime | None = None


class AdapterFailed(PageChanged):
    """An adapter raised what it must not raise. Named by type and place: its text may hold what was read."""
