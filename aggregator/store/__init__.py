"""The database: one store for SQLite and Postgres, through one engine URL. Rows never leave this folder."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aggregator.store.store import Store, open_store

__all__ = ["Store", "open_store"]


def __getattr__(name: str) -> object:
    """Loaded when it is asked for: who only reads does not wait for what only writers need."""
    if name not in __all__:
        raise AttributeError(name)
    from aggregator.store import store

    return getattr(store, name)
