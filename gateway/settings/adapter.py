"""The adapter.yaml document: its keys and their kinds, and a place in it at which to compile and check for one tool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import jsonschema_rs
import orjson
from pydantic import BeforeValidator, Field

from gateway.core.adapter import expression, members, template
from gateway.core.adapter.expression import Expression
from gateway.core.adapter.template import Template
from gateway.core.adapter.versions import Guard
from gateway.core.request import exact_json
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


def _version(value: object) -> object:
    """A plain expression is the version itself."""
    return {"value": value} if isinstance(value, str) else value


class VersionDocument(Section):
    value: str | None = None
    digest_of: str | None = None


class ObjectDocument(Section):
    path: str = Field(description="the path of one object, such as /invoices/{id}")
    version: Annotated[VersionDocument | None, BeforeValidator(_version)] = None
    state: str | None = None
    id: str | None = None
    keep: list[str] = Field(default_factory=list)
    headers: dict[str, str | None] = Field(default_factory=dict)
    query: dict[str, str | None] = Field(default_factory=dict)


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
    own: Literal["alone", "together"] = "alone"


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
    whole: str | None = None


class ProbeDocument(Section):
    applied: str = Field(description="an expression that is true of object if the write was applied")
    settle: Duration = 30.0
    find: ListingDocument | None = None
    mark: str | None = None


class InsteadDocument(Section):
    condition: str = Field(alias="if", description="an expression over object, such as object.body.state == 'shipped'")
    type: Annotated[Remedy, Field(strict=False)] = Field(description="offsetting_action or release")
    by: str = Field(description="the action that carries it out")
    body: str | None = None
    headers: dict[str, str | None] = Field(default_factory=dict)
    query: dict[str, str | None] = Field(default_factory=dict)
    content_type: str | None = None


class CompensationDocument(Section):
    type: Annotated[Remedy, Field(strict=False)] = Field(description="one of " + ", ".join(Remedy))
    by: str | None = None
    body: str | None = None
    auto: bool = False
    within: Duration | None = None
    delete_created: str | None = None
    headers: dict[str, str | None] = Field(default_factory=dict)
    query: dict[str, str | None] = Field(default_factory=dict)
    content_type: str | None = None
    after: list[str] = Field(default_factory=list)
    instead: InsteadDocument | None = None


def _dry_run(value: object) -> object:
    """A plain expression is the condition."""
    return {"if": value} if isinstance(value, str) else value


class DryRunDocument(Section):
    condition: str = Field(alias="if", description="an expression over request, such as request.query.dry_run == 'true'")
    confirmed: str | None = None


class PendingDocument(Section):
    when: str | None = None
    job: str | None = None
    done: str = Field(description="an expression over the job's reply (reply.body.status == 'done'), or over object")
    failed: str | None = None
    every: Duration = 1.0
    within: Duration = 3.0
    give_up: Duration = 900.0


class ActionDocument(Section):
    name: Dotted = Field(description="such as invoice.status.update")
    match: MatchDocument = Field(description="{method, path}")
    object: str | None = None
    creates: CreatesDocument | None = None
    effect: Annotated[Effect, Field(strict=False)] = Field(description="read or write")
    classes: Annotated[ClassDocument | None, BeforeValidator(_classes)] = Field(default=None, alias="class")
    guard: Annotated[Guard | None, Field(strict=False)] = None
    idempotency: IdempotencyDocument = IdempotencyDocument(gateway=True)
    cost: CostDocument = CostDocument()
    verify: VerifyDocument | None = None
    probe: ProbeDocument | None = None
    compensation: CompensationDocument | None = None
    fanout: bool = False
    snapshot: bool = True
    success: str | None = None
    failed: str | None = None
    pending: PendingDocument | None = None
    dry_run: Annotated[DryRunDocument | None, BeforeValidator(_dry_run)] = None
    reply_schema: str | None = None
    body: Literal["json", "form", "opaque"] | None = None
    request_schema: str | None = None
    fallback: str | None = None
    headers: dict[str, str | None] = Field(default_factory=dict)
    query: dict[str, str | None] = Field(default_factory=dict)


class UnlistedDocument(Section):
    read: Literal["deny", "allow"] = "deny"
    write: Literal["deny", "allow"] = "deny"


class AdapterDocument(Section):
    system: Name = Field(description="a short name of the system, such as erp")
    tenant: str = Field(description="an expression, such as request.path.tenant")
    headers: dict[str, str | None] = Field(default_factory=dict)
    query: dict[str, str | None] = Field(default_factory=dict)
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
class Fixed:
    """What every request to a tool carries by its configuration: names of headers, in lower case, and query keys.

    ``credential`` is the header of the tool's secret, in lower case.
    """

    headers: frozenset[str] = frozenset()
    query: frozenset[str] = frozenset()
    credential: str | None = None


NOTHING_FIXED = Fixed()


@dataclass(frozen=True, slots=True)
class Site:
    """A place in an adapter's document at which to compile, for one tool's ``variables``; it collects the ``problems`` found."""

    located: Located
    folder: Path
    variables: Mapping[str, object]
    where: Where = ()
    problems: list[str] = field(default_factory=list)
    fixed: Fixed = NOTHING_FIXED

    def at(self, *steps: str | int) -> Site:
        """The site of something in here; ``problems`` are shared."""
        return replace(self, where=(*self.where, *steps))

    def report(self, message: str, *steps: str | int) -> None:
        """Note a problem here, or at a place in here."""
        self.problems.append(self.located.problem((*self.where, *steps), message))

    def expression(self, text: str | None, roots: frozenset[str], *steps: str | int) -> Expression | None:
        """The compiled expression, ``None`` if there is none or a problem."""
        try:
            found = None if text is None else expression.compile(text, roots=roots)
        except ValueError as error:
            self.report(str(error), *steps)
            return None
        if found is not None and (problem := members.unknown(found)) is not None:
            self.report(problem, *steps)
            return None
        return found

    def named(self, texts: Mapping[str, str] | Iterable[tuple[int, str]], *steps: str) -> dict[str, Expression]:
        """Expressions over the request by name, without those that have a problem."""
        items = texts.items() if isinstance(texts, Mapping) else texts
        built = {name: self.expression(text, BEFORE, *steps, name) for name, text in items}
        return {str(name): one for name, one in built.items() if one}

    def template(self, text: str, *steps: str | int) -> Template | None:
        """The template with the tool's variables in it, ``None`` if there is a problem."""
        try:
            return template.parse(text, self.variables)
        except ValueError as error:
            self.report(str(error), *steps)
            return None

    def schema(self, name: str, *steps: str) -> tuple[jsonschema_rs.Validator, Any] | None:
        """A JSON Schema file of the adapter's folder, compiled and as it is written; ``None`` if there is a problem."""
        path = self.folder / name
        try:
            written: Any = exact_json.loads(path.read_bytes())
            return jsonschema_rs.validator_for(written, retriever=_not_retrieved), written
        except OSError as error:
            self.report(f"{path} cannot be read: {error.strerror}", *steps)
        except orjson.JSONDecodeError as error:
            self.report(f"{path} is not JSON: {error}", *steps)
        except ValueError as error:
            self.report(f"{path} is not a usable JSON Schema: {str(error).splitlines()[0]}", *steps)
        return None


def _not_retrieved(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is not fetched; put its content into the schema's own file")
