"""``python -m bench.plan``: how long the plan of a rollback takes, and whether that grows with its effects alone."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

from gateway.core.adapter.catalog import Undo
from gateway.core.rollback import plan as planning
from gateway.model.call import Compensation, Remedy, Reversibility, Target
from gateway.model.effect import Key, KeyKind, State, Write
from gateway.model.entry import Position

UNDOS = {
    ("erp", "update"): Undo(remedy=Remedy.RESTORE_PREVIOUS_VERSION, by="replace", automatic=True),
    ("erp", "book"): Undo(remedy=Remedy.OFFSETTING_ACTION, by="unbook", automatic=True, after=("update",)),
}
MOST_SECONDS, MOST_GROWTH = 1.0, 13.0

Shape = Callable[[int], list[Write]]


def independent(count: int) -> list[Write]:
    """Each effect on an object of its own, in a step of its own."""
    return [_write(number, f"o{number}", before=0) for number in range(count)]


def chained(count: int) -> list[Write]:
    """Ten effects on each object, and each step follows from the one before."""
    return [
        _write(number, f"o{number % (count // 10)}", before=number // (count // 10), step=f"s{number}", parent=f"s{number - 1}")
        for number in range(count)
    ]


def crossed(count: int) -> list[Write]:
    """Half of them come after the other half, and both halves are one step each: the product of both would be many edges."""
    steps = [("parent", None), ("child", "parent")]
    return [
        _write(
            number, f"o{number}", before=0, step=steps[number % 2][0], parent=steps[number % 2][1], action=("book", "update")[number % 2]
        )
        for number in range(count)
    ]


def seconds(shape: Shape, count: int, rounds: int = 5) -> float:
    """CPU seconds of one plan, the least of the rounds: what others on the machine add (caches, above all) is not the plan's."""
    effects, found = shape(count), []
    for _ in range(rounds):
        gc.collect()
        began = time.process_time()
        planning.plan(effects, UNDOS, parents={}, now=1.0)
        found.append(time.process_time() - began)
    return min(found)


def run() -> None:
    for shape in (independent, chained, crossed):
        few, many = seconds(shape, 1000), seconds(shape, 10_000)
        verdict = "reached" if many <= MOST_SECONDS and many / few <= MOST_GROWTH else "NOT REACHED"
        print(f"{shape.__name__:12} 1,000: {few * 1e3:7.1f} ms   10,000: {many * 1e3:7.1f} ms   {many / few:5.2f} x   {verdict}")


def _write(number: int, object_id: str, *, before: int, step: str = "s", parent: str | None = None, action: str = "update") -> Write:
    remedy = UNDOS["erp", action].remedy
    return Write(
        key=Key(tenant="t", workflow_id="w", kind=KeyKind.OWN, digest="d", content="c", window=1.0),
        attempt=1,
        wire_key=f"kc-{number}",
        state=State.STANDING,
        run_id="r",
        generation=1,
        step_id=step,
        parent_step=parent,
        tool="erp",
        action=action,
        target=Target("erp", "thing", object_id, "t"),
        compensation=Compensation(reversibility=Reversibility.REVERSIBLE, remedy=remedy, automatic=True),
        intent=Position("st", number + 1),
        before_version=f"v{before}",
        after_version=f"v{before + 1}",
        snapshot_ref=f"sha256:{number}",
        existed=True,
        method="PATCH",
    )


if __name__ == "__main__":
    run()
