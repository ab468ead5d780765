"""Objects as tools show them: state, representation, and whether one is as it has to be. Pure.

A representation is an object as its tool sends it: bytes, content type, and the headers that its adapter keeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from gateway.core.adapter.catalog import ObjectType
from gateway.core.request import exact_json
from gateway.model.call import Answer, Headers


class Representation(Struct, frozen=True, omit_defaults=True):
    """``body`` has no content coding unless the adapter keeps Content-Encoding; it is empty if the state holds all that is kept.

    ``state_is_body``: the state is all of the body, so that the bytes can be sent back. ``content_type`` is verbatim, empty if there was
    none; ``headers`` are the kept ones, names in lower case, in the order in which they came. ``kept`` are the patterns that chose them.
    """

    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    kept: tuple[str, ...] = ()
    state_is_body: bool = False
    body: bytes = b""


class Expected(Struct, frozen=True):
    """How an object has to be after a compensation; ``state`` is what its adapter keeps of it.

    ``representation`` is ``None`` where only the state was kept.
    """

    exists: bool
    state: object = None
    representation: Representation | None = None


class ObjectState(Struct, frozen=True):
    """An object as it is now. ``exists`` is false on 404 and 410; ``document`` is ``object`` in expressions.

    ``same`` is false if the reply names another object than was asked for, or several. ``cut``: its body is longer than the gateway reads,
    so that only its headers are known. ``garbled`` is why what its tool calls JSON cannot be read as that, so that only its bytes are.
    """

    exists: bool
    version: str | None = None
    state: object = None
    document: Mapping[str, object] | None = None
    same: bool = True
    representation: Representation | None = None
    cut: bool = False
    garbled: str = ""

    @property
    def body_unknown(self) -> str:
        """Why nothing can be said of the values in its body, as a phrase; empty if they are known, or it has none."""
        if self.cut:
            return "it is too large to be read"
        return f"its JSON cannot be read: {self.garbled}" if self.garbled else ""

    def as_expected(self, expected: Expected) -> bool:
        return difference(self, expected) is None


def difference(seen: ObjectState, expected: Expected) -> str | None:
    """What about an object is not as it has to be, as a phrase; ``None`` if nothing that was kept differs. Its content type is not
    compared if it had none.
    """
    if seen.exists is not expected.exists:
        return "it is there" if seen.exists else "it is absent"
    if not expected.exists:
        return None
    if not seen.same:
        return "a read of it returns another object, or several"
    if seen.cut:
        return seen.body_unknown
    if seen.garbled and expected.state is not None:
        return seen.body_unknown
    now, kept = seen.representation, expected.representation
    if not exact_json.same(seen.state, expected.state):
        return "its state"
    if kept is None or now is None:
        return None
    if kept.state_is_body and expected.state is None and kept.body != now.body:
        return "its content"
    # A tool may give its default to one that had none when it is restored.
    if kept.content_type and _media_type(kept.content_type) != _media_type(now.content_type):
        return "its content type"
    return _header_difference(dict(now.headers), dict(kept.headers))


def foreign_change(seen: ObjectState, kept: Representation, sent: Sequence[tuple[str, Mapping[str, str]]]) -> str | None:
    """What about an object was neither so before a run nor sent by it, as a phrase: somebody else changed it, at a version that does not
    show that (a hash of the content does not). ``kept`` is what was there before, ``sent`` are method and headers of the run's writes.
    """
    now = seen.representation
    if now is None:
        return None
    replaced = [headers for method, headers in sent if method == "PUT"]
    if kept.state_is_body and all("content-type" in headers for headers in replaced):
        known = [kept.content_type, *(headers["content-type"] for _, headers in sent if "content-type" in headers)]
        if _essence(now.content_type) not in map(_essence, known):
            return "its content type"
    there, before = dict(now.headers), dict(kept.headers)
    for name in sorted(there.keys() | before.keys()):
        possible = {before.get(name), *(headers[name] for _, headers in sent if name in headers)}
        if there.get(name) not in possible and not (name not in there and any(name not in headers for headers in replaced)):
            return f"its header {name}"
    return None


def representation(kind: ObjectType, answer: Answer, reply: Mapping[str, Any]) -> Representation:
    """What is kept of an object beside its state, by the whole answer to its GET: its bytes too, if they are its state.

    ``reply`` is the same answer as expressions see it, with the ``bytes`` without content codings.
    """
    headers = chosen(kind.keep, answer.headers) if kind.keep else ()
    media_type = reply["headers"].get("content-type", "")
    if not kind.state_is_body:
        return Representation(media_type, headers, kind.keep)
    coded = any(name == "content-encoding" for name, _ in headers)
    return Representation(media_type, headers, kind.keep, True, answer.body if coded else reply["bytes"])


def is_json(media_type: str) -> bool:
    """Whether a content type is JSON's, or of a language that is written in JSON."""
    name = _essence(media_type)
    return name == "application/json" or name.endswith("+json")


def chosen(patterns: Iterable[str], headers: Headers) -> tuple[tuple[str, str], ...]:
    """The headers (lower case) that the patterns name: exactly, or by the text before a ``*``. Repeated ones are joined."""
    exact, prefixes = frozenset(patterns), tuple(one[:-1] for one in patterns if one.endswith("*"))
    found: dict[str, str] = {}
    for raw, value in headers:
        name = raw.decode("latin-1").lower()
        if name in exact or (prefixes and name.startswith(prefixes)):
            text = value.decode("latin-1")
            found[name] = f"{found[name]}, {text}" if name in found else text
    return tuple(found.items())


def restorable(state: object, representation: Representation | None) -> bool:
    """Whether enough was kept of an object to bring it back."""
    return state is not None or (representation is not None and representation.state_is_body)


def _header_difference(now: Mapping[str, str], kept: Mapping[str, str]) -> str | None:
    differing = sorted(name for name in now.keys() | kept.keys() if now.get(name) != kept.get(name))
    return f"its header {differing[0]}" if differing else None


def _essence(media_type: str) -> str:
    """A content type without its parameters."""
    return media_type.partition(";")[0].strip().lower()


def _media_type(value: str) -> str:
    """A content type without what says nothing: blanks, case, quotes."""
    return value.lower().replace(" ", "").replace('"', "")
