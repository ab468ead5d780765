"""Rollbacks cut off between any two things that they do, and continued: nothing twice, nothing left out, and always an end."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.app.gateway import Gateway
from gateway.clients.rego.engine import EmbeddedEngine
from gateway.control.review.findings import Finding
from tests.support.failpoints import Failpoints, World, recovered
from tests.support.ledger import Ledger
from tests.support.rig import ROOT, Rig
from tests.support.toolmodel import ADAPTER, Tool
from tests.support.toolmodel_runs import Case, configured, described, hastened

CRASHES = [300, pytest.param(4000, marks=pytest.mark.soak)]
AT_MOST = 3
"""Times as many: where they take place depends on how the machine runs the lives beside each other, so there are more until each place
had its share.
"""
IN_A_ROW = 8
"""Crashes of one rollback before it is let be."""
AT_ONCE = 16
A_FOLDER = 3
"""Rollbacks that are kept in one journal."""
ASKING = ADAPTER.replace("by: note.delete, auto: true", "by: note.delete, auto: false")
PLACES = {
    "before rollback started": 5,
    "after rollback started": 5,
    "before intent": 50,
    "after intent": 50,
    "before call": 50,
    "after call": 50,
    "before outcome": 50,
    "after outcome": 50,
    "before rollback node": 20,
    "after rollback node": 20,
    "after rollback claimed": 20,
    "before rollback ended": 5,
    "after rollback ended": 5,
    "before task opened": 5,
    "after task opened": 5,
    "after approval requested": 5,
    "before approval granted": 1,
    "before response opened": 1,
    "after response opened": 1,
    "before read": 50,
}
"""Where crashes have to have taken place, and how often at least, of a thousand."""


@pytest.mark.parametrize("crashes", CRASHES)
async def test_whatever_a_rollback_was_doing_when_it_was_cut_off_it_is_continued(tmp_path: Path, crashes: int) -> None:
    engine = EmbeddedEngine(ROOT / "policies", mint=lambda kind: f"{kind}_1", report=lambda *_: None)
    reached: Counter[str] = Counter()
    seeds, config = itertools.count(1), configured(tmp_path, ASKING)

    async def worlds() -> None:
        while reached.total() < crashes or (_missed(reached, crashes) and reached.total() < AT_MOST * crashes):
            first = next(seeds)
            world = World(replace(config, data_dir=tmp_path / f"world-{first}"), Tool(), engine, reached)
            for seed in (first, *itertools.islice(seeds, A_FOLDER - 1)):
                await _case(world, seed)

    async with hastened(), asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worlds())
    await engine.close()
    missed = _missed(reached, crashes)
    assert not missed, f"crashed too rarely at {missed}; crashed at {reached}"


def _missed(reached: Counter[str], crashes: int) -> dict[str, tuple[int, int]]:
    """The places with too few of so many crashes: how many there were, and how many there have to be."""
    wanted = {place: max(1, min(share, share * crashes // 1000)) for place, share in PLACES.items()}
    return {place: (reached[place], least) for place, least in wanted.items() if reached[place] < least}


async def _case(world: World, seed: int) -> None:
    case = Case(random.Random(seed), world.tool, f"t{seed}", faults=False, cut=True)
    try:
        lives = itertools.count()
        while not await _ended(world, case, crash=next(lives) < IN_A_ROW):
            pass
    except AssertionError as wrong:
        raise AssertionError(f"seed {seed}: {wrong}\n{described(case)}") from wrong


async def _ended(world: World, case: Case, *, crash: bool) -> bool:
    """One life of the gateway; whether the rollback came to its end in it."""
    points = Failpoints()
    async with world.alive(points) as gateway:
        if not case.leases:
            await case.happen(Rig(gateway, Ledger()), case.chance.randrange(2, 9))
        if crash:
            points.arm(1 + int(60 * case.chance.random() ** 2))
        living = asyncio.ensure_future(_to_the_end(gateway, case))
        crashed = asyncio.ensure_future(points.dead.wait())
        await asyncio.wait([living, crashed], return_when=asyncio.FIRST_COMPLETED)
        living.cancel()
        crashed.cancel()
        await asyncio.wait([living, crashed])
        if points.dead.is_set():
            return False
        living.result()
        points.at = None
        await case.check(Rig(gateway, Ledger()))
        return True


async def _to_the_end(gateway: Gateway, case: Case) -> None:
    await recovered(gateway)
    rig = Rig(gateway, Ledger())
    run_id = case.leases[0].run.run_id
    begun = await gateway.resources.store.rollbacks.rollbacks(run=run_id)
    if begun:
        case.rollback_id = begun[0].rollback_id
        assert len(begun) == 1, "two rollbacks of one run"
    elif len(case.leases) == 1 and case.tenant.endswith(("1", "2", "3")):
        await _found_wrong(gateway, case)
    else:
        await case.contain(rig)
        await case.start(rig)
    await case.at_rest(rig)


async def _found_wrong(gateway: Gateway, case: Case) -> None:
    """A verifier's finding: the gateway contains the run and compensates what it did, by itself."""
    run = await gateway.resources.store.registry.run(case.leases[0].run.run_id)
    assert run is not None
    finding = Finding(kind="sum", severity="critical", evidence={}, by="verifier")
    incidents = [one for one in await gateway.resources.store.incidents.incidents(limit=1000) if one.run_id == run.run_id]
    if not incidents:
        await gateway.findings.report(run, finding)
    async with asyncio.timeout(300.0):
        while not (begun := await gateway.resources.store.rollbacks.rollbacks(run=run.run_id)):
            await asyncio.sleep(0.005)
    case.rollback_id = begun[0].rollback_id
