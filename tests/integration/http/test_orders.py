from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from gateway import errors
from gateway.control.runs import runs
from gateway.core.codec.entry import of_fields
from gateway.model.entries import Entry
from gateway.model.entry import Position, Sealed
from gateway.model.run import Scope
from tests.support.control_api import Api
from tests.support.journaling import BARRIER


class FullDisk:
    """A journal that cannot be written, as far as containment asks it."""

    stream = "st_full"

    async def append(self, entry: Entry, blobs: tuple[Sealed, ...] = ()) -> Position:
        raise errors.JournalUnavailable("The disk is full.")


async def contain(at: Api, **body: object) -> tuple[int, dict[str, object]]:
    return await at.ask("POST", "/v1/orders", {"reason": "test", **body}, as_="operator-token")


async def test_an_order_holds_when_it_is_acknowledged(at: Api) -> None:
    await at.open_run("r1")
    status, order = await contain(at, scope={"run": "r1"}, mode="read_only")
    assert status == 201
    assert order["nodes"] == [{"node": at.parts.store.journal.stream, "held": True}]
    assert (order["mode"], order["scope"], order["by"], order["reason"]) == ("read_only", {"run": "r1"}, "operator", "test")
    assert isinstance(order["held_ms"], float)
    assert order["epoch"] == at.parts.services.containment.replica.epoch
    assert (await at.ask("GET", "/v1/runs/r1"))[1]["mode"] == "read_only"


async def test_a_released_order_releases(at: Api) -> None:
    await at.open_run("r1")
    _, order = await contain(at, scope={"run": "r1"}, mode="paused")
    status, released = await at.ask("DELETE", f"/v1/orders/{order['order_id']}", {"reason": "all clear"}, as_="operator-token")
    assert status == 200
    assert released["released_by"] == "operator"
    assert (await at.ask("GET", "/v1/runs/r1"))[1]["mode"] == "active"
    status, answer = await at.ask("DELETE", f"/v1/orders/{order['order_id']}", {"reason": "again"})
    assert (status, answer["code"]) == (409, "conflict")


async def test_a_release_takes_its_reason_from_the_query_too(at: Api) -> None:
    _, order = await contain(at, scope={"tenant": "acme"}, mode="paused")
    status, answer = await at.ask("DELETE", f"/v1/orders/{order['order_id']}")
    assert (status, answer["code"]) == (400, "bad-request")
    status, _ = await at.ask("DELETE", f"/v1/orders/{order['order_id']}?reason=clear")
    assert status == 200
    assert (await at.ask("DELETE", "/v1/orders/ord_404?reason=x"))[0] == 404


async def test_no_fanout_is_a_mode_by_word_and_a_flag_beside_one(at: Api) -> None:
    for body in ({"mode": "no_fanout"}, {"no_fanout": True}):
        status, order = await contain(at, scope={"tenant": "acme"}, **body)
        assert (status, order["mode"], order["no_fanout"]) == (201, "active", True)
    _, order = await contain(at, scope={"tenant": "acme"}, mode="read_only", no_fanout=True)
    assert (order["mode"], order["no_fanout"]) == ("read_only", True)


async def test_a_dry_run_counts_and_changes_nothing(at: Api) -> None:
    await at.open_run("r1")
    await at.open_run("r2")
    before = at.parts.services.containment.replica.epoch
    status, answer = await contain(at, scope={"tenant": "acme"}, mode="paused", dry_run=True)
    assert (status, answer) == (200, {"runs": 2})
    assert at.parts.services.containment.replica.epoch == before
    assert (await at.ask("GET", "/v1/orders"))[1] == {"items": [], "next": None}


async def test_a_dry_run_counts_whom_an_order_would_hold_and_nobody_else(at: Api) -> None:
    await at.open_run("boss", agent_id="boss")
    await at.open_run("worker", parent_run="boss")
    await at.open_run("helper", parent_run="worker")
    await at.open_run("crm-only", scopes=["crm:*"], tenant="globex")
    await at.open_run("any", scopes=["*"], tools=["crm", "mail"])
    await at.open_run("gone")
    await at.ask("POST", "/v1/runs/gone/close")

    async def hits(**scope: object) -> object:
        return (await contain(at, scope=scope, mode="paused", dry_run=True))[1]["runs"]

    assert [await hits(all=True), await hits(tenant="globex"), await hits(agent="boss"), await hits(task_class="default")] == [5, 1, 1, 5]
    assert [await hits(run="boss"), await hits(run="boss", subtree=True), await hits(run="worker", subtree=True)] == [1, 3, 2]
    assert [await hits(run="gone"), await hits(run="nobody"), await hits(run="nobody", subtree=True)] == [0, 0, 0]
    assert [await hits(tool="erp"), await hits(tool="crm"), await hits(tool="mail"), await hits(tool="er")] == [3, 2, 1, 0]
    assert [await hits(run="boss", tool="erp"), await hits(run="boss", tool="crm")] == [1, 0]


async def test_a_dry_run_over_many_runs_lets_others_work_in_between(at: Api) -> None:
    journal, registry = at.parts.store.journal, at.parts.store.registry
    await at.open_run("r0")
    one = await registry.run("r0")
    assert one is not None
    many = 5_000
    entries = [runs.entry(replace(one, run_id=f"r{n}"), "opened", one.opened_at, by="test", reason="test") for n in range(1, many)]
    for entry in entries:
        journal.post(entry)
    await journal.append(of_fields(BARRIER))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.ensure_future(others())
    assert await at.parts.services.containment.hits(Scope(tenant="acme")) == many
    other.cancel()
    assert turns >= 10


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"scope": {}, "mode": "paused"}, "scope: is empty"),
        ({"scope": {"all": True, "run": "r1"}, "mode": "paused"}, "'all' cannot be combined"),
        ({"scope": {"subtree": True, "tenant": "acme"}, "mode": "paused"}, "'subtree' needs a run"),
        ({"scope": {"tenant": "acme"}, "mode": "active"}, "'active' is not an order"),
        ({"scope": {"tenant": "acme"}}, "'active' is not an order"),
        ({"scope": {"tenant": "acme"}, "mode": "revoked"}, "'revoked' is permanent"),
        ({"scope": {"run": "r1"}, "mode": "quarantined", "ttl": "5m"}, "'quarantined' has no ttl"),
        ({"scope": {"run": "r1"}, "mode": "paused", "ttl": 0}, "ttl: 0 is not a duration"),
        ({"scope": {"run": "r1"}, "mode": "stopped"}, "mode: must be one of"),
        ({"scope": {"runs": "r1"}, "mode": "paused"}, "scope.runs: is not known here"),
        ({"scope": {"run": "r1"}, "mode": "paused", "reason": ""}, "reason: "),
        ({"scope": {"run": "r1"}, "mode": "paused", "reason": None}, "reason: "),
        ({"scope": {"run": "r1"}, "mode": "paused", "reason": " \n\t "}, "reason: is blank; say why"),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused(at: Api, body: dict[str, object], expected: str) -> None:
    status, answer = await contain(at, **body)
    assert (status, answer["code"]) == (400, "bad-request")
    assert expected in str(answer["detail"])


async def test_wait_is_taken(at: Api) -> None:
    for wait in (0, "2s", 1.5):
        assert (await contain(at, scope={"tenant": "acme"}, mode="paused", wait=wait))[0] == 201


async def test_an_order_for_an_unknown_run_holds_and_warns(at: Api) -> None:
    status, order = await contain(at, scope={"run": "r9"}, mode="read_only")
    assert status == 201
    assert "no run r9" in str(order["warning"])
    opened = await at.open_run("r9")
    assert opened["run"]["mode"] == "read_only"


async def test_orders_are_listed_by_the_run_they_match(at: Api) -> None:
    await at.open_run("r1")
    await at.open_run("r2")
    for scope in ({"run": "r1"}, {"run": "r2"}, {"tenant": "acme"}):
        await contain(at, scope=scope, mode="read_only")
    _, page = await at.ask("GET", "/v1/orders?run=r1")
    assert [order["scope"] for order in page["items"]] == [{"run": "r1"}, {"tenant": "acme"}]
    _, page = await at.ask("GET", "/v1/orders?limit=2")
    _, rest = await at.ask("GET", f"/v1/orders?limit=2&after={page['next']}")
    assert [len(page["items"]), len(rest["items"]), rest["next"]] == [2, 1, None]


async def test_an_order_says_what_has_become_of_it(at: Api) -> None:
    async def states() -> list[str]:
        return [order["state"] for order in (await at.ask("GET", "/v1/orders"))[1]["items"]]

    await at.open_run("r1")
    _, made = await contain(at, scope={"run": "r1"}, mode="read_only")
    assert made["state"] == "standing"
    await contain(at, scope={"run": "r1", "subtree": True}, mode="read_only")
    await contain(at, scope={"run": "r1", "tool": "erp"}, mode="read_only")
    assert (await at.ask("POST", "/v1/runs/r1/resume", {"reason": "mended", "checkpoint": "start"}))[0] == 201
    _, wide = await contain(at, scope={"tenant": "acme"}, mode="paused")
    assert (await at.ask("DELETE", f"/v1/orders/{wide['order_id']}?reason=x"))[1]["state"] == "released"
    await contain(at, scope={"tenant": "acme"}, mode="paused", ttl="1ms")
    async with asyncio.timeout(20):
        while (await states())[-1] == "standing":
            await asyncio.sleep(0.01)
    assert await states() == ["superseded", "standing", "standing", "released", "expired"]


async def test_an_order_that_cannot_be_journaled_holds_nevertheless_and_reports_it(at: Api) -> None:
    await at.open_run("r1")
    containment = at.parts.services.containment
    containment.journal = FullDisk()  # type: ignore[assignment]
    status, answer = await contain(at, scope={"run": "r1"}, mode="paused")
    assert (status, answer["code"]) == (503, "journal-unavailable")
    assert "is in force on this node, but it is not durable" in str(answer["detail"])
    assert (await at.ask("GET", "/v1/runs/r1"))[1]["mode"] == "paused"


@pytest.mark.parametrize(
    ("mode", "admitted", "again"),
    [("read_only", False, True), ("paused", False, True), ("quarantined", False, False), ("no_fanout", True, False)],
)
async def test_admission_follows_the_orders(at: Api, mode: str, admitted: bool, again: bool) -> None:
    _, order = await contain(at, scope={"tenant": "acme"}, mode=mode)
    status, answer = await at.ask("POST", "/v1/admission", {"tenant": "acme", "task_class": "default"}, as_="orchestrator-token")
    assert status == 200
    assert answer["admit"] is admitted
    assert ("retry_after" in answer) is again
    if not admitted:
        assert answer["order_id"] == order["order_id"]


async def test_admission_knows_classes_tenants_and_runs(at: Api) -> None:
    async def admit(**body: object) -> dict[str, object]:
        return (await at.ask("POST", "/v1/admission", {"tenant": "acme", "task_class": "default", **body}))[1]

    assert (await admit())["admit"] is True
    assert (await admit(tenant="globex", task_class="billing"))["admit"] is False
    assert (await admit(task_class="nope"))["code"] == "bad-request"
    await at.open_run("r1")
    assert (await admit(run_id="r1"))["admit"] is True
    _, order = await contain(at, scope={"run": "r1"}, mode="paused", ttl="10m")
    held = await admit(run_id="r1")
    assert (held["admit"], held["order_id"]) == (False, order["order_id"])
    assert isinstance(held["retry_after"], float)
    assert 500 < held["retry_after"] <= 600
    assert (await admit(run_id="r2"))["admit"] is True
    await at.ask("POST", "/v1/runs/r1/close")
    assert (await admit(run_id="r1"))["admit"] is False
