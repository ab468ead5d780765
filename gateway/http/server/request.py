"""A request in the hands of a handler, and what its operator may see: what belongs to other tenants or task classes is not found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

from aiohttp import web

from gateway.http.server import problem
from gateway.http.server.operators import Operator
from gateway.http.server.services import Services
from gateway.model.entries import Entry
from gateway.model.order import Scope
from gateway.model.run import Run
from gateway.model.task import Task


class Owned(Protocol):
    """Something that belongs to one tenant and task class."""

    @property
    def tenant(self) -> str: ...

    @property
    def task_class(self) -> str: ...


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Request:
    """A request that ``operator`` may make by its role; ``raw`` is aiohttp's."""

    services: Services
    operator: Operator
    raw: web.Request

    def sees(self, one: Owned) -> bool:
        """Whether an object is of the operator's tenants and task classes."""
        return self.operator.may_touch(one.tenant, one.task_class)

    async def sees_scope(self, scope: Scope) -> bool:
        """Whether an order of this scope touches nothing beyond the operator's tenants and classes."""
        if self.operator.everywhere:
            return True
        run = None if scope.run is None else await self.services.registry.run(scope.run)
        tenant = scope.tenant or (run.tenant if run else None)
        # Descendants have their ancestor's tenant, but a class of their own.
        task_class = scope.task_class or (run.task_class if run and not scope.subtree else None)
        return self.operator.covers(tenant, task_class)

    async def sees_entry(self, entry: Entry | Task) -> bool:
        """Whether an entry or a task is of the operator's tenants and classes: by what it says itself, else by its run."""
        if self.operator.everywhere:
            return True
        tenant, task_class = entry.tenant, None if isinstance(entry, Task) else entry.task_class
        if (tenant is None or task_class is None) and entry.run_id is not None:
            run = await self.services.registry.run(entry.run_id)
            if run is not None:
                tenant, task_class = tenant or run.tenant, task_class or run.task_class
        return self.operator.covers(tenant, task_class)

    async def find_run(self, run_id: str) -> Run | None:
        """The run; ``None`` also where the operator may not see it."""
        run = await self.services.registry.run(run_id)
        return run if run is not None and self.sees(run) else None

    async def run(self, run_id: str) -> Run:
        """The run.

        Raises:
            NotFound: there is none, or it is another tenant's: the answer is the same.
        """
        return found(await self.find_run(run_id), f"run {run_id}")


def found(one: Item | None, name: str) -> Item:
    """``one``, which the request names.

    Raises:
        NotFound: it is ``None``.
    """
    if one is None:
        raise problem.NotFound(f"There is no {name}.")
    return one
