"""Writes and catalogs for plans: ``write`` makes a standing update of one object, and everything of it can be said otherwise."""

from __future__ import annotations

from typing import Any

from gateway.core.adapter import expression
from gateway.core.adapter.catalog import Undo
from gateway.core.rollback.plan_objects import Undos
from gateway.model.call import Compensation, Remedy, Reversibility, Target
from gateway.model.effect import State, Write
from gateway.model.entry import Position
from tests.support import journaling

_SNAPSHOT = expression.compile("snapshot")


def undo(remedy: Remedy, by: str | None = "carry", **more: Any) -> Undo:
    restores = remedy in (Remedy.RESTORE_PREVIOUS_VERSION, Remedy.REVERT_STATUS)
    return Undo(**{"remedy": remedy, "by": by, "body": _SNAPSHOT if restores else None, "automatic": True, **more})


UNDOS: Undos = {
    ("erp", "update"): undo(Remedy.RESTORE_PREVIOUS_VERSION, "replace"),
    ("erp", "status"): undo(Remedy.REVERT_STATUS, "status"),
    ("erp", "assign"): undo(Remedy.REVERT_STATUS, "assign"),
    ("erp", "upsert"): undo(Remedy.RESTORE_PREVIOUS_VERSION, "replace", delete_created="delete"),
    ("erp", "put"): undo(Remedy.RESTORE_PREVIOUS_VERSION, "replace"),
    ("erp", "create"): undo(Remedy.DELETE_CREATED, "delete"),
    ("erp", "delete"): undo(Remedy.RESTORE_PREVIOUS_VERSION, "remake"),
    ("erp", "adjust"): undo(Remedy.OFFSETTING_ACTION, "adjust"),
    ("erp", "reserve"): undo(Remedy.RELEASE, "free"),
    ("erp", "ship"): undo(Remedy.MANUAL_REVIEW, None, automatic=False),
    ("erp", "fix"): undo(Remedy.CORRECTION_TASK, None, automatic=False),
}
"""``put`` may make what is not there, but nothing says how to take that away; ``ship`` is irreversible."""

_METHODS = {"create": "POST", "upsert": "PUT", "put": "PUT", "delete": "DELETE"}


def compensation(action: str, **more: Any) -> Compensation:
    found = UNDOS["erp", action]
    reversibility = Reversibility.IRREVERSIBLE if action == "ship" else Reversibility.REVERSIBLE
    return Compensation(**{"reversibility": reversibility, "remedy": found.remedy, "automatic": found.automatic, **more})


def write(
    seq: int,
    action: str = "update",
    id_: str = "o1",
    before: str | None = "v1",
    after: str | None = "v2",
    step: str | None = None,
    **more: Any,
) -> Write:
    """A write at ``st/<seq>``, of wire key ``kc-<seq>``; a creating one without a version before it made its object."""
    made = before is None and action != "create"
    return Write(
        **{
            "key": journaling.key(str(seq)),
            "attempt": 1,
            "wire_key": f"kc-{seq}",
            "state": State.STANDING,
            "run_id": "run_1",
            "generation": 1,
            "step_id": step or f"s{seq}",
            "tool": "erp",
            "action": action,
            "target": Target("erp", "thing", id_, "acme", "erp"),
            "compensation": compensation(action),
            "intent": Position("st", seq),
            "at": float(seq),
            "status": 201 if made else 200,
            "before_version": before,
            "after_version": after,
            "snapshot_ref": None if action == "create" else f"snapshot-{seq}",
            "args_ref": f"args-{seq}",
            "reply_ref": f"reply-{seq}",
            "method": _METHODS.get(action, "PATCH"),
            "existed": None if action == "create" else not made,
            **more,
        }
    )
