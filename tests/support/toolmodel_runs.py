"""Random runs over a whole gateway and a tool in this process, what has to come of rolling them back, and a person who closes what waits.

What has to come of it is told by the tool's own log alone: an object is as it was before the run's first effect that nothing lies above
which no call may undo; what somebody else wrote last is there; and whatever was not compensated has somebody's task.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.app import gateway
from gateway.app import resources as parts
from gateway.control import upkeep
from gateway.control.rollback import executor
from gateway.control.rollback.execution import RollbackView
from gateway.control.runs.runs import LeasedRun
from gateway.core.authorization import admission
from gateway.core.backoff import Backoff
from gateway.model.call import Outgoing
from gateway.model.effect import State as Fate
from gateway.model.effect import Write
from gateway.model.entry import Verification
from gateway.model.review import ApprovalStatus, TaskKind
from gateway.model.rollback import START, NodeAction, NodeState, RollbackStatus
from gateway.model.run import Mode, Scope
from gateway.pipeline.compensation import line
from gateway.settings import config as settings
from gateway.settings.config import Config
from tests.support.ledger import Ledger
from tests.support.rig import EMBEDDED, Rig
from tests.support.toolmodel import ADAPTER, Applied, Day, Name, State, Tool

CONFIG = f"""
data_dir: ./var
policy: {EMBEDDED}
adapters: [./adapters]
tools: {{model: {{adapter: model, base_url: "http://127.0.0.1:9"}}}}
task_classes:
  default:
    tenants: ["*"]
    scopes: ["*"]
    ttl: 1h
    limits: {{rate: 100000/s, steps: 100000, writes: 100000, records: 100000, tenants: 100000, systems: 5}}
"""

OWN_DAYS = [Day.GOOD] * 24 + [Day.REFUSED, Day.LOST_BEFORE, Day.LOST_AFTER, Day.FAILED_AFTER]
UNDOING_DAYS = [Day.GOOD] * 30 + [Day.REFUSED, Day.LOST_BEFORE, Day.LOST_AFTER, Day.FAILED_AFTER, Day.UNREACHED]
KNOWN = frozenset({NodeState.DONE, NodeState.NOTHING, NodeState.TASK, NodeState.FAILED})


@asynccontextmanager
async def hastened() -> AsyncIterator[None]:
    """What takes half a minute with real tools takes a moment with this one: nothing of it comes late."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line, "SETTLE", 0.02)
        patch.setattr(executor, "BACKOFF", replace(executor.BACKOFF, first=0.005, longest=0.2))
        patch.setattr(upkeep, "BACKOFF", Backoff(0.02, 0.2))
        patch.setattr(executor, "UNKNOWN_FOR", 0.2)
        yield


@asynccontextmanager
async def modelled(folder: Path, tool: Tool, adapter: str = ADAPTER, extra: str = "") -> AsyncIterator[Rig]:
    """A gateway over the tool, with its routines; in the same folder again it is the same gateway, restarted."""
    gateway = await opened(folder, tool, adapter, extra)
    supervisor = gateway.control.supervisor
    supervisor.every(0.05, "reconcile", gateway.recovery.reconciler.tick)
    supervisor.every(0.05, "rollbacks", gateway.recovery.tick)
    try:
        yield Rig(gateway, Ledger())
    finally:
        await supervisor.finish(10.0)
        await gateway.close()


async def opened(folder: Path, tool: Tool, adapter: str = ADAPTER, extra: str = "") -> gateway.Gateway:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "Pool", lambda *_, **__: tool)
        return await gateway.assemble(configured(folder, adapter, extra), lambda *_, **__: None, lambda *_: None)


def configured(folder: Path, adapter: str = ADAPTER, extra: str = "") -> Config:
    """``extra`` are lines of the configuration."""
    described = folder / "adapters" / "model"
    described.mkdir(parents=True, exist_ok=True)
    (described / "adapter.yaml").write_text(adapter)
    config = folder / "killcord.yaml"
    config.write_text(CONFIG + extra)
    return settings.load(config, {})


@dataclass
class Case:
    """One run, or a coordinator with its workers, in a tenant of its own. ``tool`` outlives the gateways that it is used through."""

    chance: random.Random
    tool: Tool
    tenant: str
    leases: list[LeasedRun] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    rolling: bool = False
    edited: dict[Name, State | None] = field(default_factory=dict)
    doubtful: set[Name] = field(default_factory=set)
    lied: set[Name] = field(default_factory=set)
    spoilt: set[str] = field(default_factory=set)
    rollback_id: str = ""
    count: int = 0
    faults: bool = True
    cut: bool = False
    """Whether gateways went down: a compensation may have been applied, and is then found, without leaving a version that is known."""

    # The run, and others beside it.

    async def happen(self, rig: Rig, events: int) -> None:
        await self._open(rig)
        for number in range(1 + events // 3):
            if self.chance.random() < 0.7:
                self.tool.edit((self.tenant, "docs", f"d{number}"), self._thing())
        for _ in range(events):
            self.count += 1
            lot = self.chance.random()
            if lot < 0.1:
                self._somebody()
            elif lot < 0.2:
                await self._send(rig, "GET", f"docs/{self._doc(events)}", None)
            else:
                await self._effect(rig, events)

    async def _open(self, rig: Rig) -> None:
        opened = await self._opened(rig, None)
        self.leases = [opened]
        if self.chance.random() < 0.2:
            self.leases += [await self._opened(rig, opened.run.run_id) for _ in range(2)]

    async def _opened(self, rig: Rig, parent: str | None) -> LeasedRun:
        asked = admission.RunRequest(tenant=self.tenant, agent_id="agent", scopes=("model:*",), parent_run=parent)
        return await rig.gateway.control.runs.open(asked, by="test", reason="test")

    def _thing(self) -> dict[str, object]:
        return {"value": self.chance.randrange(10**9), "other": self.chance.randrange(10**9), "sum": self.chance.randrange(100)}

    def _doc(self, events: int) -> str:
        return f"d{self.chance.randrange(1 + events // 3)}"

    def _somebody(self) -> None:
        """Another writer, on something that the run knows."""
        names = [one.name for one in self.tool.of(self.tenant) if one.name[1] != "tallies"]
        if names:
            name = self.chance.choice(names)
            self.tool.edit(name, self._theirs(name, 0.7))

    def _theirs(self, name: Name, kept: float) -> State | None:
        """What somebody else makes of a thing. A reference that tells an unknown create from none at all is left alone; and of an
        absence nobody could tell whose it is, so what the run removed once is not removed again by others.
        """
        old = self.tool.now(name)
        removed = any(one.what == "delete" for one in self.tool.log if one.name == name)
        if old is None or removed or self.chance.random() < kept or "ref" in old:
            return {**self._thing(), **({"ref": old["ref"]} if old is not None and "ref" in old else {})}
        return None

    async def _effect(self, rig: Rig, events: int) -> None:
        doc, chance = self._doc(events), self.chance
        there = self.tool.now((self.tenant, "docs", doc)) is not None
        by, ref = chance.randrange(1, 100), f"r{self.count}"
        amount = {"by": by, "minus": -by, "ref": ref}
        match chance.choice(
            ["change"] * 4 + ["put", "delete", "adjust", "adjust", "stamp", "make", "make", "tally"] if there else ["put", "make"]
        ):
            case "change":
                await self._send(rig, "PATCH", f"docs/{doc}", {"value": chance.randrange(10**9)})
            case "put":
                await self._send(rig, "PUT", f"docs/{doc}", self._thing())
            case "delete":
                await self._send(rig, "DELETE", f"docs/{doc}", None)
            case "adjust":
                await self._send(rig, "POST", f"docs/{doc}/adjust", amount)
            case "stamp":
                if chance.random() < 0.3:
                    await self._send(rig, "POST", f"docs/{doc}/stamp", {})
            case "tally":
                await self._send(rig, "POST", "tallies/t1", amount)
            case _:
                await self._make(rig, ref)

    async def _make(self, rig: Rig, ref: str) -> None:
        ref = f"{self.tenant}-{ref}"
        if self.chance.random() < 0.1:
            self.tool.claimed[ref] = self.chance.choice(["../../../other/docs/d0", "..", "a/b", "notes-1", "d0", "%2e%2e", "x;y"])
        await self._send(rig, "POST", "notes", {"ref": ref})
        if ref in self.tool.claimed:
            made = {one.name for one in self.tool.of(self.tenant) if one.after is not None and one.after.get("ref") == ref}
            self.doubtful |= made
            self.lied |= made
            self.doubtful.add((self.tenant, "notes", self.tool.claimed[ref]))

    async def _send(self, rig: Rig, method: str, path: str, body: object) -> None:
        step = f"s{self.count}"
        steps: dict[str, Any] = {"Killcord_Step": step}
        if self.steps and self.chance.random() < 0.4:
            steps["Killcord_Parent_Step"] = self.chance.choice(self.steps)
        lease = self.chance.choice(self.leases).lease
        before = len(self.tool.log)
        reply = await rig.call(lease, method, f"/v1/tenants/{self.tenant}/{path}", body, tool="model", **steps)
        self.steps.append(step)
        if method != "GET" and reply.status >= 500:
            tried = path.split("/")
            self.doubtful.add((self.tenant, tried[0], tried[1] if len(tried) > 1 else ""))
            self.doubtful |= {one.name for one in self.tool.log[before:] if one.name[0] == self.tenant and one.key is not None}

    def day(self, request: Outgoing) -> Day:
        """What becomes of the case's next write; while it is compensated, others continue writing."""
        if not self.faults:
            return Day.GOOD
        if not self.rolling:
            return self.chance.choice(OWN_DAYS)
        if self.chance.random() < 0.04:
            names = [one.name for one in self.tool.of(self.tenant) if one.name[1] != "tallies"]
            name = self.chance.choice(names)
            self.edited[name] = self._theirs(name, 0.8)
            self.tool.edit(name, self.edited[name])
        day = self.chance.choice(UNDOING_DAYS)
        if day is Day.REFUSED:
            self.spoilt.add(request.target.split("/")[5])
        if day in (Day.LOST_AFTER, Day.FAILED_AFTER, Day.LOST_BEFORE):
            # What is there is found, and not proven to be ours; and that nothing is there proves nothing of what was absent before: the
            # older effects on the object are a person's.
            self.spoilt.add(request.target.split("/")[5])
        return day

    # Its rollback.

    async def contain(self, rig: Rig) -> None:
        scope = Scope(run=self.leases[0].run.run_id, subtree=True)
        await rig.gateway.control.containment.make(scope, Mode.QUARANTINED, reason="test", by="test")
        self.rolling = True

    async def start(self, rig: Rig) -> None:
        begun = await rig.gateway.recovery.rollbacks.start(self.leases[0].run.run_id, subtree=True, to=START, reason="test", by="test")
        self.rollback_id = begun.rollback_id

    async def at_rest(self, rig: Rig) -> RollbackView:
        """Its end, with a person beside it who finds out what became of what nobody else can tell."""
        rollbacks = rig.gateway.recovery.rollbacks
        try:
            async with asyncio.timeout(300.0):
                while True:
                    known = await rig.gateway.resources.store.rollbacks.rollback(self.rollback_id)
                    assert known is not None
                    if known.status.ended:
                        return await rollbacks.view(self.rollback_id)
                    if known.status is RollbackStatus.NEEDS_OPERATOR:
                        await self._person(rig)
                    await asyncio.sleep(0.02)
        except TimeoutError:
            told = await rollbacks.view(self.rollback_id)
            states = {node.node_id: (node.way, node.action, told.states.get(node.node_id)) for node in told.plan.nodes}
            raise AssertionError(f"it came to no end: {told.rollback.status} {states} {told.marks}") from None

    async def _person(self, rig: Rig) -> None:
        for run in self.leases:
            for asked in await rig.gateway.resources.store.approvals.approvals(run=run.run.run_id):
                if asked.status is ApprovalStatus.PENDING:
                    grant = self.chance.random() < 0.8
                    if not grant and asked.target is not None:
                        self.spoilt.add(asked.target.id)
                    await rig.gateway.control.approvals.decide(asked.approval_id, grant=grant, reason="looked", by="a person")
            for task in await rig.gateway.resources.store.registry.tasks(run=run.run.run_id, limit=1000):
                if task.kind is TaskKind.OUTCOME_UNKNOWN and task.resolution is None:
                    applied = [key for key in task.wire_keys if self.tool.applied[key]]
                    word, tasks = "applied" if applied else "not_applied", rig.gateway.recovery.tasks
                    await tasks.resolve(task.task_id, resolution=word, note="looked", by="a person", writes=applied or None)

    # What has to hold.

    async def check(self, rig: Rig) -> None:
        told = await rig.gateway.recovery.rollbacks.view(self.rollback_id)
        writes = [write for run in self.leases for write in await rig.gateway.resources.store.writes.of_run(run.run.run_id)]
        tasks = [task for run in self.leases for task in await rig.gateway.resources.store.registry.tasks(run=run.run.run_id, limit=1000)]
        assert not self.tool.strange, self.tool.strange
        self._check_once(writes)
        self._check_accounted(told, writes, {task.node_id for task in tasks if task.rollback_id == self.rollback_id})
        undoing = {write.wire_key for write in writes if write.rollback_id is not None}
        with_task = {key for task in tasks for key in task.wire_keys}
        for name, log in self._by_object().items():
            self._check_object(name, log, undoing, with_task)

    def _check_once(self, writes: list[Write]) -> None:
        """At the tool: no key twice, and no effect compensated twice."""
        keys = [one.key for one in self.tool.of(self.tenant) if one.key is not None]
        assert len(set(keys)) == len(keys), "a key was applied twice"
        by_key = {write.wire_key: write for write in writes}
        assert set(keys) <= set(by_key), "the tool got what the journal does not know"
        undone = Counter(effect for key in keys for effect in by_key[key].compensates)
        # Carried out, and somebody wrote before it was read back: it does not count, and is not done again either.
        unheld = {effect for key in keys if by_key[key].verification is Verification.FAILED for effect in by_key[key].compensates}
        assert not [effect for effect, times in undone.items() if times > 1], "an effect was compensated twice"
        for write in writes:
            applied = write.wire_key in keys
            assert write.state is not Fate.FAILED or not applied, f"{write.wire_key} was applied and counts as failed"
            assert write.state not in (Fate.STANDING, Fate.COMPENSATED) or applied, f"{write.wire_key} was not applied and stands"
            if write.rollback_id is None and applied and write.state in (Fate.STANDING, Fate.COMPENSATED):
                held = undone[write.wire_key] == 1 and write.wire_key not in unheld
                assert (write.state is Fate.COMPENSATED) == held, f"{write.action} is {write.state}"

    def _check_accounted(self, told: RollbackView, writes: list[Write], tasks: set[str | None]) -> None:
        """Every effect is in the plan, every node came to an end, and what was not compensated is somebody's task."""
        planned = {key for node in told.plan.nodes for key in node.effects}
        own = [write for write in writes if write.rollback_id is None]
        assert not [one for one in own if one.state in (Fate.UNKNOWN, Fate.IN_FLIGHT)], "an outcome is not known at the end"
        assert not [one.action for one in own if one.state is not Fate.FAILED and one.wire_key not in planned], "an effect was left out"
        states = {node.node_id: told.states.get(node.node_id) for node in told.plan.nodes}
        assert set(states.values()) <= KNOWN, states
        left = [node for node in told.plan.nodes if states[node.node_id] in (NodeState.TASK, NodeState.FAILED)]
        assert not [node.action for node in left if node.node_id not in tasks], "nobody was told of what was not compensated"
        if told.rollback.status is RollbackStatus.CLEAN:
            assert not left
            assert not told.rollback.residue
        else:
            assert told.rollback.status is RollbackStatus.RESIDUE
            assert told.rollback.residue, "residue is listed"
        assert all(node.way is not NodeAction.PROBE for node in told.plan.nodes)

    def _by_object(self) -> Mapping[Name, list[Applied]]:
        found: dict[Name, list[Applied]] = {}
        for one in self.tool.of(self.tenant):
            found.setdefault(one.name, []).append(one)
        return found

    def _check_object(self, name: Name, log: list[Applied], undoing: set[str], with_task: set[str]) -> None:
        now = self.tool.now(name)
        if name in self.edited:
            assert now == self.edited[name], f"{name}: somebody's edit during the rollback was overwritten"
            return
        run = [one for one in log if one.key not in undoing]
        mine: list[Applied] = []
        for one in reversed(run):
            if one.key is None or one.what == "stamp":
                break
            mine.insert(0, one)
        whole = mine[0].before if mine else run[-1].after
        if name[1] == "tallies":
            whole = {"sum": 0}
        if _same(now, whole):
            return
        assert self.cut or name in self.doubtful or name[2] in self.spoilt, f"{name}: {now} instead of {whole}"
        between = [whole, *(one.after for one in mine)]
        if name[1] != "tallies":
            assert any(_same(now, one) for one in between), f"{name}: {now} was never there"
        # Of an id that the tool made up, and under which nothing is, nobody can tell that it was not removed since.
        assert name in self.lied or any(one.key in with_task for one in mine), f"{name}: {now}, not {whole}, and nobody was told"


def described(case: Case) -> str:
    """The log of a case, for anyone who has to find out why."""
    return "\n".join(str(one) for one in case.tool.of(case.tenant))


def _same(one: State | None, other: State | None) -> bool:
    """Alike, but for the note of who adjusted it last: what offsets an adjustment is one, too."""
    return {**(one or {}), "last": None} == {**(other or {}), "last": None}
