"""How a write of unknown outcome is looked for: its object or a listing, what shows that it was applied, and whose change a version holds.

Documents are as :func:`gateway.core.adapter.matching.document` makes them, with ``reply`` and ``object`` where there are any.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from urllib.parse import quote, urlencode

from msgspec import Struct

from gateway.core.adapter import dependencies
from gateway.core.adapter.expression import Expression, name_of
from gateway.core.adapter.template import Template
from gateway.core.request import exact_json

Document = Mapping[str, object]


class Listing(Struct, frozen=True, kw_only=True):
    """The listing to search for a create of unknown outcome: a GET of ``template`` with ``query``, its ``items`` and their ``id``.

    ``whole`` must be exactly true of a reply that is all of the list: only then does it show that something is not there.
    """

    template: Template
    query: Mapping[str, Expression]
    items: Expression
    id: Expression
    whole: Expression | None = None


class Probe(Struct, frozen=True):
    """``applied`` must be exactly true of the object (each item of ``find``); its absence counts only after ``settle`` seconds.

    ``mark`` gives what the object keeps of the write itself: the key that was sent, or (exactly true) a reference that it alone had.
    """

    applied: Expression
    settle: float
    find: Listing | None = None
    mark: Expression | None = None


def listing_target(find: Listing, captures: Mapping[str, str], document: Document) -> str:
    """Path and query of the listing in which a create of unknown outcome is looked for.

    Raises:
        KeyError: a query value is not known: the listing could not tell the create from others.
        ValueError: a capture cannot be one path segment.
    """
    query = {key: name_of(expression.search(document)) for key, expression in find.query.items()}
    if missing := [key for key, value in query.items() if value is None]:
        raise KeyError(missing[0])
    path = find.template.fill(captures)
    return f"{path}?{urlencode(query, quote_via=quote)}" if query else path


class Item(Struct, frozen=True):
    """A listed object that is as a create asked for: what the tool calls it, ``object`` in expressions, and whether it holds its mark."""

    id: str
    document: Document
    marked: bool


class Page(Struct, frozen=True):
    """What a listing shows of a create; ``items`` are ``None`` if that is undecided. ``whole``: it is known to hold all that there is."""

    items: tuple[Item, ...] | None
    whole: bool


def page_of(probe: Probe, document: Document, wire_key: str) -> Page:
    """The listed objects that a create may have made, by a ``document`` whose ``reply`` is the listing's.

    Undecided: there is no list, or an item's result is neither true nor false, or an item has no id.
    """
    items = probe.find.items.search(document) if probe.find else None
    if probe.find is None or not isinstance(items, list):
        return Page(None, whole=False)
    whole = probe.find.whole is not None and probe.find.whole.holds(document)
    found: list[Item] = []
    for item in items:
        thing: Document = {"version": None, "body": item}
        seen = {**document, "object": thing}
        ours, verdict = marked(probe, seen, wire_key), probe.applied.search(seen)
        name = name_of(probe.find.id.search(seen)) if verdict is True or ours else ""
        if name is None or not isinstance(verdict, bool):
            return Page(None, whole=whole)
        found += [Item(name, thing, ours)] if name else []
    return Page(tuple(found), whole)


def marked(probe: Probe, document: Document, wire_key: str) -> bool:
    """Whether an object holds the mark of a write: the key that was sent with it, or (exactly true) a reference of its own."""
    if probe.mark is None:
        return False
    value = probe.mark.search(document)
    if value is True:
        # Two that are missing are equal, too.
        return all(name_of(_at(document, path)) is not None for path in references(probe)) and bool(references(probe))
    return any(isinstance(one, str) and wire_key in one for one in (value if isinstance(value, list) else [value]))


def references(probe: Probe) -> frozenset[tuple[str, ...]]:
    """What of the request a mark that is true compares, and ``applied`` does not: by that an equal write of somebody else differs."""
    mark, applied = dependencies.of(probe.mark), dependencies.of(probe.applied)
    found = {("body", *path) for path in mark.body - applied.body if path}
    found |= {("headers", name) for name in mark.headers - applied.headers}
    return frozenset(found | {("query", name) for name in mark.query - applied.query})


def _at(document: Document, path: tuple[str, ...]) -> object:
    value: object = document.get("request")
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


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
    wanted = set(_fields(asked, seen))
    changed = {name: value for name, value in seen.items() if name not in old or not exact_json.same(old[name], value)}
    return all((name, _text(value)) in wanted for name, value in changed.items())


def differs_from_reply(seen: object, asked: object, shown: object) -> str | None:
    """The member of a state that a write asked for, that its reply showed as asked, and that is another now; ``None`` if there is none.

    At the version that the reply had, somebody changed it: the tool gave that version twice (it was restored from a backup, or the object
    was removed and made again).
    """
    if not isinstance(seen, dict):
        return None
    wanted, given = set(_fields(asked, seen)), set(_fields(shown, seen))
    for name, value in seen.items():
        values = {text for key, text in wanted if key == name}
        if len(values) == 1 and _text(value) not in values and (name, next(iter(values))) in given:
            return str(name)
    return None


def _fields(value: object, names: Container[object]) -> Iterator[tuple[str, bytes]]:
    """Yields each field of a body whose name is in ``names``, at any depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in names:
                yield name, _text(inner)
            if isinstance(inner, (dict, list)):
                yield from _fields(inner, names)
    elif isinstance(value, list):
        for inner in value:
            yield from _fields(inner, names)


def _text(value: object) -> bytes:
    return exact_json.canonical(value)
