"""A real Kinto behind a real nginx that compresses, which weakens tags, and an agent whose HTTP library accepts that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.support import gateway, kinto, nginx, undone
from tests.support.erp import Erp
from tests.support.gateway import Gateway


@pytest.fixture(scope="module")
def proxy(kinto_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with nginx.serving(tmp_path_factory.mktemp("nginx"), kinto_port) as port:
        yield port


@pytest.fixture(scope="module")
def behind(proxy: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("behind"), gateway.settings(f"http://127.0.0.1:{proxy}/v1"))
    with gateway.serving(made):
        yield made


@dataclass
class Agent:
    """A run that speaks to the gateway by httpx, which asks for gzip and deflate."""

    gateway: Gateway
    erp: Erp
    run_id: str
    lease: str

    def call(self, method: str, name: str = "", data: dict[str, object] | None = None, **headers: str) -> httpx.Response:
        url = f"{self.gateway.data}/erp{self.erp.path('invoices', name)}"
        sent = {"Authorization": f"Bearer {self.lease}", **{key.replace("_", "-"): value for key, value in headers.items()}}
        return httpx.request(method, url, json=None if data is None else {"data": data}, headers=sent)


@pytest.fixture
def agent(behind: Gateway, erp: Erp) -> Agent:
    return Agent(behind, erp, *behind.open_run(erp.tenant))


def state(erp: Erp) -> dict[str, dict[str, Any]]:
    return {name: {key: value for key, value in one.items() if key != "last_modified"} for name, one in erp.records("invoices").items()}


def test_nginx_does_what_these_tests_are_about(proxy: int, erp: Erp) -> None:
    url = f"http://127.0.0.1:{proxy}/v1{erp.path('invoices', 'inv-1')}"
    plain = httpx.get(url, headers={"Authorization": kinto.AUTHORIZATION, "Accept-Encoding": "identity"})
    packed = httpx.get(url, headers={"Authorization": kinto.AUTHORIZATION})
    assert (plain.headers.get("content-encoding"), packed.headers.get("content-encoding")) == (None, "gzip")
    assert packed.headers["etag"] == "W/" + plain.headers["etag"]


def test_honest_work_reads_and_writes_again_and_again(agent: Agent) -> None:
    for number in (1, 2):
        assert agent.call("GET", "inv-1").status_code == 200
        assert agent.call("PATCH", "inv-1", {"note": f"reminder {number}"}).status_code == 200
    assert agent.call("PATCH", "inv-1", {"note": "the last one"}).status_code == 200, "its own second write, without a read between"
    tag = agent.call("GET", "inv-1").headers["etag"]
    assert agent.call("GET", "inv-1", If_None_Match=tag).status_code == 304
    assert agent.call("PATCH", "inv-1", {"note": "by its own If-Match"}, If_Match=tag).status_code == 200
    assert agent.erp.invoice("inv-1")["note"] == "by its own If-Match"


def test_another_writer_in_between_is_seen_and_not_overwritten(agent: Agent) -> None:
    agent.call("GET", "inv-1")
    agent.erp.edit("inv-1", status="paid")
    drifted = agent.call("PATCH", "inv-1", {"status": "void"})
    assert (drifted.status_code, drifted.json()["code"]) == (412, "precondition-changed")
    assert agent.erp.invoice("inv-1")["status"] == "paid"
    assert agent.call("GET", "inv-1").status_code == 200
    assert agent.call("PATCH", "inv-1", {"status": "settled"}).status_code == 200, "it has read again"


def test_a_run_is_contained_and_rolled_back(agent: Agent) -> None:
    before = state(agent.erp)
    agent.call("GET", "inv-1")
    agent.call("PATCH", "inv-1", {"amount": 7, "note": "typo"})
    agent.call("PUT", "inv-1", {"status": "void"})
    agent.call("DELETE", "inv-2")
    assert agent.call("POST", data={"customer": "Nobody", "amount": 1}).status_code == 201
    assert state(agent.erp) != before
    done = undone.rolled_back(agent.gateway, agent.run_id)
    assert (done.status, done.tasks, state(agent.erp)) == ("clean", [], before)


def test_a_rollback_leaves_what_somebody_changed_since(agent: Agent) -> None:
    agent.call("PATCH", "inv-1", {"amount": 7})
    agent.call("PATCH", "inv-2", {"amount": 7})
    agent.erp.edit("inv-2", status="paid")
    done = undone.rolled_back(agent.gateway, agent.run_id)
    assert (done.status, len(done.tasks)) == ("residue", 1)
    now = agent.erp.records("invoices")
    assert (now["inv-1"]["amount"], now["inv-2"]["amount"], now["inv-2"]["status"]) == (120, 7, "paid")
