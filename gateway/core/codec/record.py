"""One way to write a value as JSON and to read it back, told by a noun's codec what is special about it.

The journal holds times as whole microseconds, positions as ``stream/seq`` and no floats; the API shows times as RFC 3339.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import Any, Generic, TypeVar, get_args

import msgspec
from msgspec import Struct, structs

from gateway.core import timestamps
from gateway.model.action import Target
from gateway.model.entry import Position
from gateway.model.run import Mode

Json = dict[str, object]
T = TypeVar("T", bound=Struct)

_DIGITS = 19
"""Of a seq: what has as many fits no integer of the store."""


class Form(Struct, frozen=True):
    """How one member differs from its value. ``show`` is its form in the API, where that is another than the journal's."""

    write: Callable[[Any], object]
    read: Callable[[Any], object]
    show: Callable[[Any], object] | None = None


def each(form: Form) -> Form:
    """The form of a list of such members."""
    show = form.show or form.write
    return Form(
        lambda values: [form.write(one) for one in values],
        lambda values: tuple([form.read(one) for one in values]),
        lambda values: [show(one) for one in values],
    )


class Codec(Generic[T]):
    """``times`` are the members that hold Unix seconds, ``forms`` those that are written in a form of their own. ``nulls``: the journal
    keeps members that are ``None``, but for the ``optional`` ones. The API shows every member but the ``hidden`` ones, ``None`` too.
    """

    def __init__(
        self,
        kind: type[T],
        *,
        times: Collection[str] = (),
        forms: Mapping[str, Form] | None = None,
        nulls: bool = False,
        optional: Collection[str] = (),
        hidden: Collection[str] = (),
    ) -> None:
        self.kind = kind
        self._nulls = nulls
        self._optional = frozenset(optional)
        self.times = frozenset(times)
        self.hidden = frozenset(hidden)
        self._forms = dict(forms or {}) | dict.fromkeys(times, _TIME)
        self._blank = {one.name: None for one in structs.fields(kind) if one.required and type(None) in get_args(one.type)}

    def journal(self, value: T) -> Json:
        """The value as its entries hold it."""
        document: Json = {}
        for name in self.kind.__struct_fields__:
            member = getattr(value, name)
            if member is not None:
                form = self._forms.get(name)
                document[name] = _plain(member) if form is None else form.write(member)
            elif self._nulls and name not in self._optional:
                document[name] = None
        return document

    def shown(self, value: T) -> Json:
        """The value as the API shows it."""
        document: Json = {}
        for name in self.kind.__struct_fields__:
            if name not in self.hidden:
                member, form = getattr(value, name), self._forms.get(name)
                document[name] = _plain(member) if form is None or member is None else (form.show or form.write)(member)
        return document

    def read(self, document: Mapping[str, Any]) -> T:
        """The value that an entry holds; members that it does not know are passed over.

        Raises:
            KeyError, ValueError, TypeError: it holds no such value.
        """
        members = self._blank | {name: document[name] for name in self.kind.__struct_fields__ if name in document}
        for name, form in self._forms.items():
            if (member := members.get(name)) is not None:
                members[name] = form.read(member)
        return convert(members, self.kind)


def convert(members: Mapping[str, Any], kind: type[T]) -> T:
    """A struct of these members, checked.

    Raises:
        ValueError: one is missing, or is of another type.
    """
    try:
        return msgspec.convert(members, kind)
    except msgspec.ValidationError as wrong:
        raise ValueError(str(wrong)) from wrong


def position_of(text: str) -> Position | None:
    """``stream/seq`` as a position; ``None`` if it is not one."""
    stream, _, seq = text.rpartition("/")
    return Position(stream, int(seq)) if stream and seq.isascii() and seq.isdigit() and len(seq) < _DIGITS else None


def _position(text: str) -> Position:
    stream, _, seq = text.rpartition("/")
    return Position(stream, int(seq))


def target_json(target: Target) -> Json:
    """A target with every member, as tasks and the API hold it."""
    return {"system": target.system, "type": target.type, "id": target.id, "tenant": target.tenant}


def target_of(document: Mapping[str, Any]) -> Target:
    return convert(document, Target)


def _plain(member: object) -> object:
    match member:
        case tuple():
            return list(member)
        case Enum():
            return member.value
        case _:
            return member


_TIME = Form(timestamps.micros, timestamps.seconds, timestamps.rfc3339)
POSITION = Form(str, _position)
MODE = Form(lambda mode: mode.word, Mode.of)
TARGET = Form(msgspec.to_builtins, target_of)
"""A target without the tenant where it has none."""
WHOLE_TARGET = Form(target_json, target_of)
