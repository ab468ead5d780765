"""Everyone side by side: in each round every contender makes its calls once, so that what disturbs the machine disturbs all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import children, driving, machine
from bench.contenders import Contender, Field
from bench.driving import Stretch
from bench.figures import Found, Memory, Sample

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    connections: tuple[int, ...]
    stretch: Stretch

    def cells(self, field: Field) -> Iterator[tuple[int, Contender, str]]:
        """One round. The order within it is fixed: neighbours are those whose ratio is asked for."""
        for connections in self.connections:
            for call in ("read", "write", "change"):
                for contender in field.contenders:
                    if call in contender.calls:
                        yield connections, contender, call


def run(plan: Plan, field: Field, found: Found, disk: Path, note: Note) -> None:
    """Measure all cells in all rounds into ``found``, and once a round the disk, and who else was at work."""
    found.memory.append(Memory(of="idle", rss=field.idle_rss))
    for number in range(1, plan.rounds + 1):
        before = machine.Clocked.now(field.pids)
        found.syncs.append(machine.fdatasync(disk))
        note(f"round {number}/{plan.rounds}: fdatasync takes {found.syncs[-1] * 1e3:.3f} ms")
        for connections, contender, call in plan.cells(field):
            measured = driving.drive(contender, call, connections, plan.stretch)
            found.samples.append(Sample(round=number, connections=connections, subject=contender.name, call=call, measured=measured))
            note(f"round {number}/{plan.rounds}  c={connections:<3} {call:<7} {contender.name:<22} {measured.per_second:>9,.0f}/s")
        found.others.append(machine.Clocked.now(field.pids).others_since(before))
    found.memory.extend(Memory(of=f"of {one.name} after the comparison", rss=children.rss(one.pids)) for one in field.contenders)
