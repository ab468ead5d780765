"""Replies to the agent: the tool's status and body unchanged, and our headers in place of any that pretend to be ours.

While a reply streams, the lease and the orders are checked again with every chunk, at every order and every second.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from msgspec.structs import replace

from gateway.core import problem
from gateway.errors import BlastRadius, Refusal
from gateway.model.call import Answer, Headers, Reply
from gateway.model.entry import Position, Result
from gateway.model.run import Mode, Run
from gateway.pipeline import headers
from gateway.pipeline.answers import discard
from gateway.pipeline.evidence import Kept, Known, Metered, Permitted, Sender, Settled, Streamed
from gateway.pipeline.stages import meter
from gateway.pipeline.stages.observe import precondition_refusal
from gateway.ports.clock import Clock
from gateway.ports.containment import Containment

Fence = Callable[[], None]
"""Raises a refusal if what it guards may not continue."""

_BODILESS = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Streams:
    _live: dict[asyncio.Task[object], Fence] = field(default_factory=dict)

    async def guarded(self, answer: Answer, fence: Fence) -> AsyncIterator[bytes]:
        """The rest of an answer, cut off (and the tool's stream closed) as soon as the fence closes."""
        assert answer.rest is not None
        reader = asyncio.current_task()
        assert reader is not None
        self._live[reader] = fence
        try:
            async for chunk in answer.rest:
                fence()
                yield chunk
        finally:
            self._live.pop(reader, None)
            await discard(answer)

    def recheck(self) -> int:
        """Cut every stream whose fence has closed; returns how many."""
        cut = [reader for reader, fence in self._live.items() if _closed(fence)]
        for reader in cut:
            reader.cancel()
        return len(cut)

    async def expire(self) -> None:
        """Check every stream again: a lease expires without any order."""
        self.recheck()


@dataclass(frozen=True, slots=True)
class Replies:
    """The rest of a streaming answer is relayed as long as its ``fence`` allows it.

    ``blast_radius`` is the status of an exhausted limit's refusal, for clients that know another one than its own.
    """

    containment: Containment
    clock: Clock
    streams: Streams
    blast_radius: int = BlastRadius.status

    def passed(self, permit: Permitted, answer: Answer, position: Position, fence: Fence) -> Reply:
        """A read's reply."""
        return self._reply(permit.fresh.metered, answer, position, fence)

    def settled(self, settled: Settled, fence: Fence) -> Reply:
        """A write's reply, now that its outcome is durable.

        Raises:
            PreconditionChanged: the tool held our own guard against it (its answer to an agent's own condition passes through).
        """
        intent, answer, verdict = settled.intent, settled.answer, settled.verdict
        if (refused := precondition_refusal(settled)) is not None:
            raise refused
        extra: Headers = ((b"Killcord-Verification", verdict.verification.value.encode()),)
        if verdict.pending:
            extra += ((b"Killcord-Outcome", b"pending"),)
        elif verdict.result is Result.UNKNOWN or (verdict.result is Result.FAILED and answer.status < 300):
            extra += ((b"Killcord-Outcome", verdict.result.value.encode()),)
        return self._reply(intent.permit.fresh.metered, answer, settled.position, fence, extra)

    def streamed(self, streamed: Streamed, fence: Fence) -> Reply:
        """A write's reply while the tool works; its end comes when the outcome is durable. The entry is the intent's."""
        extra: Headers = ((b"Killcord-Verification", b"pending"), (b"Killcord-Outcome", b"pending"))
        answer = replace(streamed.answer, rest=streamed.relay)

        def until_drained() -> None:
            """What the tool has said to its end is a reply like any other: an order that its own outcome brings does not cut it off."""
            if not streamed.relay.drained:
                fence()

        return self._reply(streamed.intent.permit.fresh.metered, answer, streamed.intent.position, until_drained, extra)

    def replayed(self, kept: Kept) -> Reply:
        """The reply that a key stands for."""
        extra: Headers = (
            (b"Idempotent-Replayed", b"true"),
            (b"Killcord-Verification", kept.write.verification.value.encode()),
        )
        return self._reply(kept.metered, kept.answer, kept.position, None, extra)

    def refused(self, refused: Refusal, known: Known, entry: str | None, metered: Metered | None = None) -> Reply:
        """A refusal as a problem document."""
        if isinstance(refused, BlastRadius):
            refused.status = self.blast_radius
        ours = self._ours(known, entry) + (meter.quota_headers(metered.quota) if metered is not None else ())
        return problem.reply(refused, ours, run_id=known.run.run_id, step_id=known.step.id, entry=entry)

    def refused_early(
        self,
        refused: Refusal,
        sender: Sender | None,
        entry: str | None,
        *,
        run: Run | None = None,
        tool: str | None = None,
        close: bool = False,
    ) -> Reply:
        """The refusal of a call before its run was known, with what its headers show about the sender."""
        if sender is None:
            return problem.reply(refused, entry=entry, close=close)
        shown = (
            (b"Killcord-Run", sender.lease.run_id),
            (b"Killcord-Step", sender.step_id),
            (b"Killcord-Mode", None if run is None else self._mode(run, sender.lease.generation, tool).label),
            (b"Killcord-Entry", entry),
        )
        known_headers = tuple((name, value.encode()) for name, value in shown if value is not None)
        return problem.reply(refused, known_headers, run_id=sender.lease.run_id, step_id=sender.step_id, entry=entry, close=close)

    def as_of_now(self, reply: Reply, known: Known) -> Reply:
        """The reply, telling the mode that the run has now."""
        mode = (b"Killcord-Mode", self._mode(known.run, known.lease.generation, known.tool.name).label.encode())
        return replace(reply, headers=tuple(mode if name == b"Killcord-Mode" else (name, value) for name, value in reply.headers))

    def _mode(self, run: Run, generation: int, tool: str | None) -> Mode:
        """The run's effective mode for a tool, now."""
        return self.containment.hold(run, generation, tool, now=self.clock.now()).mode

    def _reply(self, metered: Metered, answer: Answer, position: Position, fence: Fence | None, extra: Headers = ()) -> Reply:
        known = metered.known
        rest = None if answer.rest is None or fence is None else self.streams.guarded(answer, fence)
        passed = headers.passed_on(known.tool, known.call, answer.headers, framed=rest is not None)
        bodiless = known.call.method == "HEAD" or answer.status in _BODILESS
        ours = self._ours(known, str(position)) + extra + meter.quota_headers(metered.quota)
        return Reply(
            status=answer.status,
            headers=passed + ours,
            body=b"" if bodiless else answer.body,
            rest=rest,
            bodiless_length=_declared_length(answer.headers) if bodiless else None,
        )

    def _ours(self, known: Known, entry: str | None) -> Headers:
        ours: Headers = (
            (b"Killcord-Run", known.run.run_id.encode()),
            (b"Killcord-Step", known.step.id.encode()),
            (b"Killcord-Mode", self._mode(known.run, known.lease.generation, known.tool.name).label.encode()),
        )
        return ours if entry is None else (*ours, (b"Killcord-Entry", entry.encode()))


def _declared_length(headers: Headers) -> int | None:
    declared = next((value for name, value in headers if name.lower() == b"content-length"), b"")
    return int(declared) if declared.isdigit() else None


def _closed(fence: Fence) -> bool:
    try:
        fence()
    except Refusal:
        return True
    return False
