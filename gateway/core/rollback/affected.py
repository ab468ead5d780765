"""What a run did to the objects of its tools: its effects gathered by object, what matters most to a person first. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from gateway.core.codec.record import Json, compensation_shown, target_json
from gateway.core.rollback import effects, plan_objects
from gateway.core.rollback.plan_objects import Undos
from gateway.model.call import Target
from gateway.model.effect import State, Write

_UNSETTLED = (State.UNKNOWN, State.IN_FLIGHT)
_ORDER = (*_UNSETTLED, State.STANDING, State.COMPENSATED)


@dataclass(frozen=True, slots=True)
class Affected:
    """One object, and the effects of the run that reached it or may have, oldest first; never none.

    ``state`` is the first in ``unknown, in flight, standing, compensated`` that any of them is in. ``history`` is all that the run and
    its compensations did to it; ``undos`` are the catalogs', ``carried`` the nodes of rollbacks whose compensation was applied.
    """

    target: Target
    writes: tuple[Write, ...]
    state: State
    history: Sequence[Write]
    undos: Undos
    carried: Set[str]

    def why_not(self, *, now: float) -> str | None:
        """Why no call would bring the object back as a whole, ``None`` if a rollback would: the plan itself is asked."""
        if self.state is not State.STANDING:
            return effects.NOT_STANDING[self.state]
        drafts = plan_objects.draft_nodes(self.history, self.undos, self.carried, now)
        return next((draft.reason for draft in drafts if draft.reason is not None), None)

    @property
    def _decisive(self) -> Iterable[Write]:
        """The effects in the object's state, newest first: those that were undone are no obstacle to the others."""
        return (write for write in reversed(self.writes) if write.state is self.state)

    def shown(self, *, now: float) -> Json:
        """The object as an incident's timeline shows it; its version is that after the newest effect whose version is known."""
        last, target, why_not = next(iter(self._decisive)), self.target, self.why_not(now=now)
        version = next((write.after_version for write in reversed(self.writes) if write.after_version is not None), None)
        return {
            "object": target_json(target),
            "tool": last.tool,
            "action": last.action,
            "entry": str(last.outcome or last.intent),
            "effects": len(self.writes),
            "state": self.state.value,
            "verification": last.verification.value,
            "pending": last.pending,
            "known_by": None if last.known_by is None else last.known_by.value,
            "after_ref": None if version is None else target.ref(version),
            "compensation": compensation_shown(last.compensation),
            "can_undo": why_not is None,
            **({} if why_not is None else {"why_not": why_not}),
        }


def affected_objects(writes: Sequence[Write], became: Mapping[str, Target], undos: Undos) -> list[Affected]:
    """The objects of a run's own effects. What was proven not applied touched nothing; a compensation is not the run's own.

    ``became`` names, by the position of its intent, the object that a create made.
    """
    found: dict[str, tuple[Target, list[Write], list[Write]]] = {}
    for write in writes:
        if write.state is State.FAILED:
            continue
        target = became.get(str(write.intent), write.target)
        _, of_it, history = found.setdefault(target.object if target.id else str(write.intent), (target, [], []))
        history.append(write)
        if write.rollback_id is None:
            of_it.append(write)
    carried = {write.step_id for write in writes if write.rollback_id is not None and write.state is State.STANDING}
    objects = [
        Affected(target, tuple(of_it), min((one.state for one in of_it), key=_ORDER.index), history, undos, carried)
        for target, of_it, history in found.values()
        if of_it
    ]
    # Deadlines aside: the order must not change while nothing happens.
    return sorted(objects, key=lambda one: (_ORDER.index(one.state), one.why_not(now=-math.inf) is None))


def agent_writes(writes: Sequence[Write]) -> list[Write]:
    """The agent's own effects: compensations are not among them."""
    return [write for write in writes if write.rollback_id is None]


def unsettled(writes: Sequence[Write]) -> list[Write]:
    """Those without a known outcome."""
    return [write for write in agent_writes(writes) if write.state in _UNSETTLED]
