"""Fault: what has to answer a trigger is broken, slow, gone or killed. The run is contained all the same."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway import errors
from gateway.control.review.findings import Finding
from gateway.model.entry import Kind
from gateway.model.run import Mode
from gateway.ports.journal import JournalHealth
from tests.support import crooked, opa, rig
from tests.support.crooked import Crooked, framed, instead
from tests.support.ledger import Ledger
from tests.support.opa import Opa
from tests.support.policies import POLICIES
from tests.support.rig import Rig, code, header, until, until_async
from tests.support.tool import Tool, Visit
from tests.support.triggering import ELSEWHERE, INVOICE, Agent, Moody, agent, moody, tool

# --- policy has no answer that could be used -----------------------------------------------------------------------------

OURS = 'concat("", [input.run.agent_id, "!"]) == "crooked!"'
"""So that it fails in use: what fails on a sample, or on an input made from what rules compare, does not load."""
NO_ANSWERS = {
    "undefined": 'override["anomaly.none"] := {} if false',
    "no object": 'override["uncertain.schema-drift"] := "pause" if OURS',
    "an unknown action": 'override["uncertain.schema-drift"] := contain("stop", "Why.") if OURS',
    "a contradiction": 'override["uncertain.schema-drift"] := undo("none", "Why.") if OURS',
    "a scope that is none": 'override["uncertain.schema-drift"] := object.union(contain("pause", "Why."), {"scope": {"runs": "all"}}) '
    "if OURS",
    "a revocation of everything": 'override["uncertain.schema-drift"] := object.union(contain("revoke", "Why."), {"scope": {"all": true}}) '
    "if OURS",
    "an empty why": 'override["uncertain.schema-drift"] := contain("pause", "") if OURS',
    "an error": 'override["uncertain.schema-drift"] := contain("pause", sprintf("%v", [1 % count(input.history)])) if OURS',
    "a conflict": 'override["uncertain.schema-drift"] := contain("pause", "a") if OURS\n\n'
    'override["uncertain.schema-drift"] := contain("pause", "b") if OURS',
}


@pytest.mark.parametrize("rule", NO_ANSWERS.values(), ids=NO_ANSWERS)
async def test_no_answer_of_policy_is_quarantine(tmp_path: Path, rule: str) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(POLICIES, folder)
    response = next(one for one in folder.rglob("response") if one.is_dir())
    if rule == NO_ANSWERS["undefined"]:
        defaults = response / "uncertainty.rego"
        defaults.write_text(defaults.read_text().replace("uncertain.schema-drift", "uncertain.another"))
    else:
        (response / "ours.rego").write_text(f"package killcord.response\n\n{rule.replace('OURS', OURS)}\n")
    for test in response.glob("*_test.rego"):
        test.unlink()
    async with moody(tmp_path, policy=f"{{engine: embedded, path: {folder}}}") as made:
        bad = await drifting(made)
        assert (bad.mode(), header(bad.last, "Killcord-Mode")) == (Mode.QUARANTINED, "quarantined")
        (response_entry,) = await bad.responses()
        assert response_entry["why"].startswith("Quarantined, because")
        (incident,) = await bad.incidents()
        assert incident.cause == "uncertain.schema-drift"


async def drifting(made: Rig) -> Agent:
    tool(made).answers = {"data": {"id": "inv_1"}}
    bad = await agent(made, agent_id="crooked")
    await bad.read()
    return bad


# --- a real OPA that answers decisions, and not responses --------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Opa]:
    with opa.serving() as made:
        yield made


class Asked(Crooked):
    """Twists only the answers about responses."""

    async def __call__(self, visit: Visit) -> None:
        twisted = self.twist
        while (request := await visit.request()) is not None:
            head, _, body = request.partition(b"\r\n\r\n")
            method, target, _ = head.partition(b"\r\n")[0].decode().split(" ")
            status, answer = await asyncio.to_thread(self._opa.ask, method, target, body or None)
            twisted = self.twist if target.startswith("/v1/data/killcord/response") else crooked.straight
            await twisted(visit, framed(answer, status=status))


async def test_a_real_opa_answers_triggers(server: Opa, tmp_path: Path) -> None:
    async with moody(tmp_path, policy=f'{{engine: opa, url: "{server.url}", timeout: 10s}}') as made:
        bad = await drifting(made)
        assert bad.mode() is Mode.READ_ONLY
        (response,) = await bad.responses()
        assert response["revision"] == made.gateway.resources.engine.revision


BROKEN = {
    "silent": crooked.silent,
    "trickling": crooked.trickling,
    "dropped": crooked.dropped,
    "reset": crooked.reset,
    "cut": crooked.cut,
    "a status of 500": instead(framed(b"{}", status=500)),
    "undefined": instead(framed(b"{}")),
    "a list": instead(framed(b'{"result":[]}')),
    "no JSON": instead(framed(b"recoverable")),
    "recoverable by mistake": instead(framed(b'{"result":{"action":"none","rollback":false,"verdict":"containment","why":"x"}}')),
}


@pytest.mark.parametrize("twist", BROKEN.values(), ids=BROKEN)
async def test_an_answer_that_cannot_be_used_is_quarantine_within_the_deadline(server: Opa, tmp_path: Path, twist: crooked.Twist) -> None:
    between = Asked(server)
    async with (
        Tool(between) as relay,
        moody(tmp_path, policy=f'{{engine: opa, url: "http://127.0.0.1:{relay.port}", timeout: 700ms}}') as made,
    ):
        between.twist = twist
        began = time.monotonic()
        bad = await drifting(made)
        assert time.monotonic() - began < 10.0
        assert (bad.mode(), header(bad.last, "Killcord-Mode")) == (Mode.QUARANTINED, "quarantined")


async def test_an_opa_that_is_paused_between_the_decision_and_the_response_is_not_waited_for(server: Opa, tmp_path: Path) -> None:
    ledger = Moody(answers={"data": {"id": "inv_1"}}, hold=asyncio.Event())
    assert ledger.hold is not None
    async with moody(tmp_path, ledger=ledger, policy=f'{{engine: opa, url: "{server.url}", timeout: 700ms}}') as made:
        bad = await agent(made)
        call = asyncio.ensure_future(bad.read())
        await until(lambda: ledger.seen, 30.0)
        server.pause()
        try:
            began = time.monotonic()
            ledger.hold.set()
            reply = await asyncio.wait_for(call, 30.0)
            assert 0.5 < time.monotonic() - began < 10.0
        finally:
            server.go_on()
        assert (reply.status, header(reply, "Killcord-Mode"), bad.mode()) == (200, "quarantined", Mode.QUARANTINED)


# --- a journal that cannot be written ----------------------------------------------------------------------------------


class Full:
    """The real journal, until its disk is full."""

    def __init__(self, journal: Any, kinds: frozenset[str]) -> None:
        self._journal = journal
        self._kinds = kinds
        self.full = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def post(self, entry: Any, blobs: Any = ()) -> Any:
        self._check(entry)
        return self._journal.post(entry, blobs)

    async def append(self, entry: Any, blobs: Any = ()) -> Any:
        self._check(entry)
        return await self._journal.append(entry, blobs)

    def health(self) -> JournalHealth:
        health: JournalHealth = self._journal.health()
        return JournalHealth(False, "the disk is full", health.lag, health.seq) if self.full else health

    def _check(self, entry: Any) -> None:
        self.full = self.full or entry.kind in self._kinds
        if self.full:
            raise errors.JournalUnavailable("The disk is full.", retry_after=5.0)


@pytest.mark.parametrize("first", [Kind.TRIGGER, Kind.ORDER, Kind.RESPONSE])
async def test_an_order_holds_on_this_node_though_it_cannot_be_journaled(tmp_path: Path, first: Kind) -> None:
    async with moody(tmp_path) as made:
        bad = await agent(made)
        full = Full(made.gateway.control.journal.journal, frozenset({first.value}))
        made.gateway.control.journal.journal = full
        reply = await bad.call("PATCH", ELSEWHERE, {"status": "paid"})
        assert bad.mode() is Mode.REVOKED
        assert header(reply, "Killcord-Mode") == "revoked"
        assert [event for event, _ in made.logged].count("response-not-durable") == 1
        assert code(await bad.refund(1)) == "journal-unavailable"
        full.full, full._kinds = False, frozenset()
        assert code(await bad.refund(2)) == "lease-revoked"
        assert made.ledger.seen == []


@pytest.mark.parametrize("first", [Kind.TRIGGER, Kind.ORDER, Kind.RESPONSE])
async def test_what_could_not_be_journaled_is_answered_durably_once_the_journal_is_back(tmp_path: Path, first: Kind) -> None:
    async with moody(tmp_path) as made:
        bad = await agent(made)
        whole = made.gateway.control.journal.journal
        full = Full(whole, frozenset({first.value}))
        made.gateway.control.journal.journal = full
        await bad.call("PATCH", ELSEWHERE, {"status": "paid"})
        await made.gateway.control.monitor.turn()
        assert await bad.incidents() == [], "the journal is still down"
        made.gateway.control.journal.journal = whole
        await made.gateway.control.monitor.turn()
        await made.gateway.control.monitor.idle()
        (incident,) = await bad.incidents()
        await made.gateway.control.monitor.turn()
        await made.gateway.control.monitor.idle()
        orders = await made.journal(bad.run_id, "order")
        assert [one["order"]["order_id"] for one in orders] == list(incident.orders)
        assert len(await bad.responses()) == 1
        ledger = made.ledger
    async with moody(tmp_path, ledger=ledger) as made:
        assert Agent(made, bad.opened).mode() is Mode.REVOKED
        assert await made.gateway.catch_up() == 0


# --- clients and processes that go away --------------------------------------------------------------------------------


async def test_a_trigger_is_answered_though_its_client_went_away(tmp_path: Path) -> None:
    async with moody(tmp_path) as made:
        bad = await agent(made)
        made.ledger.hold = asyncio.Event()
        call = asyncio.ensure_future(made.call(bad.opened.lease, "GET", INVOICE))
        await until(lambda: made.ledger.seen)
        gate = asyncio.Event()
        asked = made.gateway.resources.engine.ask

        async def slowly(rule: str, document: Any) -> object:
            await gate.wait()
            return await asked(rule, document)

        made.gateway.resources.engine.ask = slowly  # type: ignore[method-assign]
        tool(made).answers = {"data": {"id": "inv_1"}}
        made.ledger.hold.set()
        await until(lambda: made.gateway.control.monitor._answering)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert bad.mode() is Mode.ACTIVE
        gate.set()
        await made.gateway.control.monitor.idle()
        assert bad.mode() is Mode.READ_ONLY
        assert len(await bad.incidents()) == 1


async def killed(folder: Path) -> tuple[Ledger, str, str]:
    """A gateway that is gone after an outcome was durable, before anything was answered; its ledger, and the run with its lease."""
    async with moody(folder) as made:
        bad = await agent(made)
        made.gateway.control.journal.subscribers = {}
        tool(made).pretend = 1
        await bad.update("paid")
        assert (bad.mode(), await bad.responses()) == (Mode.ACTIVE, [])
        return made.ledger, bad.run_id, bad.opened.lease


async def test_what_nobody_answered_before_a_kill_is_answered_before_the_servers_open(tmp_path: Path) -> None:
    ledger, run_id, lease = await killed(tmp_path)
    async with moody(tmp_path, ledger=ledger) as made:
        assert await made.gateway.catch_up() == 1
        await made.gateway.control.monitor.idle()
        assert code(await made.call(lease, "GET", INVOICE)) == "run-quarantined"
        (incident,) = await made.gateway.resources.store.incidents.incidents(run=run_id)
        assert incident.cause == "verify.postcondition-failed"
    async with moody(tmp_path, ledger=ledger) as made:
        assert await made.gateway.catch_up() == 0
        assert len(await made.gateway.resources.store.incidents.incidents(run=run_id)) == 1


async def test_a_trigger_that_was_reported_and_not_answered_is_answered_after_a_kill(tmp_path: Path) -> None:
    async with moody(tmp_path) as made:
        bad = await agent(made)
        full = Full(made.gateway.control.journal.journal, frozenset({Kind.RESPONSE.value}))
        made.gateway.control.journal.journal = full
        finding = Finding(kind="sum-off", severity="critical", evidence={}, by="verifier")
        await made.gateway.findings.report(bad.opened.run, finding)
        assert bad.mode() is Mode.QUARANTINED
        ledger = made.ledger
    async with moody(tmp_path, ledger=ledger) as made:
        assert await made.gateway.catch_up() == 1
        await made.gateway.control.monitor.idle()
        (incident,) = await made.gateway.resources.store.incidents.incidents(run=bad.run_id)
        assert (incident.cause, incident.rollback.value == "none") == ("verify.finding", False)


async def test_a_store_that_cannot_be_read_while_a_trigger_is_answered_does_not_leave_the_run_active(tmp_path: Path) -> None:
    async with moody(tmp_path) as made:
        bad, other = await agent(made), await agent(made)

        async def broken(*_: Any, **__: Any) -> Any:
            raise OSError("the disk cannot be read")

        respond = made.gateway.control.monitor.respond
        object.__setattr__(respond.answered, "history", type("Unreadable", (), {"entries": staticmethod(broken)})())
        reply = await bad.call("PATCH", ELSEWHERE, {"status": "paid"})
        assert (reply.status, bad.mode()) == (403, Mode.QUARANTINED)
        assert header(reply, "Killcord-Mode") == "quarantined"
        assert [event for event, _ in made.logged].count("response-failed") == 1
        assert (await other.refund(1)).status == 201


async def test_it_all_holds_over_a_connection_too(tmp_path: Path) -> None:
    """Two requests at once on one connection: the first is across the boundary, the second meets what came of it."""
    async with moody(tmp_path) as made, rig.on_the_wire(made) as port:
        bad = await agent(made)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with closing(writer):
            body = orjson.dumps({"amount": 1})
            for method, path in (("PATCH", ELSEWHERE), ("POST", "/v1/tenants/acme/refunds")):
                head = f"{method} /ledger{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {bad.opened.lease}\r\n"
                writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            got = b""
            async with asyncio.timeout(20):
                while b"lease-revoked" not in got and (more := await reader.read(65_536)):
                    got += more
        assert got.index(b"tenant-boundary") < got.index(b"lease-revoked")
        assert b"Killcord-Mode: revoked" in got
        assert made.ledger.seen == []
        await until_async(lambda: bad.incidents())
