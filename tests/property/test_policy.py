"""Whatever a call looks like, policy is asked well-formed questions and an answer that is no allow never becomes one."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import jsonschema_rs
import orjson
import regorus
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.clients.rego import engine as rego_engine
from gateway.clients.rego import entry_points
from gateway.core.policy import decision as policy_decision
from gateway.core.policy import rules
from gateway.model.call import Call, Effect, Reversibility, Target
from gateway.model.decision import Allow, Deny, Hold
from gateway.model.run import Lease, Mode, Run

POLICIES = Path(__file__).parents[2] / "policies"
VALIDATOR = jsonschema_rs.validator_for(rules.schemas()["killcord", "authz"])

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
times = st.floats(min_value=0, max_value=4_000_000_000)
numbers = st.integers(min_value=-(2**63), max_value=2**63 - 1)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
runs = st.builds(
    Run,
    run_id=texts,
    workflow_id=texts,
    tenant=texts,
    agent_id=texts,
    task_class=texts,
    parent_run=st.none() | texts,
    scopes=st.lists(texts, max_size=3).map(tuple),
    tools=st.none() | st.lists(texts, max_size=3).map(tuple),
    opened_at=times,
)
calls = st.builds(
    Call, tool=texts, method=texts, path=texts, segments=st.just(()), query=st.dictionaries(texts, texts, max_size=3), args=json_values
)
leases = st.builds(Lease, run_id=texts, tenant=texts, generation=st.integers(1, 9), not_before=times, expires_at=times)
documents = st.builds(
    policy_decision.document,
    caller=st.builds(policy_decision.of_caller, runs, leases, st.sampled_from(Mode)),
    call=calls,
    action=texts,
    effect=st.sampled_from(Effect),
    reversibility=st.none() | st.sampled_from(Reversibility),
    fanout=st.booleans(),
    target=st.builds(Target, texts, texts, texts, st.none() | texts),
    step_id=texts,
    parent_step_id=st.none() | texts,
    counters=st.dictionaries(texts, st.integers(0, 2**53), max_size=3),
    now=times,
    approval=st.none() | st.fixed_dictionaries({"granted": st.booleans()}, optional={"by": texts, "id": texts}),
)


def engine() -> rego_engine.EmbeddedEngine:
    return rego_engine.EmbeddedEngine(POLICIES, mint=lambda prefix: f"{prefix}_1", report=lambda level, line: None)


def wildcard_engine() -> regorus.Engine:
    made = regorus.Engine()
    made.add_policy("wildcard.rego", (POLICIES / "killcord/lib/wildcard.rego").read_text())
    return made


ENGINE, WILDCARDS = engine(), wildcard_engine()


def matches(pattern: str, text: str) -> bool:
    WILDCARDS.set_input_json(orjson.dumps({"pattern": pattern, "text": text}).decode())
    result = orjson.loads(WILDCARDS.eval_query_as_json("data.killcord.lib.wildcard.matches(input.pattern, input.text)"))
    return bool(result.get("result")) and result["result"][0]["expressions"][0]["value"] is True


def reference(pattern: str, text: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


few = st.text("ab.:*", max_size=8) | st.text("aé.*[]{}()^$+?|\\\n-&~#", max_size=6)


@settings(max_examples=600)
@given(pattern=few, text=few)
@example("ab*ba", "aba")
@example("*", "")
@example("**", "")
@example("a*b*c*", "abcx\n")
@example("*\\*\\*", "\\\\")
@example("(?i)a*b*", "Ab")
def test_wildcards_match_as_the_reference_does(pattern: str, text: str) -> None:
    assert matches(pattern, text) == reference(pattern, text)


@settings(max_examples=200)
@given(
    parts=st.lists(st.text("ab.", max_size=3), min_size=1, max_size=5), fill=st.lists(st.text("ab:\n", max_size=3), min_size=5, max_size=5)
)
def test_a_text_made_from_a_pattern_matches_it(parts: list[str], fill: list[str]) -> None:
    text = "".join(part + filler for part, filler in zip(parts, [*fill[: len(parts) - 1], ""], strict=True))
    assert matches("*".join(parts), text)


@settings(max_examples=200)
@given(asked=documents)
def test_every_document_fits_the_schema(asked: dict[str, object]) -> None:
    assert VALIDATOR.is_valid(asked), list(VALIDATOR.iter_errors(asked))


@settings(max_examples=200)
@given(asked=documents)
def test_nothing_is_allowed_without_a_scope_across_tenants_or_under_containment(asked: dict[str, object]) -> None:
    decision = asyncio.run(ENGINE.decide(asked))
    if isinstance(decision, Allow | Hold):
        lease, run, action, target = (asked[part] for part in ("lease", "run", "action", "target"))
        assert isinstance(lease, dict)
        assert isinstance(run, dict)
        assert isinstance(action, dict)
        assert isinstance(target, dict)
        assert any(reference(scope, f"{asked['tool']}:{action['name']}") for scope in lease["scopes"])
        assert target.get("tenant", run["tenant"]) == run["tenant"]
        assert action["effect"] == "read" or run["mode"] == "active"
        assert "tools" not in lease or asked["tool"] in lease["tools"]


@settings(max_examples=300)
@given(raw=json_values | st.fixed_dictionaries({"allow": json_values}, optional={"reasons": json_values, "obligations": json_values}))
def test_only_true_is_true(raw: object) -> None:
    decision = policy_decision.parse(raw, decision_id="d", revision="r")
    assert isinstance(decision, Deny) or (isinstance(raw, dict) and raw["allow"] is True)


@settings(max_examples=100)
@given(noise=json_values)
def test_a_document_of_any_shape_is_never_allowed_by_accident(noise: object) -> None:
    for part in ("lease", "run", "action", "tool"):
        asked = entry_points.sample_call() | {part: noise}
        assert isinstance(asyncio.run(ENGINE.decide(asked)), Deny), part
