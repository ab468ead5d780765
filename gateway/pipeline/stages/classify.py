"""What does the call mean? From method and path to action, target, effect, class and cost."""

from __future__ import annotations

from collections.abc import Mapping

from gateway import errors
from gateway.core.adapter import catalog, resolve
from gateway.model.call import Compensation, Effect, Remedy, Reversibility, Target
from gateway.pipeline.evidence import Action, Classified, Known


def classify(known: Known) -> Classified:
    """Find the call's action in the tool's catalog.

    Raises:
        ActionUnknown: nothing matches, and the adapter does not let unlisted calls of this effect on to policy.
        TenantUnknown: a listed action whose tenant does not resolve.
    """
    matched = catalog.match(known.tool.catalog, known.call)
    if isinstance(matched, catalog.Unmatched):
        return Classified(known=known, action=_unlisted(known, matched))
    return Classified(known=known, action=_listed(known, matched))


def _listed(known: Known, matched: catalog.Matched) -> Action:
    tool, kind = known.tool.catalog, matched.action
    document = _document(known, matched.captures)
    target = resolve.target_of(tool, matched, document)
    if target.tenant is None:
        raise errors.TenantUnknown(f"The tenant of {kind.name} cannot be resolved for {known.call.path}.")
    writes = kind.effect is Effect.WRITE
    reversibility = resolve.class_of(kind, document) if writes else None
    return Action(
        name=kind.name,
        effect=kind.effect,
        target=target,
        document=document,
        kind=kind,
        captures=matched.captures,
        reversibility=reversibility,
        compensation=_compensation(kind, reversibility, known.at) if reversibility is not None else None,
        cost=resolve.cost_of(kind, document),
    )


def _unlisted(known: Known, unmatched: catalog.Unmatched) -> Action:
    if not unmatched.allowed:
        raise errors.ActionUnknown(f"{unmatched.reason}.")
    writes = unmatched.effect is Effect.WRITE
    return Action(
        name=unmatched.name,
        effect=unmatched.effect,
        target=Target(known.tool.catalog.system, "", "", None),
        document=_document(known, {}),
        captures={},
        # A write without a declaration cannot be compensated by a machine.
        reversibility=Reversibility.IRREVERSIBLE if writes else None,
        compensation=Compensation(reversibility=Reversibility.IRREVERSIBLE, remedy=Remedy.MANUAL_REVIEW) if writes else None,
    )


def _document(known: Known, captures: Mapping[str, str]) -> dict[str, object]:
    run = known.run
    identity = {"run_id": run.run_id, "workflow_id": run.workflow_id, "tenant": run.tenant, "agent_id": run.agent_id}
    return catalog.document(known.tool.catalog, known.call, captures, {**identity, "task_class": run.task_class})


def _compensation(kind: catalog.ActionType, reversibility: Reversibility, at: float) -> Compensation:
    assert kind.undo is not None, "the loader rejects a write without one"
    return Compensation(
        reversibility=reversibility,
        remedy=kind.undo.remedy,
        automatic=kind.undo.automatic,
        allowed_until=None if kind.undo.within is None else at + kind.undo.within,
    )
