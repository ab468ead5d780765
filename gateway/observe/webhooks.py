"""Webhooks counted, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class Told:
    """How far one webhook is; ``lag`` counts journal entries from the event that it is at on, 0 where it is at none."""

    name: str
    delivered: int
    given_up: int
    lag: int


@dataclass(frozen=True, slots=True, eq=False)
class Deliveries(Collector):
    """Read when asked for. Names are the configuration's."""

    read: Callable[[], Iterable[Told]]

    def collect(self) -> Iterable[Metric]:
        """What Prometheus is told."""
        delivered = CounterMetricFamily("killcord_webhook_delivered", "Events that a webhook took.", labels=("webhook",))
        given_up = CounterMetricFamily("killcord_webhook_given_up", "Events that a webhook never took.", labels=("webhook",))
        lag = GaugeMetricFamily("killcord_webhook_lag_entries", "Journal entries from the event being delivered on.", labels=("webhook",))
        for one in self.read():
            delivered.add_metric((one.name,), one.delivered)
            given_up.add_metric((one.name,), one.given_up)
            lag.add_metric((one.name,), one.lag)
        return delivered, given_up, lag
