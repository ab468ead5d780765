"""What a call means and what its reply proves, by its adapter: tenant, target, cost, class; version and state of what was read.

Documents are as :func:`gateway.core.adapter.matching.document` makes them, with ``reply`` and ``object`` where there are any.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any

from gateway.core.adapter import dependencies, objects, versions
from gateway.core.adapter.catalog import ActionType, ObjectType, Tool
from gateway.core.adapter.expression import name_of
from gateway.core.adapter.matching import Matched
from gateway.model.call import Cost, Effect, Reversibility, Target
from gateway.model.entry import Result, Verification

Document = Mapping[str, object]

COUNTABLE = 2**53 - 1
"""The largest number of records, or of millionths, that the journal holds exactly."""

# More digits than a number may have, so that nothing is rounded on the way.
_EXACT = Context(prec=200)
_NUMBER = re.compile(r"\d{1,30}(\.\d{1,30})?([eE][+-]?\d{1,2})?", re.ASCII)


def tenant_of(tool: Tool, document: Document) -> str | None:
    """The tenant of a call's target; ``None`` if it cannot be resolved."""
    return name_of(tool.tenant.search(document))


def target_of(tool: Tool, matched: Matched, document: Document) -> Target:
    """The object a call is aimed at.

    Its id is the object path's captures other than the tenant's, joined by ``/`` in path order; empty for lists, creates,
    and actions without an object.
    """
    action = matched.action
    known = "" if action.creates or action.object is None else _id(tool, tool.objects[action.object], matched.captures)
    return Target(tool.system, action.object_type or "", known, tenant_of(tool, document), tool.name)


def created_id(tool: Tool, action: ActionType, captures: Mapping[str, str], document: Document) -> str | None:
    """The id, as ``target_of`` has it, of what a create made; ``None`` if the reply in ``document`` does not name it.

    What the tool says in it is not yet trusted as a path segment.
    """
    own = None if action.creates is None else name_of(action.creates.id.search(document))
    return None if own is None else joined_id(tool, action, captures, own)


def joined_id(tool: Tool, action: ActionType, captures: Mapping[str, str], own: str) -> str:
    """The id, as ``target_of`` has it, of what a create made: what the tool calls it (``own``), joined with the path's other captures."""
    return _id(tool, _kind(tool, action), {**captures, "id": own})


def nothing_made(tool: Tool, action: ActionType, captures: Mapping[str, str], document: Document, status: int) -> bool:
    """Whether the reply in ``document`` to a dry run of a write is one to a dry run: it must not name what it made."""
    dry = action.dry_run
    if dry is None or status >= 300:
        return True
    if dry.confirmed is not None:
        return dry.confirmed.holds(document)
    return status not in (201, 202) and created_id(tool, action, captures, document) is None


def object_captures(tool: Tool, action: ActionType, captures: Mapping[str, str], id: str) -> Mapping[str, str]:
    """The captures of the path to an object, by those of the call that made it or is aimed at it, and its id as ``target_of`` has it."""
    if action.creates is None:
        return captures
    names = tool.own_names[_kind(tool, action).name]
    place = names.index("id") if "id" in names else 0
    before, after = ("".join(f"{captures.get(name, '')}/" for name in names[:place]), names[place + 1 :])
    behind = "".join(f"/{captures.get(name, '')}" for name in after)
    # Journals of earlier versions hold what the tool called it, alone.
    whole = len(id) > len(before) + len(behind) and id.startswith(before) and id.endswith(behind)
    return {**captures, "id": id[len(before) : len(id) - len(behind)] if whole else id}


def object_path(tool: Tool, action: ActionType, captures: Mapping[str, str], created: str | None = None) -> str:
    """The path to GET the object an action is aimed at; ``created`` is the new object's id, as ``target_of`` has it, if it made one.

    Raises:
        KeyError: the object's id is unknown.
        ValueError: an id cannot be one path segment.
    """
    known = captures if created is None else object_captures(tool, action, captures, created)
    return _kind(tool, action).template.fill(known)


def object_id(tool: Tool, action: ActionType, captures: Mapping[str, str], created: str | None = None) -> str:
    """The id, as ``target_of`` has it, of the object that ``object_path`` leads to."""
    known = captures if created is None else object_captures(tool, action, captures, created)
    return _id(tool, _kind(tool, action), known)


def undo_path(tool: Tool, action: ActionType, by: str, captures: Mapping[str, str], target_id: str) -> str:
    """The path of the compensating action ``by``, from the original call's captures and the id of its target (or what it created).

    Raises:
        KeyError: there is no such action, or a capture is unknown.
        ValueError: an id cannot be one path segment.
    """
    known = object_captures(tool, action, captures, target_id) if action.creates else {"id": target_id, **captures}
    return tool.actions[by].template.fill(known)


def _kind(tool: Tool, action: ActionType) -> ObjectType:
    if action.object_type is None:
        raise KeyError(action.name)
    return tool.objects[action.object_type]


def fallback_path(tool: Tool, action: ActionType, captures: Mapping[str, str]) -> str:
    """The path to GET the declared fallback of a read, from the read's own captures.

    Raises:
        KeyError: none is declared.
        ValueError: a capture cannot be one path segment.
    """
    if action.fallback is None:
        raise KeyError(action.name)
    return tool.actions[action.fallback].template.fill(captures)


def cost_of(action: ActionType, document: Document) -> Cost:
    """What a write charges: whole records, amounts in millionths, rounded up where there are finer parts.

    ``unpriced`` names (``records``, ``amount:<name>``) what is missing, negative, no finite number, or too large to count.
    """
    if action.effect is Effect.READ:
        return Cost()
    unpriced: list[str] = []
    records = 1
    if action.cost.records is not None:
        counted = _records(action.cost.records.search(document))
        records = counted or 0
        unpriced += [] if counted is not None else ["records"]
    amounts: dict[str, int] = {}
    for name, expression in action.cost.amounts.items():
        millionths = _millionths(expression.search(document))
        if millionths is None:
            unpriced.append(f"amount:{name}")
        else:
            amounts[name] = millionths
    return Cost(records=records, amounts=amounts, unpriced=tuple(unpriced))


def class_of(action: ActionType, document: Document) -> Reversibility:
    """A write's class. If no rule applies, or a condition is neither true nor false, it is irreversible."""
    for rule in action.classes:
        decided = True if rule.when is None else rule.when.search(document)
        if decided is True:
            return rule.then
        if decided is not False:
            break
    return Reversibility.IRREVERSIBLE


def identity_of(action: ActionType, document: Document) -> tuple[object, ...] | None:
    """The values of the declared identity fields; ``None`` is the whole canonical body."""
    identity = action.idempotency.identity
    return None if identity is None else tuple(expression.search(document) for expression in identity)


def version_of(kind: ObjectType, document: Document) -> str | None:
    """The version of an object by the reply to its GET, verbatim or as a digest; ``None`` if it has none.

    A digest covers all that is kept of the object, its headers too.
    """
    value = None if kind.version is None else kind.version.search(document)
    if not kind.digest:
        return str(value) if isinstance(value, (float, Decimal)) else name_of(value)
    reply: Any = document["reply"]  # whose bytes are the state of what is not JSON
    made = versions.digest(reply.get("bytes") if value is None and kind.state_is_body else value)
    if made is None or not kind.keep:
        return made
    named = ((name.encode("latin-1"), text.encode("latin-1")) for name, text in reply["headers"].items())
    return versions.digest([made, sorted(objects.chosen(kind.keep, tuple(named)))])


def told_by_values(kind: ObjectType) -> bool:
    """Whether an object's version or identity is not known without the values of its JSON body."""
    version = None if kind.state_is_body and kind.digest else kind.version  # a digest is made of the bytes then
    return any(one is not None and dependencies.depends_on(one, "reply", "body") for one in (version, kind.identity))


def state_of(kind: ObjectType, document: Document) -> object:
    """What a snapshot keeps of an object, by the reply to its GET."""
    return None if kind.state is None else kind.state.search(document)


def same_object(kind: ObjectType, document: Document, id: str) -> bool:
    """Whether what a GET found is the one object that was asked for, by its id (as ``target_of`` has it).

    True if the adapter does not declare where a reply names it. A reply that names none, several, or another, is not it. Beneath a
    parent, tools mostly name the last part alone.
    """
    if kind.identity is None:
        return True
    found = kind.identity.search(document)
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    return name_of(found) in (id, id.rpartition("/")[2])


def _id(tool: Tool, kind: ObjectType, captures: Mapping[str, str]) -> str:
    names = tool.own_names[kind.name]
    if len(names) == 1:  # most objects
        return captures.get(names[0], "")
    return "/".join([captures[name] for name in names]) if all(name in captures for name in names) else ""


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        return None
    text = value if isinstance(value, str) else str(value)
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _records(value: object) -> int | None:
    if type(value) is int:  # most are, and need no decimals
        return value if 0 <= value <= COUNTABLE else None
    number = _number(value)
    if number is None or number > COUNTABLE or number != number.to_integral_value(context=_EXACT):
        return None
    return int(number)


def _millionths(value: object) -> int | None:
    if type(value) is int:
        return value * 1_000_000 if 0 <= value <= COUNTABLE // 1_000_000 else None
    number = _number(value)
    if number is None or (exact := _EXACT.multiply(number, Decimal(1_000_000))) > COUNTABLE:
        return None
    # Rounded up: what a limit counts is never less than what the call says.
    return int(exact.to_integral_value(rounding=ROUND_CEILING, context=_EXACT))


DEFINITE_FAILURES = frozenset({400, 401, 403, 404, 405, 409, 410, 412, 413, 415, 422, 428, 429})
"""Statuses by which a tool says that it did not apply the write. A 5xx says nothing of the kind, nor does a redirect."""


def result_of(status: int, *, success: bool | None = None, failed: bool = False) -> Result:
    """What a reply means for a write.

    ``success`` is whether the adapter's own condition of a success holds, ``None`` if it has none; ``failed`` whether the reply is one that
    it reads as proof that nothing was applied. A reply that is both proves nothing.
    """
    succeeded = 200 <= status < 300 and success is not False
    if failed:
        return Result.UNKNOWN if succeeded and success else Result.FAILED
    if 200 <= status < 300:
        return Result.SUCCESS if succeeded else Result.UNKNOWN
    return Result.FAILED if status in DEFINITE_FAILURES else Result.UNKNOWN


def verification_of(*, met: bool, before: str | None, ours: str | None, seen: str | None) -> Verification:
    """What one look at the object says of a declared postcondition.

    ``before`` is the version before our write, ``ours`` the one that it left, ``seen`` the one that was read: where it is
    neither and the postcondition is not met, someone wrote after us. Where it is the one before, nothing was written yet, or at all.
    """
    if met:
        return Verification.PASSED
    after = ours is not None and seen is not None and not versions.same(ours, seen) and not versions.same(before, seen)
    return Verification.SUPERSEDED if after else Verification.FAILED
