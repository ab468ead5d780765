"""Checkpoints and resume at the control API; what they mean for calls is tested over the line."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from gateway.model.run import Mode, Scope
from tests.support import contained, journaling
from tests.support.control_api import Api
from tests.support.journaling import typed

CHECKPOINTS = "/v1/runs/run_1/checkpoints"
RESUME = "/v1/runs/run_1/resume"
STATE = {"state_ref": "s3://flows/run_1/3", "label": "refunded"}

SHAPE = {"checkpoint_id", "run_id", "workflow_id", "tenant", "generation", "at", "automatic", "state_ref", "label", "by", "taken_at"} | {
    "objects",
    "irreversible",
    "compensations",
    "approvals",
    "tasks",
}


@pytest.fixture
async def written(at: Api) -> Api:
    """A run with one effect that stands."""
    await at.open_run("run_1", workflow_id="wf_1")
    await at.parts.store.journal.intend(journaling.opening("first"))
    await at.parts.store.journal.append(typed(journaling.outcome("first", after_version='"v2"')))
    return at


async def hold(at: Api, mode: str = "quarantined", **scope: object) -> None:
    status, _ = await at.ask("POST", "/v1/orders", {"scope": scope or {"run": "run_1"}, "mode": mode, "reason": "test"})
    assert status == 201


async def lose(at: Api) -> None:
    """One more effect, of unknown outcome."""
    await at.parts.store.journal.intend(journaling.opening("lost", id_="inv_2"))
    await at.parts.store.journal.append(typed(journaling.outcome("lost", id_="inv_2", result="unknown")))


async def test_an_orchestrator_takes_a_checkpoint_and_it_is_listed(written: Api) -> None:
    status, taken = await written.ask("POST", CHECKPOINTS, STATE, as_="orchestrator-token")
    assert status == 201, taken
    assert set(taken) == SHAPE
    assert (taken["run_id"], taken["workflow_id"], taken["tenant"], taken["generation"]) == ("run_1", "wf_1", "acme", 1)
    assert (taken["state_ref"], taken["label"], taken["by"], taken["automatic"]) == (*STATE.values(), "orchestrator", False)
    (touched,) = taken["objects"]
    assert (touched["target"]["id"], touched["version"]) == ("inv_1", '"v2"')
    status, listed = await written.ask("GET", CHECKPOINTS, as_="viewer-token")
    assert (status, listed["items"], listed["next"]) == (200, [taken], None)
    assert (listed["automatic"]["at"], listed["automatic"]["checkpoint_id"]) == (touched["receipt"], touched["receipt"])
    assert listed["recovery"] == {"ready": True, "checkpoint_id": taken["checkpoint_id"], "why": None}


async def test_a_finding_that_names_nothing_leaves_only_what_somebody_took_and_says_what_stands_there(written: Api) -> None:
    _, taken = await written.ask("POST", CHECKPOINTS, STATE)
    finding = {"kind": "books.off", "severity": "high", "evidence": {}}
    journal, clock = written.parts.store.journal, written.parts.services.clock
    _, found = await written.ask("POST", "/v1/runs/run_1/findings", finding, as_="verifier-token")
    order = await written.parts.services.containment.make(Scope(run="run_1"), Mode.READ_ONLY, reason="x", by="trigger:verify.finding")
    incident = replace(contained.incident_of(order, found["entry"]), cause="verify.finding")
    await journal.append(typed(contained.now(clock.now(), "response", **contained.answered(found["entry"], incident, order))))
    _, listed = await written.ask("GET", CHECKPOINTS)
    assert (listed["recovery"]["ready"], listed["recovery"]["checkpoint_id"]) == (True, taken["checkpoint_id"])
    assert "the first bad entry is not known" in listed["recovery"]["why"]


async def test_pages_of_checkpoints_follow_each_other(written: Api) -> None:
    taken = [(await written.ask("POST", CHECKPOINTS, STATE))[1] for _ in range(3)]
    _, first = await written.ask("GET", CHECKPOINTS + "?limit=2")
    _, rest = await written.ask("GET", CHECKPOINTS + f"?limit=2&after={first['next']}")
    assert [*first["items"], *rest["items"]] == taken
    assert rest["next"] is None


async def test_what_prevents_a_checkpoint_is_named(written: Api) -> None:
    await lose(written)
    status, problem = await written.ask("POST", CHECKPOINTS, STATE)
    (effect,) = problem["effects"]
    assert (status, problem["code"], effect["state"], effect["target"]["id"]) == (409, "not-verified", "unknown", "inv_2")
    assert "is of unknown outcome" in problem["detail"]
    assert (await written.ask("GET", effect_path(effect)))[0] == 200


def effect_path(effect: dict[str, Any]) -> str:
    return f"/v1/journal/{effect['entry']}"


async def test_a_run_that_nothing_can_be_chosen_for_reports_it(at: Api) -> None:
    await at.open_run("run_1", workflow_id="wf_1")
    await lose(at)
    await hold(at)
    _, listed = await at.ask("GET", CHECKPOINTS)
    assert (listed["automatic"], listed["recovery"]["ready"], listed["recovery"]["checkpoint_id"]) == (None, False, None)
    assert "is of unknown outcome" in listed["recovery"]["why"]
    status, problem = await at.ask("POST", RESUME, {"reason": "test"})
    assert (status, problem["code"], problem["detail"]) == (409, "not-ready", listed["recovery"]["why"])


@pytest.mark.parametrize(
    "body", [{}, {"state_ref": ""}, {"state_ref": "x" * 1025}, {"state_ref": "ä" * 1025}, {"state_ref": "x", "more": 1}]
)
async def test_a_state_reference_is_a_text_of_at_most_1024_characters(written: Api, body: dict[str, object]) -> None:
    status, problem = await written.ask("POST", CHECKPOINTS, body)
    assert (status, problem["code"]) == (400, "bad-request")
    assert (await written.ask("POST", CHECKPOINTS, {"state_ref": "ä" * 512}))[0] == 201


async def test_a_run_is_resumed_with_the_next_lease_and_the_checkpoint_it_continues_from(written: Api) -> None:
    _, taken = await written.ask("POST", CHECKPOINTS, STATE)
    await hold(written)
    body = {"checkpoint": taken["checkpoint_id"], "scopes": ["erp:invoice.*"], "require_approval": ["erp:*"], "reason": "mended"}
    status, resumed = await written.ask("POST", RESUME, body, as_="operator-token")
    assert status == 201, resumed
    assert (set(resumed), resumed["checkpoint"]) == ({"run", "lease", "expires_at", "checkpoint", "state_ref", "warnings"}, taken)
    run = resumed["run"]
    assert (run["generation"], run["mode"], run["scopes"], run["require_approval"]) == (2, "active", ["erp:invoice.*"], ["erp:*"])
    assert not {"superseded", "resumed_from", "revoked"} & set(run)
    _, entries = await written.ask("GET", "/v1/journal?run=run_1&kind=run")
    told = entries["items"][-1]
    assert (told["change"], told["by"], told["reason"], told["checkpoint_id"]) == ("resumed", "operator", "mended", taken["checkpoint_id"])
    status, renewed = await written.ask("POST", "/v1/runs/run_1/lease", {})
    assert (status, renewed["run"]["generation"]) == (200, 2)


async def test_only_an_admin_raises_limits(written: Api) -> None:
    await hold(written)
    body = {"checkpoint": "start", "raise_limits": {"writes": 5}, "reason": "more to do"}
    status, problem = await written.ask("POST", RESUME, body, as_="operator-token")
    assert (status, problem["code"], problem["detail"]) == (403, "forbidden", "operator is operator, and may not raise limits.")


async def test_anyone_who_opens_a_run_again_learns_which_state_it_was_resumed_with(written: Api) -> None:
    _, listed = await written.ask("GET", CHECKPOINTS)
    assert listed["resumed"] is None
    _, taken = await written.ask("POST", CHECKPOINTS, STATE | {"generation": 1})
    await lose(written)
    await hold(written)
    assert (await written.ask("POST", RESUME, {"checkpoint": taken["checkpoint_id"], "reason": "mended"}))[0] == 201
    _, listed = await written.ask("GET", CHECKPOINTS, as_="orchestrator-token")
    assert listed["resumed"] == {"generation": 2, "state_ref": STATE["state_ref"]}


async def test_a_process_that_slept_through_a_resume_takes_no_checkpoint_of_what_it_remembers(written: Api) -> None:
    await hold(written)
    assert (await written.ask("POST", RESUME, {"reason": "mended"}))[0] == 201
    status, problem = await written.ask("POST", CHECKPOINTS, STATE | {"generation": 1})
    assert (status, problem["code"]) == (409, "conflict")
    assert (await written.ask("POST", CHECKPOINTS, STATE | {"generation": 2}))[0] == 201


async def test_the_newest_boundary_can_be_named_by_its_entry(written: Api) -> None:
    _, listed = await written.ask("GET", CHECKPOINTS)
    await hold(written)
    status, resumed = await written.ask("POST", RESUME, {"checkpoint": listed["automatic"]["at"], "reason": "test"})
    assert (status, resumed["checkpoint"]["at"], resumed["checkpoint"]["automatic"]) == (201, listed["automatic"]["at"], True)
    assert resumed["state_ref"] is None, "nobody has kept a state"


async def test_every_excess_of_a_resume_is_named(written: Api) -> None:
    await hold(written)
    body = {"scopes": ["*:*", "crm:*"], "mode": "read_only", "limits": {"writes": 100_000, "amount": {"refund": 2000}}, "reason": "test"}
    status, problem = await written.ask("POST", RESUME, body)
    assert (status, problem["code"], len(problem["excess"])) == (400, "too-wide", 4)


@pytest.mark.parametrize("body", [{}, {"reason": "x", "ttl": "1h"}, {"reason": "x", "checkpoint": "chk_404"}])
async def test_a_resume_needs_a_reason_and_a_checkpoint_that_is_one(written: Api, body: dict[str, object]) -> None:
    await hold(written)
    status, problem = await written.ask("POST", RESUME, body)
    assert (status, problem["code"]) == (400, "bad-request")


async def test_a_run_that_is_not_contained_is_not_resumed(written: Api) -> None:
    assert (await written.ask("POST", RESUME, {"reason": "test"}))[1]["code"] == "conflict"
    await hold(written, run="run_1", tool="erp")
    assert (await written.ask("POST", RESUME, {"reason": "test"}))[0] == 409
    await hold(written, tenant="acme")
    assert (await written.ask("POST", RESUME, {"reason": "test"}))[0] == 201


async def test_runs_beyond_a_tokens_reach_are_not_there(at: Api) -> None:
    await at.open_run("run_1", tenant="globex")
    for method, path, body in (("GET", CHECKPOINTS, None), ("POST", RESUME, {"reason": "x"})):
        status, problem = await at.ask(method, path, body, as_="acme-operator")
        assert (status, problem["code"]) == (404, "not-found")
    assert (await at.ask("POST", CHECKPOINTS, STATE, as_="acme-billing"))[0] == 404
