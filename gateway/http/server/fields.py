"""Types of the fields of requests, checked as they are read, and of answers; both are described in /openapi.json."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, NotRequired, TypeVar, Union, get_args, get_type_hints

from msgspec import Struct, structs
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf, WithJsonSchema, with_config
from typing_extensions import TypeAliasType, TypedDict

from gateway.core import units
from gateway.core.codec.record import Codec
from gateway.model.run import Mode, Rate


class Body(BaseModel):
    """A JSON body: nothing but what is named, each of its own kind."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Query(BaseModel):
    """The query of a request, whose values are texts."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Cursor = Annotated[str, Field(max_length=300, description="`next` of the previous page")]
Limit = Annotated[int, Field(ge=1, le=1000)]


class Paged(Query):
    """The query of a list; lists that can be filtered add to it."""

    after: Cursor | None = None
    limit: Limit = 100


def _wait(value: object) -> float:
    return 0.0 if value == 0 and not isinstance(value, bool) else units.duration(value)


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("is blank; say why")
    return value


def _duration(text: str, seconds: float, **least: float) -> WithJsonSchema:
    """A duration as a text or in seconds, of which ``least`` is the lower bound."""
    number = {"type": "number", "maximum": units.LONGEST, **least}
    return WithJsonSchema({"anyOf": [{"type": "string", "pattern": units.DURATION}, number], "examples": [text, seconds]})


def _named(schema: dict[str, Any]) -> None:
    """Describe a map by the pattern of its keys and the schema of its values; generators of clients know no ``patternProperties``."""
    ((pattern, values),) = schema.pop("patternProperties").items()
    schema |= {"propertyNames": {"pattern": pattern}, "additionalProperties": values}


def rules(*conditions: dict[str, Any]) -> ConfigDict:
    """The configuration of a body whose members depend on each other; each condition is a JSON schema that it has to meet too.

    A handler or a service checks the same; see ``tests/integration/http/test_request_schemas.py``.
    """
    return ConfigDict(json_schema_extra={"allOf": list(conditions)})


def names(*members: str) -> dict[str, Any]:
    """The condition that these members are there and not null."""
    return {"required": list(members), "properties": {member: {"not": {"type": "null"}} for member in members}}


# Ids go into headers, paths and keys such as ``workflow:<tenant>/<workflow>``: no slash, nothing that needs quoting.
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@~-]{0,127}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@~/-]{0,127}$")]
Scopes = Annotated[list[Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]], Field(max_length=200)]
Reason = Annotated[str, Field(min_length=1, max_length=1000, json_schema_extra={"pattern": r"\S"}), AfterValidator(_not_blank)]
Duration = Annotated[float, BeforeValidator(units.duration), _duration("15m", 900, exclusiveMinimum=0)]
Wait = Annotated[float, BeforeValidator(_wait), _duration("2s", 0, minimum=0)]
Calls = Annotated[
    InstanceOf[Rate],
    BeforeValidator(units.rate),
    WithJsonSchema({"type": "string", "pattern": units.RATE, "examples": ["50/s", "10/m"]}),
]
Amount = Annotated[
    int,
    BeforeValidator(units.amount),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": units.LARGEST_AMOUNT, "multipleOf": 0.000001, "examples": [1000, 12.5]}),
]
Count = Annotated[int, BeforeValidator(units.count), WithJsonSchema({"type": "integer", "minimum": 0, "maximum": units.LARGEST_COUNT})]
AskedMode = Literal["active", "read_only", "paused", "quarantined", "revoked"]


class PagedByRun(Paged):
    """The query of a list that can be narrowed to one run."""

    run: Id | None = None


class Reasoned(Body):
    """A body that may say why, for the journal."""

    reason: Reason | None = None


class AskedLimits(Body):
    """Limits of a run; those left out are its class's (or its parent's). Amounts in units."""

    rate: Calls | None = None
    steps: Count | None = None
    writes: Count | None = None
    records: Count | None = None
    tenants: Count | None = None
    systems: Count | None = None
    amount: dict[Name, Amount] = Field(default_factory=dict, json_schema_extra=_named)

    def asked(self) -> dict[str, object]:
        """Only what was asked for; null asks for nothing."""
        return {name: value for name in AskedLimits.model_fields if (value := getattr(self, name)) not in (None, {})}


# --- of answers ------------------------------------------------------------------------------------------------------

Timestamp = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""RFC 3339, in UTC."""
ModeName = TypeAliasType("ModeName", Annotated[str, WithJsonSchema({"type": "string", "enum": [mode.label for mode in Mode]})])
OPEN = with_config(ConfigDict(extra="allow"))
"""Decorates an answer that has more members than its model names."""


Model = TypeVar("Model")


def shows(value: Codec[Any] | type[Struct]) -> Callable[[type[Model]], type[Model]]:
    """Decorates an answer that shows such a value: it has the value's members, beside and instead of which it declares its own."""
    kind, times, hidden = (value.kind, value.times, value.hidden) if isinstance(value, Codec) else (value, (), ())

    def declare(model: Any) -> Any:
        omits = kind.__struct_config__.omit_defaults or not model.__total__
        members = {one.name: _described(one, one.name in times, omits) for one in structs.fields(kind) if one.name not in hidden}
        own = get_type_hints(model, include_extras=True)
        described = TypedDict(model.__name__, members | own, total=model.__total__)  # type: ignore[misc]
        described.__doc__ = model.__doc__
        return described

    return declare


def _described(member: structs.FieldInfo, is_time: bool, omits: bool) -> Any:
    """The type of a shown member; with ``omits``, one that has its default is absent instead of null."""
    known = tuple(one for one in get_args(member.type) if one is not type(None))
    nullable = len(known) < len(get_args(member.type))
    if is_time:
        return Timestamp | None if nullable else Timestamp
    if omits and not member.required:
        return NotRequired[Union[known] if nullable else member.type]  # noqa: UP007
    return member.type


class Page(TypedDict):
    """A page of a list, with its ``items``; ``next`` is the cursor of the page after it."""

    next: str | None


class Target(TypedDict):
    """An object of a tool. ``id`` is empty if the call creates it."""

    system: str
    type: str
    id: str
    tenant: NotRequired[str | None]
    tool: NotRequired[str | None]
    place: NotRequired[str]
