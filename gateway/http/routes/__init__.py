"""Every call of the operators' door, in one table: it registers them, guards them and describes them."""

from __future__ import annotations

from typing import Any

from gateway.http.routes import process, reading, recovering, running
from gateway.http.server.route import Route

ROUTES: tuple[Route[Any, Any], ...] = (*running.ROUTES, *reading.ROUTES, *recovering.ROUTES, *process.ROUTES)
