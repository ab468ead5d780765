"""A broken revision of the policies never decides: the gateway does not start with it, and a running one keeps the revision that it has."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from killcord_demo import web
from tests.support import opa
from tests.support.erp import Erp
from tests.support.gateway import CHECKOUT, Gateway, wait_until

Site = Callable[[str], Gateway]
DENY = 'denials contains {"code": "x", "message": "y"} if'
BROKEN = {
    "does not parse": (f"{DENY} {{ input.tool ==", "mine.rego:4: expecting expression"),
    "unsafe variable": ('denials contains {"code": "x", "message": why} if input.tool == "crm"', "the variable why has no value here"),
    "wrong arity": (f'{DENY} {{ input.tool == "never"; startswith("a") }}', "startswith takes 2, not 1 arguments"),
    "conflict": ('decision := {"allow": false} if input.action.class == "irreversible"', 'input.action.class = "irreversible"'),
    "answer of another shape": ('denials contains "no" if input.run.mode == "read_only"', "reasons is not a list of {code, message}"),
    "brackets nested too deeply": (f"{DENY} {'[' * 11}input.tool{']' * 11} == []", "mine.rego:3: brackets are nested more than 10 deep"),
    "missing data file": (f"{DENY} input.args.amount > data.limits.refund", "there is no data.limits.refund"),
}


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CHECKOUT / "policies" / "killcord", tmp_path / "mine" / "killcord"))


@pytest.fixture
def gateway(site: Site, erp: Erp, policies: Path) -> Gateway:
    made = site(erp.url)
    made.settings["policy"]["path"] = str(policies)
    return made


def broken(policies: Path, rules: str) -> Path:
    file = policies / "authz" / "mine.rego"
    file.write_text(f"package killcord.authz\n\n{rules}\n")
    return file


def killcord(gateway: Gateway, *command: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name != "ERP_AUTHORIZATION"}
    arguments = [sys.executable, "-m", "gateway", *command]
    return subprocess.run(arguments, cwd=gateway.folder, env=environ, capture_output=True, text=True, check=False)


def read(gateway: Gateway, erp: Erp, lease: str) -> web.Answer:
    return gateway.call("GET", erp.path("invoices", "inv-1"), lease=lease)


@pytest.mark.reliability(fault="A broken policy revision", case="the gateway does not start with it, and says file, line and input")
@pytest.mark.parametrize("kind", BROKEN)
def test_a_gateway_does_not_start_with_a_broken_revision(gateway: Gateway, policies: Path, kind: str) -> None:
    rules, problem = BROKEN[kind]
    broken(policies, rules)
    gateway.spawn()
    assert gateway.ended() == 2
    assert problem in gateway.said
    assert "Traceback" not in gateway.said


@pytest.mark.reliability(fault="A broken policy revision", case="a running gateway keeps its revision, and takes the corrected one")
def test_a_running_gateway_keeps_its_revision(gateway: Gateway, policies: Path, erp: Erp) -> None:
    gateway.start()
    _, lease = gateway.open_run(erp.tenant)
    first = policy(gateway)
    assert read(gateway, erp, lease).status == 200
    for rules, problem in BROKEN.values():
        broken(policies, rules)
        wait_until(lambda problem=problem: problem in policy(gateway), f"the refusal to be shown: {problem}")  # type: ignore[misc]
        assert policy(gateway).startswith(first.partition(" active")[0])
        assert read(gateway, erp, lease).status == 200
    broken(policies, 'denials contains {"code": "closed", "message": "Closed."} if input.action.effect == "read"')
    wait_until(lambda: "refused" not in policy(gateway), "the corrected revision to be active")
    assert policy(gateway).partition(" active")[0] != first.partition(" active")[0]
    assert read(gateway, erp, lease).body["code"] == "policy-denied"
    assert gateway.terminate() == 0
    messages = [line["message"] for line in map(logged, gateway.lines) if "policy files refused" in line.get("message", "")]
    assert len(set(messages)) == len(messages) >= len(BROKEN)  # each is told once, not at every look at the folder


@pytest.mark.reliability(fault="A broken policy revision", case="an order holds while a revision is tested that takes long")
def test_an_order_holds_while_a_slow_revision_is_tested(gateway: Gateway, policies: Path, erp: Erp) -> None:
    gateway.start()
    run_id, lease = gateway.open_run(erp.tenant)
    first = policy(gateway)
    (policies / "many").mkdir()
    (policies / "many" / "data.json").write_text(json.dumps({"list": list(range(2_000))}))
    broken(policies, f"{DENY} count([1 | some x in data.many.list; some y in data.many.list; x == y]) > 2000")
    wait_until(lambda: bool(children(gateway)), "the process that tests the revision")
    gateway.contain("read_only", run=run_id)
    assert gateway.call("DELETE", erp.path("invoices", "inv-1"), lease=lease).body["code"] == "run-read-only"
    assert read(gateway, erp, lease).status == 200
    assert children(gateway), "the revision was tested before the order came: make it slower"
    wait_until(lambda: "and the gateway stands still meanwhile" in policy(gateway), "the refusal")
    assert policy(gateway).startswith(first.partition(" active")[0])


def children(gateway: Gateway) -> list[str]:
    """Processes that the gateway has started and that run."""
    pid = gateway.process.pid
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def logged(line: str) -> dict[str, str]:
    """A line of the log; what is printed beside it has no members."""
    found: dict[str, str] = json.loads(line) if line.startswith("{") else {}
    return found


def modules(server: opa.Opa) -> list[tuple[str, str]]:
    return sorted((one["id"], one["raw"]) for one in web.send("GET", f"{server.url}/v1/policies").body["result"])


def policy(gateway: Gateway) -> str:
    answer = web.send("GET", gateway.control + "/readyz")
    assert answer.status == 200
    return str(answer.body["parts"]["policy"]["detail"] if "parts" in answer.body else answer.body["policy"]["detail"])


@pytest.mark.reliability(fault="A broken policy revision", case="`killcord policy push` loads nothing of it into a real OPA")
def test_a_push_of_a_broken_revision_changes_nothing_on_a_real_opa(gateway: Gateway, policies: Path) -> None:
    with opa.serving(options=()) as server:
        assert killcord(gateway, "policy", "push", str(policies), "--url", server.url).returncode == 0
        before = modules(server)
        for rules, problem in BROKEN.values():
            broken(policies, rules)
            done = killcord(gateway, "policy", "push", str(policies), "--url", server.url)
            assert done.returncode != 0
            assert problem in done.stderr
            assert modules(server) == before


def test_tests_of_a_bundle_that_does_not_compile_are_one_message(gateway: Gateway, policies: Path) -> None:
    rules, problem = BROKEN["unsafe variable"]
    broken(policies, rules)
    done = killcord(gateway, "policy", "test", str(policies))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert problem in done.stderr


def test_commands_that_send_nothing_to_a_tool_need_none_of_its_secrets(gateway: Gateway, policies: Path) -> None:
    gateway.start()
    gateway.stop()
    listed = killcord(gateway, "--json", "adapters", "list", "--config", "killcord.yaml")
    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout)
    replayed = killcord(gateway, "policy", "replay", "--bundle", str(policies), "--config", "killcord.yaml")
    assert replayed.returncode == 0, replayed.stderr
    checked = killcord(gateway, "check", "--config", "killcord.yaml")
    assert checked.returncode == 2
    assert "ERP_AUTHORIZATION is not set" in checked.stderr
