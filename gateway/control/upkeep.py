"""Periodic work: unknown outcomes are probed until they are decided, the journal's newest hash is signed and anchored, and the wall clock
is compared with the process's time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from msgspec.structs import replace

from gateway import errors
from gateway.core import timestamps
from gateway.core.backoff import Backoff
from gateway.model.effect import State, Write
from gateway.model.entry import Head, Position
from gateway.ports.clock import Clock
from gateway.ports.journal import History
from gateway.ports.keys import HeadSigner
from gateway.ports.projections import Writes


@dataclass(slots=True)
class Heads:
    """``anchor`` copies a signed note to a place outside the store, if one is configured; what it could not write, it gets again."""

    history: History
    signer: HeadSigner
    clock: Clock
    anchor: Callable[[Head], bool]
    _signed: Head | None = None
    _anchored: bool = True
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def tick(self) -> Head | None:
        """Sign, keep and anchor the head, if anything is new since the last one. Requests at once sign one head.

        Raises:
            JournalUnavailable: the head that was signed last does not match the journal any more, so no other is signed over it.
        """
        async with self._alone:
            tail = await self.history.tail()
            last = self._signed
            if tail.seq == 0 or (last is not None and tail.seq == last.seq):
                if last is not None and not self._anchored:
                    self._anchored = await asyncio.to_thread(self.anchor, last)
                return None
            if last is not None:
                await self._check(last)
            ts = timestamps.rfc3339(self.clock.now())
            head = replace(tail, ts=ts, note=self.signer.sign(tail.stream, tail.seq, tail.hash, ts))
            await self.history.keep_head(head)
            self._signed = head
            self._anchored = await asyncio.to_thread(self.anchor, head)  # its disk may be slow, and is not the journal's
            return head

    async def _check(self, last: Head) -> None:
        found = await self.history.entry(Position(last.stream, last.seq))
        if found is None or found.hash != last.hash:
            raise errors.JournalUnavailable(
                f"Entry {last.stream}/{last.seq} does not match the newest signed head: the journal was changed while the "
                "gateway ran. The gateway signs no more heads. Keep a copy as evidence and run 'killcord journal verify'."
            )


_CORRECT = "orders, leases and rates are not affected; correct the machine's clock, or restart the gateway if the wall clock is correct now"


_BEHIND = (
    "the journal's newest entry is later than this start: leases made since the clock was right are refused as not yet valid, and orders "
    "with a ttl last longer; correct the clock, then restart"
)


@dataclass(slots=True)
class WallClock:
    """Reports a wall clock that was set: it moves no deadline of this process, but the next process starts from it.

    ``ahead`` gives the seconds by which it is ahead of the process's time. ``jump`` is how far it may be off.
    """

    ahead: Callable[[], float]
    jump: float
    warn: Callable[..., object]
    _reported: float = 0.0
    _behind: float = 0.0

    def started(self, now: float, newest: float) -> None:
        """Compare the time at the start with the journal's newest entry (Unix seconds)."""
        if newest - now > self.jump:
            self._behind = newest - now
            self.warn("clock-behind-journal", seconds=round(self._behind), detail=_BEHIND)

    async def tick(self) -> None:
        """Log each change of more than ``jump``, the correction too."""
        ahead = self.ahead()
        off = ahead if abs(ahead) > self.jump else 0.0
        if off == 0.0 and self._reported != 0.0:
            self.warn("clock-corrected", seconds=round(-self._reported), detail="the wall clock agrees with the process's time again")
        elif abs(off - self._reported) > self.jump:
            self.warn("clock-jumped", seconds=round(off - self._reported), ahead=round(off), detail=_CORRECT)
        else:
            return  # the reported difference stands, so that many small changes add up to a reported one
        self._reported = off

    def health(self) -> tuple[bool, str]:
        """Whether the wall clock agrees, and a line about it."""
        if self._behind:
            return False, f"at the start the wall clock was {self._behind:.0f} s behind the journal; {_BEHIND}"
        if self._reported == 0.0:
            return True, "the wall clock agrees"
        side = "ahead of" if self._reported > 0 else "behind"
        return False, f"the wall clock is {abs(self._reported):.0f} s {side} the process's time; {_CORRECT}"


Probe = Callable[[Write], Awaitable[State]]
Conclude = Callable[[Write], Awaitable[None]]

BACKOFF = Backoff(1.0, 60.0)
"""Between two probes of one write."""
ROUND = 50
"""Writes probed in one round: the rest waits for the next."""


@dataclass(slots=True)
class Reconciler:
    """``probe`` decides one unknown write as far as that can be; ``abandoned`` journals that no task carries a write in flight.

    ``live`` are the wire keys of the writes in progress in this process. ``executing`` returns whether a rollback has an executor,
    which decides its unknown compensations itself, since it knows the expected state.
    """

    writes: Writes
    clock: Clock
    probe: Probe
    abandoned: Conclude
    live: Collection[str]
    executing: Callable[[str], bool] = lambda _: False
    _next: dict[str, float] = field(default_factory=dict)

    async def adopt(self) -> int:
        """Conclude writes in flight that no task carries (a process ended, a journal failed): they become unknown. Returns how many."""
        in_flight = [write for write in await self.writes.unsettled() if write.state is State.IN_FLIGHT]
        left = [write for write in in_flight if write.wire_key not in self.live]
        await asyncio.gather(*(self.abandoned(write) for write in left))  # in few transactions, however many they are
        return len(left)

    async def tick(self) -> None:
        """Probe the unknown writes whose time has come; each later try waits twice as long, up to a minute.

        One that cannot be probed keeps no other from it: what went wrong is raised once all were.
        """
        await self.adopt()
        now = self.clock.now()
        unknown = [write for write in await self.writes.unsettled() if write.state is State.UNKNOWN and not self._has_executor(write)]
        due = [write for write in unknown if self._next.get(write.wire_key, 0.0) <= now]
        found = await asyncio.gather(*(self.probe(write) for write in due[:ROUND]), return_exceptions=True)
        for write, state in zip(due, found, strict=False):
            if state is State.UNKNOWN or isinstance(state, BaseException):
                self._next[write.wire_key] = now + BACKOFF.pause_at_age(now - write.at)
        known = {write.wire_key for write in unknown}
        self._next = {name: time for name, time in self._next.items() if name in known}
        for failed in found:
            if isinstance(failed, BaseException):
                raise failed

    def _has_executor(self, write: Write) -> bool:
        return write.rollback_id is not None and self.executing(write.rollback_id)
