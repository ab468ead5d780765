"""What an action's JSON Schema of its arguments says beside valid or not: the members it names, where large numbers may stand. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct

from gateway.core.adapter.members import ANY, Path
from gateway.core.request import exact_json

Fault = Callable[[object], str | None]
"""What is wrong with arguments, with place and rule and without a value; ``None`` if they conform."""

_DEPTH = 32
_FORMATS = {"int64": range(-(2**63), 2**63), "uint64": range(2**64)}


class RequestSchema(Struct, frozen=True):
    """``fault`` judges the arguments of a call; ``paths`` are the members that the schema names.

    ``integers`` are where an integer beyond 2^53-1 may stand, with the range that a format gives it (``None``: the schema's own bounds).
    ``decimals`` are where a number may have more digits than a double holds.
    """

    fault: Fault
    paths: frozenset[Path]
    integers: Mapping[Path, range | None]
    decimals: frozenset[Path]

    def admits(self, value: object, path: Path) -> bool:
        """Whether an inexact number may stand at a place."""
        if isinstance(value, Decimal):
            return path in self.decimals
        allowed = self.integers.get(path)
        return path in self.integers and (allowed is None or value in allowed)


def read(schema: Mapping[str, Any], fault: Fault) -> RequestSchema:
    """What a schema says; references are followed within it."""
    places = list(_places(schema, schema, (), 0))
    return RequestSchema(
        fault=fault,
        paths=frozenset(path for path, _ in places if path),
        integers={path: _FORMATS.get(one.get("format", "")) for path, one in places if _is_wide(one)},
        decimals=frozenset(path for path, one in places if one.get("type") == "number" and one.get("format") == "decimal"),
    )


def inexact(value: object, path: Path = ()) -> Iterator[tuple[object, Path]]:
    """The numbers of a value that readers of JSON differ over, with their places."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from inexact(member, (*path, name))
    elif isinstance(value, list):
        for member in value:
            yield from inexact(member, path)
    elif exact_json.is_inexact(value):
        yield value, path


def _is_wide(schema: Mapping[str, Any]) -> bool:
    if schema.get("type") != "integer":
        return False
    bounds = [schema[key] for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum") if key in schema]
    both = len(bounds) >= 2 and all(isinstance(bound, int) for bound in bounds)
    return schema.get("format") in _FORMATS or (both and any(map(exact_json.is_inexact, bounds)))


def _places(root: Mapping[str, Any], schema: object, path: Path, depth: int) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    if not isinstance(schema, Mapping) or depth > _DEPTH:
        return
    yield path, schema
    reference = schema.get("$ref")
    if isinstance(reference, str):
        yield from _places(root, _referenced(root, reference), path, depth + 1)
    for name, member in _members(schema.get("properties")):
        yield from _places(root, member, (*path, name), depth + 1)
    for key in ("additionalProperties", "patternProperties"):
        members = schema.get(key)
        for member in members.values() if key == "patternProperties" and isinstance(members, Mapping) else (members,):
            yield from _places(root, member, (*path, ANY), depth + 1)
    for key in ("items", "allOf", "anyOf", "oneOf", "prefixItems", "then", "else"):
        below = schema.get(key)
        for member in below if isinstance(below, list) else (below,):
            yield from _places(root, member, path, depth + 1)


def _members(properties: object) -> Iterator[tuple[str, object]]:
    if isinstance(properties, Mapping):
        yield from properties.items()


def _referenced(root: Mapping[str, Any], reference: str) -> object:
    if not reference.startswith("#"):
        return None
    found: object = root
    for step in reference[1:].split("/")[1:]:
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found
