"""The plans of rollbacks, sealed beside the journal: whoever goes on with one reads what was begun."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from gateway.control.rollback.ground import WrongRollback
from gateway.core import plan_json
from gateway.model.entry import Sealed
from gateway.model.plan import Plan
from gateway.model.rollback import Rollback
from gateway.ports import Blobs, Vault


@dataclass(frozen=True, slots=True)
class Plans:
    blobs: Blobs
    vault: Vault

    async def sealed(self, tenant: str, plan: Plan) -> Sealed:
        """A plan as it is kept with the entry that names it."""
        return await self.vault.seal(tenant, orjson.dumps(plan_json.written(plan)))

    async def of(self, rollback: Rollback) -> Plan:
        """The plan by which a rollback is carried out.

        Raises:
            WrongRollback: it is not there any more.
            KeyError, ValueError: it cannot be read; its tenant was forgotten.
        """
        sealed = await self.blobs.blob(rollback.plan_ref)
        if sealed is None:
            raise WrongRollback(f"The plan of rollback {rollback.rollback_id} is not in this journal any more.")
        return plan_json.read(orjson.loads(await self.vault.unseal(sealed)))
