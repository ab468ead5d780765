"""Two who have one run rolled back at the same moment, one of them slow to plan: what the other compensated is not compensated twice."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.control.rollback.rollbacks import Rollbacks
from gateway.control.rollback.scope import RollbackPlanner, RollbackScope, WrongRollback
from gateway.model.rollback import RollbackStatus
from gateway.model.run import Mode
from tests.support import rig
from tests.support.rig import Rig, until, until_async

REFUNDS = "/v1/tenants/acme/refunds"
# Without versions nothing at the tool would tell that it was offset before.
ADAPTER = rig.ADAPTER.replace(
    "compensation: {type: delete_created, by: refund.delete, auto: true}",
    'compensation: {type: offsetting_action, by: job.start, body: "{refund: reply.body.data.id}", auto: true}',
)


@dataclass(slots=True)
class Slow:
    """Plans as the real one does, and keeps the plan back until it may continue; ``planned`` once there is one."""

    scope_query: RollbackPlanner
    planned: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, *given: Any, **more: Any) -> RollbackScope:
        found = await self.scope_query(*given, **more)
        self.planned.set()
        await self.go_on.wait()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.scope_query, name)


async def over(rollbacks: Rollbacks, rollback_id: str) -> RollbackStatus:
    async def ended() -> bool:
        return (await rollbacks.view(rollback_id)).rollback.status.ended

    await until_async(ended, 30.0)
    return (await rollbacks.view(rollback_id)).rollback.status


async def refunded(at: Rig) -> str:
    """A run that refunded three times and is held."""
    at.ledger.without_etag = True
    run = await at.open()
    for amount in range(3):
        assert (await at.call(run.lease, "POST", REFUNDS, {"amount": amount}, Killcord_Step=f"refund-{amount}")).status == 201
    await at.contain(run.run.run_id, Mode.QUARANTINED)
    return run.run.run_id


async def test_what_was_planned_before_another_took_it_back_is_planned_again(tmp_path: Path) -> None:
    async with rig.assembled(tmp_path, adapter=ADAPTER) as at:
        run_id, fast = await refunded(at), at.gateway.recovery.rollbacks
        slow = Slow(fast.scope_query)
        late = asyncio.ensure_future(replace(fast, scope_query=slow).start(run_id, subtree=False, to="start", reason="too", by="ops"))  # type: ignore[arg-type]
        await slow.planned.wait()
        first = await fast.start(run_id, subtree=False, to="start", reason="wrong", by="ops")
        assert await over(fast, first.rollback_id) is RollbackStatus.CLEAN
        slow.go_on.set()
        second = await late
        assert second.rollback_id != first.rollback_id
        assert await over(fast, second.rollback_id) is RollbackStatus.CLEAN
        assert at.ledger.count("jobs") == 3


async def test_one_that_was_stopped_is_not_continued_by_a_plan_from_before_another(tmp_path: Path) -> None:
    async with rig.assembled(tmp_path, adapter=ADAPTER) as at:
        run_id, fast = await refunded(at), at.gateway.recovery.rollbacks
        at.ledger.hold = asyncio.Event()
        seen = len(at.ledger.seen)
        first = await fast.start(run_id, subtree=False, to="start", reason="wrong", by="ops")
        await until(lambda: len(at.ledger.seen) > seen)
        stopping = asyncio.ensure_future(fast.stop(first.rollback_id, reason="wait", by="ops"))
        at.ledger.hold.set()
        await stopping
        assert await over(fast, first.rollback_id) is RollbackStatus.STOPPED
        slow = Slow(fast.scope_query)
        late = asyncio.ensure_future(replace(fast, scope_query=slow).resume(first.rollback_id, reason="continue", by="ops"))  # type: ignore[arg-type]
        await slow.planned.wait()
        second = await fast.start(run_id, subtree=False, to="start", reason="again", by="ops")
        while second.rollback_id == first.rollback_id:
            second = await fast.start(run_id, subtree=False, to="start", reason="again", by="ops")
        assert await over(fast, second.rollback_id) is RollbackStatus.CLEAN
        slow.go_on.set()
        with pytest.raises(WrongRollback, match="began and ended in the meantime"):
            await late
        assert at.ledger.count("jobs") == 3
