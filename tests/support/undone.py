"""What came of a rollback: what the gateway says of it, to be held against the tool's own state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.support.gateway import Gateway, wait_until

Json = dict[str, Any]
OVER = ("clean", "residue", "needs_operator", "stopped")


@dataclass(frozen=True, slots=True)
class Rolled:
    """A rollback that runs no more. ``nodes`` stand in the order of its plan; ``tasks`` are those that it handed over."""

    rollback: Json
    nodes: list[Json]
    tasks: list[Json]

    @property
    def rollback_id(self) -> str:
        rollback_id: str = self.rollback["rollback_id"]
        return rollback_id

    @property
    def status(self) -> str:
        status: str = self.rollback["state"]
        return status

    @property
    def states(self) -> list[tuple[str, str]]:
        """Each node's action and what came of it."""
        return [(node["action"], node["state"]) for node in self.nodes]

    def node(self, action: str) -> Json:
        (found,) = [node for node in self.nodes if node["action"] == action]
        return found


def rolled_back(gateway: Gateway, run_id: str, *, subtree: bool = False) -> Rolled:
    """Contain a run and roll it back, as an operator does."""
    gateway.contain("quarantined", run=run_id, subtree=subtree)
    return started(gateway, run_id, subtree=subtree)


def started(gateway: Gateway, run_id: str, *, subtree: bool = False) -> Rolled:
    """Roll a contained run back."""
    asked = {"scope": {"run": run_id, "subtree": subtree}, "to": "start", "reason": "a test says so"}
    answer = gateway.ask("POST", "/v1/rollbacks", asked)
    assert answer.status == 202, answer
    return ended(gateway, answer.body["rollback_id"])


def planned(gateway: Gateway, run_id: str) -> list[Json]:
    """The nodes of the plan as it would be made now."""
    answer = gateway.ask("POST", "/v1/rollbacks", {"scope": {"run": run_id}, "to": "start", "dry_run": True})
    assert answer.status == 200, answer
    nodes: list[Json] = answer.body["nodes"]
    return nodes


def of_run(gateway: Gateway, run_id: str) -> Rolled:
    """The one rollback of a run, which nobody asked for."""
    found: list[Json] = []

    def begun() -> bool:
        found[:] = gateway.ask("GET", f"/v1/rollbacks?run={run_id}").body["items"]
        return bool(found)

    wait_until(begun, f"a rollback of {run_id} to begin by itself")
    (one,) = found
    return ended(gateway, one["rollback_id"])


def ended(gateway: Gateway, rollback_id: str) -> Rolled:
    """How it is, once it does not run any more."""
    wait_until(lambda: shown(gateway, rollback_id)["state"] in OVER, f"rollback {rollback_id} to end")
    rollback = shown(gateway, rollback_id)
    listed = gateway.ask("GET", f"/v1/tasks?run={rollback['run_id']}").body["items"]
    return Rolled(rollback, rollback["nodes"], [task for task in listed if task.get("rollback_id") == rollback_id])


def shown(gateway: Gateway, rollback_id: str) -> Json:
    """A rollback, node by node, as it is now."""
    answer = gateway.ask("GET", f"/v1/rollbacks/{rollback_id}")
    assert answer.status == 200, answer
    body: Json = answer.body
    return body
