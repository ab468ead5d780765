"""What the gateway asks of a bundle: the rules, how each has to be written, and a sample document for each."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.core.policy import decision as policy_decision
from gateway.core.policy import rules
from gateway.model.call import Call, Effect, Remedy, Reversibility, Target
from gateway.model.decision import Deny
from gateway.model.effect import State
from gateway.model.run import Lease, Mode, Run
from gateway.model.trigger import Trigger

ROOT = ("data", "killcord")
DECISION = (*ROOT, "authz", "decision")
RULE = ".".join(DECISION)

ASKED: Mapping[str, str] = {
    rules.RESPONSE: "response := {...} if {...}",
    rules.RECOVERY: "decision := {...} if {...}",
    rules.INVARIANTS: "violations contains {...} if {...}",
}
"""What is asked beside the decision on a call, and how the rule has to be written."""

LACKING: Mapping[str, str] = {
    rules.RESPONSE: f"policy has no data.killcord.{rules.RESPONSE}: every trigger will quarantine; copy the rule from the starter bundle",
    rules.INVARIANTS: f"policy has no data.killcord.{rules.INVARIANTS}: no state counts as sound; copy the rule from the starter bundle",
}
"""The warning for a bundle without one of the rules that it should have."""


_RUN = Run(run_id="run_1", workflow_id="run_1", tenant="acme", agent_id="billing", task_class="default", scopes=("erp:*",))
_LEASE = Lease(run_id="run_1", tenant="acme", generation=1, not_before=0.0, expires_at=1_800_000_000.0)


def path_of(rule: str) -> tuple[str, ...]:
    return (*ROOT, *rule.split("."))


def sample_call() -> dict[str, object]:
    """The document of an ordinary write."""
    return policy_decision.document(
        caller=policy_decision.of_caller(_RUN, _LEASE, Mode.ACTIVE),
        call=Call(tool="erp", method="PATCH", path="/acme/invoices/1", segments=("acme", "invoices", "1"), args={}),
        action="invoice.update",
        effect=Effect.WRITE,
        reversibility=Reversibility.REVERSIBLE,
        fanout=False,
        target=Target("erp", "invoice", "1", "acme"),
        step_id="auto-1",
        parent_step_id=None,
        counters={},
        now=1_790_000_000.0,
    )


def samples() -> Mapping[str, dict[str, object]]:
    """An ordinary document for each."""
    target = {"system": "erp", "type": "invoice", "id": "1", "tenant": "acme"}
    node: dict[str, object] = {
        "entry": "node/1",
        "tool": "erp",
        "action": "invoice.update",
        "target": target,
        "class": Reversibility.REVERSIBLE.value,
        "remedy": Remedy.RESTORE_PREVIOUS_VERSION.value,
        "auto": True,
        "state": State.STANDING.value,
        "at": 1_790_000_000_000_000_000,
        "writes": 1,
        "by": "invoice.replace",
    }
    trigger = Trigger(name="policy.denied", at=1_790_000_000.0, count=5, threshold=5, evidence=("node/1",))
    there: dict[str, object] = {**target, "exists": True, "version": "1", "state": {}}
    return {
        rules.RESPONSE: rules.response_document(trigger=trigger, run=_RUN, mode=Mode.ACTIVE, counters={}),
        rules.RECOVERY: rules.recovery_document(node=node, run=_RUN, mode=Mode.QUARANTINED, now=1_790_000_001.0),
        rules.INVARIANTS: rules.invariants_document(run=_RUN, mode=Mode.QUARANTINED, objects=[there], plan={"nodes": [node]}),
    }


def decision_fault(answer: object) -> str | None:
    """What makes the answer to the sample call no usable decision."""
    decision = policy_decision.parse(answer, decision_id="sample", revision="sample")
    unusable = isinstance(decision, Deny) and decision.reasons[0].code in policy_decision.UNUSABLE
    return decision.reasons[0].message if unusable else None


def fault(rule: str, answer: object) -> str | None:
    """What makes an answer to a sample invalid; undefined is not an answer yet."""
    if answer is None:
        return None
    if rule == rules.RESPONSE:
        return rules.response_fault(answer)
    if rule == rules.INVARIANTS:
        return next((each.message for each in rules.parse_invariants(answer) if each.code == rules.UNUSABLE), None)
    return rules.UNCLEAR if rules.parse_recovery(answer) == rules.UNCLEAR else None
