"""A plain script with its state in files: killed at any moment, it is started again and does nothing twice.

After each step it keeps a file and takes a checkpoint that names the file.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from examples.refund_case import Started, Step, started, stopped
from gateway.sdk import Lost, Problem, Superseded, refusal
from gateway.sdk.sync import Killcord, Run


@dataclass(frozen=True, slots=True)
class State:
    """What the workflow knows: the steps that are done. ``name`` is the file it is kept in."""

    name: str
    done: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Folder:
    """All states, by generation of the run: a rollback returns to one of them."""

    path: Path

    def latest(self, run: Run) -> State:
        """Where to continue: the newest state of this generation; after a resume, the state that it names."""
        here = [path.name for path in self.path.glob(f"{run.generation}-*.json")]
        if here:
            return self._read(max(here))
        resumed = run.resumption()
        return State("") if resumed is None or resumed.state_ref is None else self._read(resumed.state_ref)

    def keep(self, run: Run, done: tuple[str, ...]) -> State:
        """Written to disk completely, or not at all."""
        self.path.mkdir(parents=True, exist_ok=True)
        name = f"{run.generation}-{len(done):04}.json"
        with open(self.path / f"{name}.new", "w") as file:
            json.dump(done, file)
            file.flush()
            os.fsync(file.fileno())
        (self.path / f"{name}.new").replace(self.path / name)
        return State(name, done)

    def _read(self, name: str) -> State:
        return State(name, tuple(json.loads((self.path / name).read_text())))


def work(run: Run, folder: Folder, given: Started) -> None:
    state = folder.latest(run)
    for step in given.case.steps:
        if step.name in state.done:
            print(f"{step.name}: done before", flush=True)
            continue
        call(run, given.tool, step)
        given.time_to_kill()
        state = folder.keep(run, (*state.done, step.name))
        run.checkpoint(state.name, step.name)
        print(f"{step.name}: done", flush=True)
    run.close("the case is done")


def call(run: Run, tool: str, step: Step) -> None:
    """One step, with whatever HTTP client the tool is spoken to.

    Raises:
        Problem: the gateway refused it.
        Lost: there was no answer.
    """
    headers = {"Content-Type": "application/json", **run.step(step.name)}
    request = urllib.request.Request(tool + step.path, json.dumps(step.body).encode(), headers, method=step.method)
    try:
        urllib.request.urlopen(request, timeout=60).close()
    except urllib.error.HTTPError as answer:
        with answer:
            refused = refusal(answer.code, dict(answer.headers), answer.read())
        if refused is None:  # the ERP's own refusal
            raise
        raise refused from answer
    except OSError as error:
        raise Lost(f"{step.name}: {error}") from error


def main(given: Started) -> int:
    try:
        work(Killcord.of_environment().open(**given.case.run), Folder(given.folder / given.case.name), given)
    except (Problem, Lost, Superseded) as why:
        return stopped(why)
    return 0


if __name__ == "__main__":
    sys.exit(main(started(__doc__)))
