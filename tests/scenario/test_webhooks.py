"""Webhooks of a gateway that is a process: told across a kill, beside a receiver that is silent, and no secret anywhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from killcord_demo import web
from tests.support.gateway import DEADLINE, Gateway
from tests.support.receiver import SECRET, receiving
from tests.support.rig import until

Site = Callable[[str], Gateway]


async def test_a_killed_gateway_tells_after_its_restart_what_it_had_not_told(site: Site) -> None:
    gateway = site("http://127.0.0.1:9/v1")
    async with receiving(always=0) as silent, receiving() as healthy:
        declared = {"silent": silent.url("/?token=${HOOK_SECRET}"), "healthy": healthy.url()}
        gateway.settings["webhooks"] = {name: {"url": url, "secret": "${HOOK_SECRET}", "timeout": "60s"} for name, url in declared.items()}
        gateway.environ = {"HOOK_SECRET": SECRET}
        await asyncio.to_thread(gateway.start)
        assert "webhook          healthy: incident, order, trigger to 127.0.0.1" in gateway.said
        await asyncio.to_thread(gateway.contain, "read_only", future=True, run="run_1")
        await until(lambda: healthy.received and silent.received, DEADLINE)
        healthy.always = 503
        await asyncio.to_thread(gateway.contain, "read_only", future=True, run="run_2")
        await until(lambda: len(healthy.received) > 1, DEADLINE)
        await asyncio.to_thread(gateway.kill)
        healthy.always, before = 204, len(healthy.received)
        await asyncio.to_thread(gateway.start)
        await asyncio.to_thread(gateway.contain, "read_only", future=True, run="run_3")
        await until(lambda: len(healthy.received) == before + 2, DEADLINE)
        assert [one["subject"] for one in healthy.events[before:]] == ["run_2", "run_3"]
        assert all(one.signed_with(SECRET.encode()) for one in healthy.received)
        metrics = (await asyncio.to_thread(web.send, "GET", f"{gateway.control}/metrics")).body
        assert 'killcord_webhook_delivered_total{webhook="healthy"} 2.0' in metrics
        began = time.monotonic()
        assert await asyncio.to_thread(gateway.terminate) == 0
        assert time.monotonic() - began < 10.0  # the silent one has a minute
        journal = (gateway.folder / "var" / "journal.sqlite").read_bytes()
        assert not [where for where in (gateway.said.encode(), metrics.encode(), journal) if SECRET.encode() in where]
