"""What the wire layer gives to the pipeline, and what it calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.errors import Refusal
from gateway.model.call import Answer, Call, Head, Outgoing, Reply


class Upstream(Protocol):
    async def send(self, request: Outgoing, fence: Callable[[], None]) -> Answer:
        """Send once. ``fence`` runs with a connection in hand, in the same event-loop step as the first socket write;
        what it raises passes through and nothing is sent.

        Raises:
            UpstreamFailure: no complete answer head arrived; ``sent`` is true if a byte may have been sent.
        """


class Endpoint(Protocol):
    """What the agents' server calls for each request."""

    async def handle(self, call: Call, commit: Callable[[], None]) -> Reply:
        """Carry a call along the line; never raises a Refusal. ``commit`` is called when the call must end even if its client goes away."""

    async def preview(self, head: Head) -> Reply | None:
        """What can be refused from the head alone, before a body is asked for (``Expect: 100-continue``)."""

    def reject(self, refusal: Refusal, headers: Sequence[tuple[bytes, bytes]]) -> Reply:
        """The problem document for a request that never became a call; journaled if its headers show the sender."""
