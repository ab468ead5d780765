"""Random stories of a rogue run among other writers, judged by the tools' own log: no wrong restore, nothing done twice."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from gateway.model.call import Outgoing
from tests.support.desk import Day, Desk
from tests.support.desk_stories import Story, described, opened
from tests.support.toolmodel_runs import hastened

STORIES = 2000
GATEWAYS = 8
"""Each tells its share of the stories; half of them are for `make soak`."""
AT_ONCE = 50


@pytest.mark.parametrize("number", [*range(4), *(pytest.param(more, marks=pytest.mark.soak) for more in range(4, GATEWAYS))])
async def test_nothing_is_undone_that_others_did_and_nothing_is_done_twice(tmp_path: Path, number: int) -> None:
    stories: dict[str, Story] = {}

    def day(request: Outgoing) -> Day:
        return stories[request.tenant].day(request)

    def lags(request: Outgoing) -> bool:
        return stories[request.tenant].lags(request)

    desk, gate, together, whole = Desk(day, lags), asyncio.Semaphore(AT_ONCE), number % 2 == 1, number % 4 < 2
    async with hastened(), opened(tmp_path, desk, together=together, whole=whole) as rig:

        async def one(seed: int) -> None:
            async with gate:
                story = stories[f"t{seed}"] = Story(random.Random(seed), desk, f"t{seed}", together)
                try:
                    await story.happen(rig, 4 + seed * 12 // STORIES)
                    await story.check(rig, await story.roll_back(rig))
                except AssertionError as wrong:
                    raise AssertionError(f"seed {seed}: {wrong}\n{await described(story, rig)}") from wrong

        async with asyncio.TaskGroup() as group:
            for seed in range(number, STORIES, GATEWAYS):
                group.create_task(one(seed))
