"""The chain against chance: canonical bytes against another implementation, and every damage found."""

import random
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.journal import chain
from gateway.model.entry import Head
from tests.support.chains import TRUSTED, entries, head

INTEGERS = st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
# Where UTF-16 order and code point order part.
KEYS = TEXTS | st.text(st.sampled_from("a\ud7ff\ue000\uffff\U00010000\U0010ffff"), max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
NAMES = st.text(st.characters(max_codepoint=127), min_size=1).filter(lambda name: name not in ("hash", "prev_hash"))
ENTRIES = st.dictionaries(NAMES, VALUES, max_size=6)


@given(ENTRIES)
@settings(max_examples=500)
def test_canonical_bytes_are_those_of_rfc_8785(fields: dict[str, Any]) -> None:
    assert chain.canonical(fields) == rfc8785.dumps(fields)


@given(ENTRIES)
@settings(max_examples=300)
def test_an_entry_serialised_in_parts_is_the_entry_serialised_whole(fields: dict[str, Any]) -> None:
    linked = chain.draft(fields).link(chain.GENESIS)
    assert linked.hash == chain.link(chain.GENESIS, {**fields, "prev_hash": chain.GENESIS})
    assert linked.line == rfc8785.dumps({**fields, "prev_hash": chain.GENESIS, "hash": linked.hash})


@given(st.floats(), st.lists(st.sampled_from(["list", "dict"]), max_size=3))
def test_a_float_is_refused_at_any_depth(number: float, nesting: list[str]) -> None:
    value: object = number
    for kind in nesting:
        value = [value] if kind == "list" else {"inner": value}
    with pytest.raises(TypeError, match=r"outer.*float"):
        chain.canonical({"outer": value})


LINES = list(entries(60))
HEADS = [head(LINES[29]), head(LINES[59])]
EXPORT = [*LINES, *map(chain.head_line, HEADS)]


def flip(lines: list[bytes], chance: random.Random) -> list[bytes]:
    at = chance.randrange(len(lines))
    line = bytearray(lines[at])
    line[chance.randrange(len(line))] ^= 1 << chance.randrange(8)
    return [*lines[:at], bytes(line), *lines[at + 1 :]]


def delete(lines: list[bytes], chance: random.Random) -> list[bytes]:
    at = chance.randrange(len(LINES))
    return lines[:at] + lines[at + 1 :]


def swap(lines: list[bytes], chance: random.Random) -> list[bytes]:
    a, b = chance.sample(range(len(LINES)), 2)
    swapped = list(lines)
    swapped[a], swapped[b] = swapped[b], swapped[a]
    return swapped


def repeat(lines: list[bytes], chance: random.Random) -> list[bytes]:
    at = chance.randrange(len(LINES))
    return [*lines[: at + 1], *lines[at:]]


def truncate(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Cut the tail, heads and all: only the anchor outside can tell."""
    return lines[: chance.randrange(len(LINES))]


def tear(lines: list[bytes], chance: random.Random) -> list[bytes]:
    at = chance.randrange(len(LINES))
    return [*lines[:at], lines[at][: chance.randrange(len(lines[at]))]]


def move(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """A true entry of another chain in the place of ours."""
    at = chance.randrange(1, len(LINES))
    fields = orjson.loads(lines[at])
    del fields["hash"], fields["prev_hash"]
    return [*lines[:at], chain.draft({**fields, "run_id": "run_9"}).link(chain.GENESIS).line, *lines[at + 1 :]]


@pytest.mark.parametrize("damage", [flip, delete, swap, repeat, truncate, tear, move])
def test_every_damage_is_found(damage: object) -> None:
    anchors = [HEADS[1].note]
    assert chain.verify(EXPORT, keys=[TRUSTED], anchors=anchors).finding is None
    for seed in range(1000):
        damaged = damage(EXPORT, random.Random(seed))  # type: ignore[operator]
        found = chain.verify(damaged, keys=[TRUSTED], anchors=anchors).finding
        assert found is not None, f"seed {seed}"
        assert found.stream == "st_1" or "line " in found.problem or damage is flip, f"seed {seed}: {found}"


@given(st.integers(min_value=0, max_value=59), st.integers(min_value=0, max_value=59))
def test_a_head_is_a_prefix_of_every_longer_chain(covered: int, length: int) -> None:
    found = chain.verify(LINES[: length + 1], keys=[TRUSTED], anchors=[head(LINES[covered]).note]).finding
    assert (found is None) == (covered <= length)


def test_a_head_line_holds_what_the_head_says() -> None:
    line = orjson.loads(chain.head_line(Head("st_1", 1, "ab", "now", "note")))
    assert line == {"checkpoint": "note", "hash": "ab", "seq": 1, "stream": "st_1", "ts": "now"}
