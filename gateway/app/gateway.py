"""From a configuration to the parts of a gateway, each in its place and not yet listening."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Info, ProcessCollector
from prometheus_client.registry import Collector

import gateway
from gateway.app import line, resources
from gateway.app import recovery as app_recovery
from gateway.app.line import Calls, Control, Warn
from gateway.app.recovery import Recovery
from gateway.app.resources import Report, Resources
from gateway.clients.webhook.delivery import Webhooks
from gateway.control.containment.containment import OrderReplica
from gateway.control.containment.gauges import Gauges
from gateway.control.containment.revocations import Revocations
from gateway.control.containment.scope_lookup import ConfiguredNames, ScopeLookup
from gateway.control.review.findings import Findings
from gateway.control.triggers.catch_up import CatchUp
from gateway.control.triggers.monitor import TriggerMonitor
from gateway.control.triggers.publishing_journal import Subscriber, Subscribers
from gateway.core.journal import events
from gateway.model.entry import Kind
from gateway.observe import metrics
from gateway.observe.event_log import EventLog, Expiries, Write
from gateway.observe.metrics import Delivered, Deliveries, GaugeReading, Observer, Readings
from gateway.pipeline.stages.schedule import Schedule
from gateway.settings.config import Config

Observers = Sequence[tuple[Subscriber, Sequence[Kind]]]
"""Subscribers, each with the kinds of entries that it gets."""

_EXPIRING = (Kind.ORDER, Kind.APPROVAL, Kind.INTENT)


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
    scopes: ScopeLookup
    gauges: Gauges
    expiries: Expiries
    metrics: CollectorRegistry
    closing: AsyncExitStack

    async def close(self) -> None:
        """End the connections to tools, sign the last head, write what was taken."""
        await self.closing.aclose()


def _unwritten(*_: object) -> None:
    """Nobody reads the log."""


async def assemble(
    config: Config, log: Warn, report: Report, *, warn: Warn | None = None, write: Write = _unwritten, accept: bool = False
) -> Gateway:
    """Open the stores and keys and put every part in its place. ``log`` takes what belongs to calls, ``warn`` what someone should see,
    ``write`` what happens to runs. ``accept``: open a journal that does not match its signed heads.

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
        scopes = ScopeLookup(store.names, store.registry, clock, configured_names(config))
        event_log = EventLog(write)
        expiries = Expiries(event_log, clock.now)
        expiries.load([*control.containment.listed(), *await store.open_work.timed(clock.now())])
        revocations = Revocations(scopes, control.supervisor.spawn, event_log.tell)
        watching = ((event_log.on_entry, events.KINDS), (expiries.on_entry, _EXPIRING), (revocations.on_entry, (Kind.ORDER,)))
        journal.connect(subscribers(monitor, recovery, opened.webhooks, watching), monitor.answered)
        replica = control.containment.replica
        gauges = Gauges(replica, scopes, store.registry, store.open_work, clock)
        return Gateway(
            config=config,
            resources=opened,
            control=control,
            calls=calls,
            recovery=recovery,
            findings=Findings(journal, opened.vault, store.incidents, store.writes, store.history, clock),
            catch_up=CatchUp(store.history, store.registry, control.windows, monitor, clock),
            scopes=scopes,
            gauges=gauges,
            expiries=expiries,
            metrics=collectors(
                opened, control.containment.replica, calls.line.schedule, (observer, opened.pool.replies, event_log), gauges
            ),
            closing=closing.pop_all(),
        )


def subscribers(monitor: TriggerMonitor, recovery: Recovery, webhooks: Webhooks, observers: Observers) -> Subscribers:
    """The subscribers of an entry, by its kind and in this order: ``observers`` last, what acts comes before what is logged."""
    calls = (Kind.READ, Kind.INTENT, Kind.OUTCOME, Kind.REPLAY, Kind.REFUSAL)
    kinds: Observers = (
        (monitor.on_entry, (*calls, Kind.RECONCILIATION, Kind.FINDING, Kind.RUN)),
        (recovery.wake.on_entry, (Kind.TASK, Kind.APPROVAL, Kind.RECONCILIATION)),
        (recovery.recover.on_entry, (Kind.RUN, Kind.TASK, Kind.ROLLBACK)),
        (webhooks.on_entry, (Kind.ROLLBACK, Kind.ORDER, Kind.TRIGGER, Kind.RESPONSE)),
        *observers,
    )
    return {kind: tuple(on_entry for on_entry, subscribed in kinds if kind in subscribed) for kind in Kind}


def configured_names(config: Config) -> ConfiguredNames:
    """The names that an order can be about before a run has them."""
    ambient, classes = config.settings.ambient_run, config.task_classes
    tenants = {*config.tenants, *(tenant for one in classes.values() for tenant in one.tenants), *((ambient.tenant,) if ambient else ())}
    return ConfiguredNames(
        tenants=frozenset(name for name in tenants if "*" not in name),
        agents=frozenset((ambient.agent_id,) if ambient else ()),
        task_classes=frozenset(classes),
        tools=frozenset(config.tools),
    )


def collectors(
    resources: Resources, orders: OrderReplica, schedule: Schedule, counted: Iterable[Collector], gauges: Gauges
) -> CollectorRegistry:
    """The collectors of a node: what it ``counted``, its webhooks, its process, and gauges that are read when they are asked for."""
    journal = resources.store.journal
    built = CollectorRegistry()
    built.register(deliveries(resources.webhooks, lambda: journal.health().seq))
    for one in (*counted, Readings(lambda: readings(gauges))):
        built.register(one)
    ProcessCollector(registry=built)
    build = {"version": gateway.__version__, "python": platform.python_version()}
    Info("killcord_build", "The version of the gateway and of Python.", registry=built).info(build)
    metrics.gauges(
        built,
        {
            "killcord_order_epoch": ("The epoch of the containment orders in force.", lambda: float(orders.epoch)),
            "killcord_journal_lag_entries": ("Entries that wait for the disk.", lambda: float(journal.health().lag)),
            "killcord_anchor_ok": (
                "1 while signed heads can be anchored.",
                lambda: float(resources.anchor.health()[0]),
            ),
            "killcord_journal_ok": ("1 while the journal can be written.", lambda: float(journal.health().ok)),
            "killcord_journal_seq": ("The newest entry's number.", lambda: float(journal.health().seq)),
            "killcord_loop_lag_seconds": ("The smallest lag of the event loop in the last half second.", lambda: schedule.lag.standing),
            "killcord_queued_calls": ("Calls that wait for their tenant's turn.", lambda: float(len(schedule.queue))),
            "killcord_rates_ok": ("1 while calls can be metered.", lambda: float(resources.rates.health()[0])),
        },
    )
    return built


def readings(gauges: Gauges) -> Iterable[GaugeReading]:
    """What is in force and what waits, as the gauges counted it last."""
    yield GaugeReading("killcord_orders_in_force", "Containment orders in force, by mode.", "mode", gauges.orders)
    yield GaugeReading("killcord_open_runs", "Runs neither closed nor expired, by effective mode.", "mode", gauges.runs)
    yield GaugeReading("killcord_nodes", "Nodes of this gateway.", None, {"": 1})
    if (work := gauges.work) is not None:
        yield GaugeReading("killcord_open_incidents", "Incidents that are not closed.", None, {"": work.incidents})
        yield GaugeReading("killcord_pending_approvals", "Approvals that wait for a decision.", None, {"": work.approvals})
        yield GaugeReading("killcord_open_tasks", "Tasks that wait for a person.", None, {"": work.tasks})
        yield GaugeReading("killcord_waiting_rollbacks", "Rollbacks that need an operator.", None, {"": work.rollbacks})


def deliveries(webhooks: Webhooks, newest: Callable[[], int]) -> Deliveries:
    """The webhooks' counts; ``newest`` gives the journal's newest seq."""

    def read() -> Iterable[Delivered]:
        for one in webhooks.deliveries:
            yield Delivered(one.webhook.name, one.delivered, one.given_up, newest() - one.at if one.busy else 0)

    return Deliveries(read)
