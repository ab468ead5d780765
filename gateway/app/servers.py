"""The two servers of a node: the data API on the wire layer, the control API on aiohttp."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable

from gateway import errors
from gateway.app import data_dir
from gateway.app.gateway import Gateway
from gateway.app.journal_verification import StoreVerifier
from gateway.http import app
from gateway.http.server import connection
from gateway.http.server.operators import Operator, Role
from gateway.http.server.request import Services, Serving
from gateway.settings import operators
from gateway.settings.config import Config
from gateway.wire.inbound.server import Server
from gateway.wire.limits import Bounds

ANCHORED = 1000
"""Anchored heads that a client is given to verify the journal with, the newest."""

BOOTSTRAP = "KILLCORD_BOOTSTRAP_TOKEN"
BOOTSTRAP_LENGTH = 24


def data_api(gateway: Gateway) -> Server:
    """The server of the data API, not listening yet."""
    http = gateway.config.settings.http
    lease_fields = {tool.lease_header.decode() for tool in gateway.calls.tools.values() if tool.lease_header is not None}
    agents = gateway.resources.descriptors.agents
    return Server(
        gateway.calls.endpoint,
        hosts=tuple(http.allowed_hosts),
        clock=gateway.resources.clock,
        spawn=gateway.control.supervisor.spawn,
        bounds=Bounds(
            body_cap=http.body_cap,
            body_timeout=http.body_timeout,
            connections=agents,
            peer_connections=agents // 2,
        ),
        once=lease_fields,
    )


def control_api(gateway: Gateway, identify: Callable[[str], Operator | None], role: Serving, log: Callable[..., None]) -> app.Runner:
    """The server of the control API, not listening yet."""
    built = app.build(_services(gateway, identify, role, log))
    return app.Runner(built, bounds=connection.Bounds(connections=gateway.resources.descriptors.control))


def _services(gateway: Gateway, identify: Callable[[str], Operator | None], role: Serving, log: Callable[..., None]) -> Services:
    resources, control, recovery = gateway.resources, gateway.control, gateway.recovery
    store = resources.store
    kept = data_dir.anchored(gateway.config.anchor, log)
    return Services(
        runs=control.runs,
        containment=control.containment,
        scopes=gateway.scopes,
        census=gateway.census,
        open_work=store.open_work,
        tasks=recovery.tasks,
        findings=gateway.findings,
        approvals=control.approvals,
        rollbacks=recovery.rollbacks,
        rollback_records=store.rollbacks,
        checkpoints=recovery.checkpoints,
        resume=recovery.resume,
        recover=recovery.recover,
        incidents=store.incidents,
        timelines=recovery.timelines,
        registry=store.registry,
        writes=store.writes,
        history=store.history,
        journal=control.journal,
        lease_keys=resources.keys,
        head_signer=resources.signer,
        clock=resources.clock,
        identify=identify,
        ready=lambda: _ready(gateway),
        sign_head=resources.heads.tick,
        inspect=StoreVerifier(gateway.config.data_dir),
        anchored=lambda: [head.note for head in kept(store.journal.stream)[-ANCHORED:]],
        log=lambda event, members: log(event, **members),
        metrics=gateway.metrics,
        allowed_hosts=tuple(gateway.config.settings.http.allowed_hosts),
        role=role,
        undos=recovery.undos,
    )


def _ready(gateway: Gateway) -> tuple[bool, dict[str, object]]:
    resources, orders, draining = gateway.resources, gateway.control.containment.replica, gateway.calls.endpoint.draining
    journal = gateway.control.journal.health()
    deciding, policy = resources.engine.health()
    metering, rates = resources.rates.health()
    agreeing, wall = resources.wall.health()
    fresh = orders.fresh(now=resources.clock.now())
    carrying, load = gateway.calls.line.schedule.health()
    parts: dict[str, object] = {
        "journal": {"ok": journal.ok, "detail": journal.reason, "lag": journal.lag, "seq": journal.seq},
        "policy": {"ok": deciding, "detail": policy},
        "rates": {"ok": metering, "detail": rates},
        "containment": {"ok": fresh, "detail": f"epoch {orders.epoch}"},
        "clock": {"ok": agreeing, "detail": wall},
        "load": {"ok": carrying, "detail": load},
        "draining": draining,
    }
    return journal.ok and deciding and metering and fresh and carrying and not draining, parts


def identified(config: Config) -> Callable[[str], Operator | None]:
    """Operators by token: the tokens file, and for first set-up the environment's bootstrap token.

    Raises:
        Misconfigured: the file cannot be used, or the bootstrap token is too short to be a secret.
    """
    known = operators.load(config.tokens_file) if config.tokens_file is not None else {}
    bootstrap = os.environ.get(BOOTSTRAP, "")
    if 0 < len(bootstrap) < BOOTSTRAP_LENGTH:
        raise errors.Misconfigured([f"{BOOTSTRAP} has {len(bootstrap)} characters; it needs at least {BOOTSTRAP_LENGTH}"])
    expected = operators.digest(bootstrap) if bootstrap else None

    def identify(token: str) -> Operator | None:
        # Looked up by its digest, so that the time taken reveals nothing of a token.
        digest = operators.digest(token)
        if expected is not None and hmac.compare_digest(digest, expected):
            return Operator("bootstrap", Role.ADMIN)
        return known.get(digest)

    return identify
