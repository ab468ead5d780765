"""A small durable queue: jobs in a SQLite file, shared by any number of workers on one machine.

Each job has a due time. Taking a job moves it ahead, so that the jobs of a worker that died return to the queue
automatically; returning a job sets it to the next allowed attempt. Replace this module by your own queue.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Lane = tuple[str, str]
"""A tenant and a task class: what a containment order usually is about, and what admission is asked for."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
  id         INTEGER PRIMARY KEY,
  tenant     TEXT NOT NULL,
  task_class TEXT NOT NULL,
  body       TEXT NOT NULL,
  due        REAL NOT NULL,
  tries      INTEGER NOT NULL DEFAULT 0,
  ended      TEXT -- 'done', or why it failed
)
"""


@dataclass(frozen=True, slots=True)
class Job:
    """``tries`` counts how often it was taken, this time included."""

    id: int
    tenant: str
    task_class: str
    body: dict[str, Any]
    tries: int

    @property
    def run_id(self) -> str:
        """The same each time it is taken: what the gateway knows of the first try counts for the next."""
        return f"job-{self.id}"


@dataclass(slots=True)
class Queue:
    """``hidden`` is how many seconds a job that was taken stays out of sight; no job may take longer."""

    path: Path
    hidden: float = 300.0
    clock: Callable[[], float] = time.time
    _database: sqlite3.Connection = field(init=False)

    def __post_init__(self) -> None:
        self._database = sqlite3.connect(self.path, isolation_level=None, timeout=10.0)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute(_SCHEMA)

    def close(self) -> None:
        self._database.close()

    def add(self, tenant: str, task_class: str, body: dict[str, Any]) -> int:
        row = (tenant, task_class, json.dumps(body), self.clock())
        added = self._database.execute("INSERT INTO jobs (tenant, task_class, body, due) VALUES (?, ?, ?, ?)", row)
        assert added.lastrowid is not None
        return added.lastrowid

    def lanes(self, *, without: Collection[Lane] = ()) -> list[Lane]:
        """The lanes that have a job due."""
        found = self._database.execute("SELECT DISTINCT tenant, task_class FROM jobs WHERE ended IS NULL AND due <= ?", (self.clock(),))
        return [lane for lane in found.fetchall() if lane not in without]

    def take(self, lane: Lane) -> Job | None:
        """The lane's oldest job that is due; no other worker gets it while it is hidden."""
        now = self.clock()
        row = self._database.execute(
            """UPDATE jobs SET due = ?, tries = tries + 1 WHERE id = (
                 SELECT id FROM jobs WHERE ended IS NULL AND due <= ? AND tenant = ? AND task_class = ? ORDER BY id LIMIT 1
               ) RETURNING id, tenant, task_class, body, tries""",
            (now + self.hidden, now, *lane),
        ).fetchone()
        return None if row is None else Job(row[0], row[1], row[2], json.loads(row[3]), row[4])

    def give_back(self, job: Job, *, after: float) -> None:
        """Not now: it is due again in so many seconds."""
        self._database.execute("UPDATE jobs SET due = ? WHERE id = ?", (self.clock() + after, job.id))

    def end(self, job: Job, how: str = "done") -> None:
        self._database.execute("UPDATE jobs SET ended = ? WHERE id = ?", (how, job.id))

    def left(self) -> int:
        """How many jobs have not ended, due or not."""
        (count,) = self._database.execute("SELECT count(*) FROM jobs WHERE ended IS NULL").fetchone()
        return int(count)

    def ended(self) -> dict[int, str | None]:
        """How each job ended, by id; ``None`` where it has not."""
        return dict(self._database.execute("SELECT id, ended FROM jobs ORDER BY id").fetchall())
