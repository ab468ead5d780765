"""A journal whose tables somebody edited stops the start; a rebuild gives back what its entries tell, and the gateway acts by it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from killcord_demo import web
from tests.support import append_only, gateway
from tests.support.arrivals import Arrivals
from tests.support.gateway import Gateway, wait_until

MAIL = "/tenants/acme/messages"
ASKED = {"scopes": ["entries:*", "mail:*"]}


@dataclass(frozen=True, slots=True)
class History:
    """A stopped gateway, in a folder to be copied. ``leases`` are of its runs, by name, and ``told`` is what it answered last, by path."""

    gateway: Gateway
    tool: Arrivals
    leases: Mapping[str, str]
    told: Mapping[str, Any]

    def again(self, folder: Path) -> Gateway:
        """The same gateway in another folder."""
        shutil.copytree(self.gateway.folder, folder)
        return Gateway(folder, self.gateway.settings, token=self.gateway.token)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Runs: one without limits, two at a limit, one that waits for an approval, one closed, one revoked, and one that left a task."""
    with Arrivals() as tool:
        made = Gateway(tmp_path_factory.mktemp("history"), gateway.settings(""))
        append_only.before(made, tool.port)
        made.settings["tools"]["mail"] = {"adapter": "mail", "base_url": f"http://127.0.0.1:{tool.port}"}
        made.settings["anchor"] = {"file": "./heads"}
        try:
            made.start()
            leases, paths = lived(made)
            told = {path: made.ask("GET", path).body for path in paths}
        finally:
            made.stop()
        yield History(made, tool, leases, told)


def lived(made: Gateway) -> tuple[dict[str, str], tuple[str, ...]]:
    limits = {"limited": {"writes": 1}, "narrow": {"systems": 1}}
    names = ("free", "limited", "narrow", "waiting", "closed", "revoked", "left")
    runs = {name: made.open_run("acme", **ASKED, **({"limits": limits[name]} if name in limits else {})) for name in names}
    leases = {name: lease for name, (_, lease) in runs.items()}
    for name in ("free", "limited", "narrow", "left"):
        assert write(made, leases[name], "first").status == 201
    assert mail(made, leases["waiting"]).body["code"] == "approval-required"
    assert made.ask("POST", f"/v1/runs/{runs['limited'][0]}/checkpoints", {"state_ref": "flow@1"}).status == 201
    assert made.ask("POST", f"/v1/runs/{runs['closed'][0]}/close", {"reason": "done"}).status == 200
    made.contain("revoked", run=runs["revoked"][0])
    made.contain("paused", run=runs["left"][0])
    left = runs["left"][0]
    assert made.ask("POST", "/v1/rollbacks", {"scope": {"run": left}, "to": "start", "reason": "wrong"}).status in (201, 202)
    wait_until(lambda: made.ask("GET", f"/v1/tasks?run={left}").body["items"] != [], "the rollback to leave a task")
    return leases, (f"/v1/tasks?run={left}", f"/v1/runs/{runs['limited'][0]}/checkpoints", "/v1/orders")


def write(made: Gateway, lease: str, step: str) -> web.Answer:
    path = append_only.path("acme", step)
    return made.call("POST", path, {"number": 1}, lease=lease, headers={"Killcord-Step": step}, tool="entries")


def mail(made: Gateway, lease: str) -> web.Answer:
    return made.call("POST", MAIL, {"to": ["ann"], "subject": "s", "text": "t"}, lease=lease, tool="mail")


def asks_for_an_approval(made: Gateway, history: History) -> None:
    asked = mail(made, history.leases["waiting"])
    assert (asked.status, asked.body["code"]) == (403, "approval-required")


def keeps_to_its_writes(made: Gateway, history: History) -> None:
    refused = write(made, history.leases["limited"], "second")
    assert (refused.status, refused.body["code"]) == (403, "blast-radius")


def keeps_to_its_systems(made: Gateway, history: History) -> None:
    begun = {"message": "m-1", "steps": 2}
    refused = made.call("POST", "/tenants/acme/sequences", begun, lease=history.leases["narrow"], tool="mail")
    assert (refused.status, refused.body["code"]) == (403, "blast-radius")


def replays(made: Gateway, history: History) -> None:
    again = write(made, history.leases["free"], "first")
    assert (again.status, again.headers.get("idempotent-replayed")) == (201, "true"), again


def refuses_ended_runs(made: Gateway, history: History) -> None:
    for name in ("closed", "revoked"):
        assert write(made, history.leases[name], "more").status in (401, 403)


def tells_the_same(made: Gateway, history: History) -> None:
    assert {path: made.ask("GET", path).body for path in history.told} == history.told


Promise = Callable[[Gateway, History], None]
EDITS: Mapping[str, Promise] = {
    # First, since a refused call can make the gateway contain its run.
    "DELETE FROM orders": tells_the_same,
    "DELETE FROM tasks": tells_the_same,
    "DELETE FROM checkpoints": tells_the_same,
    "UPDATE approvals SET status = 'granted'": asks_for_an_approval,
    "UPDATE counters SET used = 0": keeps_to_its_writes,
    "DELETE FROM members": keeps_to_its_systems,
    "UPDATE writes SET state = 'failed'": replays,
    "DELETE FROM writes": replays,
    "UPDATE runs SET closed = 0": refuses_ended_runs,
    "UPDATE runs SET revoked = 0": refuses_ended_runs,
}


@pytest.mark.reliability(fault="Projections edited", case="a row that no entry gives stops the start")
@pytest.mark.parametrize("statement", EDITS)
def test_an_edited_table_stops_the_start(statement: str, history: History, tmp_path: Path) -> None:
    made = history.again(tmp_path / "again")
    edit(made, statement)
    table = statement.split()[1 if statement.startswith("UPDATE") else 2]
    made.spawn()
    assert made.ended() == 2, made.said
    assert f"{table} (" in made.said
    assert "journal rebuild" in made.said


@pytest.mark.reliability(fault="Projections edited", case="after a rebuild every refusal, replay and order is as before; nothing is sent")
def test_a_rebuild_gives_back_what_the_entries_tell(history: History, tmp_path: Path) -> None:
    made = history.again(tmp_path / "again")
    edit(made, *EDITS)
    sent = len(history.tool.seen)
    assert made.command("journal", "rebuild", "--reason", "edited by hand") == 0, made.said
    with gateway.serving(made):
        for holds in dict.fromkeys(EDITS.values()):
            holds(made, history)
    assert len(history.tool.seen) == sent


def edit(made: Gateway, *statements: str) -> None:
    with closing(sqlite3.connect(made.folder / "var" / "journal.sqlite")) as connection, connection:
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, statement
