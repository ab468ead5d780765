"""``opa check`` over the shipped policies: what it finds, and that its capabilities are the ones Killcord allows."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from checks import policies
from gateway.clients.rego import builtins


@pytest.fixture
def opa() -> Path:
    found = policies.find_opa()
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI requires a real OPA; run: make tools")
        pytest.skip("NOT CHECKED BY A REAL OPA: run: make tools")
    return found


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    shutil.copytree(policies.POLICIES, tmp_path / "killcord")
    return tmp_path / "killcord"


def test_the_shipped_policies_pass(opa: Path) -> None:
    assert policies.problems(opa) == []


@pytest.mark.parametrize(
    ("package", "condition", "complaint"),
    [
        ("authz", 'input.run.tennant == "acme"', "undefined ref: input.run.tennant"),
        ("response", 'input.trigger.nam == "policy.denied"', "undefined ref: input.trigger.nam"),
        ("recovery", 'input.node.remdy == "release"', "undefined ref: input.node.remdy"),
        ("invariants", "input.object", "undefined ref: input.object"),
        ("authz", 'http.send({"method": "get", "url": "http://erp"}).status_code == 200', "undefined function http.send"),
        ("authz", "time.now_ns() > 0", "undefined function time.now_ns"),
        ("lib", "x := 1", "assigned var x unused"),
    ],
)
def test_a_misspelt_field_a_forbidden_built_in_and_a_careless_rule_are_found(
    opa: Path, bundle: Path, package: str, condition: str, complaint: str
) -> None:
    (bundle / package / "wrong.rego").write_text(f"package killcord.{package}\n\nwrong if {{\n\t{condition}\n}}\n")
    found = policies.problems(opa, bundle)
    assert found
    assert complaint in found[0]
    assert f"{package}/wrong.rego:4" in found[0]


def test_the_capabilities_file_is_what_the_command_writes(opa: Path) -> None:
    assert policies.CAPABILITIES.read_text() == policies.capabilities(opa), "run: python -m checks.policies --write"


def test_the_capabilities_file_allows_nothing_that_killcord_forbids() -> None:
    allowed = {one["name"] for one in json.loads(policies.CAPABILITIES.read_text())["builtins"]}
    assert {"count", "regex.match", "sprintf", "eq", "print"} <= allowed
    assert not allowed & (builtins.REFUSED.keys() | builtins.ABSENT)


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_without_an_opa_the_check_reports_it_and_ci_fails(
    ci: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(policies, "find_opa", lambda: None)
    monkeypatch.setenv("CI", ci)
    assert policies.main([]) == code
    assert "NOT CHECKED BY OPA" in capsys.readouterr().out
