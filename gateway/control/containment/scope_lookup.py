"""What the scope of an order names, and which open runs it holds: so that an order with a typing error in it holds nothing unnoticed."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from gateway.core import timestamps
from gateway.core.authorization import gate
from gateway.model.run import OpenRun, Order, Run, Scope
from gateway.ports.clock import Clock
from gateway.ports.known_names import KnownNames, Part, Within
from gateway.ports.projections import Registry

NAMED = 100
"""Runs that an answer names; those beyond are only counted."""

_LIGHT, _WHOLE = 250, 50
"""Open runs looked at between two turns of the event loop, about a millisecond: by their columns, and read whole."""


@dataclass(frozen=True, slots=True)
class ConfiguredNames:
    """The names that the configuration declares, without patterns: a ``*`` makes no name known."""

    tenants: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()
    task_classes: frozenset[str] = frozenset()
    tools: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A part of a scope that nothing known has; ``nearest`` is a known name that is similar."""

    part: str
    name: str
    nearest: str | None

    def __str__(self) -> str:
        hint = "" if self.nearest is None else f"; did you mean {self.nearest}?"
        return f"there is no {self.part.replace('_', ' ')} {self.name}{hint}"


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A part of a scope that its run does not have, and never will."""

    run: str
    part: str
    name: str
    value: str

    def __str__(self) -> str:
        return f"run {self.run} has the {self.part.replace('_', ' ')} {self.value}, not {self.name}"


@dataclass(frozen=True, slots=True)
class HeldRuns:
    """How many open runs a scope holds, and the ids of ``NAMED`` of them at the most."""

    count: int
    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScopeLookup:
    """Answers from indexes and the configuration; what is not ``within`` somebody's reach is as unknown as what does not exist.

    Every method raises ``JournalUnavailable`` if the journal cannot be read.
    """

    names: KnownNames
    registry: Registry
    clock: Clock
    configured: ConfiguredNames

    async def unknown(self, scope: Scope, within: Within) -> list[UnknownName | Contradiction]:
        """The parts of a scope that name nothing known, or that its run does not have. Other parts that are each known may still match no
        run together.
        """
        found: list[UnknownName | Contradiction] = []
        by_runs: tuple[tuple[Part, str | None, frozenset[str]], ...] = (
            ("run", scope.run, frozenset()),
            ("tenant", scope.tenant, self._reached(self.configured.tenants, within.tenants)),
            ("agent", scope.agent, self.configured.agents if within == Within() else frozenset()),
            ("task_class", scope.task_class, self._reached(self.configured.task_classes, within.classes)),
        )
        for part, name, declared in by_runs:
            if name is None or name in declared or await self.names.known(part, name, within):
                continue
            near = await self.names.neighbours(part, name, within)
            found.append(UnknownName(part, name, await _nearest(name, {*near, *declared})))
        if scope.tool is not None and scope.tool not in self.configured.tools:
            found.append(UnknownName("tool", scope.tool, await _nearest(scope.tool, self.configured.tools)))
        if not found and scope.run is not None and not scope.subtree and (run := await self.registry.run(scope.run)) is not None:
            named = (
                ("tenant", scope.tenant, run.tenant),
                ("agent", scope.agent, run.agent_id),
                ("task_class", scope.task_class, run.task_class),
            )
            found += (Contradiction(run.run_id, part, name, value) for part, name, value in named if name not in (None, value))
        return found

    async def held(self, scope: Scope) -> HeldRuns:
        """The open runs that an order of this scope holds: with a tool, only those that may use it. Lets others work in between."""
        if scope.run is not None and not scope.subtree:
            run = await self.registry.run(scope.run)
            holds = run is not None and run.closed_at is None and run.expires_at > self.clock.now() and reaches(scope, run)
            return HeldRuns(1, (scope.run,)) if holds else HeldRuns(0, ())
        whole = scope.subtree or scope.tool is not None
        first: list[str] = []
        seen: set[str] = set()  # a lease that is renewed meanwhile brings its run a second time
        async for one in self.open_runs(whole=whole):
            holds = gate.covers_owner(scope, one) if one.run is None else reaches(scope, one.run)
            if holds and one.run_id not in seen:
                seen.add(one.run_id)
                if len(first) < NAMED:
                    first.append(one.run_id)
        return HeldRuns(len(seen), tuple(sorted(first)))

    async def open_runs(self, *, whole: bool) -> AsyncIterator[OpenRun]:
        """Every open run, those that end first before others."""
        after, limit = (timestamps.micros(self.clock.now()) + 1, ""), _WHOLE if whole else _LIGHT
        while page := await self.names.open_runs(after=after, limit=limit, whole=whole):
            for one in page:
                yield one
            after = (page[-1].expires_at, page[-1].run_id)
            await asyncio.sleep(0)

    @staticmethod
    def _reached(declared: frozenset[str], reach: Iterable[str]) -> frozenset[str]:
        return declared if "*" in reach else declared.intersection(reach)


def holds(order: Order, run: Run) -> bool:
    """Whether an order that matches a run stops anything that the run may do."""
    return order.order_id in run.inherited or reaches(order.scope, run)


def reaches(scope: Scope, run: Run) -> bool:
    """Whether a scope matches a run and, if it names a tool, the run may use that tool."""
    if not gate.covers(scope, run):
        return False
    return scope.tool is None or ((run.tools is None or scope.tool in run.tools) and gate.reach(run.scopes, scope.tool))


async def _nearest(name: str, known: Iterable[str]) -> str | None:
    # In a thread: calls of agents do not wait for the comparison of a thousand names.
    near = await asyncio.to_thread(difflib.get_close_matches, name, sorted(known), 1)
    return near[0] if near else None
