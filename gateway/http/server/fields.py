"""The kinds of values that requests hold, checked as they are read and described for /openapi.json."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf, WithJsonSchema

from gateway.core import units
from gateway.model.run import Rate


class Body(BaseModel):
    """A JSON body: nothing but what is named, each of its own kind."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Query(BaseModel):
    """The query of a request, whose values are texts."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Cursor = Annotated[str, Field(max_length=300, description="the `next` of the page before")]
Limit = Annotated[int, Field(ge=1, le=1000)]


class Paged(Query):
    """The query of a list; lists that can be filtered add to it."""

    after: Cursor | None = None
    limit: Limit = 100


def _wait(value: object) -> float:
    return 0.0 if value == 0 and not isinstance(value, bool) else units.duration(value)


def _said(value: str) -> str:
    if not value.strip():
        raise ValueError("is blank; say why")
    return value


def _written(*examples: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": ["string", "number"], "examples": list(examples)})


# Ids go into headers, paths and keys such as ``workflow:<tenant>/<workflow>``: no slash, nothing that needs quoting.
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@~-]{0,127}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@~/-]{0,127}$")]
ScopePattern = Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]
Label = Annotated[str, Field(min_length=1, max_length=200)]
Reason = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_said)]
Duration = Annotated[float, BeforeValidator(units.duration), _written("15m", 900)]
Wait = Annotated[float, BeforeValidator(_wait), _written("2s", 0)]
Calls = Annotated[InstanceOf[Rate], BeforeValidator(units.rate), WithJsonSchema({"type": "string", "examples": ["50/s", "10/m"]})]
Amount = Annotated[int, BeforeValidator(units.amount), WithJsonSchema({"type": "number", "minimum": 0, "examples": [1000, 12.5]})]
Count = Annotated[int, BeforeValidator(units.count), WithJsonSchema({"type": "integer", "minimum": 0})]
ModeWord = Literal["active", "read_only", "paused", "quarantined", "revoked"]
OrderWord = Literal["active", "read_only", "paused", "quarantined", "revoked", "no_fanout"]
