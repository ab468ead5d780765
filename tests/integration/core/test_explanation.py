from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from gateway.core.codec.entry import of_fields
from gateway.core.codec.record import ORDER, ROLLBACK, RUN
from gateway.core.incident import explanation
from gateway.core.incident.recovery import Stage
from gateway.model.run import Mode
from tests.support import driven, journaling
from tests.support import rolled as rolled_values
from tests.support.ledger import Ledger
from tests.support.rig import until_async
from tests.support.triggering import Moody, agent, moody, tool

Entry = dict[str, Any]


def entry(seq: int, kind: str, **more: object) -> Entry:
    return {**journaling.entry(kind, **more), "stream": "st", "seq": seq, "ts": journaling.STAMP}


def response(seq: int, action: str, name: str = "anomaly.loop", **more: object) -> Entry:
    told = {"name": name, "action": action, "verdict": "recoverable", "rollback": False, "why": f"because of {name}", "revision": "r1"}
    return entry(seq, "response", **{**told, **more})


def explained(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    return explanation.explained(1, [of_fields(one) for one in entries])


def decided(*entries: Entry) -> list[str]:
    return [one["decided"] for one in explained(entries)]


def test_retries_fallbacks_and_degrading_are_reported_with_the_rule_and_its_revision() -> None:
    (retried, fell_back, degraded) = explained(
        [response(1, "retry", "error.transient"), response(2, "fallback"), response(3, "read_only", verdict="containment")]
    )
    assert retried["decided"] == "retried the read"
    assert (fell_back["decided"], degraded["decided"]) == ("sent the read to its fallback", "degraded it to reads")
    assert retried["rule"] == 'data.killcord.response.response, for "error.transient" (recoverable)'
    assert (retried["why"], retried["revision"], retried["entry"]) == ("because of error.transient", "r1", "st/1")


def test_a_response_with_a_rollback_says_both() -> None:
    assert decided(response(1, "quarantine", rollback=True)) == [
        "contained it, with its state kept as evidence, and had what it did undone"
    ]


def test_a_finding_says_from_where_on_the_run_counts_as_bad_and_where_that_is_not_known() -> None:
    found = {"finding": "books.off", "finding_id": "fnd_1", "severity": "high", "evidence_ref": "sha256:x", "by": "verifier"}
    named, mute = explained(
        [entry(5, "finding", about=["st/3", "st/4"], unfound=0, **found), entry(6, "finding", about=["st/2"], unfound=1, **found)]
    )
    assert (named["decided"], named["why"]) == ("took st/3 as the first bad entry", "finding books.off, high (verifier)")
    assert mute["decided"] == "could not determine the first bad entry"


def test_what_was_handed_over_says_why_and_what_went_well_is_no_decision() -> None:
    def node(seq: int, state: str) -> Entry:
        return entry(seq, "rollback", change="node", node=f"n{seq}", state=state, why=f"it is {state}")

    told = [node(seq, state) for seq, state in enumerate(("task", "waiting", "unknown", "failed", "nothing", "stopped"), start=1)]
    reasons = explained(told)
    assert [one["entry"] for one in reasons] == ["st/1", "st/2", "st/3", "st/4"]
    assert reasons[0]["decided"] == "opened a task for node n1 (task)"
    assert (reasons[0]["rule"], reasons[0]["why"]) == ("data.killcord.recovery.decision, or the plan", "it is task")


def test_what_waits_for_its_tool_was_handed_to_nobody_until_patience_with_it_is_over() -> None:
    why = {"change": "node", "node": "n1", "state": "waiting", "why": "the tool is unavailable"}
    waits, over = entry(1, "rollback", since="2026-11-29T22:00:00.000000Z", **why), entry(2, "rollback", retriable=True, **why)
    assert decided(waits, over) == ["waits with node n1", "opened a task for node n1 (waiting)"]


def rolled(*residue: str) -> dict[str, object]:
    return ROLLBACK.journal(replace(rolled_values.ROLLBACK, residue=residue))


def test_a_rollback_says_by_which_rule_it_began_and_ended_and_what_is_left() -> None:
    started = entry(1, "rollback", change="started", by="trigger:anomaly.loop", reason="anomaly.loop: ten times", rollback=rolled())
    by_hand = entry(2, "rollback", change="started", by="ops", reason="wrong prices", rollback=rolled())
    ended = entry(3, "rollback", change="ended", by="st_1:up_1", reason="residue", rollback=rolled("a: was edited", "b: is a mail"))
    first, second, third = explained([started, by_hand, ended])
    assert (first["rule"], second["rule"]) == ("the response's rollback", "requested by ops")
    assert third["why"] == "residue; left: a: was edited; b: is a mail"
    assert "killcord.invariants" in third["rule"]


def run(generation: int) -> dict[str, object]:
    return RUN.journal(replace(journaling.RUN, generation=generation))


def test_only_this_generation_is_reported_of_and_its_end_by_the_entry_that_begins_the_next() -> None:
    resumed = entry(3, "run", change="resumed", run=run(2), generation=2, checkpoint_id="chk_1", by="ops", reason="mended")
    later = entry(5, "run", change="resumed", run=run(3), generation=3, checkpoint_id="chk_2", by="ops", reason="again")
    assert decided(response(1, "pause"), resumed, response(4, "pause", generation=2), later) == [
        "paused it",
        "resumed the run from chk_1",
    ]


def test_orders_of_people_are_reported_and_those_of_triggers_by_their_responses() -> None:
    def order(seq: int, by: str, change: str = "made") -> Entry:
        told = {"stream": "st", "seq": seq, "ts": journaling.STAMP, "kind": "order", "change": change, "by": by, "reason": "a loop"}
        return {**told, "order": ORDER.journal(journaling.order(Mode.QUARANTINED, run="run_1"))}

    assert decided(order(1, "trigger:anomaly.loop"), order(2, "ops"), order(3, "ops", "released")) == [
        "ordered it into quarantined",
        "released it from quarantined",
    ]


async def test_every_decision_of_a_whole_story_has_a_rule_and_a_reason(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.put("acme", "invoices", "inv_1", status="open")
    async with driven.come_up(tmp_path, ledger) as at:
        run = await at.open()
        await at.call(run.lease, "POST", "/v1/tenants/acme/refunds", {"amount": 5}, Killcord_Step="refund")
        await at.gateway.recovery.checkpoints.take(run.run, state_ref="wf@1", label=None, by="orchestrator", reason="test")
        await at.call(run.lease, "PATCH", "/v1/tenants/acme/invoices/inv_1", {"status": "void"})
        ledger.put("acme", "invoices", "inv_1", status="disputed")
        incident = await driven.found_unsafe(at, run, driven.CRITICAL)
        await until_async(lambda: driven.rolled(at, run.run.run_id, "residue"))
        assert await driven.recover(at, incident.incident_id) is Stage.WAITS
        (task,) = await at.gateway.resources.store.registry.tasks(run=run.run.run_id)
        await at.gateway.recovery.tasks.resolve(task.task_id, resolution="done", note="seen", by="a person")
        assert await driven.rest(at, incident.incident_id, Stage.RESUMED) is Stage.RESUMED
        entries = [one for kind in explanation.KINDS for one in await at.journal(run.run.run_id, kind)]
    reasons = explained(sorted(entries, key=lambda one: int(one["seq"])))
    assert [one["decided"].partition(" (")[0] for one in reasons] == [
        "could not determine the first bad entry",
        "contained it, with its state kept as evidence, and had what it did undone",
        "began to undo what the run did",
        f"opened a task for node {task.node_id}",
        "ended the rollback",
        "started the recovery",
        "resumed the run from " + reasons[6]["decided"].rpartition(" ")[2],
        "closed the incident",
    ]
    assert all(one["rule"] and one["why"] for one in reasons)


async def test_a_read_that_was_asked_again_and_elsewhere_is_reported_from_a_real_journal(tmp_path: Path) -> None:
    async with moody(tmp_path, ledger=Moody()) as at:
        one = await agent(at)
        tool(at).busy = 100
        assert (await one.read()).status == 200, "the archive answers"
        reasons = explained(await one.responses())
    assert {"retried the read", "sent the read to its fallback"} <= {reason["decided"] for reason in reasons}
