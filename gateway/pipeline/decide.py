"""Does policy allow it? Strictly positive: what is not an allow is a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from gateway import errors
from gateway.core import idempotency, policy
from gateway.model.decision import Allow, Deny, Hold, Reason
from gateway.pipeline.evidence import Fresh, Permitted
from gateway.ports import PolicyEngine, Registry


@dataclass(frozen=True, slots=True)
class Decide:
    engine: PolicyEngine
    registry: Registry

    async def __call__(self, fresh: Fresh) -> Permitted:
        """Ask policy.

        Raises:
            TenantBoundary, PolicyDenied: with the reasons that policy gave.
            ApprovalRequired: a person has to say so first.
            PolicyUnavailable: there is no usable decision.
        """
        known, action = fresh.known, fresh.action
        counters = await self.registry.counters(f"run:{known.run.run_id}") if self.engine.asks_for("counters") else {}
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
            counters=counters,
            now=known.at,
        )
        decision = await self.engine.decide(document)
        match decision:
            case Allow():
                return Permitted(fresh=fresh, decision=_bound(fresh, decision))
            case Hold():
                raise errors.ApprovalRequired(
                    approval_id=_approval_id(fresh), reasons=_shown(decision.reasons), approval=dict(decision.approval)
                )
            case Deny():
                raise _denial(decision)
            case other:
                assert_never(other)


def _bound(fresh: Fresh, decision: Allow) -> Allow:
    """The allow, where what it is bound to can be kept.

    Raises:
        PolicyDenied: policy wants the write verified and the adapter declares no way to.
    """
    kind = fresh.action.kind
    if decision.obligations.get("verify") and (kind is None or kind.verify is None):
        raise errors.PolicyDenied(
            f"Policy allows {fresh.action.name} only verified, and its adapter declares no verify.",
            hint="The adapter's author has to declare how the effect can be read back.",
            reasons=[{"code": "verify-undeclared", "message": "There is no way to verify this action."}],
        )
    return decision


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
