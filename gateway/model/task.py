"""Work handed to a person."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A correction task. ``kind`` is ``outcome-unknown`` and later others; times are Unix seconds.

    ``wire_key`` names the write it is about; ``resolution`` is absent while the task is open.
    """

    task_id: str
    kind: str
    run_id: str
    tenant: str
    wire_key: str
    summary: str
    opened_at: float
    resolution: str | None = None
    resolved_by: str | None = None
    note: str | None = None
    resolved_at: float | None = None
