"""What machines ask: alive, ready, metrics, the lease keys.

What a person sees who opens the door's root, and what a program reads to learn its calls.
"""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway.http.server import answers
from gateway.http.server.fields import Nothing
from gateway.http.server.route import Asked


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


POINTER = """\
Killcord: the operators' door.

  /openapi.json            every call of the API under /v1, with its schemas
  /healthz  /readyz        alive; ready, part by part
  /metrics                 for Prometheus
  /.well-known/jwks.json   the keys that leases verify under

Calls under /v1 take 'Authorization: Bearer <token>'; 'killcord operators add NAME --role ROLE' makes a token.
From a shell: KILLCORD_URL and KILLCORD_TOKEN, then 'killcord runs list', 'killcord contain --help', 'killcord journal tail'.
"""


async def pointer(_: object) -> web.Response:
    return web.Response(text=POINTER)
