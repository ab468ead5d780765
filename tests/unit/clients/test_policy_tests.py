"""A bundle's own tests on the embedded engine."""

from __future__ import annotations

from pathlib import Path

from gateway.clients import policy_tests
from tests.support.policies import ALLOWED, POLICIES, ruled, written


def test_the_starter_bundles_own_tests_pass() -> None:
    trials = policy_tests.run_embedded(POLICIES)
    assert [trial.message for trial in trials if not trial.passed] == []
    assert len(trials) >= 36


def test_a_failing_test_is_reported_with_its_place(tmp_path: Path) -> None:
    tests = """package killcord.authz_test

test_good if data.killcord.authz.decision.allow

test_bad if data.killcord.authz.decision.allow == 1

test_error if startswith(1, 2)
"""
    trials = policy_tests.run_embedded(written(ruled(tmp_path / "policies", ALLOWED), {"killcord/authz/x_test.rego": tests}))
    assert [(trial.line, trial.rule.rpartition(".")[2], trial.passed) for trial in trials] == [
        (3, "test_good", True),
        (5, "test_bad", False),
        (7, "test_error", False),
    ]
    assert trials[1].message == "policies/killcord/authz/x_test.rego:5: test_bad is <undefined>, not true"
    assert trials[2].message.startswith("policies/killcord/authz/x_test.rego:7: `startswith` expects string")


def test_a_test_can_set_the_input(tmp_path: Path) -> None:
    rule = 'decision := {"allow": allow}\ndefault allow := false\nallow if input.tool == "erp"'
    tests = """package killcord.authz_test

import data.killcord.authz

test_it if {
	authz.allow with input as {"tool": "erp"}
	not authz.allow with input.tool as "crm"
}
"""
    assert all(trial.passed for trial in policy_tests.run_embedded(written(ruled(tmp_path, rule), {"a_test.rego": tests})))
