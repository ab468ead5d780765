"""Every metric and every event of the log is in docs/operations.md, and metrics have names as Prometheus asks for them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric

from gateway.core.connection_table import ConnectionTable
from gateway.core.journal import events
from gateway.observe.metrics import Connections
from tests.support.rig import Rig, assembled

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text()
UNITS = ("seconds", "bytes", "entries", "ratio", "total", "info")
NO_UNIT = (
    "_ok",
    "_connections",
    "_epoch",
    "_seq",
    "_nodes",
    "_runs",
    "_orders_in_force",
    "_incidents",
    "_approvals",
    "_tasks",
    "_rollbacks",
    "_calls",
)
"""Endings of gauges that count things or say yes or no."""


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with assembled(tmp_path) as one:
        yield one


async def families(rig: Rig) -> list[Metric]:
    await rig.gateway.census.refresh()
    await rig.gateway.census.tick()
    served = Connections({"data": ConnectionTable(1, 1)})
    return [*rig.gateway.metrics.collect(), *served.collect()]


async def test_every_metric_is_documented(rig: Rig) -> None:
    named = set(re.findall(r"`(killcord_\w+)", PAGE))
    shown = {one.name + {"counter": "_total", "info": "_info"}.get(one.type, "") for one in await families(rig)}
    ours = {name for name in shown if name.startswith("killcord_")}
    assert ours - named == set()
    assert named - ours == set(), "the page names metrics that are gone"
    assert all(name.startswith(("killcord_", "process_")) for name in shown)


async def test_metrics_are_named_and_described_by_convention(rig: Rig) -> None:
    for one in await families(rig):
        assert re.fullmatch(r"[a-z][a-z0-9_]*", one.name), one.name
        assert one.documentation.endswith("."), one.name
        if one.type == "histogram":
            assert one.name.endswith("_seconds"), one.name
        if one.type == "gauge" and one.name.startswith("killcord_"):
            assert one.name.endswith((*NO_UNIT, *UNITS)), one.name
            assert not one.name.endswith("_total"), one.name
        for sample in one.samples:
            assert not {"le", "quantile", "job", "instance"}.intersection(sample.labels) - ({"le"} if one.type == "histogram" else set())
            assert not {"tenant", "run_id", "run", "agent"}.intersection(sample.labels), one.name


@pytest.mark.parametrize("name", events.NAMES)
def test_every_event_of_the_log_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGE
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)


def test_every_counter_has_a_name_and_labels_without_an_owner() -> None:
    for name, (text, labels) in events.COUNTERS.items():
        assert re.fullmatch(r"killcord_[a-z]+s", name)
        assert text.endswith(".")
        assert not {"tenant", "run", "run_id", "agent", "reason"}.intersection(labels)
