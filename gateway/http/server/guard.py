"""Checks before every handler: the allowed hosts, against DNS rebinding, and the operator; and the headers of every answer."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from gateway.http.server import problem
from gateway.http.server.operators import Operator, Permission
from gateway.wire.inbound.head import Hosts

LONGEST_TOKEN = 512

HEADERS = {
    "Server": "killcord",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_PROBED = frozenset({"/healthz", "/readyz"})
"""Supervisors use any address they know; these answers hold nothing that is worth a rebinding."""


def hosts(allowed: tuple[str, ...]) -> Middleware:
    """Refuse a request for another host, or from a page of another origin."""
    known = Hosts(allowed)

    @web.middleware
    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        named = request.headers.getall(hdrs.HOST, [])
        if request.path not in _PROBED and (len(named) != 1 or not known.admits(_raw(named[0]))):
            raise problem.ForeignHost
        if any(not known.admits_origin(_raw(origin)) for origin in request.headers.getall(hdrs.ORIGIN, [])):
            raise problem.ForeignHost
        return await handler(request)

    return checked


async def before_sending(_: web.Request, response: web.StreamResponse) -> None:
    """Add the headers of every answer (an ``on_response_prepare`` signal, so that streams have them too)."""
    response.headers.update(HEADERS)


def operator(request: web.Request, identify: Callable[[str], Operator | None], permission: Permission) -> Operator:
    """The operator that a request's token stands for.

    Raises:
        Unauthenticated: no token, or an unknown one.
        Forbidden: the role does not have the permission.
    """
    token = _token(request)
    if token is None:
        raise problem.Unauthenticated
    found = identify(token)
    if found is None:
        raise problem.Unauthenticated("The token is unknown.")
    require(found, permission)
    return found


def identified(request: web.BaseRequest, identify: Callable[[str], Operator | None]) -> bool:
    """Whether a request carries the token of an operator."""
    token = _token(request)
    return token is not None and identify(token) is not None


def _token(request: web.BaseRequest) -> str | None:
    sent = request.headers.getall(hdrs.AUTHORIZATION, [])
    scheme, _, token = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
    return token if scheme.lower() == "bearer" and 0 < len(token) <= LONGEST_TOKEN else None


def require(operator: Operator, permission: Permission) -> None:
    """Raises:
    Forbidden: the operator's role does not have the permission.
    """
    if not operator.may(permission):
        raise problem.Forbidden(f"{operator.name} is {operator.role.value}, and may not {permission.value}.")


def _raw(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")
