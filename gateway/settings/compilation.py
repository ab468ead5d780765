"""From an adapter document to a tool's catalog, for one tool's variables. Finds every problem before it gives up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.core.adapter import catalog
from gateway.core.adapter.catalog import ActionType, ObjectType, Tool
from gateway.core.adapter.expression import ROOTS
from gateway.model.call import Remedy
from gateway.settings import adapter as documents
from gateway.settings import consistency, document
from gateway.settings.adapter import AFTER, BEFORE, ITEM, MATCHING, PROBING, READING, VERIFYING, ActionDocument, AdapterDocument, Site

FILE = "adapter.yaml"


def load(folder: Path, tool: str, variables: Mapping[str, object], shown: str | None = None) -> tuple[Tool | None, list[str]]:
    """The catalog of ``folder/adapter.yaml`` for a tool; ``None`` and one line per problem if it cannot be used."""
    found, problems = document.read(folder / FILE, shown)
    if problems:
        return None, problems
    adapter, problems = document.validate(found, AdapterDocument)
    if adapter is None:
        return None, problems
    site = Site(found, folder, variables)
    built = _tool(site, adapter, tool)
    return (None if site.problems else built), site.problems


def _tool(site: Site, adapter: AdapterDocument, name: str) -> Tool | None:
    tenant = site.expression(adapter.tenant, BEFORE, "tenant")
    objects = {key: kind for key, one in adapter.objects.items() if (kind := _object(site.at("objects", key), key, one))}
    compiled = {place: _action(site.at("actions", place), declared) for place, declared in enumerate(adapter.actions)}
    actions = {place: action for place, action in compiled.items() if action}
    if tenant is None:
        return None
    built = catalog.Tool(
        name=name,
        system=adapter.system,
        tenant=tenant,
        objects=objects,
        actions={action.name: action for action in actions.values()},
        variables=site.variables,
        unlisted_read=adapter.unlisted.read == "allow",
        unlisted_write=adapter.unlisted.write == "allow",
    )
    consistency.check(site, adapter, built, actions)
    return built


def _object(site: Site, name: str, one: documents.ObjectDocument) -> ObjectType | None:
    template = site.template(one.path, "path")
    version, state, identity = (site.expression(getattr(one, key), READING, key) for key in ("version", "state", "id"))
    return ObjectType(name=name, template=template, version=version, state=state, identity=identity) if template else None


def _action(site: Site, one: ActionDocument) -> ActionType | None:
    template = site.template(one.match.path, "match", "path")
    if template is None:
        return None
    return ActionType(
        name=one.name,
        method=one.match.method,
        template=template,
        effect=one.effect,
        headers=site.expression(one.match.headers, MATCHING, "match", "headers"),
        body=site.expression(one.match.body, MATCHING, "match", "body"),
        query=frozenset(one.match.query or ()) if one.effect == "write" or one.match.query is not None else None,
        object=one.object,
        creates=_creates(site.at("creates"), one.creates),
        classes=tuple(
            catalog.Rule(site.expression(rule.condition, BEFORE, "class", "when", place, "if"), rule.then)
            for place, rule in enumerate(one.classes.when if one.classes else [])
        ),
        guarded=one.guard is not None,
        idempotency=_idempotency(site.at("idempotency"), one.idempotency),
        cost=catalog.Pricing(site.expression(one.cost.records, BEFORE, "cost", "records"), site.named(one.cost.amount, "cost", "amount")),
        verify=_verify(site.at("verify"), one.verify),
        probe=_probe(site.at("probe"), one.probe),
        undo=_undo(site.at("compensation"), one.compensation),
        fanout=one.fanout,
        snapshot=one.snapshot,
        demands=site.expression(one.success, AFTER, "success"),
        reply_conforms=None if one.reply_schema is None else site.schema(one.reply_schema, "reply_schema"),
        fallback=one.fallback,
    )


def _creates(site: Site, one: documents.CreatesDocument | None) -> catalog.Creates | None:
    identity = site.expression(one.id, AFTER, "id") if one else None
    return catalog.Creates(one.object, identity) if one and identity else None


def _idempotency(site: Site, one: documents.IdempotencyDocument) -> catalog.Idempotency:
    fields = None if one.identity is None else tuple(site.named(enumerate(one.identity), "identity").values())
    header = one.header.encode("ascii", "replace") if one.header else None
    return catalog.Idempotency(header=header, quoted=one.quoted, honoured=one.honoured, window=one.window, identity=fields)


def _verify(site: Site, one: documents.VerifyDocument | None) -> catalog.Verify | None:
    expect = site.expression(one.expect, VERIFYING, "expect") if one else None
    return catalog.Verify(expect, one.within) if one and expect else None


def _probe(site: Site, one: documents.ProbeDocument | None) -> catalog.Probe | None:
    applied = site.expression(one.applied, PROBING, "applied") if one else None
    if one is None or applied is None:
        return None
    return catalog.Probe(applied, one.settle, _listing(site.at("find"), one.find) if one.find else None)


def _listing(site: Site, one: documents.ListingDocument) -> catalog.Listing | None:
    template = site.template(one.path, "path")
    items = site.expression(one.items, READING, "items")
    identity = site.expression(one.id, ITEM, "id")
    query = site.named(one.query, "query")
    return catalog.Listing(template=template, query=query, items=items, id=identity) if template and items and identity else None


def _undo(site: Site, one: documents.CompensationDocument | None) -> catalog.Undo | None:
    if one is None:
        return None
    restores = one.type in (Remedy.RESTORE_PREVIOUS_VERSION, Remedy.REVERT_STATUS)
    body = one.body if one.body is not None else "snapshot" if restores else None
    return catalog.Undo(
        remedy=one.type,
        by=one.by,
        body=site.expression(body, ROOTS, "body"),
        automatic=one.auto,
        within=one.within,
        delete_created=one.delete_created,
        after=tuple(one.after),
        instead=_instead(site.at("instead"), one.instead),
    )


def _instead(site: Site, one: documents.InsteadDocument | None) -> catalog.Instead | None:
    when = site.expression(one.condition, ITEM, "if") if one else None
    if one is None or when is None:
        return None
    return catalog.Instead(when=when, remedy=one.type, by=one.by, body=site.expression(one.body, ROOTS, "body"))
