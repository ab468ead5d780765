"""Who is told of orders, triggers and incidents, and what Prometheus is told of that."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gateway.clients.clock import SystemClock
from gateway.clients.webhook.delivery import FOLDER, Webhooks, open_webhooks
from gateway.observe.metrics import Delivered, Deliveries
from gateway.settings.config import Config
from gateway.stores.sqlite.store import SqliteStore


async def webhooks_of(config: Config, store: SqliteStore, clock: SystemClock, warn: Callable[..., None]) -> Webhooks:
    """A configuration's webhooks, to be closed.

    Raises:
        Misconfigured: the place of one in the journal cannot be read.
    """
    return await open_webhooks(config.webhooks, config.data_dir / FOLDER, store.history, store.registry, clock, warn)


def counted(webhooks: Webhooks, newest: Callable[[], int]) -> Deliveries:
    """The webhooks' counts; ``newest`` gives the journal's newest seq."""

    def told() -> Iterable[Delivered]:
        for one in webhooks.deliveries:
            yield Delivered(one.webhook.name, one.delivered, one.given_up, newest() - one.at if one.busy else 0)

    return Deliveries(told)
