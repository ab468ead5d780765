"""What came of a rollback once nothing of it runs any more: by what became of its nodes, and by what the tools hold."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.control.rollback import drive
from gateway.control.rollback.driving import Driving
from gateway.control.rollback.sound import Sound
from gateway.core import plan, progress, waiting
from gateway.core.waiting import Wait
from gateway.model.plan import NodeState
from gateway.model.rollback import RollbackStatus
from gateway.model.run import Run
from gateway.ports import Clock
from gateway.ports.rollback import Examined, RollbackRecords

_OVER = (RollbackStatus.CLEAN, RollbackStatus.RESIDUE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``patience``: seconds for which a tool that cannot be looked at, or policy that cannot be asked, is waited for."""

    sound: Sound
    records: RollbackRecords
    clock: Clock
    patience: float

    async def __call__(self, run: Run, driving: Driving) -> tuple[RollbackStatus, tuple[str, ...]]:
        """The state it comes to, and what is left: a sentence each. It is over only once everything that was taken back was seen."""
        rollback, planned, states = driving.rollback, driving.gathered.plan, driving.schedule.states
        status = RollbackStatus(plan.finished(planned, states).value)
        left = progress.residue(planned, states, await self.records.marks(rollback.rollback_id, rollback.run_id))
        if status not in _OVER:
            return status, tuple(left)
        wait: Wait | None = None
        known: dict[str, Examined] = {}
        while not driving.stopped.is_set():
            found = await self.sound(run, driving.gathered, states, known=known)
            if not found.open:
                return RollbackStatus.RESIDUE if left or found.residue else status, (*left, *found.residue)
            now, why = self.clock.now(), "it cannot be seen whether all is as it should be"
            wait = waiting.longer(wait, NodeState.WAITING, why, now=now, monotonic=self.clock.monotonic(), first=drive.FIRST_PAUSE)
            if now - wait.since >= self.patience:
                return RollbackStatus.NEEDS_OPERATOR, (*left, *(f"{one.rstrip('.')}; {waiting.GIVEN_UP}" for one in found.open))
            driving.unseen = found.open
            await driving.pause(wait.pause)
        return status, tuple(left)
