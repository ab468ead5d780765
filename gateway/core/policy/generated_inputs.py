"""Inputs on which a policy is tried before it decides on anything: variations of an ordinary document, as its schema allows them.

The same schema, document and values give the same inputs. Each member takes each of its values at least once, and members are combined
in many ways, though not in all: a fault that takes one certain combination of three members can stay unseen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

Document = dict[str, Any]
Path = tuple[str, ...]
"""Steps into a document; ``*`` is the first item of a list."""

COMBINED = 80
"""Inputs in which all members vary at once, after those in which one does."""

_ABSENT = object()


def documents(
    schema: Mapping[str, Any], ordinary: Document, compared: Mapping[Path, Sequence[object]], *, combined: int = COMBINED
) -> Iterator[tuple[Document, Mapping[Path, object]]]:
    """Inputs, each with the members in which it differs from the ordinary document (``None``: the member is absent).

    ``compared`` are values that rules compare members with: only there may a rule behave differently.
    """
    domains = dict(_domains(schema, ordinary, compared))
    for path, values in domains.items():
        for value in values:
            yield _varied(ordinary, {path: value})
    for number in range(combined):
        yield _varied(ordinary, {path: _picked(values, path, number) for path, values in domains.items()})


def _domains(
    schema: Mapping[str, Any], ordinary: Document, compared: Mapping[Path, Sequence[object]]
) -> Iterator[tuple[Path, Sequence[object]]]:
    known = dict(_members(schema, (), required=True))
    for path, (kind, choices, required) in known.items():
        closed = kind == "string" and bool(choices)  # an enumeration: no input has another value
        wanted = () if closed else compared.get(path, ())
        values = [*choices, *(each for value in wanted for each in _around(value) if _is_of(each, kind))]
        yield path, _unlike([*([] if required else [_ABSENT]), *values], _at(ordinary, path))
    for path, wanted in compared.items():
        # Under a member whose content is not ours to define, such as a call's arguments.
        if path not in known and path[0] in schema["properties"] and not any(path[: len(one)] == one for one in known):
            yield path, [_ABSENT, *(each for value in wanted for each in _around(value))]


def _members(schema: Mapping[str, Any], at: Path, *, required: bool) -> Iterator[tuple[Path, tuple[str | None, list[object], bool]]]:
    kind = schema.get("type")
    if kind == "object":
        if at and not required:
            yield at, (kind, [], False)
        for name, member in schema.get("properties", {}).items():
            yield from _members(member, (*at, name), required=name in schema.get("required", ()))
    elif kind == "array":
        yield at, (kind, [[]], required)
        items = schema.get("items", {})
        if items.get("type") == "object":
            yield from _members(items, (*at, "*"), required=True)
    elif kind is not None:
        yield at, (kind, list(schema.get("enum") or _PLAIN.get(kind, ())), required)


def _around(value: object) -> list[object]:
    """A value that a rule compares with, and its neighbours."""
    if isinstance(value, int) and not isinstance(value, bool):
        return [value - 1, value, value + 1]
    return [value, f"{value}x"] if isinstance(value, str) else [value]


_PLAIN: Mapping[str, Sequence[object]] = {"boolean": (True, False), "integer": (0, 1)}
_TYPES: Mapping[str | None, type] = {"boolean": bool, "integer": int, "string": str, "array": list, "object": dict}


def _is_of(value: object, kind: str | None) -> bool:
    return isinstance(value, _TYPES.get(kind, object)) and (kind == "boolean" or not isinstance(value, bool))


def _unlike(values: Sequence[object], ordinary: object) -> list[object]:
    """Without repetitions, and with the ordinary value first."""
    found = [ordinary]
    for value in values:
        if not any(value is one or (type(value) is type(one) and value == one) for one in found):
            found.append(value)
    return found


def _picked(values: Sequence[object], path: Path, number: int) -> object:
    digest = hashlib.blake2b(f"{number}/{'.'.join(path)}".encode(), digest_size=4).digest()
    return values[int.from_bytes(digest, "big") % len(values)]


def _varied(ordinary: Document, changes: Mapping[Path, object]) -> tuple[Document, Mapping[Path, object]]:
    document: Document = orjson.loads(orjson.dumps(ordinary))
    for path in sorted(changes, key=len):
        _put(document, path, changes[path])
    _agree(document)
    differing = {path: None if value is _ABSENT else value for path, value in changes.items() if value is not _at(ordinary, path)}
    return document, {path: value for path, value in differing.items() if value != _at(ordinary, path)}


def _agree(document: Document) -> None:
    """Take out what no call combines: the class of a read, a dry run of what has an effect."""
    action = document.get("action")
    if isinstance(action, dict):
        if action.get("effect") == "read":
            action.pop("class", None)
        if action.get("effect") != "read" or action.get("dry_run") is False:
            action.pop("dry_run", None)


def _at(document: object, path: Path) -> object:
    for step in path:
        if step == "*" and isinstance(document, list) and document:
            document = document[0]
        elif isinstance(document, dict) and step in document:
            document = document[step]
        else:
            return _ABSENT
    return document


def _put(document: object, path: Path, value: object) -> None:
    *above, last = path
    for step in above:
        if step == "*":
            if not (isinstance(document, list) and document):
                return
            document = document[0]
        elif isinstance(document, dict):
            if not isinstance(document.get(step), dict | list):
                document[step] = {}
            document = document[step]
        else:
            return
    if isinstance(document, dict):
        if value is _ABSENT:
            document.pop(last, None)
        else:
            document[last] = value
