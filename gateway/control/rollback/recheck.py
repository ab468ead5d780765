"""Reads again what an ended rollback left: before a run is resumed, however long ago the rollback ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from gateway.control.rollback.execution import RollbackView
from gateway.control.rollback.executor import about_object
from gateway.control.rollback.rollbacks import Rollbacks
from gateway.control.rollback.scope import RollbackScope, WrongRollback
from gateway.core import tasks
from gateway.core.incident.recovery import StateDefect
from gateway.model.review import ABSENT, Resolution, Task
from gateway.model.rollback import Node, NodeState, Rollback, States
from gateway.model.run import Run
from gateway.ports.projections import Registry
from gateway.ports.rollback import Examined


@dataclass(frozen=True, slots=True)
class Recheck:
    rollbacks: Rollbacks
    registry: Registry

    async def __call__(self, run: Run, rollback: Rollback) -> tuple[StateDefect, ...]:
        """What is not as it should be, or cannot be seen to be, read from the tools now: objects, and invariants.

        An object comes with the task by which a person may take it over. One that a person took over is as that person left it.
        """
        try:
            view = await self.rollbacks.view(rollback.rollback_id)
        except (WrongRollback, KeyError, ValueError):
            return (StateDefect(f"the plan of rollback {rollback.rollback_id} cannot be read any more"),)  # its tenant was forgotten
        scope = await self.rollbacks.scope_query(run, subtree=rollback.subtree, since=None, wait=False)
        states = await self._taken_over(view, scope)
        found = await self.rollbacks.outcome.examine(run, replace(scope, plan=view.plan), states, {})
        objects = [StateDefect(about_object(node, one.why), self._task(rollback, scope, node, one)) for node, one in found.differing]
        return (*objects, *map(StateDefect, found.violated), *map(StateDefect, found.unseen))

    async def _taken_over(self, view: RollbackView, scope: RollbackScope) -> States:
        """The nodes' states; those on an object that a person took over are a person's."""
        tasks = [task for run_id in scope.runs for task in await self.registry.tasks(run=run_id, limit=None)]
        resolved = {task.task_id: task for task in tasks if task.rollback_id == view.rollback.rollback_id and task.resolution}
        persons = {node.target.object for node in view.plan.nodes if _is_taken_over(view.rollback, node, resolved)}
        theirs = {node.node_id: NodeState.TASK for node in view.plan.nodes if node.target.object in persons}
        return {**view.states, **theirs}

    def _task(self, rollback: Rollback, scope: RollbackScope, node: Node, seen: Examined) -> Task:
        version = seen.version if seen.exists else ABSENT
        return tasks.of_object(rollback, node, scope.effects_of(node), why=seen.why, seen=version, at=self.rollbacks.clock.now())


def _is_taken_over(rollback: Rollback, node: Node, resolved: Mapping[str, Task]) -> bool:
    """Whether a person said that the object is as they want it: of the object itself, or that they did what a node left to them."""
    corrected = resolved.get(tasks.node_task_id(rollback.rollback_id, node.node_id))
    by_hand = corrected is not None and corrected.resolution is Resolution.DONE
    return by_hand or tasks.object_task_id(rollback.rollback_id, node.node_id) in resolved
