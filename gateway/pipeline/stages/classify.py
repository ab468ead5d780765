"""What does the call mean? From method and path to action, target, effect, class and cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from gateway import errors
from gateway.core.adapter import ambiguity, carried, catalog, matching, resolve
from gateway.model.call import NOTHING_CARRIED, BodyKind, Carried, Compensation, Cost, Effect, Remedy, Reversibility, Target
from gateway.pipeline.evidence import Action, Classified, Known

NO_COST = Cost()


def classify(known: Known) -> Classified:
    """Find the call's action in the tool's catalog.

    Raises:
        MalformedRequest: its tool could read it otherwise than the gateway does (agents' calls alone).
        ActionUnknown: nothing matches, and the adapter does not let unlisted calls of this effect on to policy.
        TenantUnknown: a listed action whose tenant does not resolve.
        MalformedRequest: what the gateway's own requests for the call carry cannot be sent.
    """
    tool, call = known.tool.catalog, known.call
    matched = matching.match(tool, call)
    if isinstance(matched, matching.Unmatched):
        return Classified(known=known, action=_unlisted(known, matched))
    if (call.body or call.query or matched.action.request_schema) and known.undoing is None:
        ambiguity.refuse_ambiguous(tool, matched.action, call)
    return Classified(known=known, action=_listed(known, matched))


def _listed(known: Known, matched: matching.Matched) -> Action:
    tool, kind = known.tool.catalog, matched.action
    document = _document(known, matched.captures)
    target, own = resolve.target_of(tool, matched, document), NOTHING_CARRIED
    if kind.own is not None:
        target, own = _placed(known, kind.own, target, document)
    if target.tenant is None:
        raise errors.TenantUnknown(f"The tenant of {kind.name} cannot be resolved for {known.call.path}.")
    dry_run = kind.dry_run is not None and kind.dry_run.when.holds(document)
    writes = kind.effect is Effect.WRITE and not dry_run
    reversibility = resolve.class_of(kind, document) if writes else None
    return Action(
        name=kind.name,
        effect=Effect.READ if dry_run else kind.effect,
        dry_run=dry_run,
        target=target,
        document=document,
        kind=kind,
        captures=matched.captures,
        reversibility=reversibility,
        compensation=_compensation(kind, reversibility, known.at) if reversibility is not None else None,
        cost=NO_COST if dry_run else resolve.cost_of(kind, document),
        carried=own,
    )


def _placed(known: Known, own: carried.Own, target: Target, document: Mapping[str, Any]) -> tuple[Target, Carried]:
    """The target with its place, and what own requests for the call carry.

    A compensation carries what the effect's own requests carry: its tenant stands there too, where it does not stand in its body.
    """
    undoing = known.undoing
    if undoing is None:
        if own.sources:
            carried.refuse_repeated(own, known.call.headers)
        found = carried.carried(own, document, document["request"]["headers"], known.call.query)
        if known.tool.cookies and any(name.lower() == b"cookie" for name, _ in known.call.headers):
            found = replace(found, undeclared=(*found.undeclared, carried.COOKIE))
        return replace(target, place=found.place) if found.place else target, found
    found = undoing.carried
    tenant = undoing.order.node.target.tenant if target.tenant is None and (found.headers or found.query) else target.tenant
    return replace(target, place=found.place, tenant=tenant), found


def _unlisted(known: Known, unmatched: matching.Unmatched) -> Action:
    if not unmatched.allowed:
        if unmatched.near and known.call.kind is BodyKind.OPAQUE:
            raise ambiguity.unreadable(known.call)
        raise errors.ActionUnknown(f"{unmatched.reason}.")
    ambiguity.refuse_ambiguous(known.tool.catalog, None, known.call)
    writes = unmatched.effect is Effect.WRITE
    return Action(
        name=unmatched.name,
        effect=unmatched.effect,
        target=Target(known.tool.catalog.system, "", "", None, known.tool.name),
        document=_document(known, {}),
        captures={},
        # A write without a declaration cannot be compensated by a machine.
        reversibility=Reversibility.IRREVERSIBLE if writes else None,
        compensation=Compensation(reversibility=Reversibility.IRREVERSIBLE, remedy=Remedy.MANUAL_REVIEW) if writes else None,
    )


def _document(known: Known, captures: Mapping[str, str]) -> dict[str, object]:
    run = known.run
    identity = {"run_id": run.run_id, "workflow_id": run.workflow_id, "tenant": run.tenant, "agent_id": run.agent_id}
    return matching.document(known.tool.catalog, known.call, captures, {**identity, "task_class": run.task_class})


def _compensation(kind: catalog.ActionType, reversibility: Reversibility, at: float) -> Compensation:
    assert kind.undo is not None, "the loader rejects a write without one"
    return Compensation(
        reversibility=reversibility,
        remedy=kind.undo.remedy,
        automatic=kind.undo.automatic,
        allowed_until=None if kind.undo.within is None else at + kind.undo.within,
    )
