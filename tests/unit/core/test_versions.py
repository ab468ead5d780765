"""Versions: which are the same, which can guard a write, and what a conditional read says."""

from __future__ import annotations

import pytest

from gateway.core.adapter import versions
from gateway.core.adapter.versions import Guard
from gateway.model.call import Target


@pytest.mark.parametrize(
    ("known", "seen"),
    [
        ('"v2"', '"v2"'),
        ('W/"v2"', '"v2"'),
        ('"v2"', 'W/"v2"'),
        ('W/"v2"', 'W/"v2"'),
        ('"v2-gzip"', '"v2"'),
        ('"v2--gzip"', '"v2"'),
        ('"v2;gzip"', '"v2"'),
        ('"v2+zstd"', '"v2"'),
        ('"v2-br"', '"v2"'),
        ('W/"v2-gzip"', '"v2"'),
        ('"v2"', '"v2-gzip"'),
        ('"v2-deflate"', 'W/"v2-gzip"'),
        (None, None),
        ("2024-01-01 10:00:00.123Z", "2024-01-01 10:00:00.123Z"),
    ],
)
def test_two_spellings_of_one_version(known: str | None, seen: str | None) -> None:
    assert versions.same(known, seen)


@pytest.mark.parametrize(
    ("known", "seen"),
    [
        ('"v1"', '"v2"'),
        ('W/"v1"', 'W/"v2"'),
        ('"v1-gzip"', '"v2"'),
        ('"v1"', '"v2-gzip"'),
        ('"V2"', '"v2"'),
        ('"page-pt"', '"page-pt-br"'),
        ('"v2-draft"', '"v2"'),
        ('"gzip"', '""'),
        ('"-gzip"', '""'),
        ("v2-gzip", "v2"),
        ("W/v2", "v2"),
        ("v2", '"v2"'),
        ('"v2"', None),
        (None, '"v2"'),
    ],
)
def test_two_versions(known: str | None, seen: str | None) -> None:
    assert not versions.same(known, seen)


@pytest.mark.parametrize(
    ("version", "strong", "verbatim"),
    [
        ('"v1"', '"v1"', '"v1"'),
        ('""', '""', '""'),
        ('"a;b,c"', '"a;b,c"', '"a;b,c"'),
        ('W/"v1"', None, 'W/"v1"'),
        ("7", None, "7"),
        ("1-967a00dff5e02add41819138abb3284d", None, "1-967a00dff5e02add41819138abb3284d"),
        ("2024-01-01 10:00:00.123Z", None, None),
        ("*", None, None),
        ('"a", "b"', None, None),
        ('"a\r\nX: y"', None, None),
        ("sch\u00f6n", None, None),
        ('"\u4e2d"', None, None),
        (None, None, None),
    ],
)
def test_what_an_if_match_may_hold(version: str | None, strong: str | None, verbatim: str | None) -> None:
    assert versions.in_if_match(version, Guard.IF_MATCH) == strong
    assert versions.in_if_match(version, None) == strong
    assert versions.in_if_match(version, Guard.IF_MATCH_VERBATIM) == verbatim
    assert versions.in_if_match(version, Guard.COMPARE) is None


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ('"v1"', ('"v1"',)),
        ('W/"v1", "v2"', ('W/"v1"', '"v2"')),
        (' "a,b" ,, "c"', ('"a,b"', '"c"')),
        ("*", ()),
        ("v1", ()),
        ('"v1" "v2"', ()),
        ("", ()),
    ],
)
def test_the_tags_of_an_if_none_match(field: str, expected: tuple[str, ...]) -> None:
    assert versions.tags(field) == expected


def test_only_a_weak_tag_is_weak() -> None:
    assert [versions.is_weak(one) for one in ('W/"v1"', '"v1"', "W/v1", 'w/"v1"')] == [True, False, False, False]


@pytest.mark.parametrize(("version", "shown"), [('"v1"', "v1"), ('W/"v1"', "W/v1"), ("7", "7"), (None, "absent")])
def test_a_version_ends_the_name_of_its_object_without_quotes(version: str | None, shown: str) -> None:
    assert Target("erp", "invoice", "7").ref(version) == f"erp:invoice:7:{shown}"


@pytest.mark.parametrize(
    ("version", "coarse"),
    [
        ("Mon, 30 Nov 2026 10:00:05 GMT", True),
        ("2026-11-30T10:00:05Z", True),
        ("2026-11-30 10:00:05.000+01:00", True),
        ("2026-11-30", True),
        ("1767225600", True),
        ('W/"1767225600"', True),
        ("2026-11-30T10:00:05.123Z", False),
        ("1767225600123", False),
        ("20261130", False),
        ("17", False),
        ('"v1"', False),
        ("3460ab", False),
    ],
)
def test_a_time_in_whole_seconds_is_coarse(version: str, coarse: bool) -> None:
    assert versions.is_coarse(version) is coarse
