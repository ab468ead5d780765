"""YAML whose every value remembers its line, so that a problem can be shown where it stands.

SafeLoader's rules, stricter: duplicate keys, tags of one's own and keys that are no plain text are problems; aliases and
``<<`` work, but may not blow a document up. Numbers with a fraction become :class:`~decimal.Decimal`, exactly as written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import yaml

Where = tuple[str | int, ...]
"""A way into a document: keys and positions."""

MAX_BYTES = 1_048_576
MAX_VALUES = 50_000
MAX_DEPTH = 50

_TAG = "tag:yaml.org,2002:"
_FRACTION = re.compile(r"[-+]?[0-9]+\.[0-9]*([eE][-+]?[0-9]{1,2})?")


@dataclass(frozen=True, slots=True)
class Located:
    """A document: its plain value, and line and column (from 1) of each key or item. ``name`` is how problems call the file."""

    name: str
    value: object
    marks: Mapping[Where, tuple[int, int]]

    def problem(self, where: Where, message: str) -> str:
        """One line: file, line of the nearest place that there is, what the message says of it."""
        at = where
        while at and at not in self.marks:
            at = at[:-1]
        line = self.marks.get(at, (1, 1))[0]
        return f"{self.name}:{line}: {dotted(where)}: {message}" if where else f"{self.name}:{line}: {message}"

    def at(self, where: Where) -> object:
        """The value at a place, ``None`` if there is none."""
        value = self.value
        for step in where:
            try:
                value = value[step]  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                return None
        return value


def dotted(where: Where) -> str:
    """``actions[3].match.path``"""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where).removeprefix(".")


def read(path: Path, name: str | None = None) -> tuple[Located, list[str]]:
    """A file's document, and what is wrong with it as YAML; the document is usable where there are no problems."""
    name = name or str(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        return Located(name, None, {}), [f"{name}: cannot be read: {error.strerror}"]
    return parse(raw, name)


def parse(raw: bytes, name: str) -> tuple[Located, list[str]]:
    """As :func:`read`, for bytes in hand."""
    if len(raw) > MAX_BYTES:
        return Located(name, None, {}), [f"{name}: larger than {MAX_BYTES} bytes, the limit for a configuration"]
    try:
        node = yaml.compose(raw.decode(), Loader=yaml.SafeLoader)
    except UnicodeDecodeError:
        return Located(name, None, {}), [f"{name}: not UTF-8; save it as UTF-8"]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return Located(name, None, {}), [f"{name}:{mark.line + 1 if mark else 1}: {error.problem or error.context}"]
    except (yaml.YAMLError, RecursionError):
        return Located(name, None, {}), [f"{name}: not readable as YAML: control characters, or nested too deeply"]
    reader = _Reader(name)
    value = None if node is None else reader.build(node, ())
    return Located(name, value, reader.marks), reader.problems


class _Reader:
    """Builds values out of nodes; counts what it builds, so that aliases cannot multiply without end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.marks: dict[Where, tuple[int, int]] = {}
        self.problems: list[str] = []
        self._scalars = yaml.constructor.SafeConstructor()
        self._left = MAX_VALUES

    def build(self, node: yaml.Node, where: Where) -> object:
        self.marks.setdefault(where, (node.start_mark.line + 1, node.start_mark.column + 1))
        self._left -= 1
        if self._left < 0 or len(where) > MAX_DEPTH:
            if self._left >= -1:
                self._report(node, where, "too deep or too large; aliases may not multiply a document")
                self._left = -2
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*where, position)) for position, item in enumerate(node.value)]
        return self._scalar(node, where)

    def _mapping(self, node: yaml.MappingNode, where: Where) -> dict[str, object]:
        built: dict[str, object] = {}
        merged: list[yaml.Node] = []
        for key, value in node.value:
            if key.tag == _TAG + "merge":
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            elif not isinstance(key, yaml.ScalarNode):
                self._report(key, where, "a key must be plain text")
            elif key.value in built:
                self._report(key, (*where, key.value), "duplicate key; keep one")
            else:
                self.marks.setdefault((*where, key.value), (key.start_mark.line + 1, key.start_mark.column + 1))
                built[key.value] = self.build(value, (*where, key.value))
        for name, value in self._inherited(merged, where):
            built.setdefault(name, value)
        return built

    def _inherited(self, merged: list[yaml.Node], where: Where) -> Iterator[tuple[str, object]]:
        for node in merged:
            value = self.build(node, where)
            if isinstance(value, dict):
                yield from value.items()
            else:
                self._report(node, where, "<< needs a mapping, or a list of mappings")

    def _scalar(self, node: yaml.Node, where: Where) -> object:
        kind = node.tag.removeprefix(_TAG)
        if kind == "float":
            return self._fraction(node, where)
        if kind not in ("str", "int", "bool", "null", "timestamp"):
            self._report(node, where, f"the tag {node.tag} is not supported here; write a plain value")
            return None
        try:
            return self._scalars.construct_object(node)
        except (ValueError, OverflowError, yaml.YAMLError):
            self._report(node, where, f"{node.value!r} is not a valid value; quote it if it is text")
            return None

    def _fraction(self, node: yaml.Node, where: Where) -> object:
        if _FRACTION.fullmatch(node.value):
            return Decimal(node.value)
        self._report(node, where, f"{node.value!r} is not a plain number; write it like 12.5")
        return None

    def _report(self, node: yaml.Node, where: Where, message: str) -> None:
        line = node.start_mark.line + 1
        self.problems.append(f"{self.name}:{line}: {dotted(where)}: {message}" if where else f"{self.name}:{line}: {message}")
