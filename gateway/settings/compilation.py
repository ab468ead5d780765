"""From an adapter document to a tool's catalog, for one tool's variables. Finds every problem before it gives up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.core.adapter import catalog, dependencies, long_running, probing
from gateway.core.adapter.catalog import ActionType, ObjectType, Tool
from gateway.core.adapter.expression import ROOTS, Expression
from gateway.model.call import BodyKind, Remedy
from gateway.settings import adapter as documents
from gateway.settings import consistency, document, free_text, own_requests, schemas
from gateway.settings.adapter import (
    AFTER,
    BEFORE,
    ITEM,
    MATCHING,
    NOTHING_FIXED,
    PROBING,
    READING,
    VERIFYING,
    ActionDocument,
    AdapterDocument,
    Fixed,
    Site,
)

FILE = "adapter.yaml"


def load(
    folder: Path, tool: str, variables: Mapping[str, object], shown: str | None = None, fixed: Fixed = NOTHING_FIXED
) -> tuple[Tool | None, list[str]]:
    """The catalog of ``folder/adapter.yaml`` for a tool; ``None`` and one line per problem if it cannot be used."""
    found, problems = document.read(folder / FILE, shown)
    if problems:
        return None, problems
    adapter, problems = document.validate(found, AdapterDocument)
    if adapter is None:
        return None, problems
    site = Site(found, folder, variables, fixed=fixed)
    built = _tool(site, adapter, tool)
    return (None if site.problems else built), list(dict.fromkeys(site.problems))


def _tool(site: Site, adapter: AdapterDocument, name: str) -> Tool | None:
    tenant = site.expression(adapter.tenant, BEFORE, "tenant")
    objects = {key: kind for key, one in adapter.objects.items() if (kind := _object(site.at("objects", key), key, one))}
    compiled = {place: _action(site.at("actions", place), adapter, declared) for place, declared in enumerate(adapter.actions)}
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
    free_text.check(site, built, actions)
    own_requests.check(site, adapter, built, actions)
    return built


def _object(site: Site, name: str, one: documents.ObjectDocument) -> ObjectType | None:
    template = site.template(one.path, "path")
    state, identity = site.expression(one.state, READING, "state"), site.expression(one.id, READING, "id")
    if state is not None and dependencies.depends_on(state, "reply", "bytes"):
        site.report("takes reply.bytes, which a state cannot hold; write state: reply.body, which is stored byte for byte", "state")
    version, digest = _version(site.at("version"), one)
    keep = own_requests.kept(site, one)
    if template is None:
        return None
    return ObjectType(name=name, template=template, version=version, state=state, identity=identity, digest=digest, keep=keep)


def _version(site: Site, one: documents.ObjectDocument) -> tuple[Expression | None, bool]:
    """What an object's version is made of, and whether it is a digest of that."""
    declared = one.version
    if declared is None:
        return None, False
    if declared.digest_of is None:
        return site.expression(declared.value, READING), False
    text = one.state if declared.digest_of == "state" else declared.digest_of
    if text is None:
        site.report("is a digest of the state, but the object has none; declare state", "digest_of")
    if declared.value is not None:
        site.report("has both value and digest_of; keep one of them")
    return site.expression(text, READING, "digest_of"), True


def _action(site: Site, adapter: AdapterDocument, one: ActionDocument) -> ActionType | None:
    template = site.template(one.match.path, "match", "path")
    if template is None:
        return None
    return ActionType(
        name=one.name,
        method=one.match.method,
        template=template,
        effect=one.effect,
        match_headers=site.expression(one.match.headers, MATCHING, "match", "headers"),
        match_body=site.expression(one.match.body, MATCHING, "match", "body"),
        match_query=site.fixed.query.union(one.match.query or ()) if one.effect == "write" or one.match.query is not None else None,
        object=one.object,
        creates=_creates(site.at("creates"), one.creates),
        classes=tuple(
            catalog.Rule(site.expression(rule.condition, BEFORE, "class", "when", place, "if"), rule.then)
            for place, rule in enumerate(one.classes.when if one.classes else [])
        ),
        guard=one.guard,
        idempotency=_idempotency(site.at("idempotency"), one.idempotency),
        cost=catalog.Pricing(site.expression(one.cost.records, BEFORE, "cost", "records"), site.named(one.cost.amount, "cost", "amount")),
        verify=_verify(site.at("verify"), one.verify),
        probe=_probe(site.at("probe"), one.probe),
        undo=_undo(site.at("compensation"), one.compensation, adapter.objects.get(one.object or "")),
        fanout=one.fanout,
        snapshot=one.snapshot,
        success=site.expression(one.success, AFTER, "success"),
        failed=site.expression(one.failed, AFTER, "failed"),
        pending=_pending(site.at("pending"), one.pending),
        dry_run=_dry_run(site.at("dry_run"), one.dry_run),
        reply_conforms=schemas.reply(site, one.reply_schema),
        fallback=one.fallback,
        own=own_requests.compiled(site, adapter, one),
        body_kind=BodyKind(one.body) if one.body else None,
        request_schema=schemas.request(site, one.request_schema),
    )


def _creates(site: Site, one: documents.CreatesDocument | None) -> catalog.Creates | None:
    identity = site.expression(one.id, AFTER, "id") if one else None
    return catalog.Creates(one.object, identity) if one and identity else None


def _dry_run(site: Site, one: documents.DryRunDocument | None) -> catalog.DryRun | None:
    when = site.expression(one.condition, MATCHING, "if") if one else None
    return catalog.DryRun(when, site.expression(one.confirmed, AFTER, "confirmed")) if one and when else None


def _pending(site: Site, one: documents.PendingDocument | None) -> long_running.Pending | None:
    done = site.expression(one.done, VERIFYING, "done") if one else None
    if one is None or done is None:
        return None
    return long_running.Pending(
        when=site.expression(one.when, AFTER, "when"),
        job=site.expression(one.job, AFTER, "job"),
        done=done,
        failed=site.expression(one.failed, VERIFYING, "failed"),
        on_object="object" in done.roots,
        every=one.every,
        within=one.within,
        give_up=one.give_up,
    )


def _idempotency(site: Site, one: documents.IdempotencyDocument) -> catalog.Idempotency:
    fields = None if one.identity is None else tuple(site.named(enumerate(one.identity), "identity").values())
    header = one.header.encode("ascii", "replace") if one.header else None
    return catalog.Idempotency(
        header=header, quoted=one.quoted, honoured=one.honoured, window=one.window, identity=fields, together=one.own == "together"
    )


def _verify(site: Site, one: documents.VerifyDocument | None) -> catalog.Verify | None:
    expect = site.expression(one.expect, VERIFYING, "expect") if one else None
    return catalog.Verify(expect, one.within) if one and expect else None


def _probe(site: Site, one: documents.ProbeDocument | None) -> probing.Probe | None:
    applied = site.expression(one.applied, PROBING, "applied") if one else None
    if one is None or applied is None:
        return None
    mark = site.expression(one.mark, PROBING, "mark")
    return probing.Probe(applied, one.settle, _listing(site.at("find"), one.find) if one.find else None, mark)


def _listing(site: Site, one: documents.ListingDocument) -> probing.Listing | None:
    template = site.template(one.path, "path")
    items = site.expression(one.items, READING, "items")
    identity = site.expression(one.id, ITEM, "id")
    query = site.named(one.query, "query")
    whole = site.expression(one.whole, READING, "whole")
    if template is None or items is None or identity is None:
        return None
    return probing.Listing(template=template, query=query, items=items, id=identity, whole=whole)


def _undo(site: Site, one: documents.CompensationDocument | None, kind: documents.ObjectDocument | None) -> catalog.Undo | None:
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
        attached=own_requests.attached(site, one),
        compared=("state", "content-type", *(name.lower() for name in (kind.keep if kind is not None else ()))),
    )


def _instead(site: Site, one: documents.InsteadDocument | None) -> catalog.Instead | None:
    when = site.expression(one.condition, ITEM, "if") if one else None
    if one is None or when is None:
        return None
    return catalog.Instead(
        when=when, remedy=one.type, by=one.by, body=site.expression(one.body, ROOTS, "body"), attached=own_requests.attached(site, one)
    )
