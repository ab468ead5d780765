"""The blocking client. It may be shared by threads; each request has a connection of its own."""

from __future__ import annotations

import http.client
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Self, TypeVar, Unpack
from urllib.parse import urlsplit

from gateway.sdk import lease, operations
from gateway.sdk.lease import Keep
from gateway.sdk.messages import Answer, Request
from gateway.sdk.operations import Found, Opening, Resuming, Talk
from gateway.sdk.values import DEFAULT_URL, TOKEN, URL, Admission, Checkpoint, Finding, Json, Lost, Resumption

T = TypeVar("T")

_SCHEMES = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}


@dataclass(frozen=True, slots=True)
class Killcord:
    """The operators' door of a gateway, with a token. Every method raises ``Problem`` (it said no) or ``Lost`` (it said nothing).

    ``timeout`` is in seconds; ``clock`` counts seconds for leases.
    """

    url: str
    token: str = field(repr=False)
    timeout: float = 30.0
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def of_environment(cls) -> Self:
        """The gateway that KILLCORD_URL and KILLCORD_TOKEN name."""
        return cls(os.environ.get(URL) or DEFAULT_URL, os.environ.get(TOKEN, ""))

    def open(self, **asked: Unpack[Opening]) -> Run:
        """A run, opened now or found again by its ``run_id``, with a fresh lease."""
        since = self.clock()
        return Run(self, Keep(self.carry(operations.opened(asked)), since, self.clock, asked.get("ttl")))

    def run(self, run_id: str) -> Run:
        """A run that exists, with a fresh lease: for whoever goes on with what another opened."""
        since = self.clock()
        return Run(self, Keep(self.carry(operations.renewed(run_id)), since, self.clock))

    def admission(self, tenant: str, task_class: str = "default", *, run_id: str | None = None) -> Admission:
        """May a task start, or this run go on? Asked before a job is taken."""
        return self.carry(operations.admission(tenant, task_class, run_id))

    def resume(self, run_id: str, **asked: Unpack[Resuming]) -> tuple[Run, Resumption]:
        """Take a contained run up again, with equal or tighter rights. For operators."""
        since = self.clock()
        grant, resumption = self.carry(operations.resume(run_id, asked))
        return Run(self, Keep(grant, since, self.clock)), resumption

    def finding(self, run_id: str, **found: Unpack[Found]) -> Finding:
        """Report what is wrong with a run's state; all that it sets off has been answered by then. For verifiers."""
        return self.carry(operations.finding(run_id, found))

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Json:
        """Any request for which there is no method here, such as an order; gives the JSON object that answers it.

        ``path`` begins with ``/v1/``; ids in it are quoted, and its query is encoded, by the caller.
        """
        return self.carry(operations.asked(method, path, body))

    def carry(self, said: Talk[T]) -> T:
        """Carry a talk to its end."""
        try:
            request = next(said)
            while True:
                try:
                    answer = self._send(request)
                except Lost as lost:
                    request = said.throw(lost)
                else:
                    request = said.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def _send(self, request: Request) -> Answer:
        parts = urlsplit(self.url)
        connection = _SCHEMES[parts.scheme](parts.hostname or "", parts.port, timeout=self.timeout)
        with closing(connection):
            try:
                headers = request.headers(self.token) | {"Connection": "close"}
                connection.request(request.method, parts.path.rstrip("/") + request.path, request.content, headers)
                answer = connection.getresponse()
                return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
            except (OSError, http.client.HTTPException) as error:
                raise Lost(f"{self.url} gave no answer: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Run:
    """A run that this process may act for."""

    killcord: Killcord
    _keep: Keep
    _renewing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def run_id(self) -> str:
        return self._keep.run_id

    @property
    def generation(self) -> int:
        """1 until the run is resumed. State that was kept under another one may tell of what was taken back since."""
        return self._keep.generation

    def lease(self) -> str:
        """The run's lease, renewed before it ends."""
        with self._renewing:
            return self.killcord.carry(self._keep.lease())

    def step(self, name: str, parent: str | None = None, *, key: str | None = None, confidence: float | None = None) -> dict[str, str]:
        """The headers of a tool call. Under the same name the same call is made once, however often it is sent."""
        return lease.step(self.lease(), name, parent=parent, key=key, confidence=confidence)

    def checkpoint(self, state_ref: str, label: str | None = None) -> Checkpoint:
        """All that the run did is known and verified, and its workflow's state of now is kept where ``state_ref`` says."""
        return self.killcord.carry(operations.checkpoint(self.run_id, self.generation, state_ref, label))

    def resumption(self) -> Resumption | None:
        """The run's last resume and the state to begin with after it; ``None`` where it was never resumed."""
        return self.killcord.carry(operations.resumption(self.run_id))

    def close(self, reason: str | None = None) -> None:
        """The work is done: end the run and its leases."""
        self.killcord.carry(operations.closed(self.run_id, reason))
