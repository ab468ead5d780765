"""A story: what agents, people, tools, clocks and crashes do to a gateway, one thing after the other, each named with plain arguments.

Every name picks what it is about by number from what there is at the time, within one tenant: so a story can be told again without the
other tenant's part. What cannot be done is refused by the gateway, as it would be outside, and nothing happens.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway import errors
from gateway.control.containment.containment import WrongOrder
from gateway.control.review.approvals import WrongDecision
from gateway.control.review.findings import Finding
from gateway.control.rollback.scope import NotContained, WrongRollback
from gateway.control.runs.checkpoints import NotVerified, UnknownCheckpoint
from gateway.control.runs.resume import CannotResume, NotReady
from gateway.control.runs.runs import LeasedRun
from gateway.core.authorization import admission
from gateway.core.authorization.admission import TooWide
from gateway.core.request import canonical
from gateway.core.tasks import AlreadyResolved
from gateway.model.call import Head, Outgoing, Reply
from gateway.model.review import ApprovalStatus, TaskKind
from gateway.model.rollback import START
from gateway.model.run import Mode, Scope
from tests.support.failpoints import Crashed
from tests.support.invariants_journal import By, Chronicle
from tests.support.invariants_time import BEGIN, HOUR, StoryLoop
from tests.support.invariants_tool import MARK, Fate, ScriptedTool, header
from tests.support.invariants_world import World

REFUSALS = (
    errors.Refusal, NotContained, WrongRollback, CannotResume, NotReady, NotVerified, UnknownCheckpoint, TooWide, WrongOrder, WrongDecision,
    AlreadyResolved,
)  # fmt: skip
RUNS = 8
"""Runs of one tenant."""
DOCS = 2
SCOPES = ("run", "subtree", "tenant", "tool", "all")


@dataclass(frozen=True, slots=True)
class Lease:
    run_id: str
    generation: int
    expires_at: float
    token: str


@dataclass(frozen=True, slots=True)
class Called:
    """One call of an agent, as it was sent."""

    number: int
    lease: Lease
    method: str
    path: str
    body: object
    headers: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a call; ``dead`` where its lease was dead before it was sent."""

    call: Called
    reply: Reply
    dead: bool


@dataclass(slots=True)
class Part:
    """One tenant's part of a story: leases (the newest of each run last), calls, orders that were acknowledged."""

    leases: dict[str, list[Lease]] = field(default_factory=dict)
    calls: list[Called] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    heard: list[tuple[int, object, bytes]] = field(default_factory=list)
    """Status, code and body of each reply, in order."""


class Story:
    """``tell`` does one thing and waits until all that it set off has come to rest."""

    def __init__(self) -> None:
        self.loop = StoryLoop()
        self.tool = ScriptedTool(self.loop.time)
        self.world = World(self.loop, self.tool)
        self.parts: dict[str, Part] = defaultdict(Part)
        self.answered: list[Answered] = []
        self.calls: dict[int, Called] = {}
        self.waiting: dict[asyncio.Task[None], str] = {}
        self.next_fate, self.undoing_fate = Fate.GOOD, Fate.GOOD
        self.tool.fate = self._fate
        self.tool.sending = self._sending
        self.unfinished: list[str] = []
        self.lives = 1
        self.states: list[tuple[list[object], list[object]]] = []
        self.loop.run_until_complete(self._begin())

    def tell(self, name: str, **how: Any) -> None:
        self.loop.run_until_complete(self._told(getattr(self, name), how))

    def end(self) -> None:
        """The story is over: what it was told on is removed."""
        if self.world.living is not None:
            self.loop.run_until_complete(self._down())
        self.chronicle.close()
        self.loop.close()
        self.world.remove()

    async def _begin(self) -> None:
        await self.world.begin()
        self.chronicle = Chronicle(self.world.journal)

    async def _told(self, happens: Callable[..., Awaitable[None]], how: dict[str, Any]) -> None:
        if happens in (self.crash, self.restart, self.killed):
            await happens(**how)
        else:
            await self._through(happens(**how))
        lives = 0
        while self.world.points.dead.is_set():
            lives += 1
            assert lives < 10, "it does not come up again"
            await self._down()
            await self._up()
        self.waiting = {call: tenant for call, tenant in self.waiting.items() if not call.done()}
        self.chronicle.read()

    async def _through(self, happening: Awaitable[None]) -> None:
        """As far as it goes: to its end and the end of what it set off, or to a crash."""
        task = asyncio.ensure_future(happening)
        await self.world.first(task)
        if task.done():
            try:
                task.result()
            except Crashed:
                pass
            except (*REFUSALS, KeyError):
                pass
            await self.world.settled()
        else:
            task.cancel()
            await asyncio.wait([task])

    async def _down(self) -> None:
        self.world.points.dead.set()
        await self._broken_off()
        await self.world.kill()

    async def _broken_off(self) -> None:
        for call in self.waiting:
            call.cancel()
        await asyncio.gather(*self.waiting, return_exceptions=True)
        self.waiting.clear()
        self.tool.held.clear()

    async def _up(self) -> None:
        self.lives += 1
        await self.world.begin()
        await self._through(self.world.recover())

    # What agents do.

    async def open(self, tenant: str, parent: int | None, same_workflow: bool) -> None:
        part = self.parts[tenant]
        if len(part.leases) >= RUNS:
            return
        above = _picked(list(part.leases), parent) if parent is not None else None
        workflow = f"wf-{tenant}" if same_workflow and above is None else None
        asked = admission.RunRequest(
            tenant=tenant,
            agent_id="agent",
            scopes=("model:*",),
            run_id=f"run-{tenant}-{len(part.leases)}",
            parent_run=above,
            workflow_id=workflow,
        )
        run_id = str(asked.run_id)
        part.leases[run_id] = []
        opened = await self.world.gateway.control.runs.open(asked, by="orchestrator", reason="story")
        part.leases[run_id].append(_lease(opened))

    async def call(self, tenant: str, run: int, what: str, doc: int, key: str, fate: Fate, step: int) -> None:
        """A new call, with a value that no other has: what probes go by has to tell whose it is."""
        lease = self._lease(tenant, run)
        if lease is None:
            return
        method, path, body = _call(what, f"d{doc % DOCS}", 100 + len(self.parts[tenant].calls))
        headers: tuple[tuple[bytes, bytes], ...] = ()
        if key == "own":
            headers = ((b"Idempotency-Key", f"own-{step}".encode()),)
        elif key == "step":
            headers = ((b"Killcord-Step", f"s{step}".encode()),)
        await self._sent(tenant, lease, method, f"/v1/tenants/{tenant}/{path}", body, headers, fate)

    async def again(self, tenant: str, which: int, lease: str, fate: Fate) -> None:
        """A call once more: with the lease it had, the newest one of its run, or another run's."""
        part = self.parts[tenant]
        if not part.calls:
            return
        call = part.calls[-1 - which % len(part.calls)]
        with_lease: Lease | None = call.lease
        if lease == "newest":
            with_lease = part.leases[call.lease.run_id][-1]
        elif lease == "other" and call.path.endswith(f"docs/d{which % DOCS}"):
            with_lease = self._lease(tenant, which)
        if with_lease is not None:
            headers = tuple(pair for pair in call.headers if pair[0] != MARK)
            await self._sent(tenant, with_lease, call.method, call.path, call.body, headers, fate)

    async def _sent(
        self, tenant: str, lease: Lease, method: str, path: str, body: object, headers: tuple[tuple[bytes, bytes], ...], fate: Fate
    ) -> None:
        number = len(self.calls) + 1
        call = Called(number, lease, method, path, body, (*headers, (MARK, str(number).encode())))
        self.calls[number] = call
        self.parts[tenant].calls.append(call)
        self.next_fate = fate
        task = asyncio.ensure_future(self._carried(tenant, call))
        self.waiting[task] = tenant
        await self._held_or_done(task)
        self.next_fate = Fate.GOOD
        if task.done():
            task.result()

    async def _held_or_done(self, *calls: asyncio.Task[None]) -> None:
        """Until the calls are answered, or the tool holds one."""
        self.tool.holds.clear()
        held = self.loop.create_task(self.tool.holds.wait())
        try:
            answered = self.loop.create_task(asyncio.wait(calls))
            await self.world.first(answered, held)
        finally:
            answered.cancel()
            held.cancel()

    async def _carried(self, tenant: str, call: Called) -> None:
        data = b"" if call.body is None else orjson.dumps(call.body)
        lines = [*call.headers, (b"Authorization", f"Bearer {call.lease.token}".encode())]
        lines += [(b"Content-Type", b"application/json")] if data else []
        head = Head(method=call.method, target=f"/model{call.path}", headers=tuple(lines), length=len(data))
        self.chronicle.read()
        dead = self.chronicle.dead(call.lease.run_id, call.lease.generation)
        reply = await self.world.gateway.calls.endpoint.handle(canonical.call(head, data), lambda: None)
        self.answered.append(Answered(call, reply, dead))
        code = orjson.loads(reply.body).get("code") if reply.status >= 400 and reply.body else None
        self.parts[tenant].heard.append((reply.status, code, reply.body if code is None else b""))

    async def let_go(self, tenant: str) -> None:
        """The tool continues the calls that it was slow with."""
        calls = [call for call, whose in self.waiting.items() if whose == tenant]
        if calls:
            self.tool.let_go(tenant)
            await self._held_or_done(*calls)

    # What people and orchestrators do.

    async def renew(self, tenant: str, run: int) -> None:
        lease = self._lease(tenant, run)
        if lease is not None:
            opened = await self.world.gateway.control.runs.renew(lease.run_id, ttl=None, by="orchestrator", reason="story")
            self.parts[tenant].leases[lease.run_id].append(_lease(opened))

    async def shut(self, tenant: str, run: int) -> None:
        lease = self._lease(tenant, run)
        if lease is not None:
            await self.world.gateway.control.runs.close(lease.run_id, by="orchestrator", reason="story")

    async def contain(self, tenant: str, run: int, scope: str, mode: Mode, no_fanout: bool) -> None:
        lease = self._lease(tenant, run)
        if lease is None:
            return
        scopes = {
            "run": Scope(run=lease.run_id),
            "subtree": Scope(run=lease.run_id, subtree=True),
            "tenant": Scope(tenant=tenant),
            "tool": Scope(run=lease.run_id, tool="model"),
            "all": Scope(everything=True),
        }
        made = await self.world.gateway.control.containment.make(scopes[scope], mode, reason="story", by="operator", no_fanout=no_fanout)
        self.parts[tenant].orders.append(made.order_id)
        self.chronicle.read()
        assert made.order_id in self.chronicle.orders, "I7: an order was acknowledged that is not durable"

    async def release(self, tenant: str, which: int) -> None:
        orders = self.parts[tenant].orders
        if orders:
            await self.world.gateway.control.containment.release(_picked(orders, which), reason="story", by="operator")

    async def find(self, tenant: str, run: int, severity: str) -> None:
        """A verifier proves that a run's state is unsafe: a trigger, its response, and what that makes."""
        lease = self._lease(tenant, run)
        known = await self.world.gateway.resources.store.registry.run(lease.run_id) if lease is not None else None
        if known is not None:
            await self.world.gateway.findings.report(known, Finding(kind="sum", severity=severity, evidence={}, by="verifier"))

    async def checkpoint(self, tenant: str, run: int) -> None:
        lease = self._lease(tenant, run)
        known = await self.world.gateway.resources.store.registry.run(lease.run_id) if lease is not None else None
        if known is not None:
            await self.world.gateway.recovery.checkpoints.take(known, state_ref="state", label=None, by="orchestrator", reason="story")

    async def resume(self, tenant: str, run: int, to: str, gated: bool) -> None:
        lease = self._lease(tenant, run)
        if lease is None:
            return
        asked = admission.ResumeRequest(checkpoint=START if to == "start" else None, require_approval=("model:doc.put",) if gated else ())
        gone_on = await self.world.gateway.recovery.resume(lease.run_id, asked, by="operator", reason="story")
        opened = gone_on.opened
        self.parts[tenant].leases[lease.run_id].append(_lease(opened))

    async def roll_back(self, tenant: str, run: int, subtree: bool, fate: Fate) -> None:
        lease = self._lease(tenant, run)
        if lease is None:
            return
        self.undoing_fate = fate
        rollbacks = self.world.gateway.recovery.rollbacks
        await rollbacks.start(lease.run_id, subtree=subtree, to=START, reason="story", by="operator")
        await self.world.settled()
        self.undoing_fate = Fate.GOOD

    async def undo(self, tenant: str, run: int, subtree: bool, fate: Fate) -> None:
        """Contained, and then compensated."""
        lease = self._lease(tenant, run)
        if lease is not None:
            scope = Scope(run=lease.run_id, subtree=subtree)
            made = await self.world.gateway.control.containment.make(scope, Mode.QUARANTINED, reason="story", by="operator")
            self.parts[tenant].orders.append(made.order_id)
            await self.roll_back(tenant, run, subtree, fate)

    async def change_rollback(self, tenant: str, which: int, change: str, fate: Fate) -> None:
        known = [
            one.rollback_id
            for run in self.parts[tenant].leases
            for one in await self.world.gateway.resources.store.rollbacks.rollbacks(run=run)
        ]
        if not known:
            return
        self.undoing_fate = fate
        rollbacks = self.world.gateway.recovery.rollbacks
        await (rollbacks.stop if change == "stop" else rollbacks.resume)(_picked(known, which), reason="story", by="operator")
        await self.world.settled()
        self.undoing_fate = Fate.GOOD

    async def start_and_stop(self, tenant: str, run: int) -> None:
        """A rollback that is stopped while it is at work."""
        lease = self._lease(tenant, run)
        if lease is None:
            return
        rollbacks = self.world.gateway.recovery.rollbacks
        begun = await rollbacks.start(lease.run_id, subtree=True, to=START, reason="story", by="operator")
        await asyncio.sleep(0)
        await rollbacks.stop(begun.rollback_id, reason="story", by="operator")

    async def recover(self, tenant: str, which: int) -> None:
        """Somebody has an incident driven to its end."""
        records = self.world.gateway.resources.store.incidents
        found = [one.incident_id for run in self.parts[tenant].leases for one in await records.incidents(run=run)]
        if found:
            await self.world.gateway.recovery.recover(_picked(found, which), admission.ResumeRequest(), by="operator", reason="story")

    async def resolve(self, tenant: str, which: int) -> None:
        """A person looks at the tool, as long as it takes, and says what they found."""
        store = self.world.gateway.resources.store
        found = [one for run in self.parts[tenant].leases for one in await store.registry.tasks(run=run) if one.resolution is None]
        if not found:
            return
        await self.tool.land(float("inf"))
        task = found[which % len(found)]
        if task.kind is TaskKind.OUTCOME_UNKNOWN:
            applied = [key for key in task.wire_keys if self.tool.tools[tenant].applied[key]]
            word = "applied" if applied else "not_applied"
        else:
            word, applied = "done", []
        tasks = self.world.gateway.recovery.tasks
        await tasks.resolve(task.task_id, resolution=word, note="looked", by="operator", writes=applied or None)

    async def decide(self, tenant: str, which: int, grant: bool) -> None:
        store = self.world.gateway.resources.store
        found = [one for run in self.parts[tenant].leases for one in await store.approvals.approvals(run=run)]
        pending = [one.approval_id for one in found if one.status is ApprovalStatus.PENDING]
        if pending:
            await self.world.gateway.control.approvals.decide(_picked(pending, which), grant=grant, reason="story", by="approver")

    async def edit(self, tenant: str, doc: int, removed: bool) -> None:
        """A person writes at the tool, or removes."""
        value = -1 - len(self.tool.tools[tenant].log)
        state = None if removed else {"value": value, "other": value, "sum": value}
        self.tool.tools[tenant].edit((tenant, "docs", f"d{doc % DOCS}"), state)

    async def imitate(self, tenant: str, which: int) -> None:
        """A person does at the tool what an agent asked for."""
        calls = [one for one in self.parts[tenant].calls if one.method in ("PATCH", "PUT", "DELETE") and "/docs/" in one.path]
        if not calls:
            return
        call, tool = calls[-1 - which % len(calls)], self.tool.tools[tenant]
        name = (tenant, "docs", call.path.rsplit("/", 1)[1])
        now = tool.now(name)
        asked = call.body if isinstance(call.body, dict) else {}
        if call.method == "PUT":
            tool.edit(name, asked)
        elif now is not None:
            tool.edit(name, {**now, **asked} if call.method == "PATCH" else None)

    # What befalls all.

    async def policy(self, active: str) -> None:
        self.world.policy.active = active

    async def wait(self, seconds: float) -> None:
        self.loop.pass_time(seconds)
        await self.tool.land(self.loop.time())

    async def turn(self, fate: Fate) -> None:
        """The gateway's routines have their turn."""
        self.undoing_fate = fate
        await self.world.turn()
        await self.world.settled()
        self.undoing_fate = Fate.GOOD

    async def sign(self) -> None:
        await self.world.gateway.resources.heads.tick()

    async def arm(self, point: str) -> None:
        """The process will be gone when it comes to a point."""
        self.world.points.armed.add(point)

    async def crash(self, hours: int) -> None:
        """``kill -9``, and up again with the clock set otherwise; once more, and nothing may be different."""
        await self._down()
        await self._clock(hours)
        await self._up()
        if not self.world.points.dead.is_set():
            await self._once_more()

    async def killed(self) -> None:
        await self._down()
        await self._up()

    async def restart(self, hours: int) -> None:
        """SIGTERM, and up again."""
        await self._broken_off()
        await self.world.stop()
        await self._clock(hours)
        await self._up()

    async def _clock(self, hours: int) -> None:
        """Set on by an hour, what was under way has arrived: nobody could tell the hour from one that passed."""
        if hours > 0:
            await self.tool.land(float("inf"))
        self.world.ahead = max(-HOUR, min(HOUR, self.world.ahead + hours * HOUR))

    async def _once_more(self) -> None:
        armed, self.world.points.armed = self.world.points.armed, set()
        self.chronicle.read()
        self.unfinished = self.chronicle.in_flight()
        before = await self._at_rest()
        await self._down()
        await self._up()
        await self.world.turn()
        await self.world.settled()
        self.states.append((before, self._state()))
        self.world.points.armed = armed

    async def _at_rest(self) -> list[object]:
        """Until the routines find nothing more to do: what one decides may be what another had to know."""
        before: list[object] = []
        while (now := self._state()) != before:
            before = now
            await self.wait(60.0)
            await self.world.turn()
            await self.world.settled()
        return now

    def _state(self) -> list[object]:
        """What there is to be recovered: effects, how rollbacks stand, orders, runs, tasks, approvals, and the tools."""
        tools: list[object] = [(tenant, list(tool.log), dict(tool.things)) for tenant, tool in self.tool.tools.items()]
        return [len(self.chronicle.effects), *tools, *self.chronicle.state()]

    # How it is looked at.

    def _fate(self, request: Outgoing) -> Fate:
        if header(request, MARK) is not None:
            fate, self.next_fate = self.next_fate, Fate.GOOD
            return fate
        fate, self.undoing_fate = self.undoing_fate, Fate.GOOD
        return fate

    def _sending(self, request: Outgoing) -> None:
        mark = header(request, MARK)
        call = self.calls[int(mark)] if mark is not None else None
        by = None if call is None else By(call.lease.run_id, call.lease.generation, call.lease.expires_at)
        now = BEGIN + self.world.ahead + self.loop.time()
        self.chronicle.sends(request, by, now)

    def _lease(self, tenant: str, run: int) -> Lease | None:
        """The newest lease of a run; the newest run is number 0."""
        held = [leases[-1] for leases in reversed(self.parts[tenant].leases.values()) if leases]
        return held[run % len(held)] if held else None


def _lease(opened: LeasedRun) -> Lease:
    return Lease(opened.run.run_id, opened.run.generation, opened.run.expires_at, opened.lease)


def _picked(among: list[str], which: int) -> str:
    return among[which % len(among)]


def _call(what: str, doc: str, value: int) -> tuple[str, str, object]:
    amount = {"by": value, "minus": -value, "ref": f"r{value}"}
    match what:
        case "read":
            return "GET", f"docs/{doc}", None
        case "list":
            return "GET", "notes", None
        case "change":
            return "PATCH", f"docs/{doc}", {"value": value}
        case "put":
            return "PUT", f"docs/{doc}", {"value": value, "other": value, "sum": value}
        case "delete":
            return "DELETE", f"docs/{doc}", None
        case "adjust":
            return "POST", f"docs/{doc}/adjust", amount
        case "stamp":
            return "POST", f"docs/{doc}/stamp", {}
        case "make":
            return "POST", "notes", {"ref": f"n{value}"}
        case "remove":
            return "DELETE", f"notes/notes-{1 + value % 3}", None
        case _:
            return "POST", "tallies/t1", amount
