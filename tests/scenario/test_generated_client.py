"""A client that a generator makes from /openapi.json works against a real gateway."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from killcord_demo.relay import Relay
from tests.support.gateway import Gateway

NAME = "generated_killcord_client"


@pytest.fixture(scope="module", autouse=True)
def generated(watched: tuple[Gateway, Relay], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The package, generated out of what the gateway says of itself, can be imported."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_text(json.dumps(watched[0].ask("GET", "/openapi.json").body))
    (folder / "config.yaml").write_text("post_hooks: []\n")
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--fail-on-warning"]
    files = ["--path", "openapi.json", "--config", "config.yaml", "--output-path", NAME]
    made = subprocess.run([*command, *files], cwd=folder, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Any]:
    with import_module(NAME).AuthenticatedClient(gateway.control, gateway.token, raise_on_unexpected_status=True) as made:
        yield made


def operation(resource: str, name: str) -> Any:
    return import_module(f"{NAME}.api.{resource}.{name}")


def models() -> ModuleType:
    return import_module(f"{NAME}.models")


def test_a_run_is_opened_contained_and_read_with_a_generated_client(gateway: Gateway, client: Any) -> None:
    asked = models().OpenRun(tenant="acme", agent_id="agent", scopes=["erp:*"], ttl="5m")
    opened = operation("runs", "open_run").sync(client=client, body=asked)
    assert isinstance(opened, models().OpenedRun)
    assert (opened.run.mode, opened.run.tenant, opened.run.closed_at) == (models().ModeName.ACTIVE, "acme", None)
    assert opened.expires_at > opened.run.opened_at

    order = models().Contain(
        scope=models().OrderScope(run=opened.run.run_id), mode=models().ContainMode.QUARANTINED, reason="a test says so"
    )
    made = operation("orders", "contain").sync(client=client, body=order)
    assert isinstance(made, models().MadeOrder)
    assert [node.held for node in made.nodes] == [True]

    (listed,) = operation("orders", "list_orders").sync(client=client, run=opened.run.run_id).items
    assert (listed.order_id, listed.state.value, listed.scope.run) == (made.order_id, "standing", opened.run.run_id)

    page = operation("journal", "list_entries").sync(client=client, run=opened.run.run_id)
    assert [entry.kind.value for entry in page.items] == ["run", "order"]
    assert page.items[0]["run"]["run_id"] == opened.run.run_id
    assert gateway.ask("GET", f"/v1/runs/{opened.run.run_id}").body["mode"] == "quarantined"


def test_a_problem_comes_as_a_value(client: Any) -> None:
    problem = operation("runs", "show_run").sync(client=client, run_id="r404")
    assert isinstance(problem, models().ProblemDocument)
    assert (problem.code, problem.status) == ("not-found", 404)
