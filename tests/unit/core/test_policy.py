"""What policy is asked, and what counts as its answer."""

from __future__ import annotations

from pathlib import Path

import jsonschema_rs
import pytest

from gateway.core.policy import decision, rules
from gateway.model.call import Call, Effect, Reversibility, Target
from gateway.model.decision import Allow, Decision, Deny, Hold, Reason
from gateway.model.run import Lease, Mode, Run

SCHEMA_FILE = Path(__file__).parents[3] / "policies" / "schemas" / "input.json"


def parsed(raw: object) -> Decision:
    return decision.parse(raw, decision_id="dec_1", revision="r1")


def code(decision: Decision) -> str:
    assert isinstance(decision, Deny)
    return decision.reasons[0].code


def document(
    *,
    run: Run | None = None,
    effect: Effect = Effect.WRITE,
    reversibility: Reversibility | None = Reversibility.REVERSIBLE,
    tenant: str | None = "acme",
    parent_step_id: str | None = None,
    approval: dict[str, object] | None = None,
) -> dict[str, object]:
    run = run or Run(run_id="run_1", workflow_id="wf_1", tenant="acme", agent_id="billing", task_class="default", scopes=("erp:*",))
    lease = Lease(run_id="run_1", tenant="acme", generation=2, not_before=0.0, expires_at=1_790_000_060.0)
    return decision.document(
        caller=decision.of_caller(run, lease, Mode.READ_ONLY),
        call=Call(tool="erp", method="GET", path="/a%20b", segments=("a b",), raw_query="q=1", query={"q": "1"}, args={"n": [1, "é"]}),
        action="invoice.read",
        effect=effect,
        reversibility=reversibility,
        fanout=False,
        target=Target("erp", "invoice", "1", tenant),
        step_id="s1",
        parent_step_id=parent_step_id,
        counters={"steps": 4},
        now=1_790_000_000.000001,
        approval=approval,
    )


def test_a_document_says_all_that_policy_may_ask() -> None:
    assert document() == {
        "lease": {"scopes": ["erp:*"], "generation": 2, "expires_at": 1_790_000_060_000_000_000},
        "run": {
            "run_id": "run_1",
            "workflow_id": "wf_1",
            "tenant": "acme",
            "agent_id": "billing",
            "task_class": "default",
            "mode": "read_only",
            "opened_at": 0,
        },
        "agent": {"id": "billing"},
        "tenant": "acme",
        "step": {"id": "s1"},
        "tool": "erp",
        "action": {"name": "invoice.read", "effect": "write", "class": "reversible", "fanout": False},
        "target": {"system": "erp", "type": "invoice", "id": "1", "tenant": "acme"},
        "args": {"n": [1, "é"]},
        "http": {"method": "GET", "path": "/a%20b", "query": {"q": "1"}},
        "counters": {"steps": 4},
        "now": 1_790_000_000_000_001_000,
    }


def test_what_does_not_apply_is_absent_and_not_null() -> None:
    asked = document(effect=Effect.READ, reversibility=None, tenant=None)
    validator = jsonschema_rs.validator_for(rules.schemas()["killcord", "authz"])
    assert validator.is_valid(asked)
    assert "tenant" not in asked["target"]  # type: ignore[operator]
    assert "class" not in asked["action"]  # type: ignore[operator]
    assert "approval" not in asked


def test_what_applies_now_and_then_is_in_its_place() -> None:
    run = Run(run_id="r", workflow_id="w", tenant="t", agent_id="a", task_class="c", parent_run="p", tools=("erp",))
    asked = document(run=run, parent_step_id="s0", approval={"granted": True, "by": "ann"})
    assert jsonschema_rs.validator_for(rules.schemas()["killcord", "authz"]).is_valid(asked)
    assert asked["lease"]["tools"] == ["erp"]  # type: ignore[index]
    assert asked["run"]["parent_run"] == "p"  # type: ignore[index]
    assert asked["step"] == {"id": "s1", "parent": "s0"}
    assert asked["approval"] == {"granted": True, "by": "ann"}


@pytest.mark.parametrize("part", ["lease", "run", "agent", "step", "action", "target", "http"])
def test_the_schema_is_closed_wherever_the_shape_is_ours(part: str) -> None:
    asked = document()
    asked[part]["surprise"] = 1  # type: ignore[index]
    assert not jsonschema_rs.validator_for(rules.schemas()["killcord", "authz"]).is_valid(asked)


def test_a_plain_true_allows() -> None:
    assert parsed({"allow": True}) == Allow(decision_id="dec_1", revision="r1")


def test_an_allow_keeps_its_reasons_and_obligations() -> None:
    raw = {"allow": True, "reasons": [{"code": "c", "message": "m"}], "obligations": {"verify": True, "redact": ["args.iban"]}}
    assert parsed(raw) == Allow(
        decision_id="dec_1", revision="r1", reasons=(Reason("c", "m"),), obligations={"verify": True, "redact": ["args.iban"]}
    )


def test_an_allow_under_approval_holds() -> None:
    raw = {"allow": True, "reasons": [], "obligations": {"approval": {"why": "because"}}}
    assert parsed(raw) == Hold(decision_id="dec_1", revision="r1", approval={"why": "because"})


def test_an_approval_does_not_soften_a_denial() -> None:
    assert isinstance(parsed({"allow": False, "reasons": [], "obligations": {"approval": {}}}), Deny)


def test_a_denial_keeps_its_reasons() -> None:
    reasons = [{"code": "scope", "message": "a"}, {"code": "mode", "message": "b"}]
    assert parsed({"allow": False, "reasons": reasons}) == Deny(
        decision_id="dec_1", revision="r1", reasons=(Reason("scope", "a"), Reason("mode", "b"))
    )


def test_a_denial_without_reasons_reports_it() -> None:
    assert code(parsed({"allow": False})) == "unexplained"


def test_undefined_is_a_denial_of_its_own() -> None:
    assert code(parsed(None)) == "policy-undefined"


@pytest.mark.parametrize(
    "raw",
    [
        True,
        1,
        1.0,
        "true",
        "",
        [],
        [True],
        {},
        {"Allow": True},
        {"allow": "true"},
        {"allow": 1},
        {"allow": 1.0},
        {"allow": None},
        {"allow": [True]},
        {"allow": {"allow": True}},
        {"result": {"allow": True}},
        {"allow": True, "reasons": None},
        {"allow": True, "reasons": {}},
        {"allow": True, "reasons": "because"},
        {"allow": True, "reasons": ["because"]},
        {"allow": True, "reasons": [{"code": "c"}]},
        {"allow": True, "reasons": [{"code": "c", "message": 1}]},
        {"allow": True, "reasons": [{"code": None, "message": "m"}]},
        {"allow": True, "reasons": [{"code": "c", "message": "m", "more": "x"}]},
        {"allow": True, "obligations": None},
        {"allow": True, "obligations": []},
        {"allow": True, "obligations": ["approval"]},
        {"allow": True, "obligation": {"approval": {}}},
        {"allow": True, "obligations": {"approval": True}},
        {"allow": True, "obligations": {"approval": None}},
        {"allow": True, "obligations": {"verify": "yes"}},
        {"allow": True, "obligations": {"verify": 1}},
        {"allow": True, "obligations": {"redact": "iban"}},
        {"allow": True, "obligations": {"redact": [1]}},
        {"allow": False, "reasons": ["because"]},
        {"allow": True, "ünknown": 1},
    ],
)
def test_whatever_is_not_a_decision_denies(raw: object) -> None:
    assert code(parsed(raw)) == "policy-malformed"


@pytest.mark.parametrize("name", ["aproval", "Approval", "notify", ""])
def test_an_obligation_that_cannot_be_kept_denies(name: str) -> None:
    assert code(parsed({"allow": True, "obligations": {name: {}}})) == "obligation-unknown"
