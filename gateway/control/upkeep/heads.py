"""Signed heads: every minute and at the end, the journal's newest hash leaves the store it speaks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from gateway.core import timestamps
from gateway.model.entry import Head
from gateway.ports.clock import Clock
from gateway.ports.journal import History
from gateway.ports.keys import HeadSigner


@dataclass(slots=True)
class Heads:
    """``anchor`` takes a signed note to where it is kept outside the store, if anywhere."""

    history: History
    signer: HeadSigner
    clock: Clock
    anchor: Callable[[Head], None]
    _signed: int = 0

    async def turn(self) -> Head | None:
        """Sign, keep and anchor the head, where there is anything new since the last one."""
        tail = await self.history.tail()
        if tail.seq == 0 or tail.seq == self._signed:
            return None
        ts = timestamps.rfc3339(self.clock.now())
        head = replace(tail, ts=ts, note=self.signer.sign(tail.stream, tail.seq, tail.hash, ts))
        await self.history.keep_head(head)
        self.anchor(head)
        self._signed = tail.seq
        return head
