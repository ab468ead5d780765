"""How far an incident's recovery is, and what comes next: a fold of what the journal and the containment say. Pure.

Contain, look at what stands, take back in the order of dependencies, look again, take up from a checkpoint with tighter rights.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.core.checkpoints import Chosen, NotReady
from gateway.model.incident import Incident
from gateway.model.rollback import Rollback, RollbackStatus
from gateway.model.run import Run


class Stage(StrEnum):
    """What is to be done next. ``WAITS`` is for a person; ``RESUMED`` and ``GIVEN_UP`` are ends."""

    CONTAIN = "contain"
    COMPENSATE = "compensate"
    COMPENSATING = "compensating"
    RESUME = "resume"
    WAITS = "waits"
    RESUMED = "resumed"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """``tasks`` are the ids of the run's open ones; ``unsound`` sentences about what was found after the rollback, for as long as nobody
    looked none. ``hindered`` says why the run cannot be taken up yet whatever its own rollback came to.
    """

    incident: Incident
    run: Run
    contained: bool
    choice: Chosen | NotReady
    rollback: Rollback | None
    tasks: tuple[str, ...] = ()
    unsound: tuple[str, ...] = ()
    hindered: str | None = None


@dataclass(frozen=True, slots=True)
class Recovery:
    """``why`` says what it waits for, or why it is at this stage; ``checkpoint`` is where the run would be taken up."""

    stage: Stage
    why: str
    checkpoint: str | None = None


def recovery(given: Situation) -> Recovery:
    """Where a recovery stands."""
    run, incident, rollback = given.run, given.incident, given.rollback
    if run.generation > incident.generation:
        return Recovery(Stage.RESUMED, f"run {run.run_id} goes on as generation {run.generation}")
    if run.closed_at is not None:
        return Recovery(Stage.GIVEN_UP, f"run {run.run_id} was closed; its workflow can go on as a new run")
    if not given.contained:
        return Recovery(Stage.CONTAIN, "the run is active, and what it does now would race with what is taken back")
    if isinstance(given.choice, NotReady):
        return Recovery(Stage.WAITS, f"not ready for autonomous recovery: {given.choice.why}")
    checkpoint = given.choice.checkpoint.checkpoint_id
    if rollback is None:
        return Recovery(Stage.COMPENSATE, f"what was done after {checkpoint} is to be taken back", checkpoint)
    if rollback.status is RollbackStatus.RUNNING:
        return Recovery(Stage.COMPENSATING, f"rollback {rollback.rollback_id} runs", checkpoint)
    return _after(given, rollback, checkpoint)


def _after(given: Situation, rollback: Rollback, checkpoint: str) -> Recovery:
    if not rollback.status.ended or rollback.status is RollbackStatus.STOPPED:
        return Recovery(Stage.WAITS, f"rollback {rollback.rollback_id} is {rollback.status}: a person has to go on with it", checkpoint)
    if given.tasks:
        return Recovery(Stage.WAITS, f"open tasks: {', '.join(given.tasks)}", checkpoint)
    if given.hindered is not None:
        return Recovery(Stage.WAITS, given.hindered, checkpoint)
    if given.unsound:
        return Recovery(Stage.WAITS, f"the state is not sound: {'; '.join(given.unsound)}", checkpoint)
    return Recovery(Stage.RESUME, f"rollback {rollback.rollback_id} is over, and the state is sound", checkpoint)
