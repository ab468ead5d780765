"""What every document's model shares, and how pydantic's findings become lines that a user can act on."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from gateway.settings import units
from gateway.settings.located import Located, Where


class Section(BaseModel):
    """A mapping with known keys: others are problems, and ``"yes"`` is no number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)


Model = TypeVar("Model", bound=Section)


def validate(located: Located, model: type[Model], where: Where = ()) -> tuple[Model | None, list[str]]:
    """A document (or the part of it at ``where``) as a model, or every problem with it."""
    value = located.at(where)
    if not isinstance(value, dict):
        return None, [located.problem(where, f"must be a mapping with {_listed(_keys(model))}")]
    try:
        return model.model_validate(value), []
    except ValidationError as error:
        return None, [_line(located, model, where, found) for found in error.errors(include_url=False)]


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
            return f"is missing{_purpose(model, found['loc'])}"
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


def _purpose(model: type[Section], where: Where) -> str:
    owner = _model_at(model, where[:-1])
    for name, field in owner.model_fields.items():
        if (field.alias or name) == where[-1] and field.description:
            return f": {field.description}"
    return ""


def _keys(model: type[Section]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(model: type[Section], where: Where) -> type[Section]:
    """The model of the mapping that stands at a place, following annotations."""
    kind: Any = model
    for step in where:
        if isinstance(kind, type) and issubclass(kind, Section):
            fields = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
            kind = _bare(fields[str(step)])
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
