"""The starter bundle on a real OPA: same rules, same answers."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from gateway.core.policy import decision
from tests.support.decisions import DECISIONS
from tests.support.policies import POLICIES, ROOT, engine

OPA = ROOT / ".tools" / "opa"


def opa(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    if not OPA.exists():
        if os.environ.get("CI"):
            pytest.fail(f"CI requires {OPA}: GOBIN={OPA.parent} go install github.com/open-policy-agent/opa@v1.22.2")
        pytest.skip(f"NOT CHECKED AGAINST A REAL OPA: install it by GOBIN={OPA.parent} go install github.com/open-policy-agent/opa@v1.22.2")
    return subprocess.run([OPA, *arguments], cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("arguments", [("check", "--strict", "policies"), ("test", "policies"), ("fmt", "--fail", "--list", "policies")])
def test_a_real_opa_is_content_with_the_bundle(arguments: tuple[str, ...]) -> None:
    done = opa(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


async def test_a_real_opa_decides_alike() -> None:
    rows = [(name, document) for name, document, expected in DECISIONS if expected != {"policy-error"}]
    query = "[decision | some document in input; decision := data.killcord.authz.decision with input as document]"
    done = opa(
        "eval", "--format", "raw", "--strict-builtin-errors", "-d", "policies/killcord", "-I", query, stdin=json.dumps([d for _, d in rows])
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = json.loads(done.stdout)
    active = engine(POLICIES)
    for (name, document), answer in zip(rows, answers, strict=True):
        ours = await active.decide(document)
        parsed = decision.parse(answer, decision_id="dec_1", revision=active.revision)
        assert ours == parsed, name
