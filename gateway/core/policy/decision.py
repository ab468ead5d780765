"""The document that policy decides on, and what counts as a decision. Pure.

``docs/policies.md`` tells policy authors about the document; ``schema`` is its JSON Schema, kept in
``schemas/authz.json``. All its times are integer nanoseconds of Unix time, as Rego's ``time.*`` functions take them.

Arguments that policy names are redacted before they are sealed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.core.policy import numbers
from gateway.model.call import BodyKind, Call, Effect, Reversibility, Target
from gateway.model.decision import Allow, Decision, Deny, Hold, Reason
from gateway.model.run import Lease, Mode, Run


def document(
    *,
    caller: Mapping[str, object],
    call: Call,
    action: str,
    effect: Effect,
    reversibility: Reversibility | None,
    fanout: bool,
    dry_run: bool = False,
    target: Target,
    step_id: str,
    parent_step_id: str | None,
    counters: Mapping[str, int],
    now: float,
    approval: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """What policy is asked about one call. ``caller`` is as ``of_caller`` gives it; ``now`` is Unix seconds.

    What does not apply is absent, never null (``args`` alone is null: there is no body, or, with
    ``http.body_opaque``, one that the gateway cannot read). A number that engines would hold
    differently is a text. ``approval`` is given if a person has approved this very call:
    ``{"granted": true, "id"?, "by"?}``.
    """
    asked: dict[str, object] = {
        **caller,
        "step": {"id": step_id} if parent_step_id is None else {"id": step_id, "parent": parent_step_id},
        "tool": call.tool,
        "action": {"name": action, "effect": effect.value, "fanout": fanout},
        "target": _target(target),
        "args": numbers.shown(call.args) if call.long_numbers else call.args,
        "http": _http(call),
        "counters": dict(counters),
        "now": nanoseconds(now),
    }
    if reversibility is not None:
        asked["action"] = {"name": action, "effect": effect.value, "class": reversibility.value, "fanout": fanout}
    if dry_run:
        asked["action"] = {"name": action, "effect": effect.value, "fanout": fanout, "dry_run": True}
    if approval is not None:
        asked["approval"] = dict(approval)
    return asked


def of_caller(run: Run, lease: Lease, mode: Mode) -> dict[str, object]:
    """What policy is asked about who calls: the same for every call of a lease, as long as the run and its effective mode are."""
    return {
        "lease": present(
            scopes=list(run.scopes),
            tools=None if run.tools is None else list(run.tools),
            generation=lease.generation,
            expires_at=nanoseconds(lease.expires_at),
        ),
        "run": of_run(run, mode),
        "agent": {"id": run.agent_id},
        "tenant": run.tenant,
    }


def _target(target: Target) -> dict[str, object]:
    shown: dict[str, object] = {"system": target.system, "type": target.type, "id": target.id}
    if target.tenant is not None:
        shown["tenant"] = target.tenant
    return shown


def _http(call: Call) -> dict[str, object]:
    asked: dict[str, object] = {"method": call.method, "path": call.path, "query": dict(call.query)}
    if call.kind is BodyKind.OPAQUE:  # there is a body, and no rule sees what it says
        asked["body_opaque"] = True
    return asked


def of_run(run: Run, mode: Mode) -> dict[str, object]:
    """A run as policy sees it; ``mode`` is the effective one."""
    return present(
        run_id=run.run_id,
        workflow_id=run.workflow_id,
        tenant=run.tenant,
        agent_id=run.agent_id,
        task_class=run.task_class,
        parent_run=run.parent_run,
        mode=mode.label,
        opened_at=nanoseconds(run.opened_at),
    )


def nanoseconds(seconds: float) -> int:
    """Unix seconds as integer nanoseconds, exact to the microsecond (a float holds no more)."""
    return round(seconds * 1_000_000) * 1_000


def present(**members: object) -> dict[str, object]:
    """A document of the members that are not ``None``."""
    return {name: value for name, value in members.items() if value is not None}


UNUSABLE = frozenset({"policy-undefined", "policy-malformed", "obligation-unknown"})
"""Codes of the denials that ``parse`` makes of a result which is no decision."""


UNREADABLE = Reason("policy-input", "Policy cannot process this call: use JSON values of ordinary size and depth.")
"""Why a call is denied if no engine can process its document: asking again would not help."""


def inapplicable(where: str) -> Reason:
    """Why a call is denied on which the rule at ``where`` fails.

    An engine's own message may quote an argument, which has no place in a reply or a journal: the rule's place must do.
    """
    return Reason("policy-error", f"The rule at {where} cannot be applied to this call; check the types of what the call sends.")


def parse(raw: object, *, decision_id: str, revision: str) -> Decision:
    """The decision that an engine's result stands for; ``None`` is undefined.

    Only ``{"allow": true, "reasons"?: [{"code", "message"}], "obligations"?: {...}}`` with an ``allow`` that is exactly
    true, and nothing in it that this gateway would not act on, lifts the denial; an obligation ``approval`` makes it a hold.
    """

    def denied(*reasons: Reason) -> Deny:
        return Deny(decision_id=decision_id, revision=revision, reasons=reasons)

    if raw is None:
        return denied(Reason("policy-undefined", "Policy has no decision for this call; its author must add one."))
    if (fault := _fault(raw)) is not None:
        return denied(Reason("policy-malformed", f"Policy's answer is unusable: {fault}."))
    assert isinstance(raw, dict)
    reasons = tuple(Reason(reason["code"], reason["message"]) for reason in raw.get("reasons", ()))
    if raw["allow"] is not True:
        return denied(*(reasons or (Reason("unexplained", "Policy gave no reason; ask the operator of this gateway."),)))
    obligations = raw.get("obligations", {})
    if unknown := sorted(obligations.keys() - _OBLIGATIONS.keys()):
        return denied(Reason("obligation-unknown", f"Policy demands unsupported obligations: {', '.join(unknown)}."))
    if unusable := sorted(name for name, asked in obligations.items() if not _OBLIGATIONS[name](asked)):
        return denied(Reason("policy-malformed", f"Policy's answer is unusable: obligation {unusable[0]} has another shape."))
    if "approval" in obligations:
        redact = tuple(obligations.get("redact", ()))
        return Hold(decision_id=decision_id, revision=revision, reasons=reasons, approval=obligations["approval"], redact=redact)
    return Allow(decision_id=decision_id, revision=revision, reasons=reasons, obligations=obligations)


_OBLIGATIONS = {
    "approval": lambda asked: isinstance(asked, dict),
    "verify": lambda asked: asked is True,
    "redact": lambda asked: isinstance(asked, list) and all(isinstance(name, str) for name in asked),
}


def _fault(raw: object) -> str | None:
    """What keeps a result from being a decision."""
    if not isinstance(raw, dict):
        return "it is not an object"
    # A misspelt member could be a demand for an approval: it must not be passed over.
    if unknown := sorted(str(name) for name in raw.keys() - {"allow", "reasons", "obligations"}):
        return f"it has an unknown member {unknown[0]}"
    if not isinstance(raw.get("allow"), bool):
        return "allow is neither true nor false"
    reasons = raw.get("reasons", [])
    if not isinstance(reasons, list) or not all(is_reason(reason) for reason in reasons):
        return "reasons is not a list of {code, message}"
    if not isinstance(raw.get("obligations", {}), dict):
        return "obligations is not an object"
    return None


def is_reason(reason: object) -> bool:
    """Whether a part of an answer is ``{code, message}``."""
    return isinstance(reason, dict) and reason.keys() == {"code", "message"} and all(isinstance(text, str) for text in reason.values())


REDACTED = "[redacted]"


def redacted(value: object, names: Iterable[str]) -> object:
    """A copy of a JSON value without the values at the dotted names (``card.number``); applied to each item of a list."""
    for name in names:
        value = _without(value, name.split("."))
    return value


def _without(value: object, path: list[str]) -> object:
    if isinstance(value, list):
        return [_without(item, path) for item in value]
    if not isinstance(value, dict) or path[0] not in value:
        return value
    rest = path[1:]
    return {**value, path[0]: _without(value[path[0]], rest) if rest else REDACTED}
