"""``killcord status``: what an operator sees first at night."""

from __future__ import annotations

import pytest

from gateway.cli.status import WIDTH
from tests.support import contained
from tests.support.command_line import Cli, Gateway

OPEN = ("runs", "open", "--tenant", "acme", "--agent", "billing", "--scope", "erp:*")


def test_a_gateway_that_works_says_so(gateway: Gateway, killcord: Cli) -> None:
    said = killcord("status")
    assert said.code == 0
    assert said.out.startswith(f"gateway     ready      {gateway.url}\n  journal     ok")
    for part in ("Orders in force", "Open incidents", "Approvals that wait", "Open tasks", "Newest triggers"):
        assert f"{part}: none\n" in said.out


def test_it_shows_what_is_held_and_what_waits_in_a_hundred_columns(gateway: Gateway, killcord: Cli) -> None:
    gateway.do(contained.contain(gateway.parts))
    for number in range(3):
        killcord(*OPEN, "--run", f"r{number}")
    long = "refunds in a loop, " * 20
    order = killcord.json("contain", "--tenant", "acme", "--mode", "paused", "--reason", long)
    said = killcord("status")
    assert f"  {order['order_id']}  paused  3 run(s)  since " in said.out
    assert "tenant=acme, by admin: refunds in a loop," in said.out
    assert "Open incidents: 1\n  inc_1  " in said.out
    assert max(map(len, said.out.splitlines())) <= WIDTH
    found = killcord.json("status")
    assert next((one["order_id"], one["runs_held"]) for one in found["status"]["orders"]["items"]) == (order["order_id"], 3)
    assert found["ready"]["status"] == "ready"


def test_it_tells_what_the_token_may_not_see(gateway: Gateway, killcord: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    killcord("contain", "--all", "--mode", "paused", "--reason", "about globex")
    monkeypatch.setenv("KILLCORD_TOKEN", "acme-viewer")
    said = killcord("status")
    assert (said.code, "about globex" in said.out) == (0, False)
    assert "This token sees only tenants acme. There may be more." in said.out
    monkeypatch.setenv("KILLCORD_TOKEN", "orchestrator-token")
    said = killcord("status")
    assert (said.code, "Orders in force: not shown: the role orchestrator may not read orders" in said.out) == (0, True)


def test_a_gateway_that_is_not_ready_shows_the_failing_part(gateway: Gateway, killcord: Cli) -> None:
    object.__setattr__(gateway.parts.services, "ready", lambda: (False, {"journal": {"ok": False, "detail": "the disk is full"}}))
    said = killcord("status")
    assert said.code == 1
    assert said.out.splitlines()[0].split()[:3] == ["gateway", "not", "ready"]
    assert "  journal     FAILED  the disk is full\n" in said.out
    assert "Orders in force: none" in said.out, "what is known is shown nevertheless"


def test_what_could_not_be_learned_is_said_with_its_reason(gateway: Gateway, killcord: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILLCORD_TOKEN", "wrong")
    said = killcord("status")
    assert (said.code, said.out.startswith("gateway     ready")) == (1, True)
    assert "what is in force and what waits is unknown: unauthenticated: " in said.out
    monkeypatch.setenv("KILLCORD_URL", "http://127.0.0.1:1")
    said = killcord("status")
    assert (said.code, "gateway     unknown    http://127.0.0.1:1\n" in said.out) == (1, True)
    assert "cannot be reached" in said.out
