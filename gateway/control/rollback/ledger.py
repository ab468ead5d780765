"""The entries of a rollback: each change of it, and of a node, said to the journal before anybody acts on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core import records, stamp
from gateway.model.entry import Kind, Sealed
from gateway.model.incident import Incident
from gateway.model.plan import Node, NodeState
from gateway.model.rollback import Rollback
from gateway.ports import Clock, Journal


@dataclass(frozen=True, slots=True)
class Ledger:
    journal: Journal
    clock: Clock

    async def change(
        self, rollback: Rollback, change: str, *, by: str, reason: str, blobs: Sequence[Sealed] = (), incident: Incident | None = None
    ) -> None:
        """Journal what became of a rollback, with its whole record."""
        entry = self._who(rollback) | {"change": change, "rollback": records.rollback_entry(rollback), "by": by, "reason": reason}
        if incident is not None:
            entry["incident"] = records.incident_entry(incident)
        await self.journal.append(entry, blobs)

    async def node(self, rollback: Rollback, node: Node, state: NodeState, why: str, **more: object) -> None:
        """Journal a node's state where no call of its own tells it."""
        entry = self._who(rollback) | {"change": "node", "node": node.node_id, "state": state.value, "why": why}
        await self.journal.append(entry | {name: value for name, value in more.items() if value is not None})

    def whose(self, rollback: Rollback) -> dict[str, object]:
        """Whose work it is, for entries beside it."""
        return {
            "tenant": rollback.tenant,
            "workflow_id": rollback.workflow_id,
            "run_id": rollback.run_id,
            "generation": rollback.generation,
        }

    def _who(self, rollback: Rollback) -> dict[str, object]:
        return {
            "ts": stamp.rfc3339(self.clock.now()),
            "kind": Kind.ROLLBACK.value,
            **self.whose(rollback),
            "rollback_id": rollback.rollback_id,
        }
