"""Deliveries to real receivers beside a gateway, and what sets them off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from gateway.clients.webhook.delivery import Webhooks, open_webhooks
from gateway.control.supervisor import Supervisor
from gateway.core.codec import record
from gateway.core.webhook import delivery
from gateway.model.webhook import Webhook
from tests.support.incidents import INCIDENT
from tests.support.journaling import typed
from tests.support.receiver import SECRET, Receiver
from tests.support.rig import Rig

STAMP = "2026-11-24T20:08:03.123456Z"


@dataclass(slots=True)
class Telling:
    webhooks: Webhooks
    supervisor: Supervisor
    logged: list[tuple[str, dict[str, object]]]

    @property
    def said(self) -> list[str]:
        return [event for event, _ in self.logged]

    def delivered(self) -> int:
        return sum(one.delivered for one in self.webhooks.deliveries)


def hook(receiver: Receiver | str, name: str = "ops", **more: Any) -> Webhook:
    url = receiver if isinstance(receiver, str) else receiver.url()
    return Webhook(name=name, host="127.0.0.1", url=url, key=delivery.key(SECRET), **more)


@asynccontextmanager
async def telling(rig: Rig, *hooks: Webhook) -> AsyncIterator[Telling]:
    """Deliveries as ``killcord serve`` runs them, with little patience; in the same folder again they continue."""
    logged: list[tuple[str, dict[str, object]]] = []

    def log(event: str, **more: object) -> None:
        logged.append((event, more))

    store, folder = rig.gateway.resources.store, rig.gateway.config.data_dir / "told"
    webhooks = await open_webhooks(hooks, folder, store.history, store.registry, rig.gateway.resources.clock, log, first=0.01)
    supervisor = Supervisor(log)
    for one in webhooks.deliveries:
        supervisor.every(0.005, one.webhook.name, one.turn)
    try:
        yield Telling(webhooks, supervisor, logged)
    finally:
        await supervisor.finish(1.0)
        await webhooks.close()


async def fire(rig: Rig, name: str = "anomaly.loop", **more: object) -> None:
    trigger = {"name": name, "layer": "behaviour", "count": 1, "threshold": 1, "evidence": []}
    await rig.gateway.resources.store.journal.append(typed({"ts": STAMP, "kind": "trigger", "trigger": trigger, **more}))


async def respond(rig: Rig) -> None:
    who = {"ts": STAMP, "kind": "response", "run_id": "run_1", "tenant": "acme"}
    fields = {**who, "change": "opened", "incident": record.INCIDENT.journal(INCIDENT)}
    await rig.gateway.resources.store.journal.append(typed(fields))
