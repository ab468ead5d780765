"""Whether a call's body and query are such that the tool reads what policy sees. Pure; before policy is asked."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from gateway.core.adapter import members, request_schema
from gateway.core.adapter.catalog import ActionType, Tool
from gateway.core.request import multipart
from gateway.errors import MalformedRequest
from gateway.model.call import BodyKind, Call, Effect

_NAMES_OF_METHODS = ("_method", "_httpMethod", "$httpMethod", "X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override")
OVERRIDES = frozenset(map(members.normalized, _NAMES_OF_METHODS))
"""Members by which some frameworks take another method than the request's, as a lenient decoder spells them."""

UNREADABLE = 415
_READABLE = (
    "Send the body as application/json or as a form, uncompressed; "
    "for an API that takes neither, the adapter's author can declare body: opaque."
)
_DECLARED = "Send the arguments that the tool's adapter declares for this action."
_NUMBERS = "Send the number as a string; the adapter's author can admit it in the action's request_schema."


def refuse_ambiguous(tool: Tool, action: ActionType | None, call: Call) -> None:
    """Refuse a call whose body or query its tool could read otherwise. ``action`` is ``None`` for what the adapter does not list.

    Raises:
        MalformedRequest: they could read it differently; 415 if its body cannot be read at all.
    """
    names = tool.members_of(action, call)
    if call.query:
        _query(action, call, names.query)
    if call.body:
        _body(action, call, names.body)
    if action is not None and action.request_schema is not None and (fault := action.request_schema.fault(call.args)):
        raise MalformedRequest(f"The body is not what {action.name} takes: {fault}.", hint=_DECLARED)


def refuse_policy_lookalikes(tool: Tool, action: ActionType | None, call: Call, paths: tuple[members.Path, ...]) -> None:
    """Refuse a call with a key that a tool could take for one that policy reads; ``paths`` are what policy reads, of its input.

    A name that the adapter itself declares is that tool's own spelling.

    Raises:
        MalformedRequest: a key has such a name in another spelling.
    """
    names, declared = _of_policy(paths), tool.members_of(action, call)
    if call.query:
        _refuse_lookalikes(dict(call.query), names.query, "query", declared.query)
    if call.body:
        _refuse_lookalikes(call.args, names.body, "body", declared.body)


@functools.lru_cache(8)
def _of_policy(paths: tuple[members.Path, ...]) -> members.CallMembers:
    return members.CallMembers(members.under(paths, "args"), members.under(paths, "http", "query"))


def unreadable(call: Call) -> MalformedRequest:
    """The refusal of a body that the gateway cannot read."""
    return MalformedRequest(f"The gateway cannot read the body: {call.unread}.", status=UNREADABLE, hint=_READABLE)


def _query(action: ActionType | None, call: Call, names: members.Names) -> None:
    declared = frozenset[str]() if action is None or action.match_query is None else action.match_query
    unlisted = [key for key in call.query if key not in declared]
    _refuse_overrides(unlisted, "query")
    if action is not None and action.effect is Effect.READ and (bracketed := next((key for key in unlisted if "[" in key), None)):
        raise MalformedRequest(
            f"The query key {_shown(bracketed)} has brackets, which some tools read as another key.",
            hint="Use a key without brackets; the adapter's author can declare this one in match.query.",
        )
    _refuse_lookalikes(dict(call.query), names, "query")


def _body(action: ActionType | None, call: Call, names: members.Names) -> None:
    wanted = action.body_kind if action is not None else None
    if call.kind is BodyKind.OPAQUE:
        if wanted is not BodyKind.OPAQUE:
            raise unreadable(call)
        _refuse_overrides(multipart.names_in(call.headers, call.body), "body")
        return
    if action is not None and wanted in _CALLED and wanted is not call.kind:
        raise MalformedRequest(
            f"The body of {action.name} must be {_CALLED[wanted]}.", status=UNREADABLE, hint="Send it with that Content-Type."
        )
    if isinstance(call.args, dict):
        _refuse_overrides((key for key in call.args if key not in names.members), "body")
    _refuse_lookalikes(call.args, names, "body")
    if call.long_numbers:
        _refuse_numbers(action, call)


_CALLED = {BodyKind.JSON: "JSON (application/json)", BodyKind.FORM: "a form (application/x-www-form-urlencoded)"}


def _refuse_overrides(keys: Iterable[str], place: str) -> None:
    for key in keys:
        if members.resembles(key, OVERRIDES):
            raise MalformedRequest(
                f"The key {_shown(key)} of the {place} can make a tool use another method than the request's.",
                hint="Remove the key, and send the request with that method.",
            )


def _refuse_lookalikes(value: object, names: members.Names, place: str, declared: members.Names = members.NOTHING) -> None:
    if names and (found := members.lookalike(value, names, declared)) is not None:
        key, name = _shown(found[0]), _shown(found[1])
        problem = f"The {place} has the key {key}. The gateway reads {name}, and some tools take both for the same key."
        raise MalformedRequest(
            problem, hint=f"Send {name}. If the tool has a separate key {key}, the adapter's author can {_DECLARING[place]}."
        )


_DECLARING = {"body": "name it in the action's request_schema", "query": "take its value in the action's query"}
"""How an adapter says that a key is the tool's own, by the key's place."""


def _refuse_numbers(action: ActionType | None, call: Call) -> None:
    for value, path in request_schema.inexact(call.args):
        if action is None or action.request_schema is None or not action.request_schema.admits(value, path):
            place = f"at {'.'.join(map(_shown, path))}" if path else "in the body"
            raise MalformedRequest(f"The number {place} is beyond 2^53-1, or has more digits than a double holds.", hint=_NUMBERS)


def _shown(key: str) -> str:
    """A key of the agent's, short and without what a terminal would obey."""
    return repr(key if len(key) <= 64 else key[:61] + "...")
