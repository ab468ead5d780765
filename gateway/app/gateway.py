"""From a configuration to the parts of a gateway, each in its place and not yet listening."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from gateway.app import line, resources
from gateway.app import recovery as app_recovery
from gateway.app.line import Calls, Control, Warn
from gateway.app.recovery import Recovery
from gateway.app.resources import Report, Resources
from gateway.clients.webhook.delivery import Webhooks
from gateway.control.containment.containment import OrderReplica
from gateway.control.review.findings import Findings
from gateway.control.triggers.catch_up import CatchUp
from gateway.control.triggers.monitor import TriggerMonitor
from gateway.control.triggers.publishing_journal import Subscribers
from gateway.model.entry import Kind
from gateway.observe import metrics
from gateway.observe.metrics import Delivered, Deliveries, Observer
from gateway.settings.config import Config


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Gateway:
    """All parts of one node, put together and not yet listening."""

    config: Config
    resources: Resources
    control: Control
    calls: Calls
    recovery: Recovery
    findings: Findings
    catch_up: CatchUp
    metrics: CollectorRegistry
    closing: AsyncExitStack

    async def close(self) -> None:
        """End the connections to tools, sign the last head, write what was taken."""
        await self.closing.aclose()


async def assemble(config: Config, log: Warn, report: Report, *, warn: Warn | None = None, accept: bool = False) -> Gateway:
    """Open the stores and keys and put every part in its place. ``log`` takes what belongs to calls, ``warn`` what someone should
    see. ``accept``: open a journal that signed heads do not fit.

    Raises:
        Misconfigured: a folder, key, journal or policy cannot be used; one line per problem.
    """
    warn = warn or log
    async with AsyncExitStack() as closing:
        opened = await resources.open_resources(config, report, warn, closing, accept=accept)
        clock, store = opened.clock, opened.store
        control = await line.control(config, opened, warn)
        observer = Observer(clock.monotonic, log)
        calls = line.calls(config, opened, control, observer)
        recovery = app_recovery.recovery(config, opened, control, calls, warn)
        journal, monitor = control.journal, control.monitor
        monitor.connect(recovery.automatic, recovery.violations)
        journal.connect(subscribers(monitor, recovery, opened.webhooks), monitor.answered)
        return Gateway(
            config=config,
            resources=opened,
            control=control,
            calls=calls,
            recovery=recovery,
            findings=Findings(journal, opened.vault, store.incidents, store.writes, store.history, clock),
            catch_up=CatchUp(store.history, store.registry, control.windows, monitor, clock),
            metrics=collectors(opened, control.containment.replica, observer),
            closing=closing.pop_all(),
        )


def subscribers(monitor: TriggerMonitor, recovery: Recovery, webhooks: Webhooks) -> Subscribers:
    """The subscribers of an entry, by its kind and in this order."""
    calls = (Kind.READ, Kind.INTENT, Kind.OUTCOME, Kind.REPLAY, Kind.REFUSAL)
    kinds = (
        (monitor.on_entry, (*calls, Kind.RECONCILIATION, Kind.FINDING, Kind.RUN)),
        (recovery.wake.on_entry, (Kind.TASK, Kind.APPROVAL, Kind.RECONCILIATION)),
        (recovery.recover.on_entry, (Kind.RUN, Kind.TASK, Kind.ROLLBACK)),
        (webhooks.on_entry, (Kind.ROLLBACK, Kind.ORDER, Kind.TRIGGER, Kind.RESPONSE)),
    )
    return {kind: tuple(on_entry for on_entry, subscribed in kinds if kind in subscribed) for kind in Kind}


def collectors(resources: Resources, orders: OrderReplica, observer: Observer) -> CollectorRegistry:
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
