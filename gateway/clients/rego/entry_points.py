"""What the gateway asks of a bundle beside the decision on a call: the rules, how they have to be written, and a sample of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.clients.rego import names
from gateway.clients.rego.names import Names
from gateway.core.policy import rules
from gateway.model.action import Remedy, Reversibility
from gateway.model.effect import State
from gateway.model.run import Mode, Run
from gateway.model.trigger import Trigger

ROOT = ("data", "killcord")
ASKED = (rules.RESPONSE, rules.RECOVERY, rules.INVARIANTS)

LACKING: Mapping[str, str] = {
    rules.RESPONSE: f"policy has no data.killcord.{rules.RESPONSE}: every trigger will quarantine; take it over from the starter bundle",
    rules.INVARIANTS: f"policy has no data.killcord.{rules.INVARIANTS}: no state will count as sound; take it over from the starter bundle",
}
"""What an operator is told of a bundle without a rule; a bundle may do without the one that is not here."""


def problems(known: Names) -> Iterator[str]:
    """A rule that is written so that the engines could not be asked for it alike."""
    for rule in ASKED:
        path = _path(rule)
        for defined, definitions in known.definitions.items():
            module, definition = definitions[0]
            if names.begins(defined, path) and (defined != path or definition.arity is not None):
                yield f"{module.file}:{definition.line}: data.killcord.{rule} has to be one rule, {_HOW[rule]}"
        if _holds(known.data, path[1:]):
            yield f"data.killcord.{rule} has to be a rule, no data"


def present(known: Names) -> frozenset[str]:
    """Those that the bundle has."""
    return frozenset(rule for rule in ASKED if _path(rule) in known.definitions)


def samples() -> Mapping[str, dict[str, object]]:
    """An ordinary document for each."""
    run = Run(run_id="run_1", workflow_id="run_1", tenant="acme", agent_id="billing", task_class="default", scopes=("erp:*",))
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
        rules.RESPONSE: rules.response_document(trigger=trigger, run=run, mode=Mode.ACTIVE, counters={}),
        rules.RECOVERY: rules.recovery_document(node=node, run=run, mode=Mode.QUARANTINED, now=1_790_000_001.0),
        rules.INVARIANTS: rules.invariants_document(run=run, mode=Mode.QUARANTINED, objects=[there], plan={"nodes": [node]}),
    }


def fault(rule: str, answer: object) -> str | None:
    """What keeps an answer to a sample from being one; undefined is none yet."""
    if answer is None:
        return None
    if rule == rules.RESPONSE:
        return rules.response_fault(answer)
    if rule == rules.INVARIANTS:
        return next((each.message for each in rules.parse_invariants(answer) if each.code == rules.UNUSABLE), None)
    return rules.UNCLEAR if rules.parse_recovery(answer) == rules.UNCLEAR else None


_HOW = {
    rules.RESPONSE: "response := {...} if {...}",
    rules.RECOVERY: "decision := {...} if {...}",
    rules.INVARIANTS: "violations contains {...} if {...}",
}


def _path(rule: str) -> tuple[str, ...]:
    return (*ROOT, *rule.split("."))


def _holds(data: object, path: tuple[str, ...]) -> bool:
    for step in path:
        if not isinstance(data, Mapping) or step not in data:
            return False
        data = data[step]
    return True
