"""The three acts. Each step is done for real, and then held against the ERP's own records and the journal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from killcord_demo.erp import Erp
from killcord_demo.screen import Screen
from killcord_demo.site import Site
from killcord_demo.surprise import Surprise, expect
from killcord_demo.worker import Event, Worker

FLIPS = 6
"""Writes of the loop that are watched before anyone steps in."""

TRIES = 4
"""Reads that must pass, and writes that must not, before the read-only order is believed."""

CUT = "the loop is understood; nothing of this run is needed any more"
"""Why the lease is cut."""


@dataclass(frozen=True, slots=True)
class Scene:
    screen: Screen
    erp: Erp
    site: Site
    worker: Worker
    run_id: str

    def honest_work(self) -> None:
        self.screen.act("Act 1: honest work")
        events = self._follow(self.worker.does("morning"))
        expect(all(event["status"] < 300 for event in events), "every call of honest work to pass", _statuses(events))
        state = self.erp.state()
        approved = sorted(name for name, record in state.items() if record.get("status") == "approved")
        expect(approved == ["inv-1001", "inv-1002"], "two approved invoices in Kinto", state)
        self._one_refund(events)

    def _one_refund(self, events: list[Event]) -> None:
        first, again = (event for event in events if event["method"] == "POST")
        expect(first["document"] == again["document"], "the refund's repetition to get the first one's reply", again["document"])
        refunds = self.erp.records("refunds")
        expect(list(refunds) == [first["document"]["data"]["id"]], "one refund in Kinto", refunds)
        replays = [entry for entry in self.site.entries(self.run_id, kind="replay") if entry["kind"] == "replay"]
        expect(len(replays) == 1, "one replay in the journal", replays)
        self.screen.line("gateway", "knew the refund again: answered from the journal, sent nothing", f"entry {_where(replays[0])}")
        self.screen.line("ERP", f"has {len(refunds)} refund, of {first['document']['data']['amount']}")

    def drift(self) -> None:
        self.screen.act("Act 2: drift")
        self._follow(self.worker.does("look"))
        self.erp.edit("inv-1003", status="disputed")
        edited = self.erp.records("invoices")["inv-1003"]
        self.screen.line("person", "sets inv-1003 to 'disputed', in the ERP itself")
        events = self._follow(self.worker.does("act"))
        expect([event["status"] for event in events] == [412, 200], "the stale write to be refused (412), then a read", _statuses(events))
        code = events[0]["document"]["code"]
        expect(code == "precondition-changed", "the refusal precondition-changed", events[0]["document"])
        now = self.erp.records("invoices")["inv-1003"]
        expect(now == edited, "inv-1003 in Kinto to be as the person left it", now)
        self.screen.line("ERP", "has inv-1003 as the person left it:", f"'{now['status']}', version {now['last_modified']}")

    def loop(self) -> None:
        """The agent starts to loop; the demo shows the first flips, and the loop continues."""
        self.screen.line("agent", "has two rules that contradict each other, and starts to loop on inv-1001", quick=True)
        self.worker.tell("loop")
        versions: list[int] = []
        while len(versions) < FLIPS:
            event = self._next()
            if event["method"] == "PATCH":
                expect(event["status"] == 200, "each write of the loop to pass, so far", event)
                versions.append(event["document"]["data"]["last_modified"])
        expect(len(set(versions)) == FLIPS, f"{FLIPS} versions of inv-1001: each flip a real write", versions)
        self.screen.line("ERP", f"has taken {FLIPS} real writes to inv-1001 by now, each a version of its own", quick=True)

    def read_only(self) -> None:
        """The operator intervenes while the loop runs: writes stop, reads continue."""
        self.screen.act("Act 3: the operator contains the run")
        order, took, held = self.site.contain(self.run_id, "read_only", "loops on inv-1001")
        self.screen.line("operator", f"orders run {self.run_id} into read_only", f"held everywhere after {took:.1f} ms", quick=True)
        events = self._until(refused=1)
        frozen = self.erp.state()
        events += self._until(refused=TRIES, read=TRIES)
        late = [event for event in events if event["method"] == "PATCH" and event["status"] == 200 and event["sent"] > held]
        expect(not late, "no write sent after the order held to pass", late)
        codes = {event["document"]["code"] for event in events if event["status"] != 200}
        expect(codes == {"run-read-only"}, "run-read-only as the only refusal", codes)
        now = self.erp.state()
        expect(now == frozen, "Kinto's records to be untouched since the order held", now)
        refused = _count(events, "PATCH", 403)
        epoch = f"order {order['order_id']}, epoch {order['epoch']}"
        self.screen.line("gateway", f"let no write through since: {refused} refused, reads continue", epoch)
        self.screen.line("ERP", "has all its records, version by version, as they were when the order held", f"{len(now)} compared")

    def cut(self) -> None:
        """The operator cuts the lease: reads stop too, and the loop ends."""
        before = self.erp.state()
        _, took, held = self.site.contain(self.run_id, "revoked", CUT)
        self.screen.line("operator", "cuts the lease", f"held everywhere after {took:.1f} ms", quick=True)
        events: list[Event] = []
        while "done" not in (event := self.worker.next()):
            events.append(event)
            # What was under way when the lease was cut is not worth a line each.
            if event["sent"] > held:
                self._show(event)
        last = events[-1]
        refused = (last["method"], last["status"], last["document"].get("code"))
        expect(refused == ("GET", 403, "lease-revoked"), "a read refused as lease-revoked to end the loop", refused)
        passed = [event for event in events if event["sent"] > held and event["status"] == 200]
        expect(not passed, "nothing sent after the cut to pass", passed)
        expect(self.erp.state() == before, "Kinto's records to be untouched", self.erp.state())
        self.screen.line("gateway", "lets nothing of this run through any more, reads included")

    def _follow(self, events: Iterable[Event]) -> list[Event]:
        """Show each of the agent's calls; gives those calls back."""
        return [event for event in events if self._show(event)]

    def _next(self) -> Event:
        """The loop's next call; the loop must not end.

        Raises:
            Surprise: it ended.
        """
        event = self.worker.next()
        if "done" in event:
            raise Surprise("the loop to continue", "it ended")
        self._show(event, quick=True)
        return event

    def _until(self, *, refused: int, read: int = 0) -> list[Event]:
        """What the loop does until so many of its writes were refused and so many of its reads passed."""
        events: list[Event] = []
        while _count(events, "PATCH", 403) < refused or _count(events, "GET", 200) < read:
            events.append(self._next())
        return events

    def _show(self, event: Event, *, quick: bool = False) -> bool:
        """Whether it was a call (else it was a thought)."""
        if "thought" in event:
            self.screen.line("agent", event["thought"])
            return False
        well = event["status"] < 300
        why = "" if well else f" {event['document'].get('code', '')}"
        self.screen.line("agent", event["saying"], f"{event['status']}{why}", well=well, quick=quick)
        return True


def _where(entry: dict[str, Any]) -> str:
    return f"{entry['stream']}/{entry['seq']}"


def _statuses(events: list[Event]) -> list[str]:
    return [
        f"{event['method']} {event['path']}: {event['status']} {event['document'] if event['status'] >= 300 else ''}" for event in events
    ]


def _count(events: list[Event], method: str, status: int) -> int:
    return sum(event["method"] == method and event["status"] == status for event in events)
