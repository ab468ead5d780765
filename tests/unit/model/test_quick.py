"""Values that are made quickly are the values that dataclasses would have made."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, replace

import pytest

from gateway.model.quick import quick


@quick
@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 2
    marks: list[str] = field(default_factory=list)
    name: str = field(default="here", kw_only=True)


def test_it_takes_what_the_dataclass_takes() -> None:
    assert Point(1) == Point(1, 2, [], name="here") == Point(x=1, y=2, marks=[], name="here")
    assert repr(Point(1, marks=["a"])) == "Point(x=1, y=2, marks=['a'], name='here')"
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        Point()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="takes from 2 to 4 positional arguments"):
        Point(1, 2, [], "here")  # type: ignore[call-arg]


def test_each_gets_a_default_of_its_own() -> None:
    one, other = Point(1), Point(1)
    one.marks.append("one's")
    assert other.marks == []


def test_it_is_frozen_and_of_its_class() -> None:
    point = Point(1)
    assert type(point) is Point
    with pytest.raises(FrozenInstanceError):
        point.x = 5  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del point.x


def test_it_can_be_copied_replaced_pickled_and_hashed() -> None:
    point = Point(1, marks=["a"])
    assert replace(point, x=3) == Point(3, marks=["a"])
    assert copy.deepcopy(point) == pickle.loads(pickle.dumps(point)) == point

    @quick
    @dataclass(frozen=True, slots=True)
    class Plain:
        x: int

    assert {Plain(1): "found"}[Plain(1)] == "found"


def test_a_class_that_it_would_make_otherwise_is_refused() -> None:
    @dataclass(frozen=True, slots=True)
    class Checked:
        x: int

        def __post_init__(self) -> None: ...

    @dataclass(frozen=True)
    class Open:
        x: int

    @dataclass(frozen=True, slots=True)
    class Derived(Point):
        z: int = 0

    for refused in (Checked, Open, Derived):
        with pytest.raises(TypeError, match="no plain dataclass with slots"):
            quick(refused)
