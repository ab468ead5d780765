"""From an adapter document to a tool's catalog, for one tool's variables. Finds every problem before it gives up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.core.adapter import catalog
from gateway.core.adapter.catalog import ActionType, ObjectType, Tool
from gateway.core.adapter.expression import ROOTS, Expression
from gateway.model.action import Remedy
from gateway.settings import consistency, document, located
from gateway.settings.adapter import (
    ActionDocument,
    AdapterDocument,
    CompensationDocument,
    CostDocument,
    CreatesDocument,
    IdempotencyDocument,
    InsteadDocument,
    ListingDocument,
    ProbeDocument,
    VerifyDocument,
)
from gateway.settings.located import Where
from gateway.settings.site import AFTER, BEFORE, ITEM, MATCHING, PROBING, READING, VERIFYING, Site

FILE = "adapter.yaml"


def load(folder: Path, tool: str, variables: Mapping[str, object], shown: str | None = None) -> tuple[Tool | None, list[str]]:
    """The catalog of ``folder/adapter.yaml`` for a tool; ``None`` and one line per problem where it cannot be used."""
    found, problems = located.read(folder / FILE, shown)
    if problems:
        return None, problems
    adapter, problems = document.validate(found, AdapterDocument)
    if adapter is None:
        return None, problems
    site = Site(found, folder, variables)
    built = _tool(site, adapter, tool)
    return (None if site.problems else built), site.problems


def _tool(site: Site, adapter: AdapterDocument, name: str) -> Tool | None:
    tenant = site.expression(("tenant",), adapter.tenant, BEFORE)
    objects = [one for key in adapter.objects if (one := _object(site, adapter, key))]
    compiled = {place: _action(site, declared, ("actions", place)) for place, declared in enumerate(adapter.actions)}
    actions = {place: action for place, action in compiled.items() if action}
    if tenant is None:
        return None
    built = catalog.tool(
        name=name,
        system=adapter.system,
        tenant=tenant,
        objects=objects,
        actions=actions.values(),
        variables=site.variables,
        unlisted_read=adapter.unlisted.read == "allow",
        unlisted_write=adapter.unlisted.write == "allow",
    )
    consistency.check(site, adapter, built, actions)
    return built


def _object(site: Site, adapter: AdapterDocument, name: str) -> ObjectType | None:
    where, one = ("objects", name), adapter.objects[name]
    template = site.template((*where, "path"), one.path)
    version = site.optional((*where, "version"), one.version, READING)
    state = site.optional((*where, "state"), one.state, READING)
    identity = site.optional((*where, "id"), one.id, READING)
    return ObjectType(name=name, template=template, version=version, state=state, identity=identity) if template else None


def _action(site: Site, one: ActionDocument, where: Where) -> ActionType | None:
    template = site.template((*where, "match", "path"), one.match.path)
    if template is None:
        return None
    writes = one.effect == "write"
    return ActionType(
        name=one.name,
        method=one.match.method,
        template=template,
        effect=one.effect,
        headers=site.optional((*where, "match", "headers"), one.match.headers, MATCHING),
        body=site.optional((*where, "match", "body"), one.match.body, MATCHING),
        query=frozenset(one.match.query or ()) if writes or one.match.query is not None else None,
        object=one.object,
        creates=_creates(site, one.creates, (*where, "creates")),
        classes=_classes(site, one, where),
        guarded=one.guard is not None,
        idempotency=_idempotency(site, one.idempotency, (*where, "idempotency")),
        cost=_cost(site, one.cost, (*where, "cost")),
        verify=_verify(site, one.verify, (*where, "verify")),
        probe=_probe(site, one.probe, (*where, "probe")),
        undo=_undo(site, one.compensation, (*where, "compensation")),
        fanout=one.fanout,
        snapshot=one.snapshot,
        demands=site.optional((*where, "success"), one.success, AFTER),
        reply_conforms=None if one.reply_schema is None else site.schema((*where, "reply_schema"), one.reply_schema),
        fallback=one.fallback,
    )


def _creates(site: Site, one: CreatesDocument | None, where: Where) -> catalog.Creates | None:
    identity = site.expression((*where, "id"), one.id, AFTER) if one else None
    return catalog.Creates(one.object, identity) if one and identity else None


def _classes(site: Site, one: ActionDocument, where: Where) -> tuple[catalog.Rule, ...]:
    rules = one.classes.when if one.classes else []
    places = [(*where, "class", "when", place, "if") for place in range(len(rules))]
    return tuple(catalog.Rule(site.optional(place, rule.condition, BEFORE), rule.then) for place, rule in zip(places, rules, strict=True))


def _idempotency(site: Site, one: IdempotencyDocument, where: Where) -> catalog.Idempotency:
    fields = None if one.identity is None else _expressions(site, one.identity, (*where, "identity"))
    header = one.header.encode("ascii", "replace") if one.header else None
    return catalog.Idempotency(header=header, quoted=one.quoted, honoured=one.honoured, window=one.window, identity=fields)


def _expressions(site: Site, texts: list[str], where: Where) -> tuple[Expression, ...]:
    built = [site.expression((*where, place), text, BEFORE) for place, text in enumerate(texts)]
    return tuple(one for one in built if one)


def _named(site: Site, texts: Mapping[str, str], where: Where) -> dict[str, Expression]:
    built = {name: site.expression((*where, name), text, BEFORE) for name, text in texts.items()}
    return {name: one for name, one in built.items() if one}


def _cost(site: Site, one: CostDocument, where: Where) -> catalog.Pricing:
    return catalog.Pricing(site.optional((*where, "records"), one.records, BEFORE), _named(site, one.amount, (*where, "amount")))


def _verify(site: Site, one: VerifyDocument | None, where: Where) -> catalog.Verify | None:
    expect = site.expression((*where, "expect"), one.expect, VERIFYING) if one else None
    return catalog.Verify(expect, one.within) if one and expect else None


def _probe(site: Site, one: ProbeDocument | None, where: Where) -> catalog.Probe | None:
    applied = site.expression((*where, "applied"), one.applied, PROBING) if one else None
    if one is None or applied is None:
        return None
    return catalog.Probe(applied, one.settle, _listing(site, one.find, (*where, "find")) if one.find else None)


def _listing(site: Site, one: ListingDocument, where: Where) -> catalog.Listing | None:
    template = site.template((*where, "path"), one.path)
    items = site.expression((*where, "items"), one.items, READING)
    identity = site.expression((*where, "id"), one.id, ITEM)
    query = _named(site, one.query, (*where, "query"))
    return catalog.Listing(template=template, query=query, items=items, id=identity) if template and items and identity else None


def _undo(site: Site, one: CompensationDocument | None, where: Where) -> catalog.Undo | None:
    if one is None:
        return None
    restores = one.type in (Remedy.RESTORE_PREVIOUS_VERSION, Remedy.REVERT_STATUS)
    body = site.optional((*where, "body"), one.body if one.body is not None else "snapshot" if restores else None, ROOTS)
    return catalog.Undo(
        remedy=one.type,
        by=one.by,
        body=body,
        automatic=one.auto,
        within=one.within,
        delete_created=one.delete_created,
        after=tuple(one.after),
        instead=_instead(site, one.instead, (*where, "instead")),
    )


def _instead(site: Site, one: InsteadDocument | None, where: Where) -> catalog.Instead | None:
    when = site.expression((*where, "if"), one.condition, ITEM) if one else None
    if one is None or when is None:
        return None
    return catalog.Instead(when=when, remedy=one.type, by=one.by, body=site.optional((*where, "body"), one.body, ROOTS))
