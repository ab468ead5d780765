from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.core.codec import record
from tests.support import contained, journaling
from tests.support.command_line import Cli, Gateway
from tests.support.contained import Contained
from tests.support.incidents import INCIDENT
from tests.support.journaling import typed


@pytest.fixture
def held(gateway: Gateway) -> Contained:
    return gateway.do(contained.contain(gateway.parts))


def test_incidents_are_listed(gateway: Gateway, killcord: Cli, held: Contained) -> None:
    header, row = killcord("incidents").out.splitlines()
    assert header.split()[:3] == ["INCIDENT", "OPENED", "RUN"]
    assert row.split()[0] == "inc_1"
    assert row.split()[-1] == "open"
    assert killcord("incidents", "list").out == killcord("incidents").out
    assert [one["incident_id"] for one in killcord.json("incidents", "--run", "run_1")] == ["inc_1"]
    assert killcord.json("incidents", "--run", "run_2") == []
    assert killcord.json("incidents", "list", "--state", "closed") == []


def test_an_incident_is_reported_by_its_id(gateway: Gateway, killcord: Cli, held: Contained) -> None:
    said = killcord("incidents", "inc_1").out
    assert said.startswith("incident  inc_1 (open)\n")
    assert "anomaly.loop fired (behaviour): 10 of 10" in said
    assert "\nrecovery  compensate: " in said
    assert "erp:invoice:inv_1  standing, 1 effect(s); " in said
    assert "task: outcome-unknown: Its outcome is unknown. [task_1]" in said
    assert killcord("incidents", "show", "inc_1").out == said
    assert killcord.json("incidents", "inc_1")["incident_id"] == "inc_1"


def test_what_has_nothing_in_it_reports_it(gateway: Gateway, killcord: Cli) -> None:
    killcord("runs", "open", "--tenant", "acme", "--agent", "billing", "--scope", "erp:*", "--run", "r1")
    empty = record.INCIDENT.journal(replace(INCIDENT, run_id="r1", orders=(), evidence=()))
    said = {"action": "none", "verdict": "recoverable", "why": "it was nothing"}
    gateway.do(gateway.parts.store.journal.append(typed(journaling.entry("response", run_id="r1", incident=empty, **said))))
    assert killcord("incidents", "inc_1").out.endswith("\nAffected objects\n  nothing\n\nOpen items\n  nothing\n")


def test_an_unknown_incident_exits_1(gateway: Gateway, killcord: Cli) -> None:
    for words in (("incidents", "inc_404"), ("report", "inc_404")):
        said = killcord(*words)
        assert (said.code, said.err.splitlines()[0]) == (1, "not-found: There is no incident inc_404.")


def test_a_report_is_printed_written_and_the_same_again(gateway: Gateway, killcord: Cli, held: Contained, tmp_path: Path) -> None:
    printed = killcord("report", "inc_1").out
    assert printed.startswith("# Post-mortem of incident `inc_1`\n")
    out = tmp_path / "report.md"
    assert killcord("report", "inc_1", "--out", str(out)).code == 0
    assert out.read_text() == printed
    assert killcord.json("report", "inc_1")["markdown"] == printed


def test_a_report_that_cannot_be_written_reports_it(gateway: Gateway, killcord: Cli, held: Contained, tmp_path: Path) -> None:
    said = killcord("report", "inc_1", "--out", str(tmp_path / "none" / "report.md"))
    assert said.code == 2
    assert "cannot write the file" in said.err


def test_what_a_report_says_to_do_verifies_its_evidence(gateway: Gateway, killcord: Cli, held: Contained, tmp_path: Path) -> None:
    text = killcord("report", "inc_1").out
    (script,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    keep, _, verify = script.rstrip("\n").rpartition("\n")
    subprocess.run(["sh", "-c", keep], cwd=tmp_path, check=True)
    _, *words = verify.replace("'", "").replace("inc_1.heads", str(tmp_path / "inc_1.heads")).split()
    assert killcord(*words).code == 0
    cited = re.findall(r"^\| `(\S+/\d+)` \| `([0-9a-f]{64})` \|$", text, re.MULTILINE)
    assert len(cited) >= 4
    for position, known in cited:
        assert killcord.json("journal", "show", position)["hash"] == known
