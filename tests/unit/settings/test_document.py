"""YAML with lines: what is read, what is refused, and where a problem is shown."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from gateway.settings import document


def parse(text: str) -> document.Located:
    found, problems = document.parse(text.encode(), "x.yaml")
    assert problems == []
    return found


def problems_of(text: str) -> list[str]:
    return document.parse(text.encode(), "x.yaml")[1]


def test_values_are_plain_and_fractions_exact() -> None:
    found = parse("a: 1\nb: 0.1\nc: [x, true, null]\nd: {e: '1'}\n")
    assert found.value == {"a": 1, "b": Decimal("0.1"), "c": ["x", True, None], "d": {"e": "1"}}


def test_each_place_knows_its_line_and_column() -> None:
    found = parse("a:\n  b:\n    - x\n    - c: 1\n")
    assert found.marks[("a",)] == (1, 1)
    assert found.marks[("a", "b")] == (2, 3)
    assert found.marks[("a", "b", 1, "c")] == (4, 7)


def test_a_problem_stands_at_the_nearest_place_that_there_is() -> None:
    found = parse("a:\n  b: 1\n")
    assert found.problem(("a", "b"), "is wrong") == "x.yaml:2: a.b: is wrong"
    assert found.problem(("a", "c", 3), "is missing") == "x.yaml:1: a.c[3]: is missing"
    assert found.problem((), "is empty") == "x.yaml:1: is empty"


def test_aliases_and_merges_work_and_own_keys_win() -> None:
    found = parse("base: &base {rate: 5/s, steps: 1}\none: {<<: *base, steps: 2}\ntwo: {<<: [{a: 1}, {a: 2}]}\n")
    assert found.value == {"base": {"rate": "5/s", "steps": 1}, "one": {"rate": "5/s", "steps": 2}, "two": {"a": 1}}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", "x.yaml:3: a: duplicate key; keep one"),
        ("a: !!python/object:os.system x\n", "x.yaml:1: a: the tag tag:yaml.org,2002:python/object:os.system is not supported here"),
        ("a: !mine x\n", "x.yaml:1: a: the tag !mine is not supported here; write a plain value"),
        ("a: .inf\n", "x.yaml:1: a: '.inf' is not a plain number; write it like 12.5"),
        ("? [a, b]\n: 1\n", "x.yaml:1: a key must be plain text"),
        ("a: 2027-13-45\n", "x.yaml:1: a: '2027-13-45' is not a valid value; quote it if it is text"),
        ("a:\n  - b\n c: 1\n", "x.yaml:3: "),
        ("a: 1\n---\nb: 2\n", "x.yaml:2: but found another document"),
        ("a: *nowhere\n", "x.yaml:1: found undefined alias 'nowhere'"),
        ("a: {<<: 5}\n", "x.yaml:1: a: << needs a mapping, or a list of mappings"),
    ],
)
def test_what_is_not_taken_is_reported_with_its_line(text: str, problem: str) -> None:
    assert problems_of(text)[0].startswith(problem)


def test_every_problem_is_reported_at_once() -> None:
    assert len(problems_of("a: 1\na: 2\nb: !x y\nc: .nan\n")) == 3


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
        "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n",
        "a: &a [*a]\n",
        "a: " + "[" * 100 + "]" * 100,
    ],
)
def test_a_document_that_multiplies_itself_is_refused(text: str) -> None:
    assert problems_of(text) == [problems_of(text)[0]]
    assert "too deep or too large" in problems_of(text)[0]


def test_nesting_beyond_all_measure_is_a_problem_and_no_crash() -> None:
    assert problems_of("[" * 100_000)


def test_a_file_that_is_not_text_or_not_there_is_a_problem(tmp_path: Path) -> None:
    assert document.parse(b"\xff\xfe", "x.yaml")[1] == ["x.yaml: not UTF-8; save it as UTF-8"]
    assert document.parse(b"a: \x00", "x.yaml")[1][0].startswith("x.yaml: not readable as YAML")
    assert "No such file" in document.read(tmp_path / "none.yaml")[1][0]
    assert "larger than" in document.parse(b"#" * 2_000_000, "x.yaml")[1][0]
