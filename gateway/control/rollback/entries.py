"""The entries of a rollback: each change of it, and of a node, said to the journal before anybody acts on it.

The plans of rollbacks, sealed beside the journal: whoever goes on with one reads what was begun.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from gateway.control.rollback.scope import WrongRollback
from gateway.core import timestamps
from gateway.core.codec import plan as codec_plan
from gateway.core.codec.incident import INCIDENT, ROLLBACK
from gateway.model.entry import Kind, Sealed
from gateway.model.incident import Incident
from gateway.model.plan import Node, NodeState, Plan
from gateway.model.rollback import Rollback
from gateway.ports.clock import Clock
from gateway.ports.journal import Journal
from gateway.ports.vault import Blobs, Vault


@dataclass(frozen=True, slots=True)
class RollbackEntries:
    journal: Journal
    clock: Clock

    async def change(
        self, rollback: Rollback, change: str, *, by: str, reason: str, blobs: Sequence[Sealed] = (), incident: Incident | None = None
    ) -> None:
        """Journal what became of a rollback, with its whole record."""
        entry = self._head(rollback) | {"change": change, "rollback": ROLLBACK.journal(rollback), "by": by, "reason": reason}
        if incident is not None:
            entry["incident"] = INCIDENT.journal(incident)
        await self.journal.append(entry, blobs)

    async def node(self, rollback: Rollback, node: Node, state: NodeState, why: str, **more: object) -> None:
        """Journal a node's state where no call of its own tells it."""
        entry = self._head(rollback) | {"change": "node", "node": node.node_id, "state": state.value, "why": why}
        await self.journal.append(entry | {name: value for name, value in more.items() if value is not None})

    def owner_fields(self, rollback: Rollback) -> dict[str, object]:
        """Whose work it is, for entries beside it."""
        return {
            "tenant": rollback.tenant,
            "workflow_id": rollback.workflow_id,
            "run_id": rollback.run_id,
            "generation": rollback.generation,
        }

    def _head(self, rollback: Rollback) -> dict[str, object]:
        return {
            "ts": timestamps.rfc3339(self.clock.now()),
            "kind": Kind.ROLLBACK.value,
            **self.owner_fields(rollback),
            "rollback_id": rollback.rollback_id,
        }


@dataclass(frozen=True, slots=True)
class Plans:
    blobs: Blobs
    vault: Vault

    async def sealed(self, tenant: str, plan: Plan) -> Sealed:
        """A plan as it is kept with the entry that names it."""
        return await self.vault.seal(tenant, orjson.dumps(codec_plan.written(plan)))

    async def of(self, rollback: Rollback) -> Plan:
        """The plan by which a rollback is executed.

        Raises:
            WrongRollback: it is not there any more.
            KeyError, ValueError: it cannot be read; its tenant was forgotten.
        """
        sealed = await self.blobs.blob(rollback.plan_ref)
        if sealed is None:
            raise WrongRollback(f"The plan of rollback {rollback.rollback_id} is not in this journal any more.")
        return codec_plan.read(orjson.loads(await self.vault.unseal(sealed)))
