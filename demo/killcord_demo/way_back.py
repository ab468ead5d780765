"""The last act: the run is rolled back in the order of dependencies, and a person's later changes stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table

from killcord_demo.erp import Erp
from killcord_demo.screen import Screen
from killcord_demo.site import Site
from killcord_demo.surprise import expect

Json = dict[str, Any]
State = Mapping[str, Mapping[str, Any]]

WHY = "nothing that this run did is wanted"
_DOES = {"restores": "restores", "makes": "creates again", "removes": "removes", "offsets": "offsets"}


@dataclass(frozen=True, slots=True)
class WayBack:
    """``before`` are the ERP's records as they were when the run was opened."""

    screen: Screen
    erp: Erp
    site: Site
    run_id: str
    before: State

    def played(self) -> None:
        """Plan, carry out, and compare with the ERP's own records.

        Raises:
            Surprise: a step failed.
        """
        self.screen.act("Act 4: the rollback")
        self.erp.edit("inv-1002", status="disputed", note="the customer called")
        self.screen.line("person", "sets inv-1002, which the agent had approved, to 'disputed', in the ERP itself")
        held = self.erp.state()
        self._planned(held)
        rollback = self._carried_out()
        self._compared(held, self.erp.state())
        self._left(rollback)

    def _planned(self, held: State) -> None:
        plan = self.site.ask("POST", "/v1/rollbacks", {"scope": {"run": self.run_id}, "to": "start", "dry_run": True})
        self.screen.line("operator", f"killcord rollbacks plan {self.run_id}", plan["summary"])
        self.screen.shown(_plan(plan["nodes"]))
        now = self.erp.state()
        expect(now == held, "a plan to change nothing", now)

    def _carried_out(self) -> Json:
        code, said = self.site.killcord("rollbacks", "start", self.run_id, "--reason", WHY, "--watch")
        expect(code == 1, "killcord rollbacks start to say that something is left (exit 1)", f"exit {code}: {said}")
        rollback = self.site.rollback_of(self.run_id)
        self.screen.line("operator", f"killcord rollbacks start {self.run_id} --watch", f"exit 1: it ended in {rollback['state']}")
        for node in rollback["nodes"]:
            self._report(node)
        return rollback

    def _report(self, node: Json) -> None:
        what, done = f"{node['target']['type']}:{node['target']['id'][:8]}", node["state"] == "done"
        entries = ", ".join(place.rpartition("/")[2] for place in node["entries"])
        if done:
            self.screen.line("gateway", f"{_DOES[node['does']]} {what} by {node['by']}", f"done, entries {entries}", quick=True)
        else:
            self.screen.line("gateway", f"leaves {what} alone: {node['why']}", node["state"], well=False, quick=True)

    def _compared(self, held: State, now: State) -> None:
        shown = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=(0, 1), pad_edge=False, collapse_padding=True)
        for name in ("in the ERP", "before the run", "before the rollback", "now"):
            shown.add_column(name, overflow="fold")
        for name in sorted({*self.before, *held, *now}):
            shown.add_row(name[:8], *(_record(state.get(name)) for state in (self.before, held, now)))
        self.screen.shown(shown)
        expect(now["inv-1002"] == held["inv-1002"], "inv-1002 in Kinto to be as the person left it", now["inv-1002"])
        others = {name: _plain(record) for name, record in now.items() if name != "inv-1002"}
        wanted = {name: _plain(record) for name, record in self.before.items() if name != "inv-1002"}
        # What the person of act 2 did is not the run's either.
        wanted["inv-1003"] = _plain(held["inv-1003"])
        expect(others == wanted, "everything else in Kinto to be as before the run", others)
        self.screen.line("ERP", "has all else as it was before the run, and both edits of the person")

    def _left(self, rollback: Json) -> None:
        code, said = self.site.killcord("tasks", "--run", self.run_id)
        listed = self.site.ask("GET", f"/v1/tasks?run={self.run_id}&status=open")["items"]
        about = [task["target"]["id"] for task in listed]
        expect(code == 0 and about == ["inv-1002"], "one task, about inv-1002", said)
        (task,) = listed
        seen = task["evidence"]
        self.screen.line("operator", f"killcord tasks --run {self.run_id}", f"1 {task['kind']} task: {task['task_id']}")
        self.screen.plain(f"           {task['summary']}")
        self.screen.plain(f"           version before {seen['before']}, after {seen['after']}, now {seen['now']}")
        left = rollback["residue"]
        expect(rollback["state"] == "residue" and len(left) == 1, "the rollback to name the one thing that is left", rollback)
        self.screen.line("gateway", f"never says of inv-1002 that it was undone: the rollback ended in {rollback['state']}, and names it")


def _plan(nodes: Sequence[Json]) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=(0, 1), pad_edge=False, collapse_padding=True)
    for name in ("object", "effects", "by", "only if it is still at", "why"):
        shown.add_column(name, overflow="fold")
    for node in nodes:
        what = f"{node['target']['type']}:{node['target']['id'][:8]}"
        shown.add_row(what, str(len(node["effects"])), node.get("by", node["way"]), node.get("guard", ""), node["why"])
    return shown


def _plain(record: Mapping[str, Any]) -> Json:
    """Without the fields that Kinto sets."""
    return {name: value for name, value in record.items() if name != "last_modified"}


def _record(record: Mapping[str, Any] | None) -> str:
    if record is None:
        return "(not there)"
    return f"{record.get('status', record.get('amount'))}, version ..{str(record['last_modified'])[-5:]}"
