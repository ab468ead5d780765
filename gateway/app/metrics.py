"""Metrics of a node for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry

from gateway.app.resources import Resources
from gateway.clients.webhook.delivery import Webhooks
from gateway.control.containment.containment import OrderReplica
from gateway.observe import metrics
from gateway.observe.metrics import Delivered, Deliveries, Observer


def registry(resources: Resources, orders: OrderReplica, observer: Observer) -> CollectorRegistry:
    """The collectors of a node: its calls, its webhooks, and gauges that are read when they are asked for."""
    journal = resources.store.journal
    built = CollectorRegistry()
    built.register(deliveries(resources.webhooks, lambda: journal.health().seq))
    built.register(observer)
    metrics.gauges(
        built,
        {
            "killcord_order_epoch": ("The epoch of the containment orders in force.", lambda: float(orders.epoch)),
            "killcord_journal_lag_entries": ("Entries that wait for the disk.", lambda: float(journal.health().lag)),
            "killcord_journal_ok": ("1 while the journal can be written.", lambda: float(journal.health().ok)),
            "killcord_journal_seq": ("The newest entry's number.", lambda: float(journal.health().seq)),
            "killcord_rates_ok": ("1 while calls can be metered.", lambda: float(resources.rates.health()[0])),
        },
    )
    return built


def deliveries(webhooks: Webhooks, newest: Callable[[], int]) -> Deliveries:
    """The webhooks' counts; ``newest`` gives the journal's newest seq."""

    def read() -> Iterable[Delivered]:
        for one in webhooks.deliveries:
            yield Delivered(one.webhook.name, one.delivered, one.given_up, newest() - one.at if one.busy else 0)

    return Deliveries(read)
