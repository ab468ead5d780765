"""The asynchronous client. It speaks over an aiohttp session of the caller's, or one of its own while entered."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self, TypeVar, Unpack

import aiohttp

from gateway.sdk import lease, operations
from gateway.sdk.lease import Keep
from gateway.sdk.messages import Answer, Request
from gateway.sdk.operations import Found, Opening, Resuming, Talk
from gateway.sdk.values import DEFAULT_URL, TOKEN, URL, Admission, Checkpoint, Finding, Json, Lost, Resumption

T = TypeVar("T")


@dataclass(slots=True)
class Killcord:
    """The operators' door of a gateway, with a token. Every method raises ``Problem`` (it said no) or ``Lost`` (it said nothing).

    ``timeout`` is in seconds; ``clock`` counts seconds for leases.
    """

    url: str
    token: str = field(repr=False)
    timeout: float = 30.0
    clock: Callable[[], float] = time.monotonic
    session: aiohttp.ClientSession | None = None
    _owns: bool = False

    @classmethod
    def of_environment(cls) -> Self:
        """The gateway that KILLCORD_URL and KILLCORD_TOKEN name."""
        return cls(os.environ.get(URL) or DEFAULT_URL, os.environ.get(TOKEN, ""))

    async def __aenter__(self) -> Self:
        if self.session is None:
            self.session, self._owns = aiohttp.ClientSession(), True
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._owns and self.session is not None:
            await self.session.close()
            self.session, self._owns = None, False

    async def open(self, **asked: Unpack[Opening]) -> Run:
        """A run, opened now or found again by its ``run_id``, with a fresh lease."""
        since = self.clock()
        return Run(self, Keep(await self.carry(operations.opened(asked)), since, self.clock, asked.get("ttl")))

    async def run(self, run_id: str) -> Run:
        """A run that exists, with a fresh lease: for whoever goes on with what another opened."""
        since = self.clock()
        return Run(self, Keep(await self.carry(operations.renewed(run_id)), since, self.clock))

    async def admission(self, tenant: str, task_class: str = "default", *, run_id: str | None = None) -> Admission:
        """May a task start, or this run go on? Asked before a job is taken."""
        return await self.carry(operations.admission(tenant, task_class, run_id))

    async def resume(self, run_id: str, **asked: Unpack[Resuming]) -> tuple[Run, Resumption]:
        """Take a contained run up again, with equal or tighter rights. For operators."""
        since = self.clock()
        grant, resumption = await self.carry(operations.resume(run_id, asked))
        return Run(self, Keep(grant, since, self.clock)), resumption

    async def finding(self, run_id: str, **found: Unpack[Found]) -> Finding:
        """Report what is wrong with a run's state; all that it sets off has been answered by then. For verifiers."""
        return await self.carry(operations.finding(run_id, found))

    async def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Json:
        """Any request for which there is no method here, such as an order; gives the JSON object that answers it.

        ``path`` begins with ``/v1/``; ids in it are quoted, and its query is encoded, by the caller.
        """
        return await self.carry(operations.asked(method, path, body))

    async def carry(self, said: Talk[T]) -> T:
        """Carry a talk to its end."""
        try:
            request = next(said)
            while True:
                try:
                    answer = await self._send(request)
                except Lost as lost:
                    request = said.throw(lost)
                else:
                    request = said.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _send(self, request: Request) -> Answer:
        assert self.session is not None, "enter the client first: 'async with Killcord(...) as killcord'"
        url = self.url.rstrip("/") + request.path
        try:
            async with self.session.request(
                request.method,
                url,
                data=request.content,
                headers=request.headers(self.token),
                timeout=aiohttp.ClientTimeout(total=self.timeout),
                allow_redirects=False,
            ) as answer:
                return Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Lost(f"{self.url} gave no answer: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Run:
    """A run that this process may act for."""

    killcord: Killcord
    _keep: Keep
    _renewing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def run_id(self) -> str:
        return self._keep.run_id

    @property
    def generation(self) -> int:
        """1 until the run is resumed. State that was kept under another one may tell of what was taken back since."""
        return self._keep.generation

    async def lease(self) -> str:
        """The run's lease, renewed before it ends."""
        async with self._renewing:
            return await self.killcord.carry(self._keep.lease())

    async def step(
        self, name: str, parent: str | None = None, *, key: str | None = None, confidence: float | None = None
    ) -> dict[str, str]:
        """The headers of a tool call. Under the same name the same call is made once, however often it is sent."""
        return lease.step(await self.lease(), name, parent=parent, key=key, confidence=confidence)

    async def checkpoint(self, state_ref: str, label: str | None = None) -> Checkpoint:
        """All that the run did is known and verified, and its workflow's state of now is kept where ``state_ref`` says."""
        return await self.killcord.carry(operations.checkpoint(self.run_id, self.generation, state_ref, label))

    async def resumption(self) -> Resumption | None:
        """The run's last resume and the state to begin with after it; ``None`` where it was never resumed."""
        return await self.killcord.carry(operations.resumption(self.run_id))

    async def close(self, reason: str | None = None) -> None:
        """The work is done: end the run and its leases."""
        await self.killcord.carry(operations.closed(self.run_id, reason))
