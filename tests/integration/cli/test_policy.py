"""``killcord policy``: tests on both engines, and what a push leaves on a real OPA."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support import opa
from tests.support.command_line import Cli
from tests.support.opa import Opa
from tests.support.policies import ALLOWED, POLICIES, ROOT, call, ruled, written

DECISION = "/v1/data/killcord/authz/decision"


@pytest.fixture
def empty() -> Iterator[Opa]:
    with opa.serving(("--log-format=text",)) as made:
        yield made


@pytest.fixture
def at_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a real OPA is looked for in .tools, if there is one at all."""
    opa.binary()
    monkeypatch.chdir(ROOT)


def decided(server: Opa, document: dict[str, object]) -> dict[str, Any]:
    status, body = server.ask("POST", DECISION, orjson.dumps({"input": document}))
    answer: dict[str, Any] = orjson.loads(body)
    return answer if status == 200 else {"failed": answer}


def modules(server: Opa) -> set[str]:
    return {one["id"] for one in orjson.loads(server.ask("GET", "/v1/policies")[1])["result"]}


# --- test ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("at_the_checkout")
def test_both_engines_run_the_same_tests_to_the_same_end(killcord: Cli) -> None:
    embedded = killcord.json("policy", "test")
    real = killcord.json("policy", "test", "--engine", "opa")
    assert embedded["failed"] == 0
    assert embedded["passed"] > 30
    assert embedded["tests"] == real["tests"]


@pytest.mark.usefixtures("at_the_checkout")
@pytest.mark.parametrize("engine", ["embedded", "opa"])
def test_a_test_that_fails_is_named_with_file_and_line(killcord: Cli, tmp_path: Path, engine: str) -> None:
    ruled(tmp_path / "mine", ALLOWED)
    rules = "test_it_allows if authz.decision.allow\n\ntest_it_denies if not authz.decision.allow\n"
    rego = f"package killcord.authz_test\n\nimport data.killcord.authz\n\n{rules}"
    written(tmp_path / "mine", {"killcord/authz/x_test.rego": rego})
    said = killcord("policy", "test", str(tmp_path / "mine"), "--engine", engine)
    assert said.code == 1
    assert "mine/killcord/authz/x_test.rego:7" in said.err
    assert f"1 of 2 tests failed ({engine})." in said.err
    value = killcord("policy", "test", str(tmp_path / "mine"), "--engine", engine, "--json").value
    assert [(one["rule"].rpartition(".")[2], one["passed"]) for one in value["tests"]] == [
        ("test_it_allows", True),
        ("test_it_denies", False),
    ]


@pytest.mark.usefixtures("at_the_checkout")
@pytest.mark.parametrize("engine", ["embedded", "opa"])
def test_a_folder_that_cannot_be_used_is_reported_with_its_place(killcord: Cli, tmp_path: Path, engine: str) -> None:
    written(ruled(tmp_path, "decision := {"), {"x_test.rego": "package killcord.x_test\n\ntest_x if true"})
    said = killcord("policy", "test", str(tmp_path), "--engine", engine)
    assert said.code == 2
    assert "killcord/authz/x.rego:4" in said.err


@pytest.mark.usefixtures("at_the_checkout")
@pytest.mark.parametrize("engine", ["embedded", "opa"])
def test_no_test_at_all_is_a_finding(killcord: Cli, tmp_path: Path, engine: str) -> None:
    said = killcord("policy", "test", str(ruled(tmp_path, ALLOWED)), "--engine", engine)
    assert said.code == 1
    assert "There are no tests in" in said.err


def test_without_an_opa_it_is_said_what_to_do(killcord: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = killcord("policy", "test", str(POLICIES), "--engine", "opa")
    assert (said.code, said.err) == (2, "there is no opa on PATH, nor at .tools/opa; install it, or test on the embedded engine\n")


# --- push ------------------------------------------------------------------------------------------------------------


def test_what_was_pushed_decides(killcord: Cli, empty: Opa) -> None:
    assert decided(empty, call()) == {}
    told = killcord.json("policy", "push", str(POLICIES), "--url", empty.url)
    assert decided(empty, call())["result"]["allow"] is True
    assert decided(empty, call(target__tenant="globex"))["result"]["reasons"][0]["code"] == "tenant-boundary"
    assert set(told["modules"]) == modules(empty)
    assert not [name for name in modules(empty) if name.endswith("_test.rego")]


def test_a_second_push_takes_away_what_is_gone(killcord: Cli, empty: Opa, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(POLICIES, folder)
    first = killcord.json("policy", "push", str(folder), "--url", empty.url)
    (folder / "killcord" / "authz" / "tenant.rego").unlink()
    second = killcord.json("policy", "push", str(folder), "--url", empty.url)
    assert second["removed"] == ["killcord-push/killcord/authz/tenant.rego"]
    assert second["revision"] != first["revision"]
    assert modules(empty) == set(second["modules"])


def test_modules_that_need_each_other_change_together(killcord: Cli, empty: Opa, tmp_path: Path) -> None:
    for name in ("first", "second"):
        folder = tmp_path / name
        ruled(folder, f'import data.killcord.lib.names\n\ndecision := {{"allow": true}} if names.{name}("erp")')
        written(folder, {"killcord/lib/names.rego": f'package killcord.lib.names\n\n{name}(tool) if tool == "erp"\n'})
        assert killcord("policy", "push", str(folder), "--url", empty.url).code == 0
        assert decided(empty, call())["result"] == {"allow": True}


def test_data_is_pushed_as_well_and_replaced(killcord: Cli, empty: Opa, tmp_path: Path) -> None:
    rule = 'default decision := {"allow": false}\ndecision := {"allow": true} if input.tool in data.killcord.authz.tools.open'
    folder = ruled(tmp_path / "mine", rule)
    for tools, allowed in (("[erp]", True), ("[crm]", False)):
        written(folder, {"killcord/authz/tools/data.yaml": f"open: {tools}\n"})
        assert killcord("policy", "push", str(folder), "--url", empty.url).code == 0
        assert decided(empty, call())["result"]["allow"] is allowed


def test_policies_that_would_not_load_are_not_pushed(killcord: Cli, empty: Opa, tmp_path: Path) -> None:
    said = killcord("policy", "push", str(ruled(tmp_path, f"{ALLOWED} if input.run.tennant")), "--url", empty.url)
    assert said.code == 1
    assert "there is no input.run.tennant; did you mean tenant?" in said.err
    assert modules(empty) == set()


def test_an_opa_with_policies_of_its_own_is_left_alone(killcord: Cli) -> None:
    with opa.serving() as server:
        before = modules(server)
        said = killcord("policy", "push", str(POLICIES), "--url", server.url)
        assert said.code == 1
        assert "policies/killcord/authz/decision.rego" in said.err
        assert modules(server) == before


def test_a_push_that_stops_midway_leaves_no_decision_until_one_goes_through(killcord: Cli, empty: Opa, tmp_path: Path) -> None:
    folder = ruled(tmp_path / "mine", f'import data.killcord.lib.names\n\n{ALLOWED} if names.listed("erp")')
    written(folder, {"killcord/lib/names.rego": 'package killcord.lib.names\n\nlisted(tool) if tool == "erp"\n'})
    assert killcord("policy", "push", str(folder), "--url", empty.url).code == 0
    hanging_on = b'package other\n\nx if data.killcord.lib.names.listed("crm")\n'
    assert empty.ask("PUT", "/v1/policies/other.rego", hanging_on)[0] == 200
    said = killcord("policy", "push", str(folder), "--url", empty.url)
    assert said.code == 1
    assert f"OPA at {empty.url}: " in said.err
    assert decided(empty, call())["result"] == "closed while policies are pushed"
    assert empty.ask("DELETE", "/v1/policies/other.rego")[0] == 200
    assert killcord("policy", "push", str(folder), "--url", empty.url).code == 0
    assert decided(empty, call())["result"] == {"allow": True}


def test_an_opa_that_is_not_there_is_reported(killcord: Cli) -> None:
    said = killcord("policy", "push", str(POLICIES), "--url", "http://127.0.0.1:1")
    assert said.code == 1
    assert "OPA at http://127.0.0.1:1: " in said.err
    assert "cannot be reached" in said.err


@pytest.mark.parametrize("url", ["unix:///run/opa.sock", "http://127.0.0.1:8181/opa", "127.0.0.1:8181", "http://a:b@127.0.0.1:8181"])
def test_a_url_that_cannot_be_pushed_to_is_reported_without_repeating_it(killcord: Cli, url: str) -> None:
    said = killcord("policy", "push", str(POLICIES), "--url", url)
    assert said.code == 1
    assert said.err.startswith("--url: ")
    assert "a:b" not in said.err
