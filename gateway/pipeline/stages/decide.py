"""Does policy allow it? Strictly positive: what is not an allow is a refusal, or in shadow mode a denial that is waived in writing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from gateway import errors
from gateway.core.authorization import lease
from gateway.core.policy import decision as policy_decision
from gateway.model.action import Effect
from gateway.model.approval import Approval
from gateway.model.decision import Allow, Considered, Decision, Deny, Hold, Reason
from gateway.pipeline.evidence import Denied, Fresh, Held, Permitted
from gateway.ports.policy import PolicyEngine
from gateway.ports.projections import Registry


@dataclass(frozen=True, slots=True)
class Decide:
    """``candidate`` is asked beside the active engine, journaled, and never obeyed."""

    engine: PolicyEngine
    registry: Registry
    candidate: PolicyEngine | None = None

    async def __call__(self, fresh: Fresh, grant: Approval | None = None) -> Permitted | Denied | Held:
        """Ask policy; with the ``grant`` that the call has, where it has one.

        Raises:
            PolicyUnavailable: there is no usable decision; no mode waives that.
        """
        known, action = fresh.known, fresh.action
        counters = await self.registry.counters(f"run:{known.run.run_id}") if self._asks_for("counters") else None
        approval = None if grant is None else {"granted": True, "id": grant.approval_id, "by": grant.decided_by}
        document = policy_decision.document(
            run=known.run,
            lease=known.lease,
            mode=fresh.opened.mode,
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
            approval=approval,
        )
        active = self.engine.revision
        decision = await self.engine.decide(document)
        candidate = None if self.candidate is None else await _tried(self.candidate, document)
        refusal = _refusal(fresh, decision)
        stopped = refusal is not None or isinstance(decision, Hold)
        waived = stopped and known.at < known.tool.shadow_until and not isinstance(refusal, errors.TenantBoundary)
        considered = Considered(
            decision=decision,
            at=known.at,
            mode=fresh.opened.mode,
            waived=waived,
            candidate=candidate,
            counters=counters,
            approval=approval,
            active=active,
        )
        if waived or not stopped:
            gate = None if grant is not None else _gate(fresh, decision)
            if gate is not None:
                return Held(fresh=fresh, considered=considered, hold=gate)
            return Permitted(fresh=fresh, considered=considered, approval=grant)
        if isinstance(decision, Hold):
            return Held(fresh=fresh, considered=considered, hold=decision)
        assert refusal is not None
        return Denied(fresh=fresh, considered=considered, refusal=refusal)

    def _asks_for(self, name: str) -> bool:
        return self.engine.asks_for(name) or (self.candidate is not None and self.candidate.asks_for(name))


async def _tried(candidate: PolicyEngine, document: dict[str, object]) -> Decision | str:
    try:
        return await candidate.decide(document)
    except errors.PolicyUnavailable as down:
        return down.detail


def _gate(fresh: Fresh, decision: Decision) -> Hold | None:
    """What a resume of the run put in front of a write, which no mode waives: a person's yes, where policy alone would let it pass."""
    known, action = fresh.known, fresh.action
    if action.effect is Effect.READ or not known.run.require_approval:
        return None
    name = f"{known.tool.name}:{action.name}"
    if lease.beyond([name], known.run.require_approval):
        return None
    why = f"Since the run was resumed, {action.name} has to be approved first."
    return Hold(decision_id=decision.decision_id, revision=decision.revision, reasons=(Reason("resumed", why),), approval={"why": why})


def _refusal(fresh: Fresh, decision: Decision) -> errors.Refusal | None:
    """What stands against the call: ``None`` where an allow can be had as it is meant, and where only a person's yes is lacking."""
    match decision:
        case Allow():
            return _unkept(fresh, decision)
        case Hold():
            return None
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
    reasons = shown(decision.reasons)
    if any(reason.code == "tenant-boundary" for reason in decision.reasons):
        return errors.TenantBoundary(reasons=reasons)
    said = "; ".join(reason.message for reason in decision.reasons)
    return errors.PolicyDenied(said or None, reasons=reasons)


def shown(reasons: Sequence[Reason]) -> list[dict[str, str]]:
    return [{"code": reason.code, "message": reason.message} for reason in reasons]
