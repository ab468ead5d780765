"""A rollback of a real gateway whose tool goes away and comes back: Kinto has afterwards what it had before the run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import gateway, outage, undone
from tests.support.erp import Erp, Record
from tests.support.gateway import Gateway, wait_until
from tests.support.onlooker import Agent, at_work
from tests.support.outage import Way

Json = dict[str, Any]
MANY = 24


@contextmanager
def cut_off(folder: Path, erp: Erp, **more: object) -> Iterator[tuple[Gateway, Way]]:
    """A gateway and its way to Kinto; ``more`` are keys of its configuration."""
    with outage.way(erp.port) as way:
        settings = {**gateway.settings(f"{way.url}/v1"), "triggers": {"blast.rate": "off", "anomaly.mutation-volume": "off"}, **more}
        with gateway.serving(Gateway(folder, settings)) as made:
            yield made, way


def worked(made: Gateway, erp: Erp) -> Agent:
    """A run that changed both invoices, one of them twice, and made many refunds."""
    agent = at_work(made, erp)
    for invoice, status in (("inv-1", "void"), ("inv-2", "void"), ("inv-2", "late")):
        assert agent.sets(invoice, status).status == 200
    for number in range(MANY):
        assert agent.refunds(f"case {number}").status == 201
    return agent


def begun(made: Gateway, agent: Agent, way: Way) -> str:
    """Its rollback, begun where nobody listens."""
    made.contain("quarantined", run=agent.run_id)
    way.cut()
    asked = {"scope": {"run": agent.run_id}, "reason": "a test says so"}
    return str(made.ask("POST", "/v1/rollbacks", asked).body["rollback_id"])


def waits(made: Gateway, rollback_id: str) -> bool:
    """Whether every node waits, and says why and until when."""
    shown = undone.shown(made, rollback_id)
    assert shown["state"] == "running", shown
    assert shown["progress"]["task"] == 0
    return all(node["state"] == "waiting" and "retry_at" in node and "cannot show the object" in node["why"] for node in shown["nodes"])


def all_wait(made: Gateway, rollback_id: str) -> None:
    wait_until(lambda: waits(made, rollback_id), "every node to wait")


def plain(erp: Erp) -> dict[str, Record]:
    """All records, without what Kinto sets by itself."""
    found = erp.records("invoices") | erp.records("refunds")
    return {name: {key: value for key, value in one.items() if key != "last_modified"} for name, one in found.items()}


def taken_back(made: Gateway, erp: Erp, rollback_id: str, before: dict[str, Record]) -> None:
    """Holds that it ends clean without a task, that each node was carried out by one call, and that Kinto has what it had."""
    wait_until(lambda: undone.shown(made, rollback_id)["state"] == "clean", "the rollback to end clean")
    done = undone.ended(made, rollback_id)
    assert (done.tasks, plain(erp)) == ([], before)
    assert {node["state"] for node in done.nodes} == {"done"}
    assert not [node for node in done.nodes if "show the object" in node["why"]]
    applied = [one for one in made.journal(done.rollback["run_id"], last="rollback") if one["kind"] == "outcome" and "rollback_id" in one]
    assert len([one for one in applied if one["result"] == "success"]) == len(done.nodes)


def test_a_tool_that_is_unavailable_for_a_while_costs_nobody_a_task(tmp_path: Path, erp: Erp) -> None:
    before = plain(erp)
    with cut_off(tmp_path, erp) as (made, way):
        rollback_id = begun(made, worked(made, erp), way)
        all_wait(made, rollback_id)
        way.mend()
        taken_back(made, erp, rollback_id, before)


def test_a_gateway_that_is_killed_while_it_waits_continues_and_sends_nothing_twice(tmp_path: Path, erp: Erp) -> None:
    before = plain(erp)
    with cut_off(tmp_path, erp) as (made, way):
        rollback_id = begun(made, worked(made, erp), way)
        all_wait(made, rollback_id)
        since = {node["node_id"]: node["waits_since"] for node in undone.shown(made, rollback_id)["nodes"]}
        for _ in range(2):
            made.kill()
            made.start()
            all_wait(made, rollback_id)
            assert {node["node_id"]: node["waits_since"] for node in undone.shown(made, rollback_id)["nodes"]} == since
        way.mend()
        taken_back(made, erp, rollback_id, before)


def test_a_gateway_that_is_ended_while_it_waits_ends_at_once_and_the_next_one_continues(tmp_path: Path, erp: Erp) -> None:
    before = plain(erp)
    with cut_off(tmp_path, erp) as (made, way):
        rollback_id = begun(made, worked(made, erp), way)
        all_wait(made, rollback_id)
        assert made.terminate() == 0, made.said
        way.mend()
        made.start()
        taken_back(made, erp, rollback_id, before)


@pytest.mark.parametrize("killed", [False, True], ids=["", "killed"])
def test_once_patience_is_over_the_operator_brings_the_tool_back_and_continues(tmp_path: Path, erp: Erp, killed: bool) -> None:
    before = plain(erp)
    with cut_off(tmp_path, erp, rollback={"patience": "500ms"}) as (made, way):
        rollback_id = begun(made, worked(made, erp), way)
        wait_until(lambda: undone.shown(made, rollback_id)["state"] == "needs_operator", "patience to be over")
        left = undone.ended(made, rollback_id)
        assert ({node["state"] for node in left.nodes}, {node["retriable"] for node in left.nodes}, left.tasks) == ({"waiting"}, {True}, [])
        assert all("rollbacks continue" in node["why"] for node in left.nodes)
        assert len(left.rollback["residue"]) == len(left.nodes)
        way.mend()
        if killed:
            made.kill()
            made.start()  # which tries what it finds waiting
        else:
            assert made.ask("POST", f"/v1/rollbacks/{rollback_id}/continue", {"reason": "the tool is back"}).status == 200
        taken_back(made, erp, rollback_id, before)


def test_the_tool_goes_away_in_the_middle_of_it_and_what_it_had_applied_is_not_applied_again(tmp_path: Path, erp: Erp) -> None:
    before = plain(erp)
    with cut_off(tmp_path, erp, adapters=[str(hurried(tmp_path))]) as (made, way):
        agent = worked(made, erp)
        made.contain("quarantined", run=agent.run_id)
        asked = {"scope": {"run": agent.run_id}, "reason": "a test says so"}
        rollback_id = str(made.ask("POST", "/v1/rollbacks", asked).body["rollback_id"])
        for _ in range(3):
            way.cut()
            wait_until(lambda: undone.shown(made, rollback_id)["progress"]["running"] == 0, "nothing to be on the wire")
            way.mend()
        taken_back(made, erp, rollback_id, before)


def hurried(folder: Path) -> Path:
    """The ERP's adapter, by which what is not there after a second does not come any more."""
    made = folder / "adapters"
    (made / "kinto").mkdir(parents=True)
    declared = yaml.safe_load((gateway.CHECKOUT / "adapters" / "kinto" / "adapter.yaml").read_text())
    for action in declared["actions"]:
        if action["name"] == "refund.delete":
            action["probe"] = {"applied": "object == `null`"}
        if "probe" in action:
            action["probe"]["settle"] = "1s"
    (made / "kinto" / "adapter.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    return made


def test_the_command_line_says_when_it_is_tried_next_and_stops_it(tmp_path: Path, erp: Erp) -> None:
    with cut_off(tmp_path, erp) as (made, way):
        rollback_id = begun(made, worked(made, erp), way)
        all_wait(made, rollback_id)
        assert "retried at" in killcord(made, "status", rollback_id)
        assert "stopped" in killcord(made, "stop", rollback_id, "--reason", "enough")
        assert undone.shown(made, rollback_id)["state"] == "stopped"


def killcord(made: Gateway, *arguments: str) -> str:
    """What ``killcord rollbacks`` prints."""
    environ = {**os.environ, "KILLCORD_URL": made.control, "KILLCORD_TOKEN": made.token, "COLUMNS": "400"}
    command = [sys.executable, "-m", "gateway", "rollbacks", *arguments]
    return subprocess.run(command, cwd=gateway.CHECKOUT, env=environ, text=True, capture_output=True, check=True, timeout=60.0).stdout
