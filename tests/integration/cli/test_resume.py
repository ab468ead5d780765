"""``killcord checkpoints`` and ``killcord resume``."""

from __future__ import annotations

import pytest

from tests.support import journaling, rolled
from tests.support.command_line import Cli, Gateway
from tests.support.journaling import typed

OPEN = ("runs", "open", "--tenant", "acme", "--agent", "billing", "--scope", "erp:*", "--run", "run_1", "--workflow", "wf_1")
TAKE = ("checkpoints", "run_1", "--state-ref", "wf@3", "--label", "paid")


@pytest.fixture
def written(gateway: Gateway, killcord: Cli) -> Gateway:
    """A run that changed one invoice."""
    killcord.json(*OPEN)

    async def write() -> None:
        await gateway.parts.store.journal.intend(rolled.opening("first", "inv_1"))
        await gateway.parts.store.journal.append(typed(journaling.outcome("first", after_version='"v2"')))

    gateway.do(write())
    return gateway


def test_a_checkpoint_is_taken_and_listed_before_the_newest_boundary(written: Gateway, killcord: Cli) -> None:
    assert killcord(*TAKE).out.startswith("Checkpoint chk_")
    listed = killcord.json("checkpoints", "list", "run_1")
    (taken,) = listed["items"]
    assert (taken["state_ref"], taken["label"]) == ("wf@3", "paid")
    said = killcord("checkpoints", "list", "run_1")
    header, first, second = said.out.splitlines()
    assert header.split() == ["CHECKPOINT", "AT", "LABEL", "STATE", "TAKEN", "BY"]
    assert (first.split()[0], second.split()[0]) == (taken["checkpoint_id"], listed["automatic"]["checkpoint_id"])
    assert said.err == f"A recovery would start at {taken['checkpoint_id']}.\n"


def test_what_prevents_a_checkpoint_is_said_and_is_exit_1(written: Gateway, killcord: Cli) -> None:
    async def lose() -> None:
        await written.parts.store.journal.intend(rolled.opening("lost", "inv_2"))
        await written.parts.store.journal.append(typed(journaling.outcome("lost", id_="inv_2", result="unknown")))

    written.do(lose())
    said = killcord(*TAKE)
    assert (said.code, said.out) == (1, "")
    assert "not-verified" in said.err
    assert "is of unknown outcome" in said.err


def test_a_run_of_which_nothing_is_verified_is_not_ready(gateway: Gateway, killcord: Cli) -> None:
    killcord.json(*OPEN)

    async def lose() -> None:
        await gateway.parts.store.journal.intend(rolled.opening("lost", "inv_2"))

    gateway.do(lose())
    assert killcord("checkpoints", "list", "run_1").err.startswith("Not ready for recovery: The run has no usable checkpoint")


def test_a_contained_run_is_resumed_with_what_it_keeps(written: Gateway, killcord: Cli) -> None:
    assert killcord("resume", "run_1", "--reason", "x").code == 1, "it is active"
    killcord("contain", "--run", "run_1", "--mode", "revoked", "--reason", "x")
    keeps = ("--scope", "erp:invoice.*", "--tool", "erp", "--limit", "writes=5", "--mode", "read_only", "--require-approval", "erp:*")
    said = killcord("resume", "run_1", "--reason", "mended", *keeps)
    assert said.code == 0
    assert "resumes from st_" in said.out
    assert "(read_only, generation 2)" in said.out
    assert "lease    ey" in said.out
    run = killcord.json("runs", "show", "run_1")
    assert (run["scopes"], run["tools"], run["limits"]["writes"], run["require_approval"]) == (["erp:invoice.*"], ["erp"], 5, ["erp:*"])


def test_an_admin_raises_a_limit_and_is_warned_of_those_that_are_spent(written: Gateway, killcord: Cli) -> None:
    killcord("contain", "--run", "run_1", "--mode", "revoked", "--reason", "x")
    said = killcord("resume", "run_1", "--reason", "less", "--limit", "writes=0")
    assert said.code == 0
    assert "warning  run:run_1 has used" in said.out
    killcord("contain", "--run", "run_1", "--mode", "revoked", "--reason", "x")
    said = killcord("resume", "run_1", "--reason", "more to do", "--raise-limit", "writes=50")
    assert (said.code, "warning" in said.out) == (0, False)
    assert killcord.json("runs", "show", "run_1")["limits"]["writes"] == 50


def test_a_resume_without_options_keeps_the_runs_permissions(written: Gateway, killcord: Cli) -> None:
    before = killcord.json("runs", "show", "run_1")
    killcord("contain", "--run", "run_1", "--mode", "paused", "--reason", "x")
    assert killcord("resume", "run_1", "--reason", "mended").code == 0
    run = killcord.json("runs", "show", "run_1")
    kept = ("scopes", "tools", "limits")
    assert [run.get(name) for name in kept] == [before.get(name) for name in kept]
    assert (run["generation"], run["scopes"], run.get("tools")) == (2, ["erp:*"], None)


def test_a_wider_resume_says_what_is_too_wide(written: Gateway, killcord: Cli) -> None:
    killcord("contain", "--run", "run_1", "--mode", "paused", "--reason", "x")
    said = killcord("resume", "run_1", "--reason", "x", "--scope", "crm:*", "--checkpoint", "start")
    assert said.code == 1
    assert "scopes: crm:* is beyond what the run has" in said.err
