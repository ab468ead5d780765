"""The stage of an incident's recovery and the next step: a projection of the journal and the containment. Pure.

Contain, collect the standing effects, classify them, undo in the order of dependencies, reconcile with the tools, resume from a
checkpoint with fewer permissions. It names everything that it waits for and how to resolve it; after that it continues automatically.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from gateway.core.rollback.checkpoints import Chosen, NotReady
from gateway.model.effect import State, Write
from gateway.model.review import Task
from gateway.model.rollback import Rollback, RollbackStatus
from gateway.model.run import Run
from gateway.model.trigger import Incident, RollbackState


class Stage(StrEnum):
    """What is to be done next. ``WAITS`` is for a person; ``RESUMED`` and ``GIVEN_UP`` are ends."""

    CONTAIN = "contain"
    COMPENSATE = "compensate"
    COMPENSATING = "compensating"
    RESUME = "resume"
    WAITS = "waits"
    RESUMED = "resumed"
    GIVEN_UP = "given_up"


class Step(StrEnum):
    """The way, in its order."""

    CONTAIN = "contain"
    COLLECT = "collect"
    CLASSIFY = "classify"
    COMPENSATE = "compensate"
    RECONCILE = "reconcile"
    RESUME = "resume"


class Wait(Struct, frozen=True):
    """One thing that a recovery waits for: ``what`` it is, its ``name`` (an id, if it has one), and ``how`` to continue, a sentence."""

    what: str
    name: str | None
    how: str


class StateDefect(Struct, frozen=True):
    """One thing that is not as it should be after a rollback, as a sentence; ``task`` is the one by which a person may take it over."""

    text: str
    task: Task | None = None


class RecoveryInputs(Struct, frozen=True, kw_only=True):
    """``rollback`` is the ``current_rollback``, ``reached`` whether it leads back to the place of the choice. ``tasks`` and ``approvals``
    are the ids of the open ones; ``unsound`` is what was found after the rollback, empty if it was not read. ``hindered`` says why the
    run cannot be resumed yet, independently of its own rollback.
    """

    incident: Incident
    run: Run
    contained: bool
    choice: Chosen | NotReady
    rollback: Rollback | None
    reached: bool = True
    tasks: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()
    unsound: tuple[StateDefect, ...] = ()
    hindered: str | None = None


class Recovery(Struct, frozen=True):
    """``why`` says what it waits for, or why it is at this stage; ``checkpoint`` is where the run would be resumed. ``step`` is the one
    that is under way or waited at, ``None`` if it is over. ``caution`` is a doubt about the place that cannot be resolved.
    """

    stage: Stage
    why: str
    checkpoint: str | None = None
    step: Step | None = None
    waits: tuple[Wait, ...] = ()
    caution: str | None = None
    tasks: tuple[Task, ...] = ()

    @property
    def flow(self) -> dict[Step, str]:
        """Each step as ``done``, ``now``, ``waits`` or ``ahead``; empty for a run that was given up."""
        if self.step is None:
            return dict.fromkeys(Step, "done") if self.stage is Stage.RESUMED else {}
        steps = tuple(Step)
        at = steps.index(self.step)
        here = "waits" if self.stage is Stage.WAITS else "now"
        return {step: "done" if place < at else here if place == at else "ahead" for place, step in enumerate(steps)}


def recovery(given: RecoveryInputs) -> Recovery:
    """Where a recovery stands."""
    rollback = given.rollback
    if (end := ended(given.incident, given.run)) is not None:
        return end
    if not given.contained:
        return Recovery(Stage.CONTAIN, "the run is active, and what it does now would race with what is undone", step=Step.CONTAIN)
    if isinstance(given.choice, NotReady):
        return _unplaced(given, given.choice)
    checkpoint = given.choice.checkpoint.checkpoint_id
    if rollback is None or (rollback.status.ended and not given.reached):
        found = Recovery(Stage.COMPENSATE, f"what was done after {checkpoint} is to be undone", step=Step.COLLECT)
    else:
        found = _after(given, rollback)
    return replace(found, checkpoint=checkpoint, caution=given.choice.caution)


def _unplaced(given: RecoveryInputs, choice: NotReady) -> Recovery:
    """Without a place to continue from; what is undone already, or has to be by what policy said, may yet lead to one."""
    rollback = given.rollback
    if rollback is not None and not rollback.status.ended:
        return _after(given, rollback)
    if rollback is None and given.incident.rollback is RollbackState.DUE:
        return Recovery(Stage.COMPENSATE, "what policy said is to be undone", step=Step.COLLECT)
    how = f"Name the checkpoint: killcord recover {given.incident.incident_id} --checkpoint CHECKPOINT, an entry STREAM/SEQ, or start."
    return _waits(f"not ready for autonomous recovery: {choice.why}", Step.CLASSIFY, Wait("checkpoint", None, how))


def _waits(why: str, step: Step, *waits: Wait) -> Recovery:
    return Recovery(Stage.WAITS, why, step=step, waits=waits)


def ended(incident: Incident, run: Run) -> Recovery | None:
    """How a recovery ended; ``None`` while it did not."""
    if run.generation > incident.generation:
        return Recovery(Stage.RESUMED, f"run {run.run_id} continues as generation {run.generation}")
    if run.closed_at is not None:
        return Recovery(Stage.GIVEN_UP, f"run {run.run_id} was closed; its workflow can continue as a new run")
    return None


def current_rollback(rollbacks: Sequence[Rollback], place: int | None) -> Rollback | None:
    """The rollback of a generation that says how far its recovery is: one under way, else the newest that leads back to ``place`` (the
    number of an entry) or further, else the newest. ``rollbacks`` are in the order in which they began.
    """
    for rollback in reversed(rollbacks):
        if not rollback.status.ended:
            return rollback
    reaching = [one for one in rollbacks if place is not None and one.since <= place]
    return next(reversed(reaching or rollbacks), None)


def reached(rollback: Rollback, place: int, writes: Iterable[Write]) -> bool:
    """Whether a rollback leads back to a place: nothing that it leaves alone was done after it, or may have been."""
    gone = (State.FAILED, State.COMPENSATED)
    return not any(one.rollback_id is None and one.state not in gone and place < one.intent.seq <= rollback.since for one in writes)


def _after(given: RecoveryInputs, rollback: Rollback) -> Recovery:
    """Where a recovery stands that has a rollback."""
    name, status = rollback.rollback_id, rollback.status
    if status is RollbackStatus.RUNNING:
        return Recovery(Stage.COMPENSATING, f"rollback {name} runs", step=Step.COMPENSATE)
    if not status.ended or status is RollbackStatus.STOPPED:
        return _waits(f"rollback {name} is {status}: a person has to continue it", Step.COMPENSATE, *_rollback(given, rollback))
    if given.tasks:
        return _waits(f"open tasks: {', '.join(given.tasks)}", Step.COMPENSATE, *map(_task, given.tasks))
    if given.hindered is not None:
        return _waits(given.hindered, Step.COMPENSATE, Wait("rollback", None, "It continues once that rollback has ended."))
    if given.unsound:
        why = f"the state is not verified: {'; '.join(flaw.text for flaw in given.unsound)}"
        waits = _waits(why, Step.RECONCILE, *(_flaw(flaw, given.run) for flaw in given.unsound))
        return replace(waits, tasks=tuple(flaw.task for flaw in given.unsound if flaw.task is not None))
    return Recovery(Stage.RESUME, f"rollback {name} has ended, and the state is verified", step=Step.RESUME)


# --- how to continue -------------------------------------------------------------------------------------------------


def _rollback(given: RecoveryInputs, rollback: Rollback) -> tuple[Wait, ...]:
    if rollback.status is RollbackStatus.STOPPED:
        return (Wait("rollback", rollback.rollback_id, f"Continue it: killcord rollbacks continue {rollback.rollback_id}."),)
    asked = tuple(Wait("approval", one, f"Decide it: killcord approvals approve {one}, or deny.") for one in given.approvals)
    waits = asked + tuple(map(_task, given.tasks))
    return waits or (Wait("rollback", rollback.rollback_id, f"See what it waits for: killcord rollbacks status {rollback.rollback_id}."),)


def _task(task_id: str) -> Wait:
    return Wait("task", task_id, f"Check it (killcord tasks show {task_id}), then run: killcord tasks resolve {task_id} RESOLUTION.")


def _flaw(flaw: StateDefect, run: Run) -> Wait:
    if flaw.task is not None:
        name = flaw.task.task_id
        return Wait("task", name, f"Correct it at the tool, or accept it: killcord tasks resolve {name} RESOLUTION.")
    how = f"Correct it at the tool; the gateway checks it again automatically. Or resume without this check: killcord resume {run.run_id}."
    return Wait("state", None, how)
