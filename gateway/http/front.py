"""What a person sees who opens the door's root, and what a program reads to learn its calls."""

from __future__ import annotations

from aiohttp import web

POINTER = """\
Killcord: the operators' door.

  /openapi.json            every call of the API under /v1, with its schemas
  /healthz  /readyz        alive; ready, part by part
  /metrics                 for Prometheus
  /.well-known/jwks.json   the keys that leases verify under

Calls under /v1 take 'Authorization: Bearer <token>'; 'killcord operators add NAME --role ROLE' makes a token.
From a shell: KILLCORD_URL and KILLCORD_TOKEN, then 'killcord run list', 'killcord contain --help', 'killcord journal tail'.
"""


async def pointer(_: object) -> web.Response:
    return web.Response(text=POINTER)
