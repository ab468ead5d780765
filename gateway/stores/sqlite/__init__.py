"""The journal and its projections in one SQLite file."""

from gateway.stores.sqlite.log.opening import Expected
from gateway.stores.sqlite.reprojection import rebuild
from gateway.stores.sqlite.store import SqliteStore, open_store

__all__ = ["Expected", "SqliteStore", "open_store", "rebuild"]
