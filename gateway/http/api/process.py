"""The process itself: alive, ready, metrics, lease keys, the description of the API."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Literal

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from typing_extensions import TypedDict

from gateway import errors
from gateway.http.server import openapi, routing
from gateway.http.server.fields import OPEN
from gateway.http.server.request import Request
from gateway.http.server.routing import Json, Routes

TEXT = "text/plain"

ROUTES = Routes()


class Health(TypedDict):
    """The process answers."""

    status: Literal["ok"]


@OPEN
class Readiness(TypedDict):
    """Whether calls can pass (503: they cannot); the other members say it part by part."""

    status: Literal["ready", "not ready"]


@OPEN
class Jwk(TypedDict):
    """A JSON Web Key (RFC 7517)."""

    kty: str
    kid: str
    alg: str
    use: str


class JwkSet(TypedDict):
    """The public keys, the one that signs first."""

    keys: list[Jwk]


@OPEN
class Description(TypedDict):
    """An OpenAPI document."""

    openapi: str
    paths: dict[str, Any]


@ROUTES.get("/healthz", None, {200: Health}, on_sidecar=True)
async def show_health(request: Request) -> Health:
    """Alive."""
    return {"status": "ok"}


@ROUTES.get("/readyz", None, {200: Readiness, 503: Readiness}, on_sidecar=True)
async def show_readiness(request: Request) -> web.Response:
    """Ready, part by part."""
    can_pass, parts = request.services.ready()
    return routing.json_response({"status": "ready" if can_pass else "not ready", **parts}, 200 if can_pass else 503)


@ROUTES.get("/metrics", None, {200: "the text format"}, media=TEXT, on_sidecar=True)
async def show_metrics(request: Request) -> web.Response:
    """Metrics for Prometheus; no label holds an agent's text."""
    with suppress(errors.JournalUnavailable):  # then the counts of the store are absent, and all else is there
        await request.services.gauges.refresh()
    return web.Response(body=generate_latest(request.services.metrics), headers={"Content-Type": CONTENT_TYPE_LATEST})


@ROUTES.get("/.well-known/jwks.json", None, {200: JwkSet}, on_sidecar=True)
async def show_jwks(request: Request) -> Json:
    """The public keys that verify leases."""
    return dict(request.services.lease_keys.jwks())


@ROUTES.get("/openapi.json", None, {200: Description})
async def show_openapi(request: Request) -> Json:
    """The OpenAPI document."""
    # In a thread: to make the schemas takes a while, the first time, and calls of agents must not wait for it.
    return await asyncio.to_thread(openapi.document, request.raw.app[openapi.SERVED])


POINTER = """\
Killcord control API.

  /openapi.json            every call under /v1, with its schemas
  /healthz  /readyz        the process answers; readiness, part by part
  /metrics                 for Prometheus
  /.well-known/jwks.json   the keys that verify leases

Calls under /v1 take 'Authorization: Bearer <token>'; 'killcord operators add NAME --role ROLE' makes a token.
From a shell: KILLCORD_URL and KILLCORD_TOKEN, then 'killcord runs list', 'killcord contain --help', 'killcord journal tail'.
"""


@ROUTES.get("/", None, {200: "a pointer to the rest"}, media=TEXT)
async def show_pointer(request: Request) -> web.Response:
    """A pointer to the API's parts."""
    return web.Response(text=POINTER)
