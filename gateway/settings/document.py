"""What every document's model shares: the types of its values, its checks, and how findings become lines that a user can act on."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, InstanceOf, ValidationError
from pydantic_core import ErrorDetails

from gateway.core import units
from gateway.model.run import Rate
from gateway.settings.located import Located, Where

Problem = tuple[Where, str]
"""A place within a mapping, and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a document is checked against: the folder where relative paths begin, and the environment."""

    folder: Path
    environ: Mapping[str, str] = field(repr=False)

    def file(self, path: str | None, key: str) -> Iterator[Problem]:
        """The problem of a file that is declared and not there."""
        if path is not None and not (self.folder / path).is_file():
            yield (key,), f"there is no file {self.folder / path}"

    def path(self, path: str | None) -> Path | None:
        return None if path is None else self.folder / path

    def variable(self, name: str) -> Iterator[str]:
        """What is wrong with a variable that is needed."""
        if not self.environ.get(name):
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


def closest(word: str, known: Iterable[str]) -> str:
    """``; did you mean data_dir?``, or nothing where nothing is near."""
    near = difflib.get_close_matches(word, sorted(known), n=1)
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
    return "a list" if isinstance(value, list) else units.shown(value) + (" (quote it)" if isinstance(value, (int, float)) else "")


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
