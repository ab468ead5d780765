"""Entries of every kind, as whatever they may hold: they come out of their lines as they went in, and the lines are canonical."""

from __future__ import annotations

import types
from collections.abc import Mapping
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

import orjson
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import NODEFAULT, Struct
from msgspec.structs import fields, replace

from gateway.core.codec import entry as codec
from gateway.core.journal import chain
from gateway.core.triggers.window import NAMES
from gateway.model.call import Target
from gateway.model.entries import ChargeRecord, Entry, IntentEntry
from gateway.model.entry import Position
from gateway.model.run import Rate
from gateway.model.trigger import Trigger

KINDS = [one for part in get_args(Entry) for one in (get_args(part) or (part,))]
LARGEST = 2**53 - 1

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.integers(-LARGEST, LARGEST)
times = st.integers(0, 4_000_000_000_000_000).map(lambda micros: micros / 1_000_000)
positions = st.builds(Position, texts.filter(bool), st.integers(1, 10**9))
json = st.recursive(
    st.none() | st.booleans() | numbers | texts, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2)
)
SPECIAL: dict[type, st.SearchStrategy[Any]] = {
    Position: positions,
    Rate: st.builds(Rate, st.integers(1, 10**6), st.sampled_from([1.0, 60.0, 3600.0, 90.0])),
}


def of(kind: Any, name: str = "") -> st.SearchStrategy[Any]:
    """Values of a type, as a model declares it."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return st.one_of([of(one, name) for one in args])
    if kind is type(None):
        return st.none()
    if origin is tuple:
        return st.lists(of(args[0], name), max_size=2).map(tuple)
    if origin in (dict, Mapping):
        return st.dictionaries(texts, numbers if args[1] is int else json, max_size=3)
    if kind in SPECIAL:
        return SPECIAL[kind]
    if kind in (str, int, bool, float, object, Any):
        return {str: texts, int: numbers, bool: st.booleans(), float: times}.get(kind, json)
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    return struct(kind)


def struct(kind: type[Struct]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    link = ("stream", "seq", "hash", "prev_hash")
    members = {one.name: of(hints[one.name], one.name) for one in fields(kind) if one.name not in link}
    if kind is Trigger:
        members["name"] = st.sampled_from(NAMES)
    if kind is Target:
        members["tool"] = texts  # one without is of an earlier version: read with the tool of its entry, so that it is written otherwise
    required = {one.name for one in fields(kind) if one.default is NODEFAULT and one.default_factory is NODEFAULT}
    required |= {"tool"} if kind is Target else set()
    needed = {name: one for name, one in members.items() if name in required}
    return st.fixed_dictionaries(needed, optional={name: one for name, one in members.items() if name not in required}).map(
        lambda given: kind(**given)
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__struct_config__.tag)
@settings(max_examples=25)
@given(data=st.data())
def test_an_entry_comes_out_of_its_line_as_it_went_in(kind: type[Entry], data: st.DataObject) -> None:
    entry = data.draw(struct(kind))
    linked = codec.draft(entry, Position("st_1", 1)).link(chain.GENESIS)
    assert chain.verify([linked.line]).finding is None
    assert linked.line == rfc8785.dumps(orjson.loads(linked.line))
    read = codec.decode(linked.line)
    assert type(read) is kind
    assert codec.encode(read) == linked.line
    assert replace(read, hash=None, prev_hash=None) == codec.of_fields(codec.fields(replace(entry, stream="st_1", seq=1)))


@settings(max_examples=10)
@given(struct(IntentEntry), st.integers(LARGEST + 1, 2**62))
def test_an_amount_beyond_what_an_entry_can_hold_is_refused(entry: IntentEntry, amount: int) -> None:
    with pytest.raises(TypeError, match="charges"):
        codec.draft(replace(entry, charges=(ChargeRecord("run:r", "records", amount),)), Position("st_1", 1))
