"""What machines ask: alive, ready, metrics, the lease keys."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway.http import answers
from gateway.http.fields import Nothing
from gateway.http.route import Asked


async def alive(_: Asked[Nothing, Nothing]) -> web.Response:
    """The process answers."""
    return answers.json({"status": "ok"})


async def ready(asked: Asked[Nothing, Nothing]) -> web.Response:
    """Whether calls can pass: 503 where a part that every call needs is missing."""
    can_pass, parts = asked.services.ready()
    return answers.json({"status": "ready" if can_pass else "not ready", **parts}, 200 if can_pass else 503)


async def metrics(asked: Asked[Nothing, Nothing]) -> web.Response:
    """Counters and timings for Prometheus; no label holds an agent's text."""
    return web.Response(body=generate_latest(asked.services.metrics), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def jwks(asked: Asked[Nothing, Nothing]) -> web.Response:
    """The public keys that leases verify under."""
    return answers.json(asked.services.lease_keys.jwks())
