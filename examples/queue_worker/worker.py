"""A queue worker behind Killcord: it asks before it takes a job, and returns a job when an order stops it.

It needs aiohttp and two addresses, and nothing of Killcord's own code.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from examples.queue_worker.jobs import Job, Lane, Queue

CONTAINED = frozenset({"run-read-only", "run-paused", "run-quarantined", "lease-revoked", "fanout-blocked"})
"""An order contains the job. This is no failure: nothing is undone, and the same steps later are the same calls."""

LATER = frozenset({"containment-stale", "draining", "journal-unavailable", "policy-unavailable", "rate-limited", "in-flight"})
"""The gateway cannot forward the call now."""

DEFAULT_PAUSE = 60.0
"""Seconds to wait if the gateway gives no time: a quarantine ends when a person ends it."""

LONGEST = 60.0
"""An order may be released before it expires, so ask again at least this often."""


AGAIN = 2.0
"""Seconds until the worker asks a gateway again that did not answer."""

_LOST = (aiohttp.ClientError, TimeoutError)


class Held(Exception):
    """Not now: an order, or a gateway that cannot. ``after`` is in seconds."""

    def __init__(self, code: str, after: float) -> None:
        super().__init__(code)
        self.code = code
        self.after = after


class Refused(Exception):
    """The call is refused, and a later attempt will be refused too."""


Call = Callable[..., Awaitable[Any]]
"""``call(step, method, path, body)``: one call to the tool; the tool's JSON."""

Work = Callable[[Job, Call], Awaitable[None]]


@dataclass(slots=True)
class Killcord:
    """The two APIs of a gateway: ``control`` with an orchestrator's token, ``tool`` with a run's lease."""

    session: aiohttp.ClientSession
    control: str
    tool: str
    token: str

    async def admits(self, lane: Lane, run_id: str | None = None) -> float | None:
        """May a task of this lane (or this run) start? ``None``: yes; else how many seconds to wait before asking again."""
        asked = {"tenant": lane[0], "task_class": lane[1], **({} if run_id is None else {"run_id": run_id})}
        answer = await self._control("/v1/admission", asked)
        return None if answer["admit"] else min(float(answer.get("retry_after", DEFAULT_PAUSE)), LONGEST)

    async def lease(self, job: Job, scopes: list[str]) -> str:
        """Open the job's run, or find the one that an earlier try opened, and get a lease for it that is fresh."""
        asked = {"run_id": job.run_id, "tenant": job.tenant, "task_class": job.task_class, "agent_id": "queue-worker", "scopes": scopes}
        opened = await self._control("/v1/runs", asked)
        if job.tries > 1:
            opened = await self._control(f"/v1/runs/{quote(job.run_id, safe='')}/lease", {})
        return str(opened["lease"])

    async def close(self, job: Job, reason: str) -> None:
        await self._control(f"/v1/runs/{quote(job.run_id, safe='')}/close", {"reason": reason})

    def calls(self, lease: str) -> Call:
        """Calls to the tool under a lease. A step has the same name at each try, so what was done before is answered and not done again."""

        async def call(step: str, method: str, path: str, body: Any = None) -> Any:
            headers = {"Authorization": f"Bearer {lease}", "Killcord-Step": step}
            async with self.session.request(method, self.tool + path, json=body, headers=headers) as response:
                return await _answer(response)

        return call

    async def _control(self, path: str, body: dict[str, Any]) -> Any:
        async with self.session.post(self.control + path, json=body, headers={"Authorization": f"Bearer {self.token}"}) as response:
            return await _answer(response)


async def _answer(response: aiohttp.ClientResponse) -> Any:
    """The JSON of a reply.

    Raises:
        Held, Refused: the gateway or the tool said no.
    """
    said = await response.json(content_type=None)
    if response.status < 400:
        return said
    code = str(said.get("code", response.status)) if isinstance(said, dict) else str(response.status)
    if code in CONTAINED or code in LATER:
        raise Held(code, min(float(response.headers.get("Retry-After", DEFAULT_PAUSE if code in CONTAINED else 1.0)), LONGEST))
    raise Refused(code)


@dataclass(slots=True)
class Worker:
    """Takes jobs of all lanes in turn. ``scopes`` is all that a job's run may do; ``idle`` is how often an empty queue is looked at."""

    queue: Queue
    killcord: Killcord
    work: Work
    scopes: list[str]
    idle: float = 0.5
    _shut: dict[Lane, float] = field(default_factory=dict)

    async def forever(self) -> None:
        while True:
            if not await self.once():
                await asyncio.sleep(self.idle)

    async def once(self) -> bool:
        """One job of each lane that has one due and is admitted; whether there was any."""
        now = time.monotonic()
        self._shut = {lane: until for lane, until in self._shut.items() if until > now}
        return any([await self._from(lane) for lane in self.queue.lanes(without=self._shut)])

    async def _from(self, lane: Lane) -> bool:
        try:
            wait = await self.killcord.admits(lane)
        except Held as held:
            wait = held.after
        except _LOST:
            wait = AGAIN
        if wait is not None:  # its jobs stay in the queue: do not take a job only to return it
            self._shut[lane] = time.monotonic() + wait
            return False
        job = self.queue.take(lane)
        if job is None:  # another worker was faster
            return False
        await self._do(job)
        return True

    async def _do(self, job: Job) -> None:
        try:
            await self._admitted(job)
            await self.work(job, self.killcord.calls(await self.killcord.lease(job, self.scopes)))
            await self.killcord.close(job, "the job is done")
        except Held as held:
            # The run stays open, so that its outcomes and decisions stay with the job.
            self._give_back(job, held.code, held.after)
        except _LOST as lost:
            # It is unknown whether the call reached the tool. The journal answers the same step in the next attempt.
            self._give_back(job, f"the gateway was lost: {lost!r}", AGAIN)
        except Refused as refused:
            self._end(job, f"failed: {refused}")
            with contextlib.suppress(Held, Refused, *_LOST):  # the run's lease expires later
                await self.killcord.close(job, f"the job failed: {refused}")
        else:
            self._end(job, "done")

    def _give_back(self, job: Job, why: str, after: float) -> None:
        self.queue.give_back(job, after=after)
        print(f"job {job.id}: given back, {why}", flush=True)

    def _end(self, job: Job, how: str) -> None:
        self.queue.end(job, how)
        print(f"job {job.id}: {how}", flush=True)

    async def _admitted(self, job: Job) -> None:
        """A returned job's own run may be contained, although its lane is free."""
        wait = await self.killcord.admits((job.tenant, job.task_class), job.run_id) if job.tries > 1 else None
        if wait is not None:
            raise Held("not admitted", wait)


async def pay(job: Job, call: Call) -> None:
    """The jobs of this example: mark an invoice in the ERP of the README as paid."""
    path = f"/buckets/{quote(job.tenant, safe='')}/collections/invoices/records/{quote(job.body['invoice'], safe='')}"
    await call("look", "GET", path)
    await call("pay", "PATCH", path, {"data": {"status": "paid"}})


async def main(arguments: argparse.Namespace) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        killcord = Killcord(session, arguments.control, arguments.tool, os.environ["KILLCORD_TOKEN"])
        await Worker(Queue(arguments.queue), killcord, pay, ["erp:invoice.*"]).forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("queue", type=Path, help="the queue's file")
    parser.add_argument("--control", default="http://127.0.0.1:8091", help="the control API")
    parser.add_argument("--tool", default="http://127.0.0.1:8090/erp", help="the ERP at the data API")
    asyncio.run(main(parser.parse_args()))
