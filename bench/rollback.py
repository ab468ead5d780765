"""How long a rollback takes, beside the original writes: the same tool, the same gateway, one after the other."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench import children, contenders, killcord
from bench import plan as planned
from bench.children import Broken
from bench.figures import Found, Undone
from bench.killcord import PREFIX, Gateway

Note = Callable[[str], None]

CONNECTIONS = 16
PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """``effects``: how many independent ones a run has; ``planned``: how many the plan is made for that is timed, and a tenth of it."""

    rounds: int
    effects: int
    planned: int


def run(plan: Plan, folder: Path, found: Found, note: Note) -> None:
    """Rounds of a run and its rollback into ``found``, and what the plan alone takes."""
    for shape in (planned.independent, planned.chained, planned.crossed):
        few, many = planned.seconds(shape, plan.planned // 10, plan.rounds), planned.seconds(shape, plan.planned, plan.rounds)
        found.plans[f"{plan.planned:,} effects, {shape.__name__}"] = (few, many)
        note(f"plan of {plan.planned:,} effects, {shape.__name__}: {many * 1e3:.0f} ms, {many / few:.1f} x a tenth of it")
    with contenders.gateway_alone("rollback", folder) as gateway:
        rounds = [_round(gateway, plan.effects, number) for number in range(plan.rounds)]
    undone = Undone(
        effects=plan.effects,
        written=median(one.written for one in rounds),
        taken_back=median(one.taken_back for one in rounds),
        first=median(one.first for one in rounds),
        ratio=median(one.written / one.taken_back for one in rounds),
    )
    found.undone.append(undone)
    note(
        f"{plan.effects:,} writes in {undone.written:.2f} s, compensated in {undone.taken_back:.2f} s ({undone.ratio:.2f} x as fast), "
        f"the first after {undone.first * 1e3:.0f} ms"
    )


@dataclass(frozen=True, slots=True)
class _Round:
    """Seconds: of the writes, of the rollback, from the call that started it to its first compensation's intent."""

    written: float
    taken_back: float
    first: float


def _round(gateway: Gateway, effects: int, number: int) -> _Round:
    opened = ask(gateway, "POST", "/v1/runs", {"tenant": "acme", "agent_id": "bench", "scopes": [f"{killcord.TOOL}:*"]})
    run_id, lease = opened["run"]["run_id"], opened["lease"]
    began = time.monotonic()
    asyncio.run(_written(gateway.port, lease, [f"/v1/tenants/acme/invoices/r{number}-{one}" for one in range(effects)]))
    written = time.monotonic() - began
    ask(gateway, "POST", "/v1/orders", {"scope": {"run": run_id}, "mode": "quarantined", "reason": "bench"})
    began, at = time.monotonic(), time.time()
    rollback = ask(gateway, "POST", "/v1/rollbacks", {"scope": {"run": run_id}, "reason": "bench"})["rollback_id"]
    ended = over(gateway, rollback)
    if ended["state"] != "clean":
        raise Broken(f"the rollback ended {ended['state']}: {ended['residue'][:3]}")
    return _Round(written, _stamp(ended["ended_at"]) - at, _first(gateway, run_id) - at)


async def _written(port: int, lease: str, paths: list[str]) -> None:
    """Each object changed once, from so many connections at once."""
    waiting = list(reversed(paths))

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while waiting:
            body = b'{"n":"wrong"}'
            head = f"PATCH {PREFIX}{waiting.pop()} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {lease}\r\n"
            writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in answer.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            body = await reader.readexactly(length)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise Broken(f"a write was answered {answer[:40]!r} {body[:200]!r}")
        writer.close()

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))


def over(gateway: Gateway, rollback: str) -> dict[str, Any]:
    """A rollback, once it does not run any more."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        document = ask(gateway, "GET", f"/v1/rollbacks/{rollback}?nodes=false")
        if document["state"] != "running":
            return document
        time.sleep(0.1)  # each look is work for the gateway
    raise Broken(f"a rollback did not end in {PATIENCE:.0f} s")


def _first(gateway: Gateway, run_id: str) -> float:
    """When the first compensation was taken down, just before it was sent."""
    after = ""
    while True:
        page = ask(gateway, "GET", f"/v1/journal?run={run_id}&kind=intent&limit=1000{after}")
        for entry in page["items"]:
            if "rollback_id" in entry:
                return _stamp(entry["ts"])
        after = f"&after={page['next']}"


def _stamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def ask(gateway: Gateway, method: str, path: str, body: object = None) -> dict[str, Any]:
    """What the control API answers.

    Raises:
        Broken: it refuses.
    """
    connection = http.client.HTTPConnection("127.0.0.1", gateway.control, timeout=children.PATIENCE)
    try:
        headers = {"Authorization": f"Bearer {gateway.token}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        document: dict[str, Any] = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status >= 300:
        raise Broken(f"{method} {path} was answered {answer.status}: {document}")
    return document
