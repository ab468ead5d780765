"""The examples of docs/policies.md are rules that load, and their tests pass."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.clients import policy_tests
from gateway.clients.rego import builtins as rego_builtins
from gateway.core.policy import rules
from tests.support.cases import builtins, bundles
from tests.support.policies import POLICIES, ROOT, engine, written

PAGE = (ROOT / "docs" / "policies.md").read_text()
NAMES = [
    *("authz/refund_ceiling", "authz/office_hours", "authz/allowed_status"),
    *("response/nightly_batch", "recovery/contracts", "invariants/refunded_invoices"),
]
UNTESTED = {"recovery/contracts"}
OPA = ROOT / ".tools" / "opa"


def with_example(folder: Path, name: str) -> Path:
    shutil.copytree(POLICIES, folder / "policies")
    files = {file: content for file, content in bundles.examples().items() if file.startswith(f"killcord/{name}")}
    assert files
    return written(folder / "policies", files)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_loads_beside_the_starter_bundle_and_its_tests_pass(tmp_path: Path, name: str) -> None:
    folder = with_example(tmp_path, name)
    assert engine(folder).health()[0]
    trials = [trial for trial in policy_tests.run_embedded(folder) if f"/{name}" in trial.file]
    assert len(trials) >= 2 or name in UNTESTED
    assert [trial.message for trial in trials if not trial.passed] == []


@pytest.mark.skipif(not OPA.exists(), reason=f"NOT CHECKED AGAINST A REAL OPA: there is no {OPA}")
@pytest.mark.parametrize("name", NAMES)
def test_a_real_opa_agrees_with_an_example(tmp_path: Path, name: str) -> None:
    folder = with_example(tmp_path, name)
    for command in (["check", "--strict"], ["test", "--run", f"^data.killcord.{name.partition('/')[0]}_test"]):
        done = subprocess.run([OPA, *command, "."], cwd=folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
    formatted = subprocess.run([OPA, "fmt", "--fail", "--list", "."], cwd=folder, capture_output=True, text=True, timeout=120)
    assert formatted.returncode == 0, formatted.stdout


def test_every_builtin_is_on_the_page_as_what_it_is() -> None:
    usable, _, refused = PAGE.partition("| may not be used |")
    families = {name.removesuffix(".*") for name in re.findall(r"`([a-z.]+\.\*)`", refused)}
    for name in builtins.PROBES.keys() - {"print"}:
        assert f"`{name}`" in usable, name
    for name in rego_builtins.REFUSED:
        assert f"`{name}`" in refused, name
    for name in rego_builtins.ABSENT:
        assert f"`{name}`" in refused or name.partition(".")[0] in families or name.rpartition(".")[0] in families, name


def test_every_field_of_the_schema_is_on_the_page() -> None:
    for schema in rules.schemas().values():
        parts = schema["properties"]
        assert isinstance(parts, dict)
        for name, part in parts.items():
            assert f"`{name}" in PAGE, name
            for field in part.get("properties", {}):
                assert re.search(rf"`(?:{name})?\.{field}`", PAGE), f"{name}.{field}"
