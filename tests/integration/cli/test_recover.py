"""``killcord recover`` and ``killcord incidents explain``."""

from __future__ import annotations

import pytest

from tests.support import contained
from tests.support.command_line import Cli, Gateway
from tests.support.contained import Contained

RECOVER = ("recover", "inc_1", "--reason", "the agent is fixed")


@pytest.fixture
def held(gateway: Gateway) -> Contained:
    return gateway.do(contained.contain(gateway.parts))


def test_each_stage_is_shown_and_where_a_person_has_to_decide_is_exit_1(gateway: Gateway, killcord: Cli, held: Contained) -> None:
    said = killcord(*RECOVER)
    assert said.code == 1
    assert said.err.splitlines()[-1].startswith("waits: rollback rb_")
    assert said.err.splitlines()[-1].endswith("is needs_operator: a person has to continue it")
    assert said.out.splitlines()[0] == "incident    inc_1: waits"
    assert said.out.splitlines()[1].startswith("checkpoint  st_")
    assert "flow        contain done, collect done, classify done, compensate waits, reconcile ahead, resume ahead" in said.out
    (wait,) = [line for line in said.out.splitlines() if line.startswith("waits for   task ")]
    assert "then run: killcord tasks resolve task_1 RESOLUTION" in wait
    again = killcord(*RECOVER)
    assert (again.code, again.out) == (1, said.out), "asked for again nothing is done again"


def test_a_run_that_continues_says_how_its_agent_gets_a_lease(gateway: Gateway, killcord: Cli, held: Contained) -> None:
    killcord(*RECOVER)
    (rollback,) = killcord.json("rollbacks", "list", "--run", "run_1")
    killcord("rollbacks", "stop", rollback["rollback_id"], "--reason", "x")
    assert killcord("resume", "run_1", "--checkpoint", "start", "--reason", "by hand").code == 0
    said = killcord(*RECOVER)
    assert (said.code, said.err) == (0, "resumed: run run_1 continues as generation 2\n")
    ended = "contain done, collect done, classify done, compensate done, reconcile done, resume done"
    told = ["incident    inc_1: resumed", "checkpoint  -", f"flow        {ended}", "lease       killcord runs renew run_1"]
    assert said.out.splitlines() == told


def test_a_run_that_was_closed_is_given_up(gateway: Gateway, killcord: Cli, held: Contained) -> None:
    killcord("runs", "close", "run_1", "--reason", "not worth it")
    said = killcord(*RECOVER, "--json")
    assert (said.code, said.value["recovery"]["stage"]) == (0, "given_up")
    assert said.err.startswith("given up: run run_1 was closed")


def test_what_is_too_wide_and_what_is_not_there_is_refused(gateway: Gateway, killcord: Cli, held: Contained) -> None:
    said = killcord(*RECOVER, "--scope", "crm:*")
    assert said.code == 1
    assert "scopes: crm:* is beyond what the run has" in said.err
    assert killcord.json("rollbacks", "list", "--run", "run_1") == []
    assert killcord("recover", "inc_404", "--reason", "x").err.splitlines()[0] == "not-found: There is no incident inc_404."


def test_every_decision_is_explained_by_a_rule(gateway: Gateway, killcord: Cli, held: Contained) -> None:
    killcord(*RECOVER)
    said = killcord("incidents", "explain", "inc_1")
    assert said.code == 0
    assert 'by   data.killcord.response.response, for "anomaly.loop"' in said.out
    for decided in ("degraded it to reads, and had what it did undone", "started the recovery", "waits for a person"):
        assert f"  {decided}\n" in said.out
    reasons = killcord.json("incidents", "explain", "inc_1")["reasons"]
    assert all(one["why"] and one["rule"] for one in reasons)
