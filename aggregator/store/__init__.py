"""The database: one store for SQLite and Postgres, through one engine URL. Rows never leave this folder."""

from aggregator.store.store import Store, open_store

__all__ = ["Store", "open_store"]
