"""Random stories at a desk that others write too: a run works, is contained and rolled back, while people and other runs go on.

What has to hold is told by the tools' own log alone: nothing that an agent asked for once is there twice; a compensation changes only
what its own run left; an outcome that is known is true; and a rollback that ends clean left everything as it was before the run.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.app import gateway
from gateway.app import resources as parts
from gateway.control.runs.runs import LeasedRun
from gateway.core.authorization import admission
from gateway.model.call import Outgoing
from gateway.model.effect import State as Fate
from gateway.model.effect import Write
from gateway.model.review import ApprovalStatus, TaskKind
from gateway.model.rollback import START, RollbackStatus
from gateway.model.run import Mode, Scope
from gateway.ports.journal import Query
from gateway.settings import config as settings
from tests.support.desk import PROJECTS, TOOLS, Applied, Day, Desk, Name, adapter
from tests.support.ledger import Ledger
from tests.support.rig import EMBEDDED, Rig

_CONFIG = f"""
data_dir: ./var
policy: {EMBEDDED}
adapters: [./adapters]
tools:
  eu: {{adapter: desk, base_url: "http://127.0.0.1:9"}}
  us: {{adapter: desk, base_url: "http://127.0.0.1:9"}}
task_classes:
  default:
    tenants: ["*"]
    scopes: ["*"]
    ttl: 1h
    limits: {{rate: 100000/s, steps: 100000, writes: 100000, records: 100000, tenants: 100000, systems: 5}}
triggers:
  anomaly.loop: off
  anomaly.retry-spike: off
  anomaly.mutation-volume: off
  uncertain.outcome-unknown: off
  uncertain.partial-failure: off
"""

_DAYS = [Day.GOOD] * 10 + [Day.REFUSED, Day.LOST_BEFORE, Day.LOST_BEFORE, Day.LOST_AFTER, Day.LATE, Day.FAILED_AFTER]
_UNDOING_DAYS = [Day.GOOD] * 20 + [Day.REFUSED, Day.LOST_BEFORE, Day.LOST_AFTER, Day.LATE, Day.FAILED_AFTER]


@asynccontextmanager
async def opened(folder: Path, desk: Desk, *, together: bool, whole: bool) -> AsyncIterator[Rig]:
    """A gateway over both tools, with its routines."""
    described = folder / "adapters" / "desk"
    described.mkdir(parents=True)
    (described / "adapter.yaml").write_text(adapter(together=together, whole=whole))
    (folder / "killcord.yaml").write_text(_CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "Pool", lambda *_, **__: desk)
        found = await gateway.assemble(settings.load(folder / "killcord.yaml", {}), lambda *_, **__: None, lambda *_: None)
    supervisor = found.control.supervisor
    supervisor.every(0.05, "reconcile", found.recovery.reconciler.tick)
    supervisor.every(0.05, "rollbacks", found.recovery.tick)
    try:
        yield Rig(found, Ledger())
    finally:
        await supervisor.finish(10.0)
        await found.close()


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that an agent makes, and makes again where it heard no answer. Each asks for a text of its own, or for a removal."""

    run: LeasedRun
    tool: str
    method: str
    path: str
    body: dict[str, str] | None
    key: str | None


@dataclass
class Story:
    """One run that is rolled back, another beside it (often of its workflow), and people; in a tenant of their own."""

    chance: random.Random
    desk: Desk
    tenant: str
    together: bool
    runs: list[LeasedRun] = field(default_factory=list)
    unanswered: list[Asked] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    rolling: bool = False
    rollback_id: str = ""
    count: int = 0

    def day(self, request: Outgoing) -> Day:
        """What becomes of the story's next write; while its run is rolled back, people go on writing."""
        if self.rolling and self.chance.random() < 0.1:
            self._person()
        return self.chance.choice(_UNDOING_DAYS if self.rolling else _DAYS)

    def lags(self, _: Outgoing) -> bool:
        return self.chance.random() < 0.3

    async def happen(self, rig: Rig, events: int) -> None:
        workflow = self.chance.choice([f"wf-{self.tenant}", None])
        for agent, flow in (("rogue", f"wf-{self.tenant}"), ("other", workflow)):
            asked = admission.RunRequest(tenant=self.tenant, agent_id=agent, scopes=("eu:*", "us:*"), workflow_id=flow)
            self.runs.append(await rig.gateway.control.runs.open(asked, by="test", reason="test"))
        for tool in TOOLS:
            for project in PROJECTS:
                self.desk.open(tool, self.tenant, project, self._text("first"))
        for _ in range(events):
            lot = self.chance.random()
            if lot < 0.15:
                self._person()
            elif lot < 0.4 and self.unanswered:
                await self._again(rig, self.chance.choice(self.unanswered))
            elif lot < 0.5:
                await self._read(rig)
            else:
                await self._write(rig)
            if self.chance.random() < 0.15:
                await asyncio.sleep(self.chance.random() * 0.15)

    def _text(self, who: str) -> str:
        self.count += 1
        self.texts.append(f"{who}-{self.tenant}-{self.count}")
        return self.texts[-1]

    def _somewhere(self) -> Name:
        # The text of an unanswered opening is all that tells whether it took place, while nobody changes it.
        opened = [one.body["text"] for one in self.unanswered if one.method == "POST" and one.body is not None]
        left = {one.name for one in self.desk.of(self.tenant) if one.text in opened}
        known = [name for name in self.desk.things if name.tenant == self.tenant and name not in left]
        gone = [one.name for one in self.desk.of(self.tenant) if one.name not in left]
        return self.chance.choice(known if known and self.chance.random() < 0.9 else gone)

    def _person(self) -> None:
        """Somebody writes: something of their own, or the very thing that an agent asked for and heard no answer to."""
        name = self._somewhere()
        lost = [one for one in self.unanswered if one.body is not None]
        if lost and self.chance.random() < 0.4:
            one = self.chance.choice(lost)
            assert one.body is not None
            rest = one.path.split("/")[6:]
            if rest:
                self.desk.edit(Name(one.tool, self.tenant, one.path.split("/")[4], rest[0]), one.body["text"])
            else:
                self.desk.open(one.tool, self.tenant, one.path.split("/")[4], one.body["text"])
        elif self.chance.random() < 0.3:
            removed = any(one.key is not None and one.after is None for one in self.desk.log if one.name == name)
            if self.desk.now(name) is not None and not removed:  # of an absence nobody could tell whose it is
                self.desk.edit(name, None)
        else:
            self.desk.edit(name, self._text("person"))

    async def _read(self, rig: Rig) -> None:
        name = self._somewhere()
        await rig.call(self.chance.choice(self.runs).lease, "GET", _path(name), tool=name.tool)

    async def _write(self, rig: Rig) -> None:
        run, name = self.chance.choice([self.runs[0], *self.runs]), self._somewhere()
        text = {"text": self._text(run.run.agent_id)}
        key = self.chance.choice([None, f"k{self.count}"])
        what = self.chance.choice(["PATCH"] * 3 + ["PUT", "DELETE", "POST", "POST"])
        path = _path(name) if what != "POST" else _path(name).rpartition("/")[0]
        await self._send(rig, Asked(run, name.tool, what, path, None if what == "DELETE" else text, key))

    async def _again(self, rig: Rig, asked: Asked) -> None:
        """The same call once more: as it was, or as a client with keys of its own sends it."""
        self.count += 1
        fresh = f"again-{self.count}" if asked.key is not None and self.chance.random() < 0.5 else asked.key
        await self._send(rig, Asked(asked.run, asked.tool, asked.method, asked.path, asked.body, fresh))

    async def _send(self, rig: Rig, asked: Asked) -> None:
        keys: dict[str, Any] = {} if asked.key is None else {"Idempotency_Key": asked.key}
        reply = await rig.call(asked.run.lease, asked.method, asked.path, asked.body, tool=asked.tool, **keys)
        if reply.status >= 500:
            self.unanswered.append(asked)
        elif reply.status != 409:
            self.unanswered = [one for one in self.unanswered if (one.path, one.body) != (asked.path, asked.body)]

    async def roll_back(self, rig: Rig) -> RollbackStatus:
        """Contain the run and roll it back, with a person beside it who decides what waits for one."""
        run = self.runs[0].run.run_id
        await rig.gateway.control.containment.make(Scope(run=run), Mode.QUARANTINED, reason="test", by="test")
        self.rolling = True
        begun = await rig.gateway.recovery.rollbacks.start(run, subtree=False, to=START, reason="test", by="test")
        self.rollback_id = begun.rollback_id
        try:
            async with asyncio.timeout(120.0):
                while True:
                    known = await rig.gateway.resources.store.rollbacks.rollback(self.rollback_id)
                    assert known is not None
                    if known.status.ended:
                        return known.status
                    if known.status is RollbackStatus.NEEDS_OPERATOR:
                        await self._operator(rig)
                    await asyncio.sleep(0.02)
        except TimeoutError:
            view = await rig.gateway.recovery.rollbacks.view(self.rollback_id)
            nodes = [(node.way.value, node.action, node.target.id, view.states.get(node.node_id)) for node in view.plan.nodes]
            writes = await rig.gateway.resources.store.writes.of_run(run)
            open_ = [
                (one.action, one.target.id, one.state.value, one.rollback_id)
                for one in writes
                if one.state in (Fate.UNKNOWN, Fate.IN_FLIGHT)
            ]
            raise AssertionError(f"it came to no end: {view.rollback.status} {nodes} {open_} {view.marks}") from None

    async def _operator(self, rig: Rig) -> None:
        """Finds out at the tool what became of what nobody else can tell; refuses what waits for an approval: it would not be automatic."""
        store, control = rig.gateway.resources.store, rig.gateway.control
        for run in self.runs:
            for asked in await store.approvals.approvals(run=run.run.run_id):
                if asked.status is ApprovalStatus.PENDING:
                    await control.approvals.decide(asked.approval_id, grant=False, reason="not by itself", by="a person")
            for task in await store.registry.tasks(run=run.run.run_id, limit=1000):
                if task.kind is TaskKind.OUTCOME_UNKNOWN and task.resolution is None:
                    await self.desk.quiet()
                    done = [key for key in task.wire_keys if any(one.key == key for one in self.desk.log)]
                    word, named = "applied" if done else "not_applied", done if done and len(task.wire_keys) > 1 else None
                    await rig.gateway.recovery.tasks.resolve(task.task_id, resolution=word, note="looked", by="a person", writes=named)

    async def check(self, rig: Rig, status: RollbackStatus) -> None:
        await self.desk.quiet()
        writes = [write for run in self.runs for write in await rig.gateway.resources.store.writes.of_run(run.run.run_id)]
        log = self.desk.of(self.tenant)
        own = {one.wire_key for one in writes if one.run_id == self.runs[0].run.run_id and one.rollback_id is None}
        undoing = {one.wire_key for one in writes if one.rollback_id is not None}
        self._check_once(log, undoing)
        _check_true(log, writes)
        for name in {one.name for one in log}:
            _check_undone([one for one in log if one.name == name], own, undoing, clean=status is RollbackStatus.CLEAN)

    def _check_once(self, log: Sequence[Applied], undoing: set[str]) -> None:
        """No key twice, and nothing twice that an agent asked for once. What somebody wrote over meanwhile may be asked for again."""
        keys = [one.key for one in log if one.key is not None]
        assert len(keys) == len(set(keys)), "a key was applied twice"
        asked = [one for one in log if one.key is not None and one.key not in undoing]
        opened = Counter(one.text for one in asked if one.before is None and one.text is not None)
        assert not (twice := [text for text, times in opened.items() if times > 1]), f"opened twice: {twice}"
        last: dict[Name, Applied] = {}
        for one in log:
            before = last.get(one.name)
            again = before is not None and before in asked and one in asked and one.text is not None and before.text == one.text
            assert not again, f"done twice: {one}"
            last[one.name] = one


def _check_true(log: Sequence[Applied], writes: Sequence[Write]) -> None:
    """What the journal knows of an outcome is what took place. What only the state shows is no claim that it was this write."""
    applied = {one.key for one in log}
    for write in writes:
        named = f"{write.action} ({write.wire_key})"
        assert write.state is not Fate.FAILED or write.wire_key not in applied, f"{named} was applied and counts as failed"
        found = write.state is Fate.STANDING and write.found
        claims = write.state in (Fate.STANDING, Fate.COMPENSATED) and not found
        assert not claims or write.wire_key in applied, f"{named} was not applied and counts as done"


def _check_undone(log: Sequence[Applied], own: set[str], undoing: set[str], *, clean: bool) -> None:
    """A compensation follows directly on what its run did, and brings back what was there before some of that; all of it, if clean."""
    for place, one in enumerate(log):
        if one.key not in undoing:
            continue
        start = place
        while start > 0 and (log[start - 1].key in own or log[start - 1].key in undoing):
            start -= 1
        assert start < place, f"{one.name}: a compensation changed what somebody else left: {one}"
        befores = [earlier.before for earlier in log[start:place] if earlier.key in own]
        assert one.after in befores, f"{one.name}: a compensation made {one.after}, which was not there before: {befores}"
    first = next((place for place, one in enumerate(log) if one.key in own), None)
    if clean and first is not None:
        since = [one for one in log[first:] if one.key not in own and one.key not in undoing]
        rest = log[-1].after if since else None
        assert log[-1].after == (log[first].before if not since else rest), f"{log[first].name}: clean, and it is {log[-1].after}"


def _path(name: Name) -> str:
    return f"/v1/{name.tenant}/projects/{name.project}/issues/{name.id}"


async def described(story: Story, rig: Rig) -> str:
    """The log and the journal of a story, for anyone who has to find out why."""
    history = rig.gateway.resources.store.history
    lines = [line for one in story.runs for line in await history.lines(Query(run=one.run.run_id, limit=None))]
    return "\n".join([*map(str, story.desk.of(story.tenant)), *(line.decode() for line in lines)])
