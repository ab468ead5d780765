from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest

from gateway.cli.output import Output
from gateway.core.codec import record
from gateway.model.review import Evidence, Task, TaskKind
from tests.support import journaling
from tests.support.command_line import Cli, Gateway
from tests.support.journaling import typed

OPEN = ("runs", "open", "--tenant", "acme", "--agent", "billing", "--scope", "erp:*")


def test_a_run_is_opened_listed_shown_and_closed(gateway: Gateway, killcord: Cli) -> None:
    opened = killcord.json(*OPEN, "--run", "r1", "--ttl", "10m", "--limit", "writes=3", "--limit", "amount.refund=12.5")
    assert opened["run"]["limits"] == {"steps": 500, "writes": 3, "amount": {"refund": 12.5}}
    said = killcord(*OPEN, "--run", "r2")
    assert "lease    ey" in said.out
    assert [run["run_id"] for run in killcord.json("runs", "list")] == ["r1", "r2"]
    assert "r1" in killcord("runs", "show", "r1").out
    assert killcord.json("runs", "effects", "r1") == []
    assert killcord.json("runs", "renew", "r1")["run"]["run_id"] == "r1"
    assert killcord("runs", "close", "r1", "--reason", "done").code == 0
    header, first, second = killcord("runs", "list").out.splitlines()
    assert header.split()[:2] == ["RUN", "TENANT"]
    assert (first.split()[-1], second.split()[-1]) == ("closed", "open")


def test_contain_tells_how_long_it_took_to_hold(gateway: Gateway, killcord: Cli) -> None:
    killcord(*OPEN, "--run", "r1")
    said = killcord("contain", "--run", "r1", "--mode", "read_only", "--reason", "look")
    assert said.code == 0
    assert "is in force on 1 node(s), after" in said.out
    assert " ms " in said.out
    (order,) = killcord.json("orders")
    assert killcord.json("runs", "show", "r1")["mode"] == "read_only"
    assert "read_only" in killcord("orders", "list").out
    assert killcord("release", order["order_id"], "--reason", "clear").code == 0
    assert killcord.json("orders") == []
    assert len(killcord.json("orders", "list", "--all")) == 1


def test_an_option_with_one_value_is_given_once(gateway: Gateway, killcord: Cli) -> None:
    for tenant in ("acme", "globex"):
        killcord("runs", "open", "--tenant", tenant, "--agent", "billing", "--scope", "erp:*")
    said = killcord("contain", "--tenant", "acme", "--tenant", "globex", "--mode", "read_only", "--reason", "look")
    assert said.code == 2
    assert "--tenant is given 2 times, and takes one value; repeat the command for each" in said.err
    assert killcord.json("orders") == []
    assert killcord(*OPEN, "--scope", "crm:*", "--run", "r1").code == 0, "an option for several values may be repeated"


@pytest.mark.parametrize("reason", ["f\udcfcr Kunden", "\ud800"])
def test_a_reason_that_is_no_text_is_recorded_with_marks_in_its_place(gateway: Gateway, killcord: Cli, reason: str) -> None:
    killcord(*OPEN, "--run", "r1")
    assert killcord("contain", "--run", "r1", "--mode", "read_only", "--reason", reason).code == 0
    (order,) = killcord.json("orders")
    assert "\N{REPLACEMENT CHARACTER}" in order["reason"]


def test_a_number_that_is_too_large_is_one_line(gateway: Gateway, killcord: Cli) -> None:
    said = killcord(*OPEN, "--limit", "writes=99999999999999999999")
    assert said.code == 2
    assert said.err.count("\n") <= 2
    assert "Traceback" not in said.err


def test_a_dry_run_only_counts(gateway: Gateway, killcord: Cli) -> None:
    run = killcord.json(*OPEN)["run"]
    said = killcord("contain", "--all", "--mode", "paused", "--reason", "x", "--dry-run")
    assert (said.code, said.out) == (0, f"It would hold 1 open run(s): {run['run_id']}. Nothing was changed.\n")
    assert killcord.json("orders") == []


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("read_only", "Release it with: killcord release {} --reason ..."),
        ("paused", "Release it with: killcord release {} --reason ..."),
        (
            "quarantined",
            "Even after a release, runs stay held until they are resumed or closed: killcord resume RUN --reason ...",
        ),
        ("revoked", "Even after a release, leases stay revoked; a resume gives a run a new one: killcord resume RUN --reason ..."),
    ],
)
def test_contain_tells_how_to_release_what_it_holds(gateway: Gateway, killcord: Cli, mode: str, said: str) -> None:
    killcord(*OPEN, "--run", "r1")
    out = killcord("contain", "--run", "r1", "--mode", mode, "--reason", "look").out
    (order,) = killcord.json("orders")
    assert out.splitlines()[2] == said.format(order["order_id"])


@pytest.mark.parametrize(
    ("mode", "more"),
    [("paused", []), ("quarantined", ["Even after a release, runs"]), ("revoked", ["Even after a release, leases"])],
)
def test_a_release_tells_what_stays_as_it_is(gateway: Gateway, killcord: Cli, mode: str, more: list[str]) -> None:
    killcord(*OPEN, "--run", "r1")
    made = killcord.json("contain", "--run", "r1", "--mode", mode, "--reason", "look")
    said = killcord("release", made["order_id"], "--reason", "clear").out.splitlines()
    assert [line.partition(" sta")[0] for line in said[1:]] == more


def test_a_tool_that_was_taken_away_permanently_is_reported_as_that(gateway: Gateway, killcord: Cli) -> None:
    killcord(*OPEN, "--run", "r1")
    out = killcord("contain", "--run", "r1", "--tool", "erp", "--mode", "revoked", "--reason", "look").out.splitlines()
    (order,) = killcord.json("orders")
    released = killcord("release", order["order_id"], "--reason", "clear").out.splitlines()
    assert out[2] == "Even after a release, the tool stays forbidden for runs that the order held: open new runs for new work."
    assert released[1] == out[2]


def test_no_text_of_others_begins_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    Output().value({}, ["why  it said\nOrder ord_1: released"])
    assert capsys.readouterr().out == "why  it said Order ord_1: released\n"


def test_an_order_that_ended_automatically_is_not_among_those_that_stand(gateway: Gateway, killcord: Cli) -> None:
    killcord(*OPEN, "--run", "r1")
    killcord("contain", "--run", "r1", "--mode", "paused", "--reason", "look", "--ttl", "1ms")
    deadline = time.monotonic() + 20
    while killcord.json("orders") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert killcord.json("orders") == []
    assert killcord("orders", "list", "--all").out.splitlines()[1].endswith("expired")


@pytest.mark.parametrize(
    "wrong", [("--mode", "paused"), ("--mode", "revoked", "--tenant", "acme"), ("--all", "--tenant", "acme", "--mode", "paused")]
)
def test_an_order_that_makes_no_sense_is_wrong_use(gateway: Gateway, killcord: Cli, wrong: tuple[str, ...]) -> None:
    said = killcord("contain", *wrong, "--reason", "x")
    assert (said.code, said.err.partition(":")[0]) == (2, "bad-request")


def test_a_typing_error_in_a_run_shows(gateway: Gateway, killcord: Cli) -> None:
    killcord(*OPEN, "--run", "r444")
    said = killcord("contain", "--run", "r404", "--mode", "paused", "--reason", "x")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("scope-unknown: There is no run r404; did you mean r444? Nothing was ordered.\n")
    assert "--future" in said.err
    assert killcord.json("orders") == []


def test_an_order_for_the_future_says_that_it_holds_nothing_yet(gateway: Gateway, killcord: Cli) -> None:
    said = killcord("contain", "--run", "r404", "--mode", "paused", "--reason", "x", "--future")
    assert said.code == 0
    assert said.err == "The scope holds 0 runs now (there is no run r404). It holds those that are opened later.\n"
    assert said.out.splitlines()[1] == "It holds 0 open run(s)."


def test_contain_names_some_of_the_runs_that_it_holds(gateway: Gateway, killcord: Cli) -> None:
    for number in range(7):
        killcord(*OPEN, "--run", f"r{number}")
    out = killcord("contain", "--tenant", "acme", "--mode", "paused", "--reason", "x").out
    assert out.splitlines()[1] == "It holds 7 open run(s): r0, r1, r2, r3, r4 and 2 more."


def test_a_run_shows_the_orders_that_hold_it(gateway: Gateway, killcord: Cli) -> None:
    killcord(*OPEN, "--run", "r1")
    assert "held_by      no order\n" in killcord("runs", "show", "r1").out
    made = killcord.json("contain", "--tenant", "acme", "--mode", "paused", "--reason", "look first")
    lines = killcord("runs", "show", "r1").out.splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("held_by"))
    assert lines[place].split()[1:4] == [made["order_id"], "paused", "since"]
    assert lines[place + 1].split(maxsplit=2)[:2] == ["tenant=acme,", "by"]
    assert lines[place + 1].endswith(": look first")


def test_every_scope_option_reaches_the_order(gateway: Gateway, killcord: Cli) -> None:
    killcord(*OPEN, "--run", "r1")
    options = (
        "--run",
        "r1",
        "--subtree",
        "--tenant",
        "acme",
        "--agent",
        "billing",
        "--task-class",
        "default",
        "--tool",
        "erp",
        "--ttl",
        "5m",
    )
    order = killcord.json("contain", *options, "--mode", "no_fanout", "--reason", "x")
    expected = {"run": "r1", "agent": "billing", "tenant": "acme", "task_class": "default", "tool": "erp", "subtree": True}
    assert (order["scope"], order["no_fanout"]) == (expected, True)


def test_a_refusal_exits_1_and_says_what_to_do(gateway: Gateway, killcord: Cli) -> None:
    said = killcord("runs", "show", "r404")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("not-found: There is no run r404.")
    said = killcord("runs", "show", "r404", "--json")
    assert (said.code, said.value["code"]) == (1, "not-found")


@pytest.mark.parametrize("token", ["", "nope"])
def test_a_missing_token_is_reported_with_its_variable(
    gateway: Gateway, killcord: Cli, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("KILLCORD_TOKEN", token)
    said = killcord("runs", "list")
    assert said.code == 1
    assert "KILLCORD_TOKEN" in said.err


def test_a_role_that_may_not_gets_the_reason(gateway: Gateway, killcord: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILLCORD_TOKEN", "viewer-token")
    said = killcord("contain", "--all", "--mode", "paused", "--reason", "x")
    assert said.code == 1
    assert "viewer is viewer, and may not contain and release" in said.err


def test_an_unreachable_gateway_exits_1_and_names_the_variable(killcord: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILLCORD_URL", "http://127.0.0.1:1")
    said = killcord("runs", "list")
    assert said.code == 1
    assert "cannot be reached" in said.err
    assert "KILLCORD_URL" in said.err


@pytest.mark.parametrize("url", ["ftp://x", "nonsense", "http://x/path", "http://user@x", "http://x:port"])
def test_a_url_that_is_invalid_is_wrong_use(killcord: Cli, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("KILLCORD_URL", url)
    said = killcord("runs", "list")
    assert (said.code, "must look like" in said.err) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nope",),
        ("runs",),
        ("runs", "open"),
        ("contain", "--run", "r"),
        ("release",),
        ("journal", "export"),
        ("runs", "list", "--nope"),
        (),
    ],
)
def test_wrong_use_exits_2(killcord: Cli, arguments: tuple[str, ...]) -> None:
    assert killcord(*arguments).code == 2


def test_json_works_before_and_after_the_noun(gateway: Gateway, killcord: Cli) -> None:
    for arguments in (("--json", "runs", "list"), ("runs", "--json", "list"), ("runs", "list", "--json")):
        assert killcord(*arguments).value == []


def test_an_agents_text_cannot_steer_the_terminal(gateway: Gateway, killcord: Cli) -> None:
    killcord("contain", "--tenant", "acme", "--mode", "paused", "--reason", "\x1b[2Jgone [bold]x")
    out = killcord("orders").out
    assert "\x1b" not in out
    assert "[2Jgone [bold]x" in out


def test_lists_longer_than_a_page_come_whole(gateway: Gateway, killcord: Cli) -> None:
    async def many() -> None:
        for number in range(1100):
            run = {**record.RUN.journal(journaling.RUN), "run_id": f"r{number:04}"}
            gateway.parts.store.journal.post(typed(journaling.entry("run", run=run, change="opened", by="t", reason="t")))
        await gateway.parts.store.journal.append(typed({"ts": journaling.STAMP, "kind": "finding"}))

    gateway.do(many())
    assert len(killcord.json("runs", "list")) == 1100


def open_task(gateway: Gateway, task: Task) -> None:
    owner = {"ts": journaling.STAMP, "tenant": "acme", "run_id": "r"}
    entry = {**owner, "kind": "task", "task": record.TASK.journal(task), "change": "opened"}
    gateway.do(gateway.parts.store.journal.append(typed(entry)))


def test_a_task_is_listed_and_resolved(gateway: Gateway, killcord: Cli) -> None:
    what: dict[str, Any] = {"run_id": "r", "tenant": "acme", "wire_keys": ("kc-x",), "opened_at": 1.0}
    task = Task(task_id="task_1", kind=TaskKind.OUTCOME_UNKNOWN, summary="Look.", **what)
    open_task(gateway, task)
    assert "Look." in killcord("tasks", "list").out
    assert killcord("tasks", "resolve", "task_1", "maybe", "--note", "x").code == 2
    assert killcord("tasks", "resolve", "task_1", "applied", "--note", "looked").code == 0
    assert killcord.json("tasks") == killcord.json("tasks", "list") == []
    assert killcord.json("tasks", "list", "--all")[0]["note"] == "looked"


def test_a_task_is_shown_with_its_evidence(gateway: Gateway, killcord: Cli) -> None:
    evidence = Evidence(before='"v1"', after='"v2"', now='"v3"', entries=("st_1/1", "st_1/2"), why="somebody changed it since")
    what: dict[str, Any] = {"run_id": "r", "tenant": "acme", "wire_keys": ("kc-x",), "opened_at": 1.0, "evidence": evidence}
    task = Task(task_id="task_rb_1_n1", kind=TaskKind.CORRECTION, summary="Look.", rollback_id="rb_1", node_id="n1", **what)
    open_task(gateway, task)
    assert killcord.json("tasks", "--kind", "review") == []
    said = killcord("tasks", "show", "task_rb_1_n1").out
    for line in ("rollback   rb_1, node n1", 'now        "v3"', "why        somebody changed it since", "entries    st_1/1 st_1/2"):
        assert line in said
    assert killcord("tasks", "resolve", "task_rb_1_n1", "applied", "--note", "x").code == 2
    assert killcord.json("tasks", "resolve", "task_rb_1_n1", "accepted", "--note", "it stays")["resolution"] == "accepted"


def test_the_command_works_as_a_process_of_its_own(gateway: Gateway) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "gateway", "runs", "list", "--json"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, json.loads(ran.stdout), ran.stderr) == (0, [], "")
    ran = subprocess.run([sys.executable, "-m", "gateway", "--version"], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout.startswith("killcord ")
