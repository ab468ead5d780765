"""The process itself: alive, ready, metrics, keys, description."""

from __future__ import annotations

from typing import Any

from gateway.http.api import process
from gateway.http.server import openapi
from gateway.http.server.route import Route

ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/healthz",
        summary="Alive.",
        permission=None,
        answers={200: "the process answers"},
        handler=process.alive,
        on_sidecar=True,
    ),
    Route(
        method="GET",
        path="/readyz",
        summary="Ready, part by part.",
        permission=None,
        answers={200: "calls can pass", 503: "they cannot; the body names the part"},
        handler=process.ready,
        on_sidecar=True,
    ),
    Route(
        method="GET",
        path="/metrics",
        summary="Metrics for Prometheus.",
        permission=None,
        answers={200: "the text format"},
        media="text/plain",
        handler=process.metrics,
        on_sidecar=True,
    ),
    Route(
        method="GET",
        path="/.well-known/jwks.json",
        summary="The public keys that leases verify under.",
        permission=None,
        answers={200: "a JWK set"},
        handler=process.jwks,
        on_sidecar=True,
    ),
    Route(
        method="GET",
        path="/openapi.json",
        summary="These calls, described.",
        permission=None,
        answers={200: "OpenAPI 3.1"},
        handler=openapi.described,
    ),
    Route(
        method="GET",
        path="/",
        summary="Where to go from here.",
        permission=None,
        answers={200: "a pointer to the rest"},
        media="text/plain",
        handler=process.pointer,
    ),
)
