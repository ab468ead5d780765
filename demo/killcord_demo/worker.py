"""The agent's process from outside: tasks go in, and what it did comes out."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from killcord_demo import children
from killcord_demo.surprise import Surprise

SCRIPT = Path(__file__).with_name("agent.py")
DEADLINE = 30.0
"""Seconds without a word from the agent after which something is wrong."""

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Worker:
    process: subprocess.Popen[str]
    events: queue.SimpleQueue[Event | None]

    def tell(self, task: str) -> None:
        """Give the agent a task; it works on it while the demo continues."""
        assert self.process.stdin is not None
        self.process.stdin.write(task + "\n")
        self.process.stdin.flush()

    def next(self) -> Event:
        """What the agent did next.

        Raises:
            Surprise: it said nothing for long, or ended.
        """
        try:
            event = self.events.get(timeout=DEADLINE)
        except queue.Empty:
            raise Surprise(f"the agent to do something within {DEADLINE:g} s", "nothing") from None
        if event is None:
            raise Surprise("the agent to continue", f"it ended with exit code {self.process.wait()}")
        return event

    def does(self, task: str) -> Iterator[Event]:
        """Give the agent a task and follow it to its end."""
        self.tell(task)
        while "done" not in (event := self.next()):
            yield event


@contextmanager
def working(url: str, token: str, *, pause: float) -> Iterator[Worker]:
    """The agent as a process of its own; all it has of the world is a base URL and a token."""
    with children.undisturbed():
        process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-I", str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"ERP_URL": url, "ERP_TOKEN": token, "AGENT_PAUSE": str(pause)},
            start_new_session=True,
            preexec_fn=children.end_with_parent(),
        )
    assert process.stdin is not None
    assert process.stdout is not None
    worker = Worker(process, queue.SimpleQueue())
    reader = threading.Thread(target=_read, args=(process.stdout, worker.events), daemon=True)
    reader.start()
    try:
        yield worker
    finally:
        children.end(process)
        reader.join()
        process.stdin.close()
        process.stdout.close()


def _read(lines: Iterator[str], events: queue.SimpleQueue[Event | None]) -> None:
    for line in lines:
        events.put(json.loads(line))
    events.put(None)
