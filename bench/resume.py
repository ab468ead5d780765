"""The cost of a resume: until the first call reaches the tool, and for a step that the journal answers."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import children, contenders, killcord, rollback
from bench.children import Broken
from bench.figures import Found, GoneOn
from bench.killcord import PREFIX, Gateway

Note = Callable[[str], None]

_WRONG = 20
"""Effects that are compensated in each round."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``steps``: how many a run has before its checkpoint, each replayed once, in turn with as many reads."""

    rounds: int
    steps: int


def run(plan: Plan, folder: Path, found: Found, note: Note) -> None:
    """Rounds of a run that is rolled back and resumed, into ``found``."""
    with contenders.gateway_alone("resume", folder) as gateway:
        rounds = [_round(gateway, plan.steps, number) for number in range(plan.rounds)]
    one = GoneOn(
        first=median(one.first for one in rounds),
        replay=median(one.replay for one in rounds),
        read=median(one.read for one in rounds),
        ratio=median(one.ratio for one in rounds),
    )
    found.gone_on.append(one)
    note(
        f"resume to the first forwarded call: {one.first * 1e3:.0f} ms; "
        f"a replayed call {one.replay * 1e3:.3f} ms, a read {one.read * 1e3:.3f} ms, ratio {one.ratio:.2f}"
    )


def _round(gateway: Gateway, steps: int, number: int) -> GoneOn:
    opened = rollback.ask(gateway, "POST", "/v1/runs", {"tenant": "acme", "agent_id": "bench", "scopes": [f"{killcord.TOOL}:*"]})
    run_id = opened["run"]["run_id"]
    agent = _Agent(gateway.port, opened["lease"])
    for step in range(steps):
        agent.refunds(step)
    taken = rollback.ask(gateway, "POST", f"/v1/runs/{run_id}/checkpoints", {"state_ref": "bench", "label": "bench"})
    for wrong in range(_WRONG):
        agent.changes(f"r{number}-{wrong}", "wrong")
    rollback.ask(gateway, "POST", "/v1/orders", {"scope": {"run": run_id}, "mode": "quarantined", "reason": "bench"})
    asked = {"scope": {"run": run_id}, "to": taken["checkpoint_id"], "reason": "bench"}
    ended = rollback.over(gateway, rollback.ask(gateway, "POST", "/v1/rollbacks", asked)["rollback_id"])
    if ended["state"] != "clean":
        raise Broken(f"the rollback ended {ended['state']}: {ended['residue'][:3]}")
    began = time.perf_counter()
    agent.lease = rollback.ask(gateway, "POST", f"/v1/runs/{run_id}/resume", {"reason": "bench"})["lease"]
    agent.changes(f"r{number}-0", "right")
    first = time.perf_counter() - began
    pairs = [(agent.reads(f"r{number}-{step}"), agent.refunds(step, replayed=True)) for step in range(steps)]
    agent.close()
    read, replay = median(read for read, _ in pairs), median(replay for _, replay in pairs)
    return GoneOn(first=first, replay=replay, read=read, ratio=replay / read)


class _Agent:
    """One keep-alive connection; each call gives the seconds that it took."""

    def __init__(self, port: int, lease: str) -> None:
        self.lease = lease
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=children.PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self._socket.close()

    def reads(self, invoice: str) -> float:
        return self._call("GET", f"invoices/{invoice}", None, b"200", step=None)

    def changes(self, invoice: str, to: str) -> float:
        return self._call("PATCH", f"invoices/{invoice}", {"n": to}, b"200", step=None)

    def refunds(self, step: int, *, replayed: bool = False) -> float:
        return self._call("POST", "refunds", {"amount": 1, "n": str(step)}, b"201", step=f"refund-{step}", replayed=replayed)

    def _call(self, method: str, path: str, body: object, status: bytes, *, step: str | None, replayed: bool = False) -> float:
        sent = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {PREFIX}/v1/tenants/acme/{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.lease}\r\n"
        head += f"Killcord-Step: {step}\r\n" if step is not None else ""
        head += f"Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n" if sent else ""
        began = time.perf_counter()
        self._socket.sendall(f"{head}\r\n".encode() + sent)
        answer = self._answer()
        took = time.perf_counter() - began
        if not answer.startswith(b"HTTP/1.1 " + status) or (b"idempotent-replayed: true" in answer.lower()) is not replayed:
            raise Broken(f"{method} {path} was answered {answer[:400]!r}")
        return took

    def _answer(self) -> bytes:
        found = b""
        while (end := found.find(b"\r\n\r\n")) < 0 or len(found) < end + 4 + _length(found[:end]):
            more = self._socket.recv(65536)
            if not more:
                raise Broken("the gateway ended a connection")
            found += more
        return found


def _length(head: bytes) -> int:
    return next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
