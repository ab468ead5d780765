"""Counters on the writer thread: exact, all or nothing, cached between batches."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gateway.model.effect import Charge, Violation
from gateway.stores.sqlite import statements

_BOUND = 200_000
"""Cached counters; past it the cache begins anew between two batches."""


class Counters:
    """What scopes have used, in the open transaction. :meth:`flush` before its commit, :meth:`drop` when it did not stand."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._used: dict[tuple[str, str], int] = {}
        self._members: dict[tuple[str, str, str], bool] = {}
        self._changed: set[tuple[str, str]] = set()
        self._joined: list[statements.Row] = []

    def over(self, charges: Sequence[Charge]) -> tuple[Violation, ...]:
        """The limits that these charges, taken together, would pass; nothing is charged."""
        asked: dict[tuple[str, str], int] = {}
        found: list[Violation] = []
        counted: set[tuple[str, str, str]] = set()
        for charge in charges:
            key = (charge.scope, charge.name)
            amount = charge.amount
            if charge.member is not None:
                member = (*key, charge.member)
                amount = 0 if member in counted or self._has(member) else 1
                counted.add(member)
            used = self.used(*key) + asked.get(key, 0)
            asked[key] = asked.get(key, 0) + amount
            if charge.limit is not None and amount and used + amount > charge.limit:
                found.append(Violation(charge.scope, charge.name, charge.limit, used, amount))
        return tuple(found)

    def take(self, charges: Sequence[Charge]) -> None:
        """Charge without looking at limits."""
        for charge in charges:
            if charge.member is None:
                self.add(charge.scope, charge.name, charge.amount)
                continue
            member = (charge.scope, charge.name, charge.member)
            if not self._has(member):
                self._members[member] = True
                self._joined.append(member)
                self.add(charge.scope, charge.name, 1)

    def add(self, scope: str, name: str, amount: int) -> None:
        key = (scope, name)
        self._used[key] = self.used(scope, name) + amount
        self._changed.add(key)

    def used(self, scope: str, name: str) -> int:
        found = self._used.get((scope, name))
        if found is None:
            row = self._connection.execute(statements.WRITING["used"], (scope, name)).fetchone()
            found = self._used[scope, name] = row[0] if row else 0
        return found

    def flush(self) -> None:
        """Write what changed into the open transaction."""
        statements.put(self._connection, "keep_counters", [(*key, self._used[key]) for key in sorted(self._changed)])
        statements.put(self._connection, "keep_members", self._joined)
        self._changed.clear()
        self._joined = []
        if len(self._used) + len(self._members) > _BOUND:
            self.drop()

    def drop(self) -> None:
        """Forget everything: what was cached may not be what is on disk."""
        self._used.clear()
        self._members.clear()
        self._changed.clear()
        self._joined = []

    def _has(self, member: tuple[str, str, str]) -> bool:
        found = self._members.get(member)
        if found is None:
            found = self._members[member] = self._connection.execute(statements.WRITING["member"], member).fetchone() is not None
        return found
