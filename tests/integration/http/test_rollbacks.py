"""Rollbacks at the control API, where no tool can be reached: planned, begun, told, stopped, continued."""

from __future__ import annotations

import pytest

from gateway.core.codec import record
from tests.support import journaling, rolled
from tests.support.control_api import Api
from tests.support.journaling import typed

START = {"scope": {"run": "run_1"}, "to": "start", "reason": "wrong prices"}
PLAN = {"scope": {"run": "run_1"}, "dry_run": True}


@pytest.fixture
async def changed(at: Api) -> Api:
    """A run that changed two invoices and stands uncontained."""
    journal = at.parts.store.journal
    await journal.append(typed(journaling.run_entry()))
    for name, id_ in (("first", "inv_1"), ("second", "inv_2")):
        await journal.intend(rolled.opening(name, id_))
        await journal.append(typed(journaling.outcome(name, id_=id_, after_version='"v2"')))
    return at


@pytest.fixture
async def contained(changed: Api) -> Api:
    status, _ = await changed.ask("POST", "/v1/orders", {"scope": {"run": "run_1"}, "mode": "quarantined", "reason": "wrong prices"})
    assert status == 201
    return changed


async def begun(at: Api) -> str:
    status, answer = await at.ask("POST", "/v1/rollbacks", START, as_="operator-token")
    assert status == 202, answer
    return str(answer["rollback_id"])


async def ended(at: Api, rollback_id: str) -> dict[str, object]:
    async def over() -> bool:
        return bool((await at.ask("GET", f"/v1/rollbacks/{rollback_id}?nodes=false"))[1]["state"] != "running")

    await rolled.until(over)
    return (await at.ask("GET", f"/v1/rollbacks/{rollback_id}"))[1]


async def test_a_plan_is_shown_and_changes_nothing(changed: Api) -> None:
    before = (await changed.ask("GET", "/v1/journal"))[1]["items"]
    status, plan = await changed.ask("POST", "/v1/rollbacks", PLAN)
    assert (status, plan["dry_run"], plan["scope"], plan["to"]) == (200, True, {"run": "run_1", "subtree": False}, "start")
    assert [(node["target"]["id"], node["way"], node["by"]) for node in plan["nodes"]] == [
        ("inv_2", "call", "invoice.replace"),
        ("inv_1", "call", "invoice.replace"),
    ]
    assert (plan["progress"]["nodes"], plan["progress"]["pending"], plan["irreversible"]) == (2, 2, False)
    assert plan["summary"] == "2 effects on 2 objects: 2 calls."
    assert (await changed.ask("GET", "/v1/journal"))[1]["items"] == before


async def test_a_shown_plan_is_the_plan_itself(changed: Api) -> None:
    _, shown = await changed.ask("POST", "/v1/rollbacks", PLAN)
    assert record.plan_of(shown) == await changed.parts.services.rollbacks.dry_run("run_1", subtree=False, to="start")


async def test_a_plan_is_drawn_for_who_wants_a_flowchart(changed: Api) -> None:
    async with changed.raw("POST", "/v1/rollbacks", PLAN, headers={"Accept": "text/vnd.mermaid"}) as response:
        assert (response.status, response.content_type) == (200, "text/vnd.mermaid")
        text = await response.text()
        assert text.startswith("flowchart TD\n")
        assert "erp:invoice:inv_1" in text


async def test_a_plan_to_an_entry_leaves_what_came_before_it(changed: Api) -> None:
    first = f"{changed.parts.store.journal.stream}/3"
    _, plan = await changed.ask("POST", "/v1/rollbacks", {**PLAN, "to": first})
    assert [node["target"]["id"] for node in plan["nodes"]] == ["inv_2"]


@pytest.mark.parametrize("past", [None, 1, 999_999])
async def test_an_entry_that_is_not_there_is_nothing_to_go_back_to(contained: Api, past: int | None) -> None:
    tail = await contained.parts.store.history.tail()
    nowhere = f"{tail.stream}/{0 if past is None else tail.seq + past}"
    for body in (START, PLAN):
        status, answer = await contained.ask("POST", "/v1/rollbacks", {**body, "to": nowhere})
        assert (status, nowhere in str(answer["detail"])) == (400, True), "it would end clean, with all as the run left it"
    assert (await contained.ask("GET", "/v1/rollbacks"))[1]["items"] == []


async def test_only_what_is_contained_is_rolled_back(changed: Api) -> None:
    status, answer = await changed.ask("POST", "/v1/rollbacks", START)
    assert (status, answer["code"]) == (409, "conflict")
    assert "contain it first" in answer["detail"]
    assert "--run run_1 --mode" in answer["hint"]
    assert (await changed.ask("GET", "/v1/rollbacks"))[1]["items"] == []


async def test_the_hint_contains_all_of_what_was_to_be_rolled_back(changed: Api) -> None:
    status, answer = await changed.ask("POST", "/v1/rollbacks", {**START, "scope": {"run": "run_1", "subtree": True}})
    assert (status, "--run run_1 --subtree --mode" in str(answer["hint"])) == (409, True)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"scope": {"run": "run_1"}}, 400),  # why?
        ({**START, "to": "chk_404"}, 400),
        ({**START, "to": "elsewhere/1"}, 400),
        ({**START, "scope": {}}, 400),
        ({**START, "scope": {"run": "run_1", "tenant": "acme"}}, 400),
        ({**START, "scope": {"run": "run_404"}}, 404),
    ],
)
async def test_what_cannot_be_rolled_back_is_refused_and_nothing_is_begun(contained: Api, body: dict[str, object], status: int) -> None:
    assert (await contained.ask("POST", "/v1/rollbacks", body))[0] == status
    assert (await contained.ask("GET", "/v1/rollbacks"))[1]["items"] == []


async def test_what_no_call_compensates_is_reported_as_residue_with_a_task_each(contained: Api) -> None:
    told = await ended(contained, await begun(contained))
    assert (told["state"], told["by"], told["reason"], len(told["residue"])) == ("residue", "operator", "wrong prices", 2)  # type: ignore[arg-type]
    assert (told["progress"]["task"], told["ended_at"] is not None) == (2, True)  # type: ignore[index]
    _, tasks = await contained.ask("GET", "/v1/tasks?run=run_1&kind=correction&status=open")
    nodes: list[dict[str, object]] = told["nodes"]  # type: ignore[assignment]
    assert sorted(str(node["task_id"]) for node in nodes) == [task["task_id"] for task in tasks["items"]]
    assert {(node["state"], node["why"]) for node in nodes} == {("task", "its tool is not there")}


async def test_the_nodes_can_be_left_out(contained: Api) -> None:
    name = await begun(contained)
    await ended(contained, name)
    _, told = await contained.ask("GET", f"/v1/rollbacks/{name}?nodes=false")
    assert ("nodes" in told, told["progress"]["nodes"]) == (False, 2)


async def test_a_rollback_is_drawn_as_it_stands(contained: Api) -> None:
    name = await begun(contained)
    await ended(contained, name)
    async with contained.raw("GET", f"/v1/rollbacks/{name}", headers={"Accept": "text/vnd.mermaid"}) as response:
        assert response.content_type == "text/vnd.mermaid"
        assert '<br/>1 effect - task"]:::call_way' in await response.text()


async def test_rollbacks_are_listed_by_run_and_state(contained: Api) -> None:
    name = await begun(contained)
    await ended(contained, name)
    for query, expected in (("", [name]), ("run=run_1", [name]), ("run=run_2", []), ("state=residue", [name]), ("state=clean", [])):
        _, page = await contained.ask("GET", f"/v1/rollbacks?{query}")
        assert [one["rollback_id"] for one in page["items"]] == expected, query
    assert (await contained.ask("GET", "/v1/rollbacks?state=odd"))[0] == 400


async def test_how_it_is_driven_is_nobodys_business(contained: Api) -> None:
    _, page = await contained.ask("POST", "/v1/rollbacks", START)
    assert {"owner", "owner_epoch", "epoch", "plan_ref", "status", "since"} & page.keys() == set()


async def test_what_has_ended_is_not_stopped_and_what_left_residue_continues(contained: Api) -> None:
    name = await begun(contained)
    await ended(contained, name)
    status, answer = await contained.ask("POST", f"/v1/rollbacks/{name}/stop", {"reason": "enough"})
    assert (status, answer["code"]) == (409, "conflict")
    status, again = await contained.ask("POST", f"/v1/rollbacks/{name}/continue", {"reason": "the tool is back"})
    assert (status, again["rollback_id"], again["state"]) == (200, name, "running")
    await ended(contained, name)


@pytest.mark.parametrize("change", ["stop", "continue"])
async def test_a_change_needs_a_reason_and_a_rollback(contained: Api, change: str) -> None:
    name = await begun(contained)
    await ended(contained, name)
    assert (await contained.ask("POST", f"/v1/rollbacks/{name}/{change}", {}))[0] == 400
    assert (await contained.ask("POST", f"/v1/rollbacks/rb_404/{change}", {"reason": "x"}))[0] == 404


@pytest.mark.parametrize("token", ["viewer-token", "approver-token", "verifier-token", "orchestrator-token"])
async def test_only_operators_roll_back(contained: Api, token: str) -> None:
    for path, body in (("", START), ("/rb_1/stop", {"reason": "x"}), ("/rb_1/continue", {"reason": "x"})):
        assert (await contained.ask("POST", f"/v1/rollbacks{path}", body, as_=token))[0] == 403


async def test_another_tenants_run_and_rollback_are_not_there(contained: Api) -> None:
    name = await begun(contained)
    await ended(contained, name)
    for method, path, body in (
        ("GET", f"/v1/rollbacks/{name}", None),
        ("POST", f"/v1/rollbacks/{name}/continue", {"reason": "x"}),
        ("POST", "/v1/rollbacks", PLAN),
    ):
        assert (await contained.ask(method, path, body, as_="globex-operator"))[0] == 404, path
    assert (await contained.ask("GET", "/v1/rollbacks", as_="globex-operator"))[1]["items"] == []
    assert (await contained.ask("GET", f"/v1/rollbacks/{name}", as_="acme-viewer"))[0] == 200
