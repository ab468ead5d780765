"""The asynchronous client, on an aiohttp session of the caller's, or on one of its own while it is entered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self, TypeVar, Unpack

import aiohttp

from gateway.sdk import messages, operations
from gateway.sdk.messages import Admission, Answer, Checkpoint, Finding, Grant, Json, Lost, Request, Resumption
from gateway.sdk.operations import Client, Found, LeasedRun, Opening, Operation, Resuming, RunLease

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Killcord(Client):
    """The control API of a gateway, with a token. No proxy is used and no redirect followed.

    Every method raises ``Problem`` (the gateway refused) or ``Lost`` (no answer came). ``timeout`` is in seconds; ``clock`` counts seconds
    for leases.
    """

    session: aiohttp.ClientSession | None = None
    _owns: bool = False

    async def __aenter__(self) -> Self:
        if self.session is None:
            self.session, self._owns = aiohttp.ClientSession(), True
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._owns and self.session is not None:
            await self.session.close()
            self.session, self._owns = None, False

    async def open(self, **asked: Unpack[Opening]) -> Run:
        """A run, opened now or found by its ``run_id``, with a fresh lease."""
        return await self._leased(operations.opened(asked), asked.get("ttl"))

    async def run(self, run_id: str) -> Run:
        """A run that exists, with a fresh lease: for a process that continues what another one opened."""
        return await self._leased(operations.renewed(run_id))

    async def admission(self, tenant: str, task_class: str = "default", *, run_id: str | None = None) -> Admission:
        """Whether a task may start, or this run continue; to be asked before a job is taken."""
        return await self.perform(operations.admission(tenant, task_class, run_id))

    async def resume(self, run_id: str, **asked: Unpack[Resuming]) -> tuple[Run, Resumption]:
        """Resume a contained run, with equal or fewer permissions. For operators."""
        since = self.clock()
        grant, resumption = await self.perform(operations.resume(run_id, asked))
        return Run(RunLease(grant, since, self.clock), self), resumption

    async def finding(self, run_id: str, **found: Unpack[Found]) -> Finding:
        """Report what is wrong with a run's state; returns after every response to it was carried out. For verifiers."""
        return await self.perform(operations.finding(run_id, found))

    async def ask(
        self, method: str, path: str, body: Mapping[str, object] | None = None, query: Mapping[str, object] | None = None
    ) -> Json:
        """Any request that has no method here, such as an order; gives the JSON object that answers it.

        ``path`` starts with ``/v1/``, and ids in it are quoted. Members of ``query`` that are ``None`` are left out.
        """
        return (await self.fetch(Request(method, path, body, query or {}))).read()

    async def fetch(self, request: Request) -> Answer:
        """The answer to a request, also one that is not JSON: its bytes are in ``raw``."""
        return await self.perform(operations.any_request(request))

    async def items(self, path: str, **query: object) -> AsyncIterator[Json]:
        """Every item of a list, page by page."""
        after: str | None = ""
        while after is not None:
            found, after = await self.perform(operations.page(path, query, after))
            for one in found:
                yield one

    async def follow(self, path: str, **query: object) -> AsyncIterator[str]:
        """The data of each server-sent event, until the gateway ends the stream."""
        # aiohttp limits what readline() returns, and an entry may be longer.
        rest = b""
        async with self._answered(Request("GET", path, None, query, messages.EVENTS)) as answer:
            if answer.status >= 300:
                raise (await _read(answer)).problem()
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.startswith(b"data: "):
                        yield line[6:].decode()

    async def perform(self, operation: Operation[T]) -> T:
        """Send an operation's requests until it ends."""
        try:
            request = next(operation)
            while True:
                try:
                    async with self._answered(request) as response:
                        answer = await _read(response)
                except Lost as lost:
                    request = operation.throw(lost)
                else:
                    request = operation.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _leased(self, operation: Operation[Grant], ttl: float | str | None = None) -> Run:
        since = self.clock()
        return Run(RunLease(await self.perform(operation), since, self.clock, ttl), self)

    @asynccontextmanager
    async def _answered(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        assert self.session is not None, "enter the client first: 'async with Killcord(...) as killcord'"
        # A stream has no end that a total limit would be of use for; the gateway sends a comment more often than this.
        total = None if request.accept == messages.EVENTS else self.timeout
        try:
            async with self.session.request(
                request.method,
                self.url.rstrip("/") + request.target,
                data=request.content,
                headers=request.headers(self.token),
                timeout=aiohttp.ClientTimeout(total=total, sock_connect=self.timeout, sock_read=self.timeout),
                allow_redirects=False,
            ) as answer:
                yield answer
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise messages.lost(self.url, error) from error


@dataclass(frozen=True, slots=True)
class Run(LeasedRun):
    """A run that this process may act for."""

    killcord: Killcord
    _renewing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def lease(self) -> str:
        """The run's lease, renewed before it ends."""
        async with self._renewing:
            return await self.killcord.perform(self._lease.current())

    async def step(
        self, name: str, parent: str | None = None, *, key: str | None = None, confidence: float | None = None
    ) -> dict[str, str]:
        """The headers of a tool call. The same call under the same name is made once, however often it is sent."""
        return operations.step(await self.lease(), name, parent=parent, key=key, confidence=confidence)

    async def checkpoint(self, state_ref: str, label: str | None = None) -> Checkpoint:
        """Record that all effects of the run are known and verified, and that ``state_ref`` holds its workflow's present state."""
        return await self.killcord.perform(operations.checkpoint(self.run_id, self.generation, state_ref, label))

    async def resumption(self) -> Resumption | None:
        """The run's last resume and the state to start from after it; ``None`` if it was never resumed."""
        return await self.killcord.perform(operations.resumption(self.run_id))

    async def close(self, reason: str | None = None) -> None:
        """End the run and its leases: the work is done."""
        await self.killcord.perform(operations.closed(self.run_id, reason))


async def _read(response: aiohttp.ClientResponse) -> Answer:
    return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, await response.read())
