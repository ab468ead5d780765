"""What the gate costs a call with very many runs and orders: in this process, on one core, and nothing but the gate."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from bench.figures import Found, Part
from gateway.control.containment.containment import OrderReplica
from gateway.model.run import Mode, Order, Run, Scope

Note = Callable[[str], None]

NOW = 1_000.0


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    runs: int
    orders: int
    in_a_row: int


def run(plan: Plan, found: Found, note: Note) -> None:
    """The gate, asked once by every run after each change of the orders: nothing could have been remembered from before."""
    chance = random.Random(7)
    known: dict[str, Run] = {}
    replica = OrderReplica(known.get)
    for number in range(plan.orders):
        replica.put(_order(chance, number, plan.runs), now=NOW)
    runs = [_run(chance, number, plan.runs) for number in range(plan.runs)]
    known.update({one.run_id: one for one in runs})
    passes = [_asked(replica, runs, _order(chance, plan.orders + number, plan.runs)) for number in range(plan.rounds)]
    _keep(Part(of=f"the gate, {plan.runs:,} runs and {plan.orders:,} orders", goal="gate", seconds=median(passes)), found, note)
    _keep(Part(of=f"an order put in force, {plan.in_a_row:,} in a row", goal="order", seconds=_made(chance, plan)), found, note)


def _asked(replica: OrderReplica, runs: list[Run], order: Order) -> float:
    """Seconds of CPU a call."""
    replica.put(order, now=NOW)
    began = time.process_time()
    for one in runs:
        replica.hold(one, 1, "tool-1", now=NOW)
    return (time.process_time() - began) / len(runs)


def _made(chance: random.Random, plan: Plan) -> float:
    """Seconds of CPU an order."""
    orders = [_order(chance, number, plan.runs) for number in range(plan.in_a_row)]
    replica = OrderReplica(lambda _: None)
    began = time.process_time()
    for order in orders:
        replica.put(order, now=NOW)
    return (time.process_time() - began) / len(orders)


def _run(chance: random.Random, number: int, runs: int) -> Run:
    """A run two levels below a root, as a worker of a worker is."""
    return Run(
        run_id=f"run-{number}",
        workflow_id="workflow",
        tenant=f"tenant-{chance.randrange(200)}",
        agent_id=f"agent-{chance.randrange(100)}",
        task_class=f"class-{chance.randrange(10)}",
        ancestors=(f"run-{chance.randrange(runs)}", f"run-{chance.randrange(runs)}"),
    )


def _order(chance: random.Random, number: int, runs: int) -> Order:
    """An order of any scope: every second one names a run; each other part is given or not, so that every conjunction occurs."""
    named = number % 2 == 0
    given = {
        "agent": chance.choice([None, f"agent-{chance.randrange(100)}"]),
        "tenant": chance.choice([None, f"tenant-{chance.randrange(200)}"]),
        "task_class": chance.choice([None, f"class-{chance.randrange(10)}"]),
        "tool": chance.choice([None, f"tool-{chance.randrange(10)}"]),
    }
    scope = Scope(
        run=f"run-{chance.randrange(runs)}" if named else None,
        subtree=named and chance.random() < 0.5,
        everything=not named and not any(given.values()),
        **given,
    )
    mode = chance.choice([Mode.READ_ONLY, Mode.PAUSED, Mode.QUARANTINED])
    return Order(order_id=f"order-{number}", epoch=number + 1, scope=scope, mode=mode, reason="bench", by="bench")


def _keep(part: Part, found: Found, note: Note) -> None:
    found.parts.append(part)
    note(f"{part.of}: {part.seconds * 1e6:.2f} us")
