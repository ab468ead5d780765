"""How far a token reaches: what is not of its tenants and task classes is not there for it."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.http.server import problem
from gateway.http.server.operators import Operator
from gateway.model.order import Scope
from gateway.model.run import Run
from gateway.ports.projections import Registry


async def run(registry: Registry, operator: Operator, run_id: str) -> Run:
    """A run that the operator may see.

    Raises:
        NotFound: there is none; another tenant's is not told apart from none.
    """
    found = await seen(registry, operator, run_id)
    if found is None:
        raise problem.NotFound(f"There is no run {run_id}.")
    return found


async def seen(registry: Registry, operator: Operator, run_id: str) -> Run | None:
    """A run, ``None`` where there is none for this operator."""
    found = await registry.run(run_id)
    return found if found is not None and operator.may_touch(found.tenant, found.task_class) else None


async def confined(registry: Registry, operator: Operator, scope: Scope) -> bool:
    """Whether an order of this scope touches nothing beyond the operator's tenants and classes."""
    if operator.everywhere:
        return True
    held = None if scope.run is None else await registry.run(scope.run)
    tenant = scope.tenant or (held.tenant if held else None)
    # Descendants have their ancestor's tenant, but a class of their own.
    task_class = scope.task_class or (held.task_class if held and not scope.subtree else None)
    return _among(tenant, operator.tenants) and _among(task_class, operator.classes)


async def entry(registry: Registry, operator: Operator, fields: Mapping[str, object]) -> bool:
    """Whether a journal entry is of the operator's tenants and classes: by what it says itself, else by its run."""
    if operator.everywhere:
        return True
    tenant, task_class = fields.get("tenant"), fields.get("task_class")
    if tenant is None or task_class is None:
        run_id = fields.get("run_id")
        held = await registry.run(run_id) if isinstance(run_id, str) else None
        if held is not None:
            tenant, task_class = tenant or held.tenant, task_class or held.task_class
    return _among(tenant, operator.tenants) and _among(task_class, operator.classes)


def _among(word: object, words: tuple[str, ...]) -> bool:
    return "*" in words or word in words
