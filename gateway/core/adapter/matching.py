"""Which action of a tool's catalog a call is, and the document that its expressions see. Pure."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from msgspec import Struct

from gateway.core.adapter.catalog import SAFE_METHODS, ActionType, Tool
from gateway.model.call import Call, Effect


class Matched(Struct, frozen=True):
    """``captures`` are decoded segments by name."""

    action: ActionType
    captures: Mapping[str, str]


class Unmatched(Struct, frozen=True):
    """No action: ``name`` is ``unlisted.read`` or ``unlisted.write``, ``allowed`` whether the adapter lets it on to policy.

    ``reason`` is a sentence for the agent. ``near``: an action has its method and path, but other headers or another body.
    """

    name: str
    effect: Effect
    allowed: bool
    reason: str
    near: bool = False


def match(tool: Tool, call: Call) -> Matched | Unmatched:
    """The first action, in file order, that a call is. Literal segments are compared decoded and exactly."""
    segments = call.segments or ("",)
    reason, near = f"{tool.name} declares no action for {call.method} on this path", False
    for action in tool.index.get((call.method, len(segments)), ()):
        captures = action.template.match(segments)
        if captures is None:
            continue
        if action.match_query is not None and (extra := call.query.keys() - action.match_query):
            reason = f"{action.name} does not accept the query key {min(extra)!r}"
            continue
        if (action.match_headers or action.match_body) and not _fits(action, tool, call, captures):
            reason, near = f"the headers or body of this call do not match {action.name}", True
            continue
        return Matched(action, captures)
    return _unmatched(tool, call, reason, near=near)


def request_document(call: Call, captures: Mapping[str, str]) -> dict[str, object]:
    """The call as expressions see it as ``request``; the agent's credentials and ``Killcord-*`` are left out."""
    return {"method": call.method, "path": captures, "query": call.query, "headers": _headers(call), "body": call.args}


def document(tool: Tool, call: Call, captures: Mapping[str, str], run: Mapping[str, object] | None = None) -> dict[str, object]:
    """What expressions see before a reply: ``request``, ``vars`` and, if given, ``run``."""
    return {"request": request_document(call, captures), "vars": tool.variables, "run": run}


def _fits(action: ActionType, tool: Tool, call: Call, captures: Mapping[str, str]) -> bool:
    seen = document(tool, call, captures)
    return all(expression.holds(seen) for expression in (action.match_headers, action.match_body) if expression is not None)


def _headers(call: Call) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw, value in call.headers:
        name = _shown_as(raw)
        if name is not None:
            text = value.decode("latin-1")
            found[name] = f"{found[name]}, {text}" if name in found else text
    return found


@functools.lru_cache(1024)
def _shown_as(raw: bytes) -> str | None:
    """A header's name in expressions; ``None`` if they do not see it."""
    name = raw.decode("latin-1").lower()
    return None if name in ("authorization", "cookie") or name.startswith("killcord-") else name


def _unmatched(tool: Tool, call: Call, reason: str, *, near: bool) -> Unmatched:
    segments = call.segments or ("",)
    got = tool.index.get(("GET", len(segments)), ())  # a write that is a GET may be one by HEAD, or with another query, too
    if call.method in SAFE_METHODS and not any(one.effect is Effect.WRITE and one.template.match(segments) is not None for one in got):
        return Unmatched("unlisted.read", Effect.READ, tool.unlisted_read, reason, near)
    return Unmatched("unlisted.write", Effect.WRITE, tool.unlisted_write, reason, near)
