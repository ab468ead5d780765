"""Whatever comes in: a path that passes is canonical already, and means what it says to every reader."""

from __future__ import annotations

import json
import unicodedata
from decimal import Decimal
from urllib.parse import quote, unquote

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.request import body as request_body
from gateway.core.request import canonical, exact_json
from gateway.errors import MalformedRequest

PIECES = st.sampled_from(
    [
        *("/", "//", ".", "..", "%2e", "%2E", "%2f", "%5c", "%25", "%00", "%0d", "%3b", ";", "a", "b~", "%41", "%c3%a9", "%ef%bc%8e"),
        *("%e2%80%a5", "%c0", "%", "?", "&", "=", "+", "#", "\\", "%20", " ", "é", "x=1", "x=2", "X=3"),
    ]
)
TARGETS = st.lists(PIECES, max_size=12).map(lambda pieces: "/erp/" + "".join(pieces)) | st.text(max_size=30).map("/erp/".__add__)
SEGMENTS = st.text(min_size=1, max_size=12)


def split(target: str) -> canonical.Target | None:
    try:
        return canonical.split(target)
    except MalformedRequest:
        return None


@given(TARGETS)
@example("/erp/%252e")
@example("/erp/a%2525b")
def test_canonicalisation_is_idempotent(target: str) -> None:
    first = split(target)
    if first is not None:
        again = canonical.split("/erp" + first.path)
        assert (again.path, again.segments) == (first.path, first.segments)


@given(TARGETS)
def test_nothing_passes_that_could_be_another_path(target: str) -> None:
    passed = split(target)
    if passed is None:
        return
    assert passed.path.isascii()
    assert passed.path.isprintable()
    assert "//" not in passed.path
    assert not set(passed.path) & set("\\;#? ")
    # However often a tool decodes, and under whatever normal form:
    text = passed.path
    for _ in range(3):
        text = unicodedata.normalize("NFKC", unquote(text))
        assert "//" not in text
        assert not set(text) & set("\\;#?")
        assert not {".", ".."} & {segment.strip() for segment in text.split("/")}
        assert all(unicodedata.category(character) != "Cc" for character in text)
        assert text.count("/") == passed.path.count("/")


@given(TARGETS)
def test_segments_and_path_are_the_same(target: str) -> None:
    passed = split(target)
    if passed is not None and passed.path != "/":
        assert tuple(unquote(raw, errors="strict") for raw in passed.path[1:].split("/")) == passed.segments


@given(st.lists(SEGMENTS, min_size=1, max_size=4))
def test_segments_survive_their_encoding(segments: list[str]) -> None:
    try:
        target = "/erp/" + "/".join(quote(segment, safe="") for segment in segments)
    except UnicodeEncodeError:
        return
    passed = split(target)
    assert passed is None or passed.segments == tuple(segments)


@given(st.dictionaries(st.text(max_size=3), st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)))
def test_strict_json_reads_as_plain_json_does_or_not_at_all(value: dict[str, object]) -> None:
    text = json.dumps(value)
    try:
        assert request_body.loads(text.encode()) == json.loads(text)
    except MalformedRequest:
        assert request_body.collide(value) or "\\ud" in text or any(unicodedata.category(each) == "Cc" for key in value for each in key)


@given(st.binary(max_size=40) | st.text(alphabet='{}[]":,\\ud8a01eE+-. nulltruefas', max_size=40).map(str.encode))
def test_bytes_are_json_or_refused(body: bytes) -> None:
    try:
        value = request_body.loads(body)
    except MalformedRequest:
        return
    assert exact_json.same(json.loads(body, parse_float=Decimal), value)
