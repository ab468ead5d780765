"""``killcord serve``: open the data and the control API, run periodic work, drain at the end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import typer
import uvloop
from aiohttp import web

from gateway import errors
from gateway.app import gateway as app_gateway
from gateway.app import journal_acceptance, open_files, policies, servers
from gateway.app.gateway import Gateway
from gateway.cli.output import WRONG_USE, problems, wrong_use
from gateway.core import overload, timestamps
from gateway.http.app import Runner
from gateway.http.server.request import Serving
from gateway.observe import logs, metrics
from gateway.settings import check
from gateway.settings import config as settings
from gateway.settings.config import Config
from gateway.settings.network import Address
from gateway.wire.inbound.server import Server

DRAINING, FINISHING = 0.8, 0.1
"""Shares of the grace period: for calls and their connections, then for outcomes that are left. The rest is for signing."""

_BACKLOG = 1_024
"""Connections that wait at the control API to be accepted. With few, a burst makes an operator's client try again after a second."""

_COLLECT_AFTER = 20_000
"""New objects that live, before the youngest generation is collected. At 64 calls at once some 10,000 objects are in flight."""


LAST = 5.0
"""Seconds."""


def serve(config: Path, role: Serving, accept: str | None = None) -> None:
    """Run a gateway until SIGTERM or SIGINT; exits with code 0 after a clean drain, 2 if it cannot start.

    ``accept`` is the reason why an operator accepts a journal that does not match its signed heads.
    """
    if accept is not None and not accept.strip():
        raise wrong_use("--accept-older-journal: write why; the reason is journaled")
    open_files.raise_limit()
    try:
        code = uvloop.run(_serve(settings.load(config), role, accept))
    except errors.Misconfigured as wrong:
        # Report also the problems after the first: an operator should not have to start a gateway once for each.
        found = list(dict.fromkeys([*wrong.problems, *check.check(config, extra=policies.problems).problems]))
        raise problems(found, code=WRONG_USE) from wrong
    raise typer.Exit(code)


async def _serve(config: Config, role: Serving, accept: str | None) -> int:
    logger = logs.configure(os.environ.get("KILLCORD_LOG", "info"))
    identify = servers.identified(config)
    gateway = await app_gateway.assemble(
        config,
        logger.debug,
        lambda level, message: getattr(logger, level)("policy", message=message),
        warn=logger.warning,
        accept=accept is not None,
        write=lambda level, event, members: getattr(logger, level)(event, **members),
    )
    try:
        if accept is not None:
            typer.echo(f"{'journal':<17}{await journal_acceptance.accept(gateway, journal_acceptance.by_operator(accept))}")
        await _recover(gateway, logger.warning)
        agents = servers.data_api(gateway) if role != "control" else None
        runner = servers.control_api(gateway, identify, role, logger.error)
        gateway.metrics.register(metrics.Connections(_tables(agents, runner)))
        await _listen(gateway, agents, runner)
        _routines(gateway)
        _tune_collection()
        stop = _stop_asked()
        _print(gateway, role)
        await stop.wait()
        code = await _drain(gateway, agents, runner)
    finally:
        await gateway.close()
    exit_at_last(code)
    return code


def exit_at_last(code: int) -> None:
    """Exit in ``LAST`` seconds in any case: all is closed by now, and a thread that reads a dead mount would keep the process."""
    timer = threading.Timer(LAST, os._exit, (code,))
    timer.daemon = True
    timer.start()


def _tables(agents: Server | None, runner: Runner) -> dict[str, metrics.Counted]:
    """The connections of each API that this role serves."""
    control: dict[str, metrics.Counted] = {"control": runner.connections}
    return control if agents is None else {"data": agents.state.connections, **control}


async def _recover(gateway: Gateway, warn: Callable[..., object]) -> None:
    """Settle what an earlier process left: no call of it is in flight any more."""
    if left := await gateway.recovery.reconciler.adopt():
        warn("calls-left-open", count=left, detail="their outcomes are unknown; probes and tasks will decide them")
    if unanswered := await gateway.catch_up():
        warn("triggers-left-unanswered", count=unanswered, detail="they are answered before calls are accepted")
    await gateway.control.monitor.idle()
    if adopted := await gateway.recovery.catch_up():
        warn("rollbacks-continued", count=adopted)
    await gateway.control.ambient.keep_open()


async def _listen(gateway: Gateway, agents: Server | None, runner: web.AppRunner) -> None:
    """Operators first: a gateway that cannot be contained must not take calls.

    Raises:
        Misconfigured: an address cannot be bound.
    """
    listen = gateway.config.settings.listen
    control, data = listen.control, listen.data
    await runner.setup()
    site = (
        web.UnixSite(runner, control.path, backlog=_BACKLOG)
        if control.path
        else web.TCPSite(runner, control.host, control.port, backlog=_BACKLOG)
    )
    await _bound(control, site.start())
    if agents is not None:
        await _bound(data, agents.open_unix(data.path) if data.path else agents.open_tcp(data.host, data.port))


async def _bound(address: Address, opening: Coroutine[object, object, object]) -> None:
    try:
        await opening
    except OSError as error:
        raise errors.Misconfigured(
            [f"listen: cannot bind {address}: {error.strerror or error}; stop the other process, or choose another address"]
        ) from error


def _tune_collection() -> None:
    """Keep the cyclic garbage collector away from what lives as long as the process, and have it run less often.

    Almost nothing that a call makes is part of a cycle, so reference counts free it. The default of 700 new objects is reached
    within few calls under load, and a full collection would walk every catalog, rule and lease again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 50, 50)


def _routines(gateway: Gateway) -> None:
    supervisor, resources = gateway.control.supervisor, gateway.resources
    supervisor.every(0.5, "policy", resources.engine.refresh)
    if resources.candidate is not None:
        supervisor.every(0.5, "candidate", resources.candidate.refresh)
    supervisor.every(overload.INTERVAL, "load", gateway.calls.line.schedule.beat)
    supervisor.every(60.0, "heads", resources.heads.tick)
    supervisor.every(1.0, "clock", resources.wall.tick)
    supervisor.every(1.0, "rates", resources.rates.check)
    supervisor.every(1.0, "reconcile", gateway.recovery.reconciler.tick)
    supervisor.every(1.0, "responses", gateway.control.monitor.turn)
    supervisor.every(1.0, "rollbacks", gateway.recovery.tick)
    supervisor.every(30.0, "ambient", gateway.control.ambient.keep_open)
    supervisor.every(1.0, "expiries", gateway.expiries.tick)
    supervisor.every(1.0, "gauges", gateway.gauges.tick)
    supervisor.every(1.0, "streams", gateway.calls.streams.expire)
    for delivery in resources.webhooks.deliveries:
        supervisor.every(0.05, f"webhook {delivery.webhook.name}", delivery.turn)


def _print(gateway: Gateway, role: Serving) -> None:
    """Print a line for each listener, the policy engine, the stores, and each tool; then ``ready``."""
    for name, text in _parts(gateway, role):
        typer.echo(f"{name:<17}{text}")
    typer.echo("ready")


def _parts(gateway: Gateway, role: Serving) -> Iterator[tuple[str, str]]:
    config, resources = gateway.config, gateway.resources
    if role != "control":
        yield "data API", config.settings.listen.data.url
    yield "control API", config.settings.listen.control.url
    yield "policy", resources.engine.health()[1]
    for name, tool in config.tools.items():
        if (until := tool.section.shadow_until) > resources.clock.now():
            yield "shadow", f"{name}: policy's denials are only recorded until {timestamps.rfc3339(until)}"
    if resources.candidate is not None:
        yield "candidate", resources.candidate.health()[1]
    yield "journal", f"sqlite in {config.data_dir}, stream {resources.store.journal.stream}"
    yield "rates", resources.rates.health()[1]
    for name, tool in config.tools.items():
        yield "tool", f"{name}: adapter {tool.section.adapter}, {len(tool.catalog.actions)} actions, {tool.section.base_url}"
    for webhook in config.webhooks:
        yield "webhook", f"{webhook.name}: {', '.join(sorted(webhook.topics))} to {webhook.host}"


def _stop_asked() -> asyncio.Event:
    """Set by SIGTERM or SIGINT, from here on: before ``ready`` is printed, since a supervisor may stop at once what it sees ready."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _drain(gateway: Gateway, agents: Server | None, runner: web.AppRunner) -> int:
    """Refuse new calls, and let those in flight end and be journaled. 0 if no write was abandoned with an unknown outcome, else 1.

    A stream has no end of its own, so it is cut after its share of the grace period. The next process continues a rollback.
    """
    gateway.calls.endpoint.draining = True
    gateway.recovery.rollbacks.stop_all()
    grace = gateway.config.settings.shutdown_grace
    if agents is not None:
        await agents.drain(grace * DRAINING)
    finished = await gateway.control.supervisor.finish(grace * FINISHING)
    await runner.cleanup()
    return 0 if finished else 1
