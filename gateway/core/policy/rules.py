"""What policy is asked beside the decision on a call (responses, recovery, invariants): the documents, and what an answer means. Pure.

Whatever is not a valid answer has the careful meaning: a response is quarantine, a compensation becomes a task, a state is
unsound. ``schemas/`` has the documents' JSON Schemas; all their times are integer nanoseconds of Unix time.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from importlib import resources

import msgspec
import orjson

from gateway.core.policy.decision import is_reason, nanoseconds, of_run, present
from gateway.model.decision import Reason
from gateway.model.effect import Write
from gateway.model.rollback import Node
from gateway.model.run import Mode, Run, Scope
from gateway.model.trigger import Measure, PastResponse, Response, Trigger, Verdict

RESPONSE = "response.response"
RECOVERY = "recovery.decision"
INVARIANTS = "invariants.violations"
HISTORY = 50
"""Earlier triggers that a rule for responses sees, the newest."""
LONGEST_WHY = 1_000
UNUSABLE = "invariants-unusable"

Document = dict[str, object]


@functools.cache
def schemas() -> Mapping[tuple[str, ...], Document]:
    """The JSON Schema of ``input`` for the rules of each package, of its subpackages too. Closed wherever the shape is ours."""
    files = resources.files(__package__).joinpath("schemas").iterdir()
    return {("killcord", file.name.removesuffix(".json")): orjson.loads(file.read_bytes()) for file in files}


# --- responses -------------------------------------------------------------------------------------------------------


def response_document(
    *,
    trigger: Trigger,
    run: Run,
    mode: Mode,
    counters: Mapping[str, int],
    history: Sequence[PastResponse] = (),
    violations: Sequence[Reason] | None = None,
) -> Document:
    """What policy is asked about one trigger. ``mode`` is the effective one; ``history`` is oldest first.

    ``violations`` are given only if invariants were evaluated on the run's state.
    """
    return present(
        trigger=_trigger(trigger),
        run=_run(run, mode),
        counters=dict(counters),
        history=[{"name": each.name, "at": nanoseconds(each.at), "action": each.action.value} for each in history[-HISTORY:]],
        violations=None if violations is None else [{"code": each.code, "message": each.message} for each in violations],
    )


def _trigger(trigger: Trigger) -> Document:
    derived = {"layer": trigger.layer, "at": nanoseconds(trigger.at), "evidence": list(trigger.evidence)}
    return present(**msgspec.to_builtins(trigger)) | derived


def parse_response(raw: object) -> Response:
    """The response of a rule's answer; ``None`` is undefined. An invalid or impossible answer means quarantine."""
    if raw is None:
        return unanswered(f"policy has no response for it: data.killcord.{RESPONSE} is undefined")
    if (fault := response_fault(raw)) is not None:
        return unanswered(f"policy's response is unusable: {fault}")
    assert isinstance(raw, dict)
    return Response(
        action=Measure(raw["action"]),
        rollback=raw["rollback"],
        verdict=Verdict(raw["verdict"]),
        why=raw["why"][:LONGEST_WHY],
        scope=_scope(raw["scope"]) if "scope" in raw else None,
    )


def unanswered(what: str) -> Response:
    """The response if policy has none; ``what`` went wrong."""
    return Response(
        action=Measure.QUARANTINE, rollback=False, verdict=Verdict.CONTAINMENT, why=f"Quarantined, because {what}."[:LONGEST_WHY]
    )


def response_fault(raw: object) -> str | None:
    """What keeps an answer from being a response; ``None`` for one that is."""
    if not isinstance(raw, dict):
        return "it is not an object"
    # A misspelt member could be the scope: it must not be passed over.
    if unknown := sorted(str(name) for name in raw.keys() - {"action", "rollback", "verdict", "scope", "why"}):
        return f"it has an unknown member {unknown[0]}"
    if not _is_word(raw.get("action"), Measure):
        return f"action is not one of {', '.join(Measure)}"
    if not isinstance(raw.get("rollback"), bool):
        return "rollback is neither true nor false"
    if not _is_word(raw.get("verdict"), Verdict):
        return f"verdict is not one of {', '.join(Verdict)}"
    if not isinstance(raw.get("why"), str) or not raw["why"]:
        return "why is no text"
    return _contradiction(raw, Measure(raw["action"])) or (_scope_fault(raw["scope"], raw["action"]) if "scope" in raw else None)


def _contradiction(raw: Mapping[str, object], action: Measure) -> str | None:
    if raw["rollback"] and action.mode in (None, Mode.ACTIVE):
        return f"a rollback needs containment, and {action} does not contain"
    if raw["verdict"] == Verdict.CONTAINMENT and action.mode is None:
        return f"the verdict is containment, and {action} contains nothing"
    return None


_NAMES = ("run", "agent", "tenant", "task_class", "tool")


def _scope_fault(raw: object, action: str) -> str | None:
    """What keeps an answer's scope from being an order's."""
    if not isinstance(raw, dict):
        return "scope is not an object"
    if unknown := sorted(str(name) for name in raw.keys() - {*_NAMES, "subtree", "all"}):
        return f"scope has an unknown member {unknown[0]}"
    if raw == {"all": True}:
        return None if action != Measure.REVOKE else "revoke needs a run or an agent in its scope"
    if "all" in raw:
        return "scope.all must be true and alone, or absent"
    if unusable := [name for name in _NAMES if name in raw and not (isinstance(raw[name], str) and raw[name])]:
        return f"scope.{unusable[0]} is not text"
    if not raw.keys() & set(_NAMES):
        return "scope is empty"
    if not isinstance(raw.get("subtree", False), bool):
        return "scope.subtree is neither true nor false"
    if raw.get("subtree") and "run" not in raw:
        return "scope.subtree needs the run whose descendants are meant"
    if action == Measure.REVOKE and not raw.keys() & {"run", "agent"}:
        return "revoke needs a run or an agent in its scope"
    return None


def _scope(raw: Mapping[str, object]) -> Scope:
    named = {name: str(raw[name]) for name in _NAMES if name in raw}
    return Scope(**named, subtree=raw.get("subtree") is True, everything=raw.get("all") is True)


# --- recovery --------------------------------------------------------------------------------------------------------


def recovery_document(
    *, node: Mapping[str, object], run: Run, mode: Mode, now: float, incident: Mapping[str, object] | None = None
) -> Document:
    """What policy is asked before one compensation. ``node`` and ``incident`` as the schema has them; ``now`` is Unix seconds."""
    return present(node=dict(node), run=_run(run, mode), now=nanoseconds(now), incident=None if incident is None else dict(incident))


def node_document(node: Node, effects: Sequence[Write]) -> Document:
    """A node of a plan as a rule sees it; ``effects`` are its own, oldest first."""
    newest, target = effects[-1], node.target
    until = newest.compensation.allowed_until
    return {
        "entry": str(newest.intent),
        "tool": node.tool,
        "action": node.action,
        "target": present(system=target.system, type=target.type, id=target.id, tenant=target.tenant),
        "class": newest.compensation.reversibility.value,
        **present(
            remedy=node.remedy.value,
            auto=node.automatic,
            state=newest.state.value,
            at=nanoseconds(newest.at),
            writes=len(effects),
            by=node.by,
            allowed_until=None if until is None else nanoseconds(until),
        ),
    }


def parse_recovery(raw: object) -> str | None:
    """Why a compensation has to become a task; ``None`` if it may proceed, as it may if policy has no rule for it."""
    if raw is None:
        return None
    if isinstance(raw, dict) and raw.get("proceed") is True and raw.keys() == {"proceed"}:
        return None
    why = raw.get("why") if isinstance(raw, dict) and raw.get("proceed") is False and raw.keys() == {"proceed", "why"} else None
    return why[:LONGEST_WHY] if isinstance(why, str) and why else UNCLEAR


UNCLEAR = (
    f'Policy\'s answer cannot be used: data.killcord.{RECOVERY} is neither {{"proceed": true}} nor {{"proceed": false, "why": "..."}}.'
)


# --- invariants ------------------------------------------------------------------------------------------------------


def invariants_document(*, run: Run, mode: Mode, objects: Sequence[Mapping[str, object]], plan: Mapping[str, object]) -> Document:
    """What policy is asked about the state after an incident. ``objects`` and ``plan`` as the schema has them."""
    return {"run": _run(run, mode), "objects": [dict(each) for each in objects], "plan": dict(plan)}


def parse_invariants(raw: object) -> tuple[Reason, ...]:
    """What is wrong with the state, sorted; empty if it is sound. An answer that cannot be used is a violation itself."""
    if not isinstance(raw, list):
        return unsound(f"data.killcord.{INVARIANTS} is {'undefined' if raw is None else 'not a set'}")
    if not all(is_reason(each) for each in raw):
        return unsound(f"data.killcord.{INVARIANTS} has members that are not {{code, message}}")
    return tuple(sorted((Reason(each["code"], each["message"]) for each in raw), key=lambda each: (each.code, each.message)))


def unsound(what: str) -> tuple[Reason, ...]:
    """The violations if policy gives no answer; ``what`` went wrong."""
    return (Reason(UNUSABLE, f"The invariants could not be evaluated: {what}."),)


# --- shared ----------------------------------------------------------------------------------------------------------


def _run(run: Run, mode: Mode) -> Document:
    return of_run(run, mode) | {"generation": run.generation}


def _is_word(raw: object, words: type[Measure] | type[Verdict]) -> bool:
    return isinstance(raw, str) and raw in set(words)
