"""The table of those who learn of entries names everyone who looks at a kind of entry, and nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.app.gateway import subscribers
from gateway.core.triggers import detectors
from gateway.core.webhook import cloudevents
from gateway.model.entry import Kind
from tests.support.rig import Rig, assembled


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with assembled(tmp_path) as one:
        yield one


async def test_every_kind_is_in_the_table(rig: Rig) -> None:
    gateway = rig.gateway
    assert set(subscribers(gateway.control.monitor, gateway.recovery, gateway.resources.webhooks, ())) == set(Kind)


async def test_the_monitor_learns_of_what_sets_triggers_off_and_webhooks_of_what_they_tell(rig: Rig) -> None:
    gateway = rig.gateway
    table = gateway.control.journal.subscribers
    looked_at = {Kind(str(one.__struct_config__.tag)) for one in detectors.WATCHED}
    assert {kind for kind in Kind if gateway.control.monitor.on_entry in table[kind]} == {*looked_at, Kind.RUN}
    told = {kind for kinds in cloudevents.KINDS.values() for kind in kinds}
    assert {kind for kind in Kind if gateway.resources.webhooks.on_entry in table[kind]} == told


async def test_a_read_is_heard_of_by_the_monitor_alone(rig: Rig) -> None:
    assert rig.gateway.control.journal.subscribers[Kind.READ] == (rig.gateway.control.monitor.on_entry,)
