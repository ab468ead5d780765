"""What a bundle answers beside the decision on a call: found out, and vetted, when it loads."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.clients import policy_bundle
from gateway.clients.rego import entry_points, loading
from gateway.core.policy import rules
from tests.support.policies import ALLOWED, POLICIES, engine, problems, ruled, written

RESPONDING = 'response := {"action": "none", "rollback": false, "verdict": "recoverable", "why": "Fine."}'


def asked(folder: Path, package: str, text: str, authz: str = ALLOWED) -> Path:
    """A bundle with one module of another package; its rules begin in line 3."""
    return written(ruled(folder / "policies", authz), {f"killcord/{package}/x.rego": f"package killcord.{package}\n\n{text}\n"})


def test_the_starter_bundle_answers_everything() -> None:
    assert loading.examine(policy_bundle.read(POLICIES)).answers == set(entry_points.ASKED)


def test_a_bundle_answers_what_it_has_rules_for(tmp_path: Path) -> None:
    assert loading.examine(policy_bundle.read(asked(tmp_path, "response", RESPONDING))).answers == {rules.RESPONSE}


@pytest.mark.parametrize(
    ("package", "rule", "problem"),
    [
        ("response", "used if input.trigger.nmae", "x.rego:3: there is no input.trigger.nmae; did you mean name?"),
        ("response", "used if input.tool", "x.rego:3: there is no input.tool"),
        ("response", "used if input.violations[_].cod", "x.rego:3: there is no input.violations._.cod; did you mean code?"),
        ("response", "used if input.history[0].nam", "x.rego:3: there is no input.history._.nam; did you mean name?"),
        ("recovery", "used if input.node.target.tennant", "x.rego:3: there is no input.node.target.tennant; did you mean tenant?"),
        ("recovery", "used if input.trigger", "x.rego:3: there is no input.trigger"),
        ("invariants", "used if input.plan.nods", "x.rego:3: there is no input.plan.nods; did you mean nodes?"),
        (
            "invariants",
            "used if input.objects[_].stat",
            "x.rego:3: there is no input.objects._.stat; did you mean state?",
        ),
        ("response.parts", "used if input.trigger.nmae", "x.rego:3: there is no input.trigger.nmae; did you mean name?"),
    ],
)
def test_a_field_that_no_question_has_does_not_load(tmp_path: Path, package: str, rule: str, problem: str) -> None:
    (found,) = problems(asked(tmp_path, package, rule))
    assert problem in found


@pytest.mark.parametrize("rule", ["used if input.trigger.facts.anything", 'used if input.counters["amount:refund"] > 1'])
def test_a_field_that_may_be_there_loads(tmp_path: Path, rule: str) -> None:
    assert engine(asked(tmp_path, "response", rule)).health()[0]


@pytest.mark.parametrize(
    ("package", "rule", "how"),
    [
        ("response", 'response["action"] := "none"', "response := {...} if {...}"),
        ("response", 'response(x) := "none" if x', "response := {...} if {...}"),
        ("recovery", 'decision["proceed"] := true', "decision := {...} if {...}"),
        ("invariants", 'violations["x"] := true', "violations contains {...} if {...}"),
    ],
)
def test_what_is_asked_for_is_one_rule(tmp_path: Path, package: str, rule: str, how: str) -> None:
    (found,) = problems(asked(tmp_path, package, rule))
    assert found == f"policies/killcord/{package}/x.rego:3: data.killcord.{package}.{how.split()[0]} must be one rule, {how}"


def test_what_is_asked_for_is_no_data(tmp_path: Path) -> None:
    folder = written(ruled(tmp_path, ALLOWED), {"killcord/recovery/data.yaml": "decision: {proceed: true}\n"})
    assert problems(folder) == [f"{folder}: data.killcord.recovery.decision must be a rule, not data"]


@pytest.mark.parametrize(
    ("package", "rule", "fault"),
    [
        ("response", 'response := "pause"', "it is not an object"),
        ("response", 'response := {"action": "stop"}', "action is not one of"),
        ("recovery", "decision := true", "is neither"),
        ("invariants", 'violations contains "x"', "has members that are not {code, message}"),
        ("invariants", "violations := true", "is not a set"),
    ],
)
def test_an_answer_that_could_never_be_used_does_not_load(tmp_path: Path, package: str, rule: str, fault: str) -> None:
    (found,) = problems(asked(tmp_path, package, rule))
    assert "returns no usable answer: " in found
    assert fault in found


def test_a_rule_that_fails_on_a_sample_does_not_load(tmp_path: Path) -> None:
    (found,) = problems(asked(tmp_path, "response", 'response := {"action": "none"} if startswith(input.trigger.count, "x")'))
    assert found.startswith("policies/killcord/response/x.rego:3: ")


# --- what a decision can depend on -----------------------------------------------------------------------------------


def test_what_other_questions_look_at_is_not_gathered_for_a_call(tmp_path: Path) -> None:
    examined = loading.examine(policy_bundle.read(asked(tmp_path, "response", f"{RESPONDING} if input.counters.steps > 1")))
    assert examined.asked == frozenset()
    assert examined.input_paths == ()


@pytest.mark.parametrize(
    "authz",
    [
        "{} if data.killcord.response.busy",
        "{} if data.killcord.response[input.tool]",
        '{} if data["killcord"].response.busy',
        "{} if {{\n\tall := data.killcord.response\n\tall.busy\n}}",
        "{} if count(data.killcord.response) > 3",
    ],
)
def test_what_a_call_is_decided_by_by_whatever_way_is_gathered(tmp_path: Path, authz: str) -> None:
    folder = asked(tmp_path, "response", f"{RESPONDING}\n\nbusy if input.counters.steps > 1", authz.format(ALLOWED))
    asked_for = loading.examine(policy_bundle.read(folder)).asked
    assert asked_for is not None
    assert "counters" in asked_for


def test_what_is_reached_leads_on(tmp_path: Path) -> None:
    folder = asked(tmp_path, "first", "import data.killcord.second\n\nused if second.used", f"{ALLOWED} if data.killcord.first.used")
    written(folder, {"killcord/second/x.rego": "package killcord.second\n\nused if input.counters.steps\n"})
    assert loading.examine(policy_bundle.read(folder)).asked == frozenset({"counters"})
