"""What a call means and what its reply proves, by its adapter: tenant, target, cost, class; version and state of what was read.

Documents are as :func:`gateway.core.adapter.catalog.document` makes them, with ``reply`` and ``object`` where there are any.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, Context, Decimal
from enum import Enum
from urllib.parse import quote, urlencode

import orjson

from gateway.core.adapter.catalog import ActionType, Listing, Matched, ObjectType, Probe, Tool
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
    return _name(tool.tenant.search(document))


def target_of(tool: Tool, matched: Matched, document: Document) -> Target:
    """The object a call is aimed at.

    Its id is the object path's captures other than the tenant's, joined by ``/`` in path order; empty for lists, creates,
    and actions without an object.
    """
    action = matched.action
    known = "" if action.creates or action.object is None else _id(tool, tool.objects[action.object], matched.captures)
    return Target(tool.system, action.object_type or "", known, tenant_of(tool, document))


def created_id(action: ActionType, document: Document) -> str | None:
    """The id of what a create made, by its reply; ``None`` if the reply does not name it. It is not yet trusted as a path segment."""
    return None if action.creates is None else _name(action.creates.id.search(document))


def object_path(tool: Tool, action: ActionType, captures: Mapping[str, str], created: str | None = None) -> str:
    """The path to GET the object an action is aimed at; ``created`` is the new object's id if the action made one.

    Raises:
        KeyError: the object's id is unknown.
        ValueError: an id cannot be one path segment.
    """
    if action.object_type is None:
        raise KeyError(action.name)
    return tool.objects[action.object_type].template.fill(captures if created is None else {**captures, "id": created})


def object_id(tool: Tool, action: ActionType, captures: Mapping[str, str], created: str | None = None) -> str:
    """The id, as ``target_of`` has it, of the object that ``object_path`` leads to."""
    assert action.object_type is not None, "an action without an object has no path to it"
    return _id(tool, tool.objects[action.object_type], captures if created is None else {**captures, "id": created})


def undo_path(tool: Tool, action: ActionType, by: str, captures: Mapping[str, str], target_id: str) -> str:
    """The path of the compensating action ``by``, from the original call's captures and the id of its target (or what it created).

    Raises:
        KeyError: there is no such action, or a capture is unknown.
        ValueError: an id cannot be one path segment.
    """
    known = {**captures, "id": target_id} if action.creates else {"id": target_id, **captures}
    return tool.actions[by].template.fill(known)


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
    """The version of an object by the reply to its GET, verbatim; ``None`` if it has none."""
    return None if kind.version is None else _name(kind.version.search(document))


def state_of(kind: ObjectType, document: Document) -> object:
    """What a snapshot keeps of an object, by the reply to its GET."""
    return None if kind.state is None else kind.state.search(document)


def same_object(kind: ObjectType, document: Document, id: str) -> bool:
    """Whether what a GET found is the one object that was asked for, by its id (as ``target_of`` has it).

    True if the adapter does not declare where a reply names it. A reply that names none, several, or another, is not it.
    """
    if kind.identity is None:
        return True
    found = kind.identity.search(document)
    if isinstance(found, list):
        return len(found) == 1 and _name(found[0]) == id
    return _name(found) == id


def listing_target(find: Listing, captures: Mapping[str, str], document: Document) -> str:
    """Path and query of the listing in which a create of unknown outcome is looked for.

    Raises:
        KeyError: a query value is not known: the listing could not tell the create from others.
        ValueError: a capture cannot be one path segment.
    """
    query = {key: _name(expression.search(document)) for key, expression in find.query.items()}
    if missing := [key for key, value in query.items() if value is None]:
        raise KeyError(missing[0])
    path = find.template.fill(captures)
    return f"{path}?{urlencode(query, quote_via=quote)}" if query else path


def found_in(probe: Probe, document: Document) -> tuple[str, ...] | None:
    """The ids of the listed objects that the create made, by a ``document`` whose ``reply`` is the listing's.

    ``None`` if that is undecided: there is no list, or an item's result is neither true nor false, or an item has no id.
    """
    items = probe.find.items.search(document) if probe.find else None
    if probe.find is None or not isinstance(items, list):
        return None
    found: list[str] = []
    for item in items:
        seen = {**document, "object": {"version": None, "body": item}}
        verdict = probe.applied.search(seen)
        name = _name(probe.find.id.search(seen)) if verdict is True else ""
        if name is None or not isinstance(verdict, bool):
            return None
        found += [name] if name else []
    return tuple(found)


def _id(tool: Tool, kind: ObjectType, captures: Mapping[str, str]) -> str:
    names = [name for name in kind.template.names if name != tool.tenant_capture]
    return "/".join(captures[name] for name in names) if all(name in captures for name in names) else ""


def _name(value: object) -> str | None:
    """A non-empty text, or a whole number as one."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value) or None


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    text = value if isinstance(value, str) else repr(value)
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


def result_of(status: int, *, demanded: bool = True) -> Result:
    """What a reply means for a write. ``demanded`` is whether the adapter's own demand on a success is met."""
    if 200 <= status < 300:
        return Result.SUCCESS if demanded else Result.UNKNOWN
    return Result.FAILED if status in DEFINITE_FAILURES else Result.UNKNOWN


def verification_of(*, met: bool, before: str | None, ours: str | None, seen: str | None) -> Verification:
    """What one look at the object says of a declared postcondition.

    ``before`` is the version before our write, ``ours`` the one that it left, ``seen`` the one that was read: where it is
    neither and the postcondition is not met, someone wrote after us. Where it is the one before, nothing was written yet, or at all.
    """
    if met:
        return Verification.PASSED
    after = ours is not None and seen is not None and seen not in (ours, before)
    return Verification.SUPERSEDED if after else Verification.FAILED


class Finding(Enum):
    """What a probe can say of an unknown outcome."""

    APPLIED = "applied"
    NOT_APPLIED = "not_applied"
    UNDECIDED = "undecided"


def finding_of(*, applied: bool, seen: str | None, before: str | None, settled: bool) -> Finding:
    """Judge an unknown write by the state of its object.

    The state asked for proves the write only at another version than before it: else it was so already. Its absence
    proves the opposite only at that same version, and after the time in which a late apply may still land: at another
    version someone may have written over ours.
    """
    if applied:
        return Finding.APPLIED if seen != before else Finding.UNDECIDED
    return Finding.NOT_APPLIED if settled and seen == before else Finding.UNDECIDED


def ours_alone(before: object, seen: object, asked: object, *, replaced: bool) -> bool:
    """Whether the state differs from the one before the write only in what the write requested: then the version contains this write alone.

    A field counts as requested if the request has it, by the same name and value, at any depth: a body rarely has the shape of
    the state. ``replaced``: the write may remove fields by omitting them. ``before`` is ``None`` if there was no object.
    """
    if not isinstance(seen, dict) or not isinstance(before, dict | None):
        return False
    old = before or {}
    if not replaced and not old.keys() <= seen.keys():
        return False
    wanted = set(_fields(asked))
    changed = {name: value for name, value in seen.items() if name not in old or old[name] != value}
    return all((name, _text(value)) in wanted for name, value in changed.items())


def _fields(value: object) -> Iterator[tuple[str, bytes]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name, _text(inner)
            yield from _fields(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _fields(inner)


def _text(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
