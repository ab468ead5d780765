"""An incident driven to its end, as a test asks for it and waits for where it comes to rest; and the gateway it is driven by, cut off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.app import resources as app_store
from gateway.control.review.findings import Finding
from gateway.control.runs.runs import LeasedRun
from gateway.core.authorization import admission
from gateway.core.incident.recovery import Recovery, Stage
from gateway.model.trigger import Incident
from gateway.ports.clock import Clock
from gateway.stores.sqlite.log.opening import Expected
from gateway.stores.sqlite.store import SqliteStore, open_store
from tests.support import rig
from tests.support.failpoints import Failpoints, PointedJournal
from tests.support.ledger import Ledger
from tests.support.rig import Rig, until_async

REST = (Stage.WAITS, Stage.RESUMED, Stage.GIVEN_UP)
CRITICAL = Finding(kind="ledger.imbalance", severity="critical", evidence={"off_by": 5}, by="verifier")
"""The run is quarantined for it, and rolled back at once."""
MILD = replace(CRITICAL, severity="high")
"""The run may only read from then on."""


async def found_unsafe(at: Rig, run: LeasedRun, finding: Finding = MILD) -> Incident:
    """A verifier reports the run; gives the incident."""
    reported = await at.gateway.findings.report(run.run, finding)
    assert reported.incident_id is not None
    return await known(at, reported.incident_id)


async def known(at: Rig, incident_id: str) -> Incident:
    found = await at.gateway.resources.store.incidents.incident(incident_id)
    assert found is not None
    return found


async def ask(at: Rig, incident_id: str, **asked: Any) -> None:
    """Ask for it, from the checkpoint that was taken unless another is named: what came after it is wrong."""
    taken = await at.gateway.resources.store.checkpoints.checkpoints((await known(at, incident_id)).run_id)
    request = admission.ResumeRequest(**{"checkpoint": taken[-1].checkpoint_id if taken else None, **asked})
    await at.gateway.recovery.recover(incident_id, request, by="ops", reason="mended")


async def recover(at: Rig, incident_id: str, **asked: Any) -> Stage:
    """Ask for it; gives the stage at which it comes to rest."""
    await ask(at, incident_id, **asked)
    return await rest(at, incident_id)


async def rest(at: Rig, incident_id: str, *wanted: Stage) -> Stage:
    async def resting() -> bool:
        return (await told(at, incident_id)).stage in (wanted or REST)

    await until_async(resting, 20.0)
    return (await told(at, incident_id)).stage


async def told(at: Rig, incident_id: str) -> Recovery:
    return await at.gateway.recovery.recover.view(await known(at, incident_id))


async def is_closed(at: Rig, incident_id: str) -> bool:
    return (await known(at, incident_id)).closed_at is not None


async def rolled(at: Rig, run_id: str, *states: str) -> bool:
    """Whether the run's newest rollback is in one of these states."""
    found = await at.gateway.resources.store.rollbacks.rollbacks(run=run_id)
    return bool(found) and found[-1].status.value in states


ADAPTER = rig.ADAPTER.replace(
    "compensation: {type: restore_previous_version, by: invoice.replace, auto: true}\n",
    """probe: {applied: "object.body.data.status == request.body.status", settle: 50ms}
    compensation: {type: restore_previous_version, by: invoice.replace, auto: true}
""",
)
"""The rig's; what puts an invoice back settles soon, so that a test need not wait for what cannot come any more."""


@asynccontextmanager
async def come_up(folder: Path, ledger: Ledger, points: Failpoints | None = None) -> AsyncIterator[Rig]:
    """A gateway as ``killcord serve`` begins, with its routines; in the same folder again it is the one after a crash."""

    async def store(data_dir: Path, clock: Clock, expected: Expected) -> SqliteStore:
        found = await open_store(data_dir, clock, expected)
        found.journal = PointedJournal(found.journal, points or Failpoints())  # type: ignore[assignment]
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app_store, "open_store", store)
        async with rig.assembled(folder, ledger, adapter=ADAPTER) as at:
            gateway = at.gateway
            await gateway.recovery.reconciler.adopt()
            await gateway.catch_up()
            await gateway.control.monitor.idle()
            await gateway.recovery.catch_up()
            gateway.control.supervisor.every(0.05, "reconcile", gateway.recovery.reconciler.tick)
            gateway.control.supervisor.every(0.05, "rollbacks", gateway.recovery.tick)
            try:
                yield at
            finally:
                await gateway.control.supervisor.finish(0.0)
