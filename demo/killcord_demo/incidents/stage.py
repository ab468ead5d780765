"""Where a play is carried out for real, and held against the journal and the ERP's own records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from killcord_demo import erp, worker
from killcord_demo.erp import Erp
from killcord_demo.incidents.play import NEXT, Act, Call, Calls, Edit, Play, VerifierReport
from killcord_demo.relay import Relay
from killcord_demo.screen import Screen
from killcord_demo.site import Site
from killcord_demo.surprise import expect
from killcord_demo.worker import Event, Worker

CONTAINED = {
    "read_only": ("read_only", "run-read-only"),
    "pause": ("paused", "run-paused"),
    "quarantine": ("quarantined", "run-quarantined"),
    "revoke": ("revoked", "lease-revoked"),
}
"""The mode in which a run is after each of the answers that contain, and the code with which a write is refused then."""

_SHOWN = 5
"""So many calls in a row are shown; of more, the first two and the last two."""

Json = dict[str, Any]
State = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Stage:
    """``pause`` is the agent's, in seconds, after each call."""

    screen: Screen
    erp: Erp
    relay: Relay
    site: Site
    pause: float

    def play(self, play: Play) -> Json:
        """Play it; returns the view of its incident.

        Raises:
            Surprise: a step failed.
        """
        self.screen.act(f"{play.trigger}: {play.title}")
        self.erp.begin_anew()
        before = self._state()
        run = self.site.open_run(play.scopes, play.limits)
        run_id = run.run_id
        with worker.working(f"{self.site.data}/erp", run.lease(), pause=self.pause) as agent, self.relay.going_wrong(play.fault):
            last = [self._carried_out(act, agent, run_id) for act in play.acts][-1]
            mode, _ = CONTAINED[play.action]
            expect(last is None or last["mode"] == mode, f"the reply of the last call to say already that the run is {mode}", last)
            story = self._answered(play, run_id)
            self._held(play, agent, before)
        if play.rollback:
            self._taken_back(run_id, before)
        return story

    def _carried_out(self, act: Act, agent: Worker, run_id: str) -> Event | None:
        """The agent's last call of the act; ``None`` if the act is somebody else's."""
        match act:
            case Calls():
                events = list(agent.does(_script(act)))
                self._shown(events)
                return events[-1]
            case Edit():
                self.erp.edit(act.invoice, **act.fields)
                self.screen.line("person", act.says)
            case VerifierReport():
                self.site.operator.finding(run_id, kind=act.kind, severity=act.severity, evidence=act.evidence)
                self.screen.line("verifier", act.says, act.severity)
        return None

    def _answered(self, play: Play, run_id: str) -> Json:
        """What was seen, what policy said of it, and how soon it held."""
        listed = self.site.ask("GET", f"/v1/incidents?run={run_id}")["items"]
        mine = [one for one in listed if one["cause"] == play.trigger]
        expect(len(mine) == 1, f"one incident of {play.trigger} as soon as the agent has its reply", listed)
        story = self.site.ask("GET", f"/v1/incidents/{mine[0]['incident_id']}")
        answer = [one for one in self.site.entries(run_id, kind="response", name=play.trigger) if one.get("name") == play.trigger][-1]
        trigger = self.site.ask("GET", f"/v1/journal/{answer['trigger']}")["trigger"]
        self.screen.line("gateway", f"saw {play.trigger}, {_counted(trigger)}", f"in {_places(trigger['evidence'])}")
        expect(story["action"] == play.action, f"policy to answer {play.action}", story["action"])
        expect((story["rollback"] != "none") is play.rollback, f"a rollback to be {'due' if play.rollback else 'none'}", story["rollback"])
        undo = ", and a rollback is due" if play.rollback else ""
        revision = f"rule responses[{play.trigger!r}], revision {answer['revision'][:12]}"
        self.screen.line("policy", f"answers {answer['action']} ({answer['verdict']}){undo}: {answer['why']}", revision)
        stopped = story["stopped"]
        expect(stopped is not None, "an order that contains the run", story)
        self.screen.line("gateway", f"had order {stopped['order_id']} in force before the reply left", f"{stopped['after_ms']:.1f} ms")
        return story

    def _held(self, play: Play, agent: Worker, before: State) -> None:
        """The agent continues, and the gateway refuses every call."""
        frozen = self._state()
        (event,) = [one for one in agent.does(_script(Calls((NEXT,)))) if self._show(one)]
        code, (_, refusal) = event["document"].get("code"), CONTAINED[play.action]
        expect(code == refusal, f"the next write to be refused as {refusal}", code)
        now = self._state()
        aimed = NEXT.thing.rpartition("/")[2]
        # Where a rollback is due it may have begun; then it alone changes anything.
        untouched = now == frozen if not play.rollback else now[aimed] == before[aimed]
        expect(untouched, "Kinto's records to be as they were when the order held", now)
        changed = "; ".join(_changes(before, now))
        said = "nothing of that write" if play.rollback else "nothing since the order"
        self.screen.line("ERP", f"has now {changed}" if changed else "has everything as it was before", said)

    def _taken_back(self, run_id: str, before: State) -> None:
        """How the rollback ended that nobody asked for."""
        rollback = self.site.rollback_of(run_id)
        expect(rollback["state"] == "clean", "the rollback to end clean without an operator", rollback)
        now = self._state()
        expect(_plain(now) == _plain(before), "Kinto's records to be as before the run", list(_changes(before, now)))
        count = len(rollback["nodes"])
        did = f"{count} compensation(s), each checked" if count else "there was nothing to compensate"
        self.screen.line("gateway", f"rolled the run back automatically: {did}", f"{rollback['state']}, {rollback['rollback_id']}")
        self.screen.line("ERP", "has everything as it was before the run", f"{len(now)} compared")

    def _state(self) -> State:
        """All that the agent could have changed, its own tenant's and the neighbour's."""
        theirs = self.erp.records("invoices", erp.NEIGHBOUR)
        return self.erp.state() | {f"{erp.NEIGHBOUR}'s {name}": record for name, record in theirs.items()}

    def _shown(self, events: Sequence[Event]) -> None:
        if len(events) <= _SHOWN:
            for event in events:
                self._show(event)
            return
        for event in events[:2]:
            self._show(event)
        self.screen.line("...", f"{len(events) - 4} more like these", quick=True)
        for event in events[-2:]:
            self._show(event)

    def _show(self, event: Event) -> bool:
        well = event["status"] < 300
        # A refusal by the ERP is recognised by its status.
        why = f" {event['document']['code']}" if str(event["document"].get("type", "")).startswith("urn:killcord:") else ""
        mode = f"; its run is {event['mode']}" if event["mode"] not in (None, "active") else ""
        self.screen.line("agent", event["saying"], f"{event['status']}{why}{mode}", well=well)
        return True


def _script(act: Calls) -> str:
    """A task for the agent: calls as JSON on one line."""
    return json.dumps([_arguments(call, n) for n in range(1, act.times + 1) for call in act.calls])


def _arguments(call: Call, n: int) -> Json:
    data = None if call.data is None else {name: _numbered(value, n) for name, value in call.data.items()}
    path = erp.path(_numbered(call.thing, n), call.tenant)
    return {"saying": _numbered(call.says, n), "method": call.method, "path": path, "data": data, "more": dict(call.headers)}


def _numbered(value: Any, n: int) -> Any:
    return value.replace("{n}", str(n)) if isinstance(value, str) else value


def _counted(trigger: Mapping[str, Any]) -> str:
    return "once" if trigger["threshold"] == 1 else f"{trigger['count']} of {trigger['threshold']}"


def _places(evidence: Sequence[str]) -> str:
    return f"entry {evidence[0]}" if len(evidence) == 1 else f"{len(evidence)} entries, {evidence[0]} to {evidence[-1].rpartition('/')[2]}"


def _plain(state: State) -> dict[str, Json]:
    """Records without the fields that Kinto sets."""
    return {name: {key: value for key, value in one.items() if key != "last_modified"} for name, one in state.items()}


def _changes(before: State, now: State) -> Iterator[str]:
    """What is other now, record by record."""
    made = [name for name in now if name not in before]
    if made:
        yield f"{len(made)} record(s) made"
    for name in sorted(before):
        fields = {key: value for key, value in now.get(name, {}).items() if before[name].get(key) != value and key != "last_modified"}
        if fields:
            yield f"{name} with " + ", ".join(f"{key} {value!r}" for key, value in fields.items())
