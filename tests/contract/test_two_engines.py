"""One bundle means one thing, whichever engine decides: the embedded one and a real OPA answer alike, call by call."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import regorus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import errors
from gateway.clients.rego import arguments, entry_points, evaluation
from gateway.clients.rego import builtins as rego_builtins
from gateway.core.policy import rules
from gateway.model.decision import Allow, Deny, Hold
from gateway.model.trigger import Measure
from tests.support import opa, two_engines
from tests.support.cases import authored, builtins, bundles, calls, differences, documented, generated, questions
from tests.support.policies import ALLOWED, POLICIES, ruled, written

Bundle = Callable[[Path], Path]
Cases = Callable[[], Iterator[calls.Case]]

USES = [use for uses in builtins.PROBES.values() for use in uses] + builtins.LANGUAGE


# --- decisions -------------------------------------------------------------------------------------------------------


def test_there_are_calls_enough_and_they_lead_to_every_kind_of_decision(tmp_path: Path) -> None:
    assert len({name for family in (calls.starter, documented.calls, authored.calls) for name, _ in family()}) >= 500
    engine = two_engines.embedded(bundles.documented(tmp_path))
    decisions = [engine.decide(document) for _, document in documented.calls()]
    assert len(decisions) >= 120
    assert all(sum(isinstance(decision, kind) for decision in decisions) >= 5 for kind in (Allow, Hold, Deny))


@pytest.mark.parametrize(
    ("bundle", "family"),
    [
        (bundles.starter, calls.starter),
        (bundles.documented, documented.calls),
        (bundles.authored, calls.starter),
        (bundles.authored, authored.calls),
    ],
)
def test_both_engines_decide_alike(tmp_path: Path, bundle: Bundle, family: Cases) -> None:
    folder = bundle(tmp_path)
    ours = two_engines.embedded(folder)
    with two_engines.remote(folder) as theirs:
        for name, document in family():
            assert two_engines.comparable(ours.decide(document)) == two_engines.comparable(theirs.decide(document)), name


def test_both_engines_deny_a_call_that_a_rule_cannot_be_applied_to(tmp_path: Path) -> None:
    folder = bundles.authored(tmp_path)
    ours = two_engines.embedded(folder)
    with two_engines.remote(folder) as theirs:
        for name, document in authored.failing():
            assert two_engines.is_failure(ours.decide(document)), name
            assert two_engines.is_failure(theirs.decide(document)), name


def test_both_engines_decide_alike_on_what_hypothesis_makes(tmp_path: Path) -> None:
    decide_alike_on_made_calls(bundles.authored(tmp_path), examples=300)


@pytest.mark.soak
@pytest.mark.parametrize("bundle", [bundles.starter, bundles.documented, bundles.authored])
def test_both_engines_decide_alike_on_thousands_of_made_calls(tmp_path: Path, bundle: Bundle) -> None:
    decide_alike_on_made_calls(bundle(tmp_path), examples=5_000)


def decide_alike_on_made_calls(folder: Path, *, examples: int) -> None:
    ours = two_engines.embedded(folder)
    with two_engines.remote(folder) as theirs:

        @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
        @given(document=generated.documents)
        def decide(document: dict[str, Any]) -> None:
            decisions = ours.decide(document), theirs.decide(document)
            # Where a rule fails, OPA may have left it out: see cases/differences.py.
            if not two_engines.is_failure(decisions[0]):
                assert two_engines.comparable(decisions[0]) == two_engines.comparable(decisions[1])

        decide()


# --- other questions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bundle", [bundles.starter, bundles.documented])
def test_both_engines_answer_other_questions_alike(tmp_path: Path, bundle: Bundle) -> None:
    folder = bundle(tmp_path)
    ours = two_engines.embedded(folder)
    with two_engines.remote(folder) as theirs:
        for name, rule, document in questions.questions():
            assert ours.ask(rule, document) == theirs.ask(rule, document), name


def test_there_are_questions_enough_and_they_lead_to_every_kind_of_answer(tmp_path: Path) -> None:
    assert len({name for name, _, _ in questions.questions()}) >= 1_000
    engine = two_engines.embedded(bundles.documented(tmp_path)).engine
    answers: dict[str, list[object]] = {rule: [] for rule in entry_points.ASKED}
    for _, rule, document in questions.questions():
        with contextlib.suppress(errors.PolicyUnavailable):
            answers[rule].append(asyncio.run(engine.ask(rule, document)))
    responses = [rules.parse_response(answer) for answer in answers[rules.RESPONSE]]
    assert {response.action for response in responses} == set(Measure) - {Measure.NO_FANOUT}
    assert any(response.scope for response in responses)
    assert {rules.parse_recovery(answer) is None for answer in answers[rules.RECOVERY]} == {True, False}
    assert {len(rules.parse_invariants(answer)) for answer in answers[rules.INVARIANTS]} >= {0, 1}


# --- built-ins -------------------------------------------------------------------------------------------------------


def test_both_engines_answer_every_use_of_a_builtin_alike(tmp_path: Path) -> None:
    rules = (f"use_{at} := answer if {{\n\t{taken(use)}answer := {use}\n}}" for at, (use, _) in enumerate(USES))
    folder = ruled(tmp_path, f"{ALLOWED}\n\n" + "\n\n".join(rules))
    written(folder, {"killcord/lib/number.rego": (POLICIES / "killcord" / "lib" / "number.rego").read_text()})
    ours = two_engines.embedded(folder)
    with two_engines.remote(folder) as theirs:
        for at, (use, questions) in enumerate(USES):
            for arguments in questions:
                asked = f"data.killcord.authz.use_{at}", {"args": arguments}
                assert ours.evaluate(*asked) == theirs.evaluate(*asked), (use, arguments)


def test_every_builtin_of_opa_was_asked_or_does_not_load() -> None:
    told = json.loads(subprocess.run([opa.binary(), "capabilities", "--current"], capture_output=True, check=True, timeout=60).stdout)
    plain = {each["name"] for each in told["builtins"] if not each.get("deprecated") and "infix" not in each}
    callable_ = {name for name in plain if not name.startswith("internal.")}
    assert callable_ == builtins.PROBES.keys() | rego_builtins.REFUSED.keys() | rego_builtins.ABSENT


@pytest.mark.parametrize("name", sorted(rego_builtins.REFUSED.keys() | rego_builtins.ABSENT))
def test_a_builtin_that_cannot_be_used_is_named_when_the_bundle_loads(tmp_path: Path, name: str) -> None:
    (problem,) = two_engines.loads(ruled(tmp_path / "policies", f"{ALLOWED}\n\nused if {name}(input.args.x)"))
    assert problem.startswith(f"policies/killcord/authz/x.rego:5: {name} may not be used: ") or problem == (
        f"policies/killcord/authz/x.rego:5: there is no {name} in the embedded engine, only on a real OPA"
    )


@pytest.mark.parametrize(("use", "problem"), builtins.REFUSED_USES, ids=[use for use, _ in builtins.REFUSED_USES])
def test_what_the_engines_would_answer_otherwise_does_not_load(tmp_path: Path, use: str, problem: str) -> None:
    found = two_engines.loads(ruled(tmp_path / "policies", f"{ALLOWED}\n\nused := answer if {{\n\t{taken(use)}answer := {use}\n}}"))
    assert any(problem in each for each in found), found


def taken(use: str) -> str:
    """What binds the names of a use."""
    names = [name for name in "abc" if re.search(rf"(?<![\w.`\"%\\]){name}(?![\w`\"(])", use)]
    return "".join(f"{name} := input.args[{'abc'.index(name)}]\n\t" for name in names)


@pytest.mark.parametrize("examples", [300, pytest.param(20_000, marks=pytest.mark.soak)])
def test_a_pattern_that_loads_matches_alike(tmp_path: Path, examples: int) -> None:
    folder = ruled(tmp_path, f"{ALLOWED}\n\nmatched := [text | some text in input.texts; regex.match(input.pattern, text)]")
    # Not vetted: a pattern that comes with a call would not load.
    bare = evaluation.assemble_engine({"x.rego": (folder / "killcord/authz/x.rego").read_text()}, {})
    with two_engines.remote(folder) as theirs:

        @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
        @given(
            pattern=generated.patterns.filter(lambda pattern: arguments.regex_fault(pattern) is None),
            text=st.text("aAbBé𝒳1-. \n", max_size=6),
        )
        def match(pattern: str, text: str) -> None:
            document: dict[str, object] = {"pattern": pattern, "texts": ["", "a", "ab", "bb", text]}
            ours = matched(bare, document)
            assert ("value", ours) == theirs.evaluate("data.killcord.authz.matched", document)

        match()


def matched(bare: regorus.Engine, document: dict[str, object]) -> object:
    bare.set_input_json(json.dumps(document))
    return json.loads(bare.eval_rule_as_json("data.killcord.authz.matched"))


# --- known differences -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "document"), [row[1:] for row in differences.ONLY_EMBEDDED_FAILS], ids=[row[0] for row in differences.ONLY_EMBEDDED_FAILS]
)
def test_where_a_rule_fails_on_one_engine_alone_that_is_the_embedded_one_and_it_denies(
    tmp_path: Path, rules: str, document: dict[str, object]
) -> None:
    folder = ruled(tmp_path, differences.DENIES + rules)
    assert two_engines.is_failure(two_engines.embedded(folder).decide(document))
    with two_engines.remote(folder) as theirs:
        assert not two_engines.is_failure(theirs.decide(document))


@pytest.mark.parametrize(
    ("rules", "document"), [row[1:] for row in differences.BOTH_DECIDE], ids=[row[0] for row in differences.BOTH_DECIDE]
)
def test_a_known_difference_is_still_there(tmp_path: Path, rules: str, document: dict[str, object]) -> None:
    folder = ruled(tmp_path, differences.DENIES + rules)
    ours = two_engines.embedded(folder).decide(document)
    with two_engines.remote(folder) as theirs:
        assert two_engines.comparable(ours) != two_engines.comparable(theirs.decide(document))
