"""What the signs of trouble cost an entry with very many live runs: in this process, on one core, and nothing but the signs."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.figures import Found, Part
from bench.gate import Note
from gateway.control.triggers.monitor import TriggerWindows
from gateway.core import timestamps
from gateway.core.codec.entry import of_fields
from gateway.core.triggers.window import Thresholds
from gateway.model.entry import Kind, Position
from gateway.model.run import Limits, Run

BEGAN = 1_790_000_000.0
STREAM = "st_bench"


@dataclass(frozen=True, slots=True)
class Plan:
    """``entries`` are seen in a row, of runs by chance: a read for each write, and of ten writes one that failed and one replay."""

    runs: int
    entries: int


def run(plan: Plan, found: Found, note: Note) -> None:
    """Every entry alone, with its timestamp from the journal; the median of all."""
    chance = random.Random(11)
    watches = TriggerWindows(Thresholds())
    limits = Limits(steps=10_000, writes=2_000, records=2_000, tenants=5, systems=5)
    for number in range(plan.runs):
        watches.begin_call(Run(run_id=_name(number), workflow_id="w", tenant="acme", agent_id="a", task_class="default", limits=limits), 0)
    entries = [_entry(chance, plan.runs, number) for number in range(plan.entries)]
    taken: list[int] = []
    for seq, fields in enumerate(entries):
        position, entry = Position(STREAM, seq), of_fields(fields)
        began = time.perf_counter_ns()
        watches.observe(entry, position)
        taken.append(time.perf_counter_ns() - began)
    part = Part(of=f"triggers, an entry, {plan.runs:,} live runs", goal="triggers", seconds=median(taken) / 1e9)
    found.parts.append(part)
    note(f"{part.of}: {part.seconds * 1e6:.2f} us")


_KEY = {"kind": "content", "digest": "0" * 64, "content": "0" * 64, "window": 900}


def _entry(chance: random.Random, runs: int, number: int) -> dict[str, Any]:
    name = _name(chance.randrange(runs))
    target = {"system": "erp", "type": "invoice", "id": "i", "tenant": "acme"}
    owner = {"run_id": name, "workflow_id": "w", "tenant": "acme", "generation": 1, "step_id": f"step-{number}"}
    fields: dict[str, Any] = {**owner, "ts": timestamps.rfc3339(BEGAN + number * 0.001), "tool": "erp", "target": target}
    match chance.choices((Kind.READ, Kind.INTENT, Kind.OUTCOME, Kind.REPLAY), (10, 10, 10, 1))[0]:
        case Kind.READ:
            return fields | {"kind": "read", "effect": "read", "action": "invoice.read", "status": 200}
        case Kind.OUTCOME:
            failed = chance.random() < 0.1
            result = {"result": "failed" if failed else "success", "status": 409 if failed else 201, "verification": "none"}
            return (
                fields
                | _write("outcome", number)
                | result
                | {"intent": f"{STREAM}/{number}", "parent_named": True, "parent_step_id": f"step-{number % 7}"}
            )
        case kind:
            asked = {"method": "POST", "path": "/x", "args_digest": f"sha256:{chance.randrange(1_000):064}"}
            return (
                fields
                | _write(str(kind), number)
                | {"requested": asked, "charges": _charges(name), "key": _KEY, "replay_of": f"{STREAM}/{number}"}
            )


def _write(kind: str, number: int) -> dict[str, Any]:
    return {"kind": kind, "effect": "write", "action": "refund.create", "idempotency_key": f"kc-{number}", "attempt": 1}


def _charges(name: str) -> list[dict[str, Any]]:
    """What one write charges to its run and its workflow, as the line has it."""
    return [
        {"scope": scope, "name": what, "amount": 1} | ({"member": "acme"} if what in ("tenants", "systems") else {})
        for scope in (f"run:{name}", f"workflow:acme/{name}")
        for what in ("writes", "tenants", "systems", "records")
    ]


def _name(number: int) -> str:
    return f"run-{number:06}"
