"""The process itself: alive, ready, metrics, keys, description."""

from __future__ import annotations

from typing import Any

from gateway.http import front, health, openapi
from gateway.http.route import Route

ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/healthz",
        summary="Alive.",
        permission=None,
        answers={200: "the process answers"},
        handler=health.alive,
        on_sidecar=True,
    ),
    Route(
        method="GET",
        path="/readyz",
        summary="Ready, part by part.",
        permission=None,
        answers={200: "calls can pass", 503: "they cannot; the body names the part"},
        handler=health.ready,
        on_sidecar=True,
    ),
    Route(
        method="GET",
        path="/metrics",
        summary="Metrics for Prometheus.",
        permission=None,
        answers={200: "the text format"},
        media="text/plain",
        handler=health.metrics,
        on_sidecar=True,
    ),
    Route(
        method="GET",
        path="/.well-known/jwks.json",
        summary="The public keys that leases verify under.",
        permission=None,
        answers={200: "a JWK set"},
        handler=health.jwks,
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
        handler=front.pointer,
    ),
)
