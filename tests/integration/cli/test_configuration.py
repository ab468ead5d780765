from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.settings import operators
from tests.support.command_line import Cli

ROOT = Path(__file__).parents[3]
ADAPTERS = ROOT / "adapters"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "killcord.yaml"
    path.write_text(
        f"adapters: [{ADAPTERS}]\n"
        "policy: {path: ./policies}\n"
        "operators: {tokens_file: ./operators.yaml}\n"
        "tools: {erp: {adapter: rest, base_url: 'http://127.0.0.1:9/v1'}}\n"
        "task_classes: {default: {}}\n"
    )
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    return path


def test_a_good_configuration_is_summed_up(killcord: Cli, config: Path) -> None:
    said = killcord("check", "--config", str(config))
    assert said.code == 0, said
    assert "erp" in said.out
    assert "is valid" in said.err
    assert killcord.json("check", "--config", str(config))["tools"][0]["adapter"] == "rest"


def test_every_problem_is_a_line_and_the_exit_code_is_2(killcord: Cli, config: Path) -> None:
    config.write_text(config.read_text() + "data_dirr: ./var\nshutdown_grace: soon\n")
    said = killcord("check", "--config", str(config))
    assert said.code == 2
    assert len(said.err.splitlines()) == 2
    assert "data_dirr" in said.err
    said = killcord("check", "--config", str(config), "--json")
    assert (said.code, len(said.value["problems"])) == (2, 2)


@pytest.mark.parametrize("command", ["check", "serve"])
def test_what_is_wrong_with_adapters_operators_and_policies_is_reported_together(killcord: Cli, config: Path, command: str) -> None:
    folder = config.parent
    shutil.copytree(ADAPTERS / "rest", folder / "adapters" / "rest")
    adapter = folder / "adapters" / "rest" / "adapter.yaml"
    adapter.write_text(adapter.read_text().replace("effect: read", "effect: reed", 1))
    config.write_text(config.read_text().replace(str(ADAPTERS), "./adapters"))
    (folder / "operators.yaml").write_text("- {name: ann, role: king, hash: x}\n")
    (folder / "policies" / "killcord" / "authz" / "own.rego").write_text("package killcord.authz\n\nown if input.lease.nope\n")
    said = killcord(command, "--config", str(config))
    assert said.code == 2
    for told in (
        "adapter.yaml:",
        "'reed' is not one of",
        "operators.yaml:1: ",
        "'king' is not one of",
        "own.rego:3: there is no input.lease.nope",
    ):
        assert told in said.err
    assert "Traceback" not in said.err
    listed = killcord(command, "--config", str(config), "--json")
    assert (listed.code, listed.value["problems"]) == (2, said.err.splitlines())


def test_a_folder_that_decides_nothing_is_named(killcord: Cli, config: Path) -> None:
    shutil.rmtree(config.parent / "policies")
    (config.parent / "policies").mkdir()
    said = killcord("check", "--config", str(config))
    assert (said.code, said.err.startswith(f"{config.parent / 'policies'}: there is no rule data.killcord.authz.decision")) == (2, True)


def test_a_missing_configuration_is_reported(killcord: Cli, tmp_path: Path) -> None:
    for arguments in (("check",), ("adapters", "list"), ("operators", "list")):
        said = killcord(*arguments, "--config", str(tmp_path / "none.yaml"))
        assert said.code == 2
        assert "none.yaml" in said.err


def test_an_operator_is_added_once_and_its_token_found(killcord: Cli, config: Path) -> None:
    said = killcord("operators", "add", "alice", "--role", "operator", "--tenant", "acme", "--config", str(config))
    assert said.code == 0, said
    token = said.out.strip()
    found = operators.load(config.parent / "operators.yaml").get(operators.digest(token))
    assert found is not None
    assert (found.name, found.role, found.tenants) == ("alice", "operator", ("acme",))
    assert token not in (config.parent / "operators.yaml").read_text()
    assert killcord("operators", "add", "alice", "--role", "viewer", "--config", str(config)).code == 1
    assert killcord("operators", "add", "bob", "--role", "king", "--config", str(config)).code == 2
    listed = killcord.json("operators", "list", "--config", str(config))
    assert listed == [{"name": "alice", "role": "operator", "tenants": ["acme"], "classes": ["*"]}]


def test_a_tokens_file_can_be_named_automatically(killcord: Cli, tmp_path: Path) -> None:
    file = tmp_path / "tokens.yaml"
    made = killcord.json("operators", "add", "ci", "--role", "orchestrator", "--file", str(file))
    assert made["token"].startswith("kcop_")
    assert "ci" in killcord("operators", "list", "--file", str(file)).out


def test_adapters_show_what_would_undo_each_action(killcord: Cli, config: Path) -> None:
    found = killcord.json("adapters", "list", "--config", str(config))
    assert {one["tool"] for one in found} == {"erp"}
    assert all(one["undone_by"] for one in found if one["effect"] == "write")
    assert killcord("adapters", "check", "--config", str(config)).code == 0


def test_an_adapter_that_is_begun_loads_as_it_is_and_is_never_written_over(killcord: Cli, tmp_path: Path) -> None:
    into = str(tmp_path / "adapters")
    begun = tmp_path / "adapters" / "shop"
    assert killcord.json("adapters", "scaffold", "shop", "--into", into)["folder"] == str(begun)
    assert "\nsystem: shop\n" in (begun / "adapter.yaml").read_text()
    assert "](../" not in (begun / "README.md").read_text()  # the copy stands beside no docs
    assert killcord("adapters", "check", str(begun)).code == 0
    (begun / "adapter.yaml").write_text("mine")
    assert killcord("adapters", "scaffold", "shop", "--into", into).code == 1
    assert (begun / "adapter.yaml").read_text() == "mine"
    assert killcord("adapters", "scaffold", "../shop", "--into", into).code == 2


def test_one_adapters_folder_is_checked_automatically(killcord: Cli, tmp_path: Path) -> None:
    assert killcord("adapters", "check", str(ADAPTERS / "rest")).code == 0
    said = killcord("adapters", "check", str(ADAPTERS / "kinto"))
    assert (said.code, said.out.endswith("is valid. A tool that uses it must give vars: collection.\n")) == (0, True), said
    (tmp_path / "adapter.yaml").write_text("system: x\nobjcts: {}\n")
    said = killcord("adapters", "check", str(tmp_path))
    assert said.code == 1
    assert "objcts" in said.err
