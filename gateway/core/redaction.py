"""What policy wants kept out of the records: named arguments, struck out before they are sealed."""

from __future__ import annotations

from collections.abc import Iterable

STRUCK = "[redacted]"


def struck(value: object, names: Iterable[str]) -> object:
    """A copy of a JSON value without what stands at the dotted names (``card.number``); lists are gone through item by item."""
    for name in names:
        value = _without(value, name.split("."))
    return value


def _without(value: object, path: list[str]) -> object:
    if isinstance(value, list):
        return [_without(item, path) for item in value]
    if not isinstance(value, dict) or path[0] not in value:
        return value
    rest = path[1:]
    return {**value, path[0]: _without(value[path[0]], rest) if rest else STRUCK}
