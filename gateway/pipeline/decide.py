"""Does policy allow it? Strictly positive: what is not an allow is a refusal, or in shadow mode a denial that is waived in writing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from gateway import errors
from gateway.core import idempotency, policy
from gateway.model.decision import Allow, Considered, Decision, Deny, Hold, Reason
from gateway.pipeline.evidence import Denied, Fresh, Permitted
from gateway.ports import PolicyEngine, Registry


@dataclass(frozen=True, slots=True)
class Decide:
    """``candidate`` is asked beside the active engine, journaled, and never obeyed."""

    engine: PolicyEngine
    registry: Registry
    candidate: PolicyEngine | None = None

    async def __call__(self, fresh: Fresh) -> Permitted | Denied:
        """Ask policy.

        Raises:
            PolicyUnavailable: there is no usable decision; no mode waives that.
        """
        known, action = fresh.known, fresh.action
        counters = await self.registry.counters(f"run:{known.run.run_id}") if self._asks_for("counters") else None
        document = policy.document(
            run=known.run,
            lease=known.lease,
            mode=fresh.mode,
            call=known.call,
            action=action.name,
            effect=action.effect,
            reversibility=action.reversibility,
            fanout=action.fanout,
            target=action.target,
            step_id=known.step.id,
            parent_step_id=known.step.parent,
            counters=counters or {},
            now=known.at,
        )
        decision = await self.engine.decide(document)
        candidate = None if self.candidate is None else await _tried(self.candidate, document)
        refusal = _refusal(fresh, decision)
        waived = refusal is not None and known.at < known.tool.shadow_until and not isinstance(refusal, errors.TenantBoundary)
        considered = Considered(decision=decision, at=known.at, mode=fresh.mode, waived=waived, candidate=candidate, counters=counters)
        if refusal is None or waived:
            return Permitted(fresh=fresh, considered=considered)
        return Denied(fresh=fresh, considered=considered, refusal=refusal)

    def _asks_for(self, name: str) -> bool:
        return self.engine.asks_for(name) or (self.candidate is not None and self.candidate.asks_for(name))


async def _tried(candidate: PolicyEngine, document: dict[str, object]) -> Decision | str:
    try:
        return await candidate.decide(document)
    except errors.PolicyUnavailable as down:
        return down.detail


def _refusal(fresh: Fresh, decision: Decision) -> errors.Refusal | None:
    """What stands against the call, ``None`` where it is allowed and what the allow is bound to can be kept."""
    match decision:
        case Allow():
            return _unkept(fresh, decision)
        case Hold():
            reasons = _shown(decision.reasons)
            return errors.ApprovalRequired(approval_id=_approval_id(fresh), reasons=reasons, approval=dict(decision.approval))
        case Deny():
            return _denial(decision)
        case other:
            assert_never(other)


def _unkept(fresh: Fresh, decision: Allow) -> errors.Refusal | None:
    kind = fresh.action.kind
    if not decision.obligations.get("verify") or (kind is not None and kind.verify is not None):
        return None
    return errors.PolicyDenied(
        f"Policy allows {fresh.action.name} only verified, and its adapter declares no verify.",
        hint="The adapter's author has to declare how the effect can be read back.",
        reasons=[{"code": "verify-undeclared", "message": "There is no way to verify this action."}],
    )


def _denial(decision: Deny) -> errors.Refusal:
    reasons = _shown(decision.reasons)
    if any(reason.code == "tenant-boundary" for reason in decision.reasons):
        return errors.TenantBoundary(reasons=reasons)
    said = "; ".join(reason.message for reason in decision.reasons)
    return errors.PolicyDenied(said or None, reasons=reasons)


def _approval_id(fresh: Fresh) -> str:
    """The same for the same call of the same run, so that asking again does not ask another person."""
    known = fresh.known
    return "apr_" + idempotency.digest("approval", known.run.run_id, idempotency.content_of(known.call))[:26]


def _shown(reasons: Sequence[Reason]) -> list[dict[str, str]]:
    return [{"code": reason.code, "message": reason.message} for reason in reasons]
