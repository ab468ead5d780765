"""No interleaving of requests, decisions, time, other people's edits and calls lets a call reach the tool without an approval of
its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.control.review.approvals import WrongDecision
from gateway.control.runs.runs import LeasedRun
from gateway.core import timestamps
from gateway.core.authorization import approvals
from gateway.model.review import Approval, ApprovalStatus
from gateway.ports.clock import Clock
from tests.support import rig
from tests.support.rig import Rig

TTL = 3_600.0
QUIET = "triggers: {anomaly.loop: off, anomaly.retry-spike: off, uncertain.partial-failure: off, anomaly.mutation-volume: off}"
"""What so many repeated calls set off would hold the run, and say nothing about approvals."""


@dataclass(frozen=True)
class Call:
    what: int
    refused: bool = False


@dataclass(frozen=True)
class Decide:
    what: int
    grant: bool


@dataclass(frozen=True)
class Edit:
    what: int


@dataclass(frozen=True)
class Wait:
    seconds: float


whats = st.sampled_from([0, 0, 0, 1])
calls = st.builds(Call, whats, st.sampled_from([False] * 4 + [True]))
decisions = st.builds(Decide, whats, st.sampled_from([True] * 4 + [False]))
alone = st.one_of(calls, calls, decisions, decisions, st.builds(Edit, whats), st.builds(Wait, st.sampled_from([TTL / 2, TTL - 1, TTL + 1])))
one_alone = alone.map(lambda step: [step])
at_once = st.lists(st.one_of(calls, calls, calls, decisions, st.builds(Edit, whats)), min_size=2, max_size=8)
steps = st.lists(st.one_of(one_alone, one_alone, one_alone, at_once), min_size=10, max_size=30)
Steps = list[list[Call | Decide | Edit | Wait]]


class Later:
    """The gateway's clock, some seconds ahead."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self.ahead = clock, 0.0

    def now(self) -> float:
        return self._clock.now() + self.ahead

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def mint(self, prefix: str) -> str:
        return self._clock.mint(prefix)


@dataclass
class World:
    gateway: Rig
    clock: Later
    run: LeasedRun
    keys: Iterator[int] = field(default_factory=itertools.count)
    seen: int = 0

    def name(self, what: int) -> str:
        return f"{self.run.run.run_id}-{what}"

    async def step(self, together: list[Call | Decide | Edit | Wait]) -> None:
        due = await self._due(together[0]) if len(together) == 1 and isinstance(together[0], Call) else None
        statuses = await asyncio.gather(*(self._do(one) for one in together))
        if due is not None:
            assert (statuses[0] != 403) is due, "an approval that counts lets its call through, and nothing else does"
        await self._judge()

    async def _do(self, step: Call | Decide | Edit | Wait) -> int:
        ledger = self.gateway.ledger
        match step:
            case Call():
                ledger.refuse += step.refused
                path = f"/v1/tenants/acme/refunds/{self.name(step.what)}"
                reply = await self.gateway.call(self.run.lease, "DELETE", path, Idempotency_Key=f"key-{next(self.keys)}")
                ledger.refuse = 0
                return reply.status
            case Decide():
                await self._decide(step)
            case Edit():
                ledger.put("acme", "refunds", self.name(step.what), edited=next(self.keys))
            case Wait():
                self.clock.ahead += step.seconds
        return 0

    async def _decide(self, step: Decide) -> None:
        for one in await self._approvals(step.what):
            if one.status is ApprovalStatus.PENDING:
                with contextlib.suppress(WrongDecision):  # it has expired, or somebody else was first
                    await self.gateway.gateway.control.approvals.decide(one.approval_id, grant=step.grant, reason="r", by="ann")

    async def _approvals(self, what: int) -> list[Approval]:
        found = await self.gateway.gateway.control.approvals.records.approvals(run=self.run.run.run_id, limit=1000)
        return [one for one in found if one.target.id == self.name(what)]

    async def _due(self, call: Call) -> bool:
        """Whether a call made now, alone, has an approval that counts (to the object as it is)."""
        return any(approvals.status(one, now=self.clock.now()) is ApprovalStatus.GRANTED for one in await self._approvals(call.what))

    async def _judge(self) -> None:
        """Hold what reached the tool since against the journal alone."""
        entries = await self.gateway.journal(self.run.run.run_id)
        told = [one for one in entries if one["kind"] == "approval"]
        intents = [one for one in entries if one["kind"] == "intent"]
        returned = {one["idempotency_key"] for one in entries if one.get("approval_returned")}
        used = [one["approval_id"] for one in intents if one["idempotency_key"] not in returned]
        assert len(set(used)) == len(used), "one yes, one call that may have been applied"
        sent = [one for one in self.gateway.ledger.writes if f"/{self.run.run.run_id}-" in one.path]
        assert len(sent) == len(intents)
        for intent in intents[self.seen :]:
            self._permitted(intent, told)
        self.seen = len(intents)

    def _permitted(self, intent: dict[str, Any], told: list[dict[str, Any]]) -> None:
        before = [one for one in told if one["seq"] < intent["seq"]]
        (yes,) = [one for one in before if one["change"] == "granted" and one["approval_id"] == intent["approval_id"]]
        approval = yes["approval"]
        assert approval["target"] == intent["target"]
        assert (approval["run_id"], approval["generation"], approval["action"]) == (
            intent["run_id"],
            intent["generation"],
            intent["action"],
        )
        assert f"sha256:{approval['content']}" == intent["requested"]["args_digest"]
        assert (approval["existed"], approval.get("version")) == (intent["existed"], intent.get("before_version"))
        assert approval["expires_at"] / 1e6 > timestamps.instant(intent["ts"]) + self.clock.ahead
        ends = [one for one in before if one["change"] in ("denied", "voided")]
        assert intent["approval_id"] not in {one["approval_id"] for one in ends}
        assert intent["target"] not in [one["target"] for one in ends if one["change"] == "denied"]


class Place:
    """One gateway for all examples, each of which has a run of its own. (No dataclass: hypothesis would print all of it.)"""

    def __init__(self, runner: asyncio.Runner, gateway: Rig, clock: Later) -> None:
        self.runner, self.gateway, self.clock = runner, gateway, clock

    async def live(self, plan: Steps) -> None:
        world = World(self.gateway, self.clock, await self.gateway.open())
        for what in (0, 1):
            self.gateway.ledger.put("acme", "refunds", world.name(what), amount=what)
        for together in plan:
            await world.step(together)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        gateway = runner.run(stack.enter_async_context(rig.assembled(tmp_path_factory.mktemp("approvals"), extra=QUIET)))
        clock = Later(gateway.gateway.resources.clock)
        gateway.gateway.control.approvals.clock = clock
        yield Place(runner, gateway, clock)
        runner.run(stack.aclose())


@settings(max_examples=150)
@given(plan=steps)
def test_nothing_reaches_the_tool_without_an_unspent_yes_of_its_own(place: Place, plan: Steps) -> None:
    place.runner.run(place.live(plan))
