"""What a rollback that is over left behind, looked at anew: before a run is taken up again, however long ago it ended."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.control.rollback.ground import WrongRollback
from gateway.control.rollback.rollbacks import Rollbacks
from gateway.model.rollback import Rollback
from gateway.model.run import Run


@dataclass(frozen=True, slots=True)
class Aftermath:
    rollbacks: Rollbacks

    async def __call__(self, run: Run, rollback: Rollback) -> tuple[str, ...]:
        """What is not as it should be, or cannot be seen to be, read from the tools now: objects, and invariants; a sentence each."""
        try:
            told = await self.rollbacks.told(rollback.rollback_id)
        except (WrongRollback, KeyError, ValueError):
            return (f"the plan of rollback {rollback.rollback_id} cannot be read any more",)  # its tenant was forgotten
        gathered = await self.rollbacks.gather(run, subtree=rollback.subtree, since=None, wait=False)
        found = await self.rollbacks.verdict.sound(run, replace(gathered, plan=told.plan), told.states)
        return (*found.residue, *found.unseen)
