"""``killcord rollbacks`` against a gateway whose tool cannot be reached: everything is planned, and ends as a person's task."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gateway.cli.rollbacks import next_commands
from gateway.model.rollback import RollbackStatus
from tests.support import journaling, rolled
from tests.support.command_line import Cli, Gateway
from tests.support.journaling import typed


@pytest.fixture
def changed(gateway: Gateway) -> Gateway:
    """A run that changed two invoices."""

    async def change() -> None:
        journal = gateway.parts.store.journal
        await journal.append(typed(journaling.run_entry()))
        for name, id_ in (("first", "inv_1"), ("second", "inv_2")):
            await journal.intend(rolled.opening(name, id_))
            await journal.append(typed(journaling.outcome(name, id_=id_, after_version='"v2"')))

    gateway.do(change())
    return gateway


@pytest.fixture
def contained(changed: Gateway, killcord: Cli) -> Gateway:
    assert killcord("contain", "--run", "run_1", "--mode", "quarantined", "--reason", "x").code == 0
    return changed


async def told_as(status: RollbackStatus, gateway: Gateway, rollback_id: str) -> None:
    """The journal says so of it."""
    services = gateway.parts.services
    found = await services.rollback_records.rollback(rollback_id)
    assert found is not None
    changed = replace(found, status=status, residue=(), ended_at=None)
    await services.rollbacks.entries.append(changed, "changed", rollback=changed, by="admin", reason="a test says so")


def test_a_plan_is_a_table_in_the_order_of_its_execution(changed: Gateway, killcord: Cli) -> None:
    said = killcord("rollbacks", "plan", "run_1")
    header, *rows = said.out.splitlines()
    assert header.split()[:2] == ["NODE", "OBJECT"]
    assert [row.split()[1] for row in rows] == ["erp:invoice:inv_2", "erp:invoice:inv_1"]
    assert "2 effects on 2 objects: 2 calls." in said.err
    assert [node["target"]["id"] for node in killcord.json("rollbacks", "plan", "run_1")["nodes"]] == ["inv_2", "inv_1"]


def test_a_plan_is_printed_as_a_flowchart(changed: Gateway, killcord: Cli) -> None:
    text = killcord.json("rollbacks", "plan", "run_1", "--mermaid")["mermaid"]
    assert text.startswith("flowchart TD\n")
    assert "erp:invoice:inv_1" in text
    said = killcord("rollbacks", "plan", "run_1", "--mermaid")
    assert (said.code, said.out) == (0, text)


def test_what_runs_free_is_not_rolled_back(changed: Gateway, killcord: Cli) -> None:
    said = killcord("rollbacks", "start", "run_1", "--reason", "x")
    assert (said.code, said.out, "contain it first" in said.err) == (1, "", True)


def test_a_rollback_is_followed_to_its_end_and_what_is_left_is_exit_1(contained: Gateway, killcord: Cli) -> None:
    said = killcord("rollbacks", "start", "run_1", "--reason", "wrong prices", "--watch")
    assert said.code == 1
    for line in ("to start: residue", "nodes     2 (2 task)", "reason    wrong prices (by admin)", "its tool is not there"):
        assert line in said.out
    (task, _) = killcord.json("tasks")
    assert task["task_id"] in said.out
    assert "killcord tasks --run run_1" in said.err
    planned = killcord("rollbacks", "plan", "run_1").out.splitlines()[1:]
    assert [line.split()[0] for line in said.out.splitlines()[-2:]] == [row.split()[0] for row in planned], "nodes go by the same names"


def test_one_that_was_stopped_is_not_done(contained: Gateway, killcord: Cli) -> None:
    name = killcord.json("rollbacks", "start", "run_1", "--reason", "wrong prices")["rollback_id"]
    killcord("rollbacks", "status", name, "--watch")
    contained.do(told_as(RollbackStatus.STOPPED, contained, name))
    said = killcord("rollbacks", "status", name)
    assert (said.code, f"killcord rollbacks continue {name}" in said.err) == (1, True)


def test_a_rollback_is_started_listed_shown_and_continued(contained: Gateway, killcord: Cli) -> None:
    begun = killcord.json("rollbacks", "start", "run_1", "--reason", "wrong prices")
    name = begun["rollback_id"]
    watched = killcord("rollbacks", "status", name, "--watch", "--json")
    assert (watched.code, watched.value["state"], len(watched.value["nodes"])) == (1, "residue", 2)
    assert [one["rollback_id"] for one in killcord.json("rollbacks", "--run", "run_1")] == [name]
    assert killcord.json("rollbacks", "list", "--state", "clean") == []
    assert killcord("rollbacks", "stop", name, "--reason", "enough").code == 1
    assert killcord.json("rollbacks", "continue", name, "--reason", "it is back")["state"] == "running"
    killcord("rollbacks", "status", name, "--watch")
    again = killcord("rollbacks", "continue", name, "--reason", "x", "--watch", "--json")
    assert (again.code, again.value["state"]) == (1, "residue")


@pytest.mark.parametrize(
    "arguments", [("plan",), ("start", "run_1"), ("stop", "rb_1"), ("continue", "rb_1"), ("status",), ("status", "rb_404", "--nope")]
)
def test_wrong_use_exits_2(killcord: Cli, arguments: tuple[str, ...]) -> None:
    assert killcord("rollbacks", *arguments).code == 2


def test_an_unknown_rollback_is_refused(gateway: Gateway, killcord: Cli) -> None:
    said = killcord("rollbacks", "status", "rb_404")
    assert (said.code, "There is no rollback rb_404" in said.err) == (1, True)


@pytest.mark.parametrize(
    ("nodes", "commands"),
    [
        ([{"state": "waiting"}, {"state": "done"}], ["killcord approvals"]),
        ([{"state": "unknown"}, {"state": "waiting", "retriable": True}], ["killcord approvals", "killcord rollbacks continue rb_1"]),
        ([{"state": "unknown", "retriable": True}], ["killcord tasks --run run_1", "killcord rollbacks continue rb_1"]),
        ([{"state": "waiting", "retriable": True}], ["killcord rollbacks continue rb_1"]),
        ([{"state": "done"}], ["killcord rollbacks continue rb_1"]),  # all is done, and could not be looked at in the end
    ],
)
def test_anyone_who_reads_that_it_needs_somebody_is_reported_what_to_do(nodes: list[dict[str, object]], commands: list[str]) -> None:
    one = {"rollback_id": "rb_1", "run_id": "run_1", "state": "needs_operator", "subtree": False, "nodes": nodes}
    said = list(next_commands(one))
    assert [command for line, command in zip(said, commands, strict=True) if command in line] == commands


def test_one_that_is_under_way_and_is_not_what_was_asked_for_is_reported_apart(contained: Gateway, killcord: Cli) -> None:
    name = killcord.json("rollbacks", "start", "run_1", "--reason", "wrong prices")["rollback_id"]
    killcord("rollbacks", "status", name, "--watch")
    contained.do(told_as(RollbackStatus.NEEDS_OPERATOR, contained, name))
    again = killcord("rollbacks", "start", "run_1", "--reason", "wrong prices")
    assert (again.code, name in again.out, again.err) == (0, True, "")
    below = killcord("rollbacks", "start", "run_1", "--reason", "wrong prices", "--subtree")
    assert (below.code, name in below.out) == (0, True)
    assert "The rollback of run run_1 to start is active" in below.err
