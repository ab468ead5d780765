"""The adapter.yaml document: its keys and their kinds, and a place in it at which to compile and check for one tool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import jsonschema_rs
import orjson
from pydantic import BeforeValidator, Field

from gateway.core.adapter import catalog, expression
from gateway.core.adapter.expression import Expression, Template
from gateway.core.units import shown
from gateway.model.call import Effect, Remedy, Reversibility
from gateway.settings.document import Duration, Located, Section, Where, closest

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
Dotted = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$")]
Class = Annotated[Reversibility, Field(strict=False)]


def _classes(value: object) -> object:
    """A plain class is a rule without a condition."""
    if isinstance(value, dict):
        return value
    if isinstance(value, str) and value in list(Reversibility):
        return {"when": [{"then": value}]}
    raise ValueError(f"{shown(value)} is not one of {', '.join(Reversibility)} or {{when: [...]}}" + closest(str(value), Reversibility))


class ObjectDocument(Section):
    path: str = Field(description="the path of one object, such as /invoices/{id}")
    version: str | None = None
    state: str | None = None
    id: str | None = None


class MatchDocument(Section):
    method: Method = Field(description="GET, POST, PUT, PATCH or DELETE")
    path: str = Field(description="a path template, such as /invoices/{id}")
    headers: str | None = None
    body: str | None = None
    query: list[str] | None = None


class CreatesDocument(Section):
    object: str = Field(description="a name under objects")
    id: str = Field(description="an expression over the reply, such as reply.body.id")


class ConditionDocument(Section):
    condition: str | None = Field(default=None, alias="if")
    then: Class = Field(description="reversible, compensatable or irreversible")


class ClassDocument(Section):
    when: list[ConditionDocument] = Field(description="a list of {if: EXPRESSION, then: CLASS}")


class IdempotencyDocument(Section):
    header: str | None = None
    quoted: bool = False
    honoured: bool = False
    gateway: bool = False
    window: Duration = 900.0
    identity: list[str] | None = None


class CostDocument(Section):
    records: str | None = None
    amount: dict[Name, str] = Field(default_factory=dict)


class VerifyDocument(Section):
    expect: str = Field(description="an expression that must be true of object")
    within: Duration = 2.0


class ListingDocument(Section):
    path: str = Field(description="the path of the listing")
    query: dict[str, str] = Field(default_factory=dict)
    items: str = Field(description="the list in the reply, such as reply.body.items")
    id: str = Field(description="an item's id, such as object.body.id")


class ProbeDocument(Section):
    applied: str = Field(description="an expression that is true of object if the write was applied")
    settle: Duration = 30.0
    find: ListingDocument | None = None


class InsteadDocument(Section):
    condition: str = Field(alias="if", description="an expression over object, such as object.body.state == 'shipped'")
    type: Annotated[Remedy, Field(strict=False)] = Field(description="offsetting_action or release")
    by: str = Field(description="the action that carries it out")
    body: str | None = None


class CompensationDocument(Section):
    type: Annotated[Remedy, Field(strict=False)] = Field(description="one of " + ", ".join(Remedy))
    by: str | None = None
    body: str | None = None
    auto: bool = False
    within: Duration | None = None
    delete_created: str | None = None
    after: list[str] = Field(default_factory=list)
    instead: InsteadDocument | None = None


class ActionDocument(Section):
    name: Dotted = Field(description="such as invoice.status.update")
    match: MatchDocument = Field(description="{method, path}")
    object: str | None = None
    creates: CreatesDocument | None = None
    effect: Annotated[Effect, Field(strict=False)] = Field(description="read or write")
    classes: Annotated[ClassDocument | None, BeforeValidator(_classes)] = Field(default=None, alias="class")
    guard: Literal["if_match"] | None = None
    idempotency: IdempotencyDocument = IdempotencyDocument(gateway=True)
    cost: CostDocument = CostDocument()
    verify: VerifyDocument | None = None
    probe: ProbeDocument | None = None
    compensation: CompensationDocument | None = None
    fanout: bool = False
    snapshot: bool = True
    success: str | None = None
    reply_schema: str | None = None
    fallback: str | None = None


class UnlistedDocument(Section):
    read: Literal["deny", "allow"] = "deny"
    write: Literal["deny", "allow"] = "deny"


class AdapterDocument(Section):
    system: Name = Field(description="a short name of the system, such as erp")
    tenant: str = Field(description="an expression, such as request.path.tenant")
    objects: dict[Name, ObjectDocument] = Field(default_factory=dict)
    actions: list[ActionDocument] = Field(description="a list of actions")
    unlisted: UnlistedDocument = UnlistedDocument()


# What an expression can see depends on when it is evaluated.
BEFORE = frozenset({"request", "vars", "run"})
MATCHING = frozenset({"request", "vars"})
READING = frozenset({"reply", "vars"})
ITEM = frozenset({"object", "vars"})
AFTER = frozenset({"request", "reply", "vars", "run"})
PROBING = frozenset({"request", "object", "vars", "run"})
VERIFYING = PROBING | {"reply"}


@dataclass(frozen=True, slots=True)
class Site:
    """A place in an adapter's document at which to compile, for one tool's ``variables``; it collects the ``problems`` found."""

    located: Located
    folder: Path
    variables: Mapping[str, object]
    where: Where = ()
    problems: list[str] = field(default_factory=list)

    def at(self, *steps: str | int) -> Site:
        """The site of something in here; ``problems`` are shared."""
        return replace(self, where=(*self.where, *steps))

    def report(self, message: str, *steps: str | int) -> None:
        """Note a problem here, or at a place in here."""
        self.problems.append(self.located.problem((*self.where, *steps), message))

    def expression(self, text: str | None, roots: frozenset[str], *steps: str | int) -> Expression | None:
        """The compiled expression, ``None`` if there is none or a problem."""
        try:
            return None if text is None else expression.compile(text, roots=roots)
        except ValueError as error:
            self.report(str(error), *steps)
            return None

    def named(self, texts: Mapping[str, str] | Iterable[tuple[int, str]], *steps: str) -> dict[str, Expression]:
        """Expressions over the request by name, without those that have a problem."""
        items = texts.items() if isinstance(texts, Mapping) else texts
        built = {name: self.expression(text, BEFORE, *steps, name) for name, text in items}
        return {str(name): one for name, one in built.items() if one}

    def template(self, text: str, *steps: str | int) -> Template | None:
        """The template with the tool's variables in it, ``None`` if there is a problem."""
        try:
            return expression.parse(text, self.variables)
        except ValueError as error:
            self.report(str(error), *steps)
            return None

    def schema(self, name: str, *steps: str) -> catalog.Conformity | None:
        """A JSON Schema file of the adapter's folder as a check, ``None`` if there is a problem."""
        path = self.folder / name
        try:
            return jsonschema_rs.validator_for(orjson.loads(path.read_bytes()), retriever=_not_retrieved).is_valid
        except OSError as error:
            self.report(f"{path} cannot be read: {error.strerror}", *steps)
        except orjson.JSONDecodeError as error:
            self.report(f"{path} is not JSON: {error}", *steps)
        except ValueError as error:
            self.report(f"{path} is not a usable JSON Schema: {str(error).splitlines()[0]}", *steps)
        return None


def _not_retrieved(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is not fetched; put its content into the schema's own file")
