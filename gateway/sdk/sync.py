"""The blocking client. Threads may share it; each request has a connection of its own."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar, Unpack
from urllib.parse import urlsplit

from gateway.sdk import messages, operations
from gateway.sdk.messages import Admission, Answer, Checkpoint, Finding, Grant, Json, Lost, Request, Resumption
from gateway.sdk.operations import Client, Found, LeasedRun, Opening, Operation, Resuming, RunLease

T = TypeVar("T")

_SCHEMES = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}


@dataclass(slots=True, eq=False)
class Killcord(Client):
    """The control API of a gateway, with a token. No proxy is used and no redirect followed.

    Every method raises ``Problem`` (the gateway refused) or ``Lost`` (no answer came). ``timeout`` is in seconds; ``clock`` counts seconds
    for leases.
    """

    def open(self, **asked: Unpack[Opening]) -> Run:
        """A run, opened now or found by its ``run_id``, with a fresh lease."""
        return self._leased(operations.opened(asked), asked.get("ttl"))

    def run(self, run_id: str) -> Run:
        """A run that exists, with a fresh lease: for a process that continues what another one opened."""
        return self._leased(operations.renewed(run_id))

    def admission(self, tenant: str, task_class: str = "default", *, run_id: str | None = None) -> Admission:
        """Whether a task may start, or this run continue; to be asked before a job is taken."""
        return self.perform(operations.admission(tenant, task_class, run_id))

    def resume(self, run_id: str, **asked: Unpack[Resuming]) -> tuple[Run, Resumption]:
        """Resume a contained run, with equal or fewer permissions. For operators."""
        since = self.clock()
        grant, resumption = self.perform(operations.resume(run_id, asked))
        return Run(RunLease(grant, since, self.clock), self), resumption

    def finding(self, run_id: str, **found: Unpack[Found]) -> Finding:
        """Report what is wrong with a run's state; returns after every response to it was carried out. For verifiers."""
        return self.perform(operations.finding(run_id, found))

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None, query: Mapping[str, object] | None = None) -> Json:
        """Any request that has no method here, such as an order; gives the JSON object that answers it.

        ``path`` starts with ``/v1/``, and ids in it are quoted. Members of ``query`` that are ``None`` are left out.
        """
        return self.fetch(Request(method, path, body, query or {})).read()

    def fetch(self, request: Request) -> Answer:
        """The answer to a request, also one that is not JSON: its bytes are in ``raw``."""
        return self.perform(operations.any_request(request))

    def items(self, path: str, **query: object) -> Iterator[Json]:
        """Every item of a list, page by page."""
        after: str | None = ""
        while after is not None:
            found, after = self.perform(operations.page(path, query, after))
            yield from found

    def follow(self, path: str, **query: object) -> Iterator[str]:
        """The data of each server-sent event, until the gateway ends the stream."""
        with self._answered(Request("GET", path, None, query, messages.EVENTS)) as answer:
            if answer.status >= 300:
                raise _read(answer).problem()
            while line := answer.readline():
                if line.startswith(b"data: "):
                    yield line[6:].decode().rstrip("\n")

    def perform(self, operation: Operation[T]) -> T:
        """Send an operation's requests until it ends."""
        try:
            request = next(operation)
            while True:
                try:
                    with self._answered(request) as response:
                        answer = _read(response)
                except Lost as lost:
                    request = operation.throw(lost)
                else:
                    request = operation.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def _leased(self, operation: Operation[Grant], ttl: float | str | None = None) -> Run:
        since = self.clock()
        return Run(RunLease(self.perform(operation), since, self.clock, ttl), self)

    @contextmanager
    def _answered(self, request: Request) -> Iterator[http.client.HTTPResponse]:
        parts = urlsplit(self.url)
        headers = request.headers(self.token) | {"Connection": "close"}
        with closing(_SCHEMES[parts.scheme](parts.hostname or "", parts.port, timeout=self.timeout)) as connection:
            try:
                connection.request(request.method, parts.path.rstrip("/") + request.target, request.content, headers)
                with connection.getresponse() as response:
                    yield response
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise messages.lost(self.url, error) from error


@dataclass(frozen=True, slots=True)
class Run(LeasedRun):
    """A run that this process may act for."""

    killcord: Killcord
    _renewing: threading.Lock = field(default_factory=threading.Lock)

    def lease(self) -> str:
        """The run's lease, renewed before it ends."""
        with self._renewing:
            return self.killcord.perform(self._lease.current())

    def step(self, name: str, parent: str | None = None, *, key: str | None = None, confidence: float | None = None) -> dict[str, str]:
        """The headers of a tool call. The same call under the same name is made once, however often it is sent."""
        return operations.step(self.lease(), name, parent=parent, key=key, confidence=confidence)

    def checkpoint(self, state_ref: str, label: str | None = None) -> Checkpoint:
        """Record that all effects of the run are known and verified, and that ``state_ref`` holds its workflow's present state."""
        return self.killcord.perform(operations.checkpoint(self.run_id, self.generation, state_ref, label))

    def resumption(self) -> Resumption | None:
        """The run's last resume and the state to start from after it; ``None`` if it was never resumed."""
        return self.killcord.perform(operations.resumption(self.run_id))

    def close(self, reason: str | None = None) -> None:
        """End the run and its leases: the work is done."""
        self.killcord.perform(operations.closed(self.run_id, reason))


def _read(response: http.client.HTTPResponse) -> Answer:
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
