from __future__ import annotations

import asyncio
import sqlite3

import pytest
from msgspec.structs import replace

from gateway import errors
from gateway.control.containment import scope_lookup
from gateway.control.containment.scope_lookup import ScopeLookup
from gateway.control.runs import runs
from gateway.core.codec.entry import of_fields
from gateway.model.entries import Entry
from gateway.model.entry import Position, Sealed
from gateway.model.run import Scope
from gateway.stores.sqlite.known_names import SqliteKnownNames
from tests.support import control_api
from tests.support.control_api import Api, Opened
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
    assert (status, answer) == (200, {"runs": 2, "runs_held": 2, "run_ids": ["r1", "r2"], "more_runs": False})
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
        return (await contain(at, scope=scope, mode="paused", dry_run=True, future=True))[1]["runs_held"]

    assert [await hits(all=True), await hits(tenant="globex"), await hits(agent="boss"), await hits(task_class="default")] == [5, 1, 1, 5]
    assert [await hits(run="boss"), await hits(run="boss", subtree=True), await hits(run="worker", subtree=True)] == [1, 3, 2]
    assert [await hits(run="gone"), await hits(run="nobody"), await hits(run="nobody", subtree=True)] == [0, 0, 0]
    assert [await hits(tool="erp"), await hits(tool="crm"), await hits(tool="mail"), await hits(tool="er")] == [3, 2, 1, 0]
    assert [await hits(run="boss", tool="erp"), await hits(run="boss", tool="crm")] == [1, 0]


@pytest.mark.parametrize(("scope", "least"), [(Scope(everything=True), 5), (Scope(tenant="acme"), 5), (Scope(tool="erp"), 50)])
async def test_a_count_over_many_runs_lets_others_work_in_between(at: Api, scope: Scope, least: int) -> None:
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
    held = await at.parts.services.scopes.held(scope)
    assert (held.count, len(held.run_ids)) == (many, scope_lookup.NAMED)
    other.cancel()
    assert turns >= least


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


async def test_an_order_says_which_runs_it_holds(at: Api) -> None:
    for name in ("r1", "r2"):
        await at.open_run(name)
    await at.open_run("other", tenant="globex")
    status, order = await contain(at, scope={"tenant": "acme"}, mode="paused")
    assert (status, order["runs_held"], order["run_ids"], order["more_runs"]) == (201, 2, ["r1", "r2"], False)
    assert "warning" not in order


async def test_an_order_is_in_force_before_its_runs_are_counted(at: Api, opened: Opened) -> None:
    await at.open_run("r1")
    modes = []

    class Slow(ScopeLookup):
        async def held(self, scope: Scope) -> scope_lookup.HeldRuns:
            modes.append((await at.ask("GET", "/v1/runs/r1"))[1]["mode"])
            return await ScopeLookup.held(self, scope)

    scopes = at.parts.services.scopes
    slow = await opened(scopes=Slow(scopes.names, scopes.registry, scopes.clock, scopes.configured))
    assert (await contain(slow, scope={"tenant": "acme"}, mode="paused"))[1]["runs_held"] == 1
    assert modes == ["paused"]


@pytest.mark.parametrize("scope", [{"tenant": "acme"}, {"agent": "billing"}, {"run": "r1", "tenant": "acme"}])
async def test_an_order_is_made_also_if_the_journal_cannot_be_read(at: Api, opened: Opened, scope: dict[str, object]) -> None:
    await at.open_run("r1")

    broken = sqlite3.connect(":memory:")  # a file in which there is nothing to read
    services = at.parts.services
    unread = ScopeLookup(SqliteKnownNames(broken), services.registry, services.clock, control_api.NAMES)
    status, order = await contain(await opened(scopes=unread), scope=scope, mode="paused")
    assert (status, (await at.ask("GET", "/v1/runs/r1"))[1]["mode"]) == (201, "paused")
    if "run" not in scope:
        assert (order["runs_held"], "could not be counted: " in str(order["warning"])) == (None, True)


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        ({"run": "payout-7"}, "There is no run payout-7; did you mean payout-1? Nothing was ordered."),
        ({"tenant": "acmee"}, "There is no tenant acmee; did you mean acme?"),
        ({"tenant": "acm"}, "There is no tenant acm; did you mean acme?"),
        ({"agent": "biling"}, "There is no agent biling; did you mean billing?"),
        ({"task_class": "defualt"}, "There is no task class defualt; did you mean default?"),
        ({"tool": "epr"}, "There is no tool epr; did you mean erp?"),
        ({"tenant": "zzz", "tool": "nix"}, "There is no tenant zzz; there is no tool nix. Nothing was ordered."),
        ({"run": "payout-7", "subtree": True, "tenant": "acme"}, "There is no run payout-7; did you mean payout-1?"),
    ],
)
async def test_a_scope_that_names_something_unknown_is_refused(at: Api, scope: dict[str, object], said: str) -> None:
    await at.open_run("payout-1")
    for dry_run in (False, True):
        status, answer = await contain(at, scope=scope, mode="read_only", dry_run=dry_run)
        assert (status, answer["code"]) == (404, "scope-unknown")
        assert said in str(answer["detail"])
    assert at.parts.services.containment.listed() == []
    assert (await at.ask("GET", "/v1/journal?kind=order"))[1]["items"] == []


async def test_an_order_for_the_future_holds_nothing_now_and_what_is_opened_later(at: Api) -> None:
    status, order = await contain(at, scope={"run": "r9"}, mode="read_only", future=True)
    assert (status, order["runs_held"], order["run_ids"]) == (201, 0, [])
    assert order["warning"] == "The scope holds 0 runs now (there is no run r9). It holds those that are opened later."
    opened = await at.open_run("r9")
    assert opened["run"]["mode"] == "read_only"


async def test_a_name_stays_known_after_its_last_run_has_ended(at: Api) -> None:
    await at.open_run("r1", tenant="initech", agent_id="gone")
    await at.ask("POST", "/v1/runs/r1/close")
    for scope in ({"tenant": "initech"}, {"agent": "gone"}, {"run": "r1"}):
        status, order = await contain(at, scope=scope, mode="read_only")
        assert (status, order["runs_held"]) == (201, 0)
        said = "The order holds nothing: run r1 was closed at" if "run" in scope else "The scope holds 0 runs now"
        assert str(order["warning"]).startswith(said)


async def test_parts_that_are_known_and_match_no_run_together_are_ordered_with_a_warning(at: Api) -> None:
    await at.open_run("r1", agent_id="theirs", tenant="globex")
    status, order = await contain(at, scope={"tenant": "acme", "agent": "theirs"}, mode="read_only")
    assert (status, order["runs_held"]) == (201, 0)
    assert "no open run matches all parts of the scope" in str(order["warning"])


@pytest.mark.parametrize(
    ("other", "said"),
    [({"tenant": "globex"}, "the tenant acme, not globex"), ({"agent": "writer"}, "the agent billing, not writer")],
)
async def test_a_run_beside_what_it_does_not_have_is_refused(at: Api, other: dict[str, str], said: str) -> None:
    await at.open_run("r1")
    await at.open_run("r2", tenant="globex", agent_id="writer")
    asked = {"scope": {"run": "r1", **other}, "mode": "paused", "reason": "x"}
    status, answer = await at.ask("POST", "/v1/orders", asked)
    assert (status, answer["code"]) == (404, "scope-unknown")
    assert answer["detail"] == f"Run r1 has {said}. Nothing was ordered."
    assert (await at.ask("POST", "/v1/orders", {**asked, "future": True}))[0] == 201


async def test_the_nearest_name_is_found_among_very_many(at: Api) -> None:
    journal, registry = at.parts.store.journal, at.parts.store.registry
    await at.open_run("r0")
    one = await registry.run("r0")
    assert one is not None
    for n in range(3_000):
        run = replace(one, run_id=f"run-{n:05}", tenant=f"tenant-{n:05}", agent_id=f"agent-{n:05}")
        journal.post(runs.entry(run, "opened", one.opened_at, by="test", reason="test"))
    await journal.append(of_fields(BARRIER))
    for part, name, near in (
        ("run", "run-02500x", "run-02500"),
        ("tenant", "tenant-02500x", "tenant-02500"),
        ("agent", "agent-2500", "agent-02500"),
    ):
        detail = str((await contain(at, scope={part: name}, mode="paused"))[1]["detail"])
        assert f"did you mean {near}?" in detail, detail


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
