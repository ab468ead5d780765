"""A YAML document whose every value remembers its line, its model, and how findings become lines that a user can act on.

YAML is read by SafeLoader's rules, stricter: duplicate keys, tags of one's own and keys that are no plain text are problems; aliases and
``<<`` work, but may not blow a document up. Numbers with a fraction become :class:`~decimal.Decimal`, exactly as written.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, InstanceOf, ValidationError
from pydantic_core import ErrorDetails

from gateway.core import units
from gateway.model.run import Rate

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
        """One line: the file, the line of the nearest place that exists, the message."""
        at = where
        while at and at not in self.marks:
            at = at[:-1]
        line = self.marks.get(at, (1, 1))[0]
        return f"{self.name}:{line}: {dotted(where)}: {message}" if where else f"{self.name}:{line}: {message}"

    def at(self, where: Where) -> object:
        """The value at a place, ``None`` if it has no value."""
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
    """A file's document, and what is wrong with it as YAML; the document is usable if there are no problems."""
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


Problem = tuple[Where, str]
"""A place within a mapping, and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a document is checked against: the folder where relative paths begin, and the environment. Without ``secrets`` none has to be
    there: the command sends nothing to anyone.
    """

    folder: Path
    environ: Mapping[str, str] = field(repr=False)
    secrets: bool = True

    def file(self, path: str | None, key: str) -> Iterator[Problem]:
        """The problem of a file that is declared and not there."""
        if path is not None and not (self.folder / path).is_file():
            yield (key,), f"there is no file {self.folder / path}"

    def directory(self, path: str, purpose: str) -> Iterator[Problem]:
        """The problem of a folder that is declared and does not exist."""
        if not (self.folder / path).is_dir():
            yield ("path",), f"there is no folder {self.folder / path}; name the folder that contains the {purpose}"

    def path(self, path: str | None) -> Path | None:
        return None if path is None else self.folder / path

    def variable(self, name: str) -> Iterator[str]:
        """What is wrong with a variable that is needed."""
        if self.secrets and not self.environ.get(name):
            yield f"the environment variable {name} is not set; set it before starting"


class Section(BaseModel):
    """A mapping with known keys: others are problems, and ``"yes"`` is no number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)

    def problems(self, context: Context) -> Iterator[Problem]:
        """Problems of keys that are valid alone: contradictions between them, or with their surroundings."""
        yield from ()


Model = TypeVar("Model", bound=Section)

Duration = Annotated[float, BeforeValidator(units.duration)]
Size = Annotated[int, BeforeValidator(units.size)]
Calls = Annotated[InstanceOf[Rate], BeforeValidator(units.rate)]
Amount = Annotated[int, BeforeValidator(units.amount)]
Count = Annotated[int, BeforeValidator(units.count)]


def must(holds: Callable[[Any], object], message: str) -> AfterValidator:
    """A check of one value; ``{}`` in the message stands for the value."""

    def check(value: Any) -> Any:
        if not holds(value):
            raise ValueError(message.format(value))
        return value

    return AfterValidator(check)


def between(least: int, most: int) -> AfterValidator:
    return must(lambda value: least <= value <= most, f"must be from {least} to {most}")


def validate(located: Located, model: type[Model], where: Where = ()) -> tuple[Model | None, list[str]]:
    """A document (or the part of it at ``where``) as a model, or every problem with its keys and values."""
    value = located.at(where)
    if not isinstance(value, dict):
        return None, [located.problem(where, f"must be a mapping with {_listed(_keys(model))}")]
    try:
        return model.model_validate(value), []
    except ValidationError as error:
        return None, [_line(located, model, where, found) for found in error.errors(include_url=False)]


def contradictions(value: object, context: Context, where: Where = ()) -> Iterator[Problem]:
    """The ``problems`` of a section and of all sections in it, with their places in the document."""
    if isinstance(value, Section):
        yield from (((*where, *place), message) for place, message in value.problems(context))
        value = {found.alias or name: getattr(value, name) for name, found in type(value).model_fields.items()}
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from contradictions(inner, context, (*where, key))


def closest(text: str, known: Iterable[str]) -> str:
    """``; did you mean data_dir?``, or nothing if no known word is similar."""
    near = difflib.get_close_matches(text, sorted(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _line(located: Located, model: type[Section], where: Where, found: ErrorDetails) -> str:
    place = (*where, *(step for step in found["loc"] if step != "[key]"))
    return located.problem(place, _message(model, found, place))


def _message(model: type[Section], found: ErrorDetails, place: Where) -> str:
    context, value = found.get("ctx", {}), found.get("input")
    match found["type"]:
        case "extra_forbidden":
            keys = _keys(_model_at(model, found["loc"][:-1]))
            return "unknown key" + (closest(str(place[-1]), keys) or f"; known here: {_listed(keys)}")
        case "missing":
            fields = _model_at(model, found["loc"][:-1]).model_fields
            purpose = next((one.description for name, one in fields.items() if (one.alias or name) == found["loc"][-1]), None)
            return f"is missing: {purpose}" if purpose else "is missing"
        case "enum" | "literal_error":
            allowed = re.findall(r"'([^']*)'", str(context.get("expected", "")))
            return f"{units.shown(value)} is not one of {_listed(allowed)}" + closest(str(value), allowed)
        case "value_error":
            return str(context["error"])
        case "string_pattern_mismatch":
            return f"{units.shown(value)} is not a name; use letters, digits, _ and - (and dots between, for an action)"
        case kind if kind in _KINDS:
            return f"must be {_KINDS[kind]}, not {_described(value)}"
        case _:
            return found["msg"]


_KINDS = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "list_type": "a list",
    "date_type": "a date like 2027-01-31",
}


def _described(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    return (
        "a list"
        if isinstance(value, list)
        else units.shown(value) + (" (quote it)" if isinstance(value, (int, float, Decimal, date)) else "")
    )


def _keys(model: type[Section]) -> list[str]:
    return [found.alias or name for name, found in model.model_fields.items()]


def _model_at(model: type[Section], where: Where) -> type[Section]:
    """The model of the mapping that stands at a place, following annotations."""
    kind: Any = model
    for step in where:
        if isinstance(kind, type) and issubclass(kind, Section):
            kind = _bare({found.alias or name: found.annotation for name, found in kind.model_fields.items()}[str(step)])
        else:
            kind = _bare(typing.get_args(kind)[-1])
    return typing.cast(type[Section], kind)


def _bare(kind: Any) -> Any:
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return next(one for one in typing.get_args(kind) if one is not type(None))
    return kind


def _listed(words: Iterable[str]) -> str:
    *head, last = words
    return f"{', '.join(head)} or {last}" if head else last
