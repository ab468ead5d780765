"""Tasks: how they are worded, identified and closed. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from gateway.core import timestamps
from gateway.model.call import Target
from gateway.model.effect import Write
from gateway.model.entries import TaskEntry
from gateway.model.entry import Position
from gateway.model.review import ABSENT, RESOLUTIONS, Evidence, Resolution, Task, TaskKind
from gateway.model.rollback import Node, NodeAction, Rollback
from gateway.model.run import Run

_OBJECT = "task_object_"
_LISTED = 40
"""Entries that the evidence of one task names: the first and the last of them."""


class Owner(Struct, frozen=True, kw_only=True):
    """Whose work a task is about, beside its tenant and its run."""

    workflow_id: str | None = None
    generation: int | None = None
    step_id: str | None = None


class WrongResolution(ValueError):
    """A task of this kind is not closed by this word; the message says by which it is."""


class AlreadyResolved(ValueError):
    """The task is closed; the message says how and by whom."""


def outcome_unknown(writes: Sequence[Write], *, why: str, seen: str | None, at: float) -> Task:
    """The one task about writes whose outcome neither their replies nor a probe show: mostly one, or several, oldest first, of which each
    may have made the state that is there.
    """
    write, others = writes[0], writes[1:]
    summary = (
        f"{write.action} on {_thing(write.target)} at {timestamps.rfc3339(write.at)} has an unknown outcome: {why}. Check the tool and "
    )
    if others:
        listed = ", ".join(f"{one.action} ({one.wire_key})" for one in writes)
        summary += f"resolve this task as 'not_applied', or as 'applied' with the keys of those that were applied as 'writes': {listed}."
    else:
        summary += "resolve this task as 'applied' or 'not_applied'."
    return Task(
        task_id="task_" + write.wire_key.removeprefix("kc-"),
        kind=TaskKind.OUTCOME_UNKNOWN,
        run_id=write.run_id,
        tenant=write.key.tenant,
        wire_keys=tuple([one.wire_key for one in writes]),
        summary=summary,
        opened_at=at,
        target=write.target,
        evidence=_evidence(writes, seen=seen, why=why),
        rollback_id=write.rollback_id,
        node_id=write.step_id if write.rollback_id is not None else None,
    )


def dry_run_made(run: Run, action: str, target: Target, position: Position, at: float) -> Task:
    """The task about a call that was declared as a dry run, and whose reply says that it was a write; ``position`` is its entry."""
    why = "the reply to a dry run says that something was made"
    return Task(
        task_id=f"task_dry_run_{position.stream}-{position.seq}",
        kind=TaskKind.REVIEW,
        run_id=run.run_id,
        tenant=run.tenant,
        wire_keys=(),
        summary=(
            f"{action} on {_thing(target)} was a dry run by its adapter, and {why}: it was charged to no limit, and no rollback undoes it. "
            "Check the tool, undo it there if necessary, and correct dry_run in the adapter."
        ),
        opened_at=at,
        target=target,
        evidence=Evidence(None, None, None, (str(position),), why),
    )


def of_node(rollback: Rollback, node: Node, effects: Sequence[Write], *, why: str, seen: str | None, at: float) -> Task:
    """The one task about a node that no call compensates: a review if it cannot be undone, otherwise a correction.

    ``effects`` are the node's own, oldest first, never none. ``seen`` is the object's present version, ``absent``, or ``None`` if it was
    not read.
    """
    kind = TaskKind.REVIEW if node.way is NodeAction.REVIEW else TaskKind.CORRECTION
    return Task(
        task_id=node_task_id(rollback.rollback_id, node.node_id),
        kind=kind,
        run_id=node.run_id,
        tenant=rollback.tenant,
        wire_keys=node.effects,
        summary=_summary(kind, node, why),
        opened_at=at,
        target=node.target,
        evidence=_evidence(effects, seen=seen, why=why),
        rollback_id=rollback.rollback_id,
        node_id=node.node_id,
    )


def of_object(rollback: Rollback, node: Node, effects: Sequence[Write], *, why: str, seen: str | None, at: float) -> Task:
    """The one task about an object that a rollback put back, and that is found to be otherwise since. However a person resolves it, the
    object is as they want it then.
    """
    summary = (
        f"{_thing(node.target)} was undone, and {why.rstrip('.')}: somebody changed it since. Correct it at the tool, or accept it and "
        "resolve this task: it is then no longer compared. The gateway detects a correction automatically."
    )
    task = of_node(rollback, node, effects, why=why, seen=seen, at=at)
    return replace(task, task_id=object_task_id(rollback.rollback_id, node.node_id), kind=TaskKind.CORRECTION, summary=summary)


def object_task_id(rollback_id: str, node_id: str) -> str:
    """The id of the one task about an object after a rollback, by the node that compensated it."""
    return f"{_OBJECT}{rollback_id}_{node_id}"


def is_of_object(task_id: str) -> bool:
    return task_id.startswith(_OBJECT)


def node_task_id(rollback_id: str, node_id: str) -> str:
    """The id of the one task that a node of a rollback can become."""
    return f"task_{rollback_id}_{node_id}"


def closing(task: Task, word: str) -> Resolution:
    """The resolution that a word is for an open task.

    Raises:
        WrongResolution: the word does not close a task of this kind.
        AlreadyResolved: the task is closed.
    """
    words = RESOLUTIONS[task.kind]
    if word not in words:
        raise WrongResolution(f"A task of kind {task.kind} is resolved as {' or '.join(words)}, not as {word!r}.")
    if task.resolution is not None:
        raise AlreadyResolved(f"Task {task.task_id} was resolved as {task.resolution} by {task.resolved_by}.")
    return Resolution(word)


def applied_of(task: Task, meant: Resolution, named: Sequence[str] | None) -> frozenset[str]:
    """The wire keys of a task's writes that a person found applied; ``named`` are those that they name, if they do.

    Raises:
        WrongResolution: they name others than the task's, or none where several may be it.
    """
    if meant is not Resolution.APPLIED:
        if named:
            raise WrongResolution("'writes' names writes that were applied; leave it out where none was.")
        return frozenset()
    if named is None and len(task.wire_keys) > 1:
        raise WrongResolution(f"The task is about {len(task.wire_keys)} writes: name those that were applied, as 'writes'.")
    chosen = frozenset(task.wire_keys if named is None else named)
    if not chosen or not chosen <= set(task.wire_keys):
        raise WrongResolution(f"'writes' must name one or more of {', '.join(task.wire_keys)}.")
    return chosen


def resolved(task: Task, resolution: Resolution, *, note: str, by: str, at: float) -> Task:
    """The task as a person closes it."""
    return replace(task, resolution=resolution, note=note, resolved_by=by, resolved_at=at)


def entry(task: Task, owner: Owner | None = None) -> TaskEntry:
    """The entry that opens a task for its ``owner``, or that closes one that is resolved."""
    about = owner or Owner()
    return TaskEntry(
        ts=timestamps.rfc3339(task.resolved_at or task.opened_at),
        tenant=task.tenant,
        workflow_id=about.workflow_id,
        run_id=task.run_id,
        generation=about.generation,
        step_id=about.step_id,
        task=task,
        change="opened" if task.resolution is None else "resolved",
        by=task.resolved_by,
        reason=task.note,
    )


def _thing(target: Target) -> str:
    return target.name


def _summary(kind: TaskKind, node: Node, why: str) -> str:
    count = f" ({len(node.effects)} effects)" if len(node.effects) > 1 else ""
    what = f"{node.action} on {_thing(node.target)}{count}"
    said = f"{why[:1].upper()}{why[1:].rstrip('.')}."
    if kind is TaskKind.REVIEW:
        return f"{what} stands. {said} Check its consequences, and inform the people concerned."
    return f"{what} was not undone. {said} Compare the tool with the versions in the evidence, and correct the object if necessary."


def _evidence(effects: Sequence[Write], *, seen: str | None, why: str) -> Evidence:
    first, last = effects[0], effects[-1]
    found = [str(place) for write in effects for place in (write.intent, write.outcome) if place is not None]
    entries = found if len(found) <= _LISTED else [*found[: _LISTED // 2], *found[-(_LISTED // 2) :]]
    before = first.before_version or (ABSENT if first.existed is False else None)
    after = ABSENT if last.removed else last.after_version
    return Evidence(before, after, seen, tuple(entries), why)
