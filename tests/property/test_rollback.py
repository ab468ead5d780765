"""Random runs through a whole gateway, rolled back on a tool that has bad days, judged by the tool's own log."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from gateway.model.call import Outgoing
from tests.support.rig import Rig
from tests.support.toolmodel import Day, Tool
from tests.support.toolmodel_runs import Case, described, hastened, modelled

CASES = 2000
GATEWAYS = 8
"""Each takes its share of the cases; half of them are for `make soak`."""
AT_ONCE = 100
REPEATED = 20
"""Times that a run is told alone: a mistake about one of these showed in three of four."""


@pytest.mark.parametrize("number", [*range(4), *(pytest.param(more, marks=pytest.mark.soak) for more in range(4, GATEWAYS))])
async def test_a_rolled_back_run_leaves_the_tool_as_if_it_had_not_been_or_a_person_is_reported(tmp_path: Path, number: int) -> None:
    cases: dict[str, Case] = {}

    def day(request: Outgoing) -> Day:
        case = cases.get(request.tenant)
        return Day.GOOD if case is None else case.day(request)

    tool = Tool(day)
    gate = asyncio.Semaphore(AT_ONCE)
    async with hastened(), modelled(tmp_path, tool) as rig:

        async def one(seed: int) -> None:
            async with gate:
                case = cases[f"t{seed}"] = Case(random.Random(seed), tool, f"t{seed}")
                await rolled_back(case, rig, seed)

        async with asyncio.TaskGroup() as group:
            for seed in range(number, CASES, GATEWAYS):
                group.create_task(one(seed))


async def rolled_back(case: Case, rig: Rig, seed: int) -> None:
    try:
        await case.happen(rig, 2 + seed * 10 // CASES)
        await case.contain(rig)
        await case.start(rig)
        await case.at_rest(rig)
        await case.check(rig)
    except AssertionError as wrong:
        raise AssertionError(f"seed {seed}: {wrong}\n{described(case)}") from wrong


@pytest.mark.parametrize("seed", [1484, 952, 1929])
async def test_a_run_alone_is_not_told_what_others_did_to_its_objects(tmp_path: Path, seed: int) -> None:
    """One after the other, a run's lost removal has settled by the time at which its object is looked at, and later writes are known."""
    cases: dict[str, Case] = {}

    def day(request: Outgoing) -> Day:
        return cases[request.tenant].day(request)

    tool = Tool(day)
    async with hastened(), modelled(tmp_path, tool) as rig:
        for again in range(REPEATED):
            case = cases[f"t{again}"] = Case(random.Random(seed), tool, f"t{again}")
            await rolled_back(case, rig, seed)
