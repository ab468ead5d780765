"""A plain script with its state in files: killed at any moment it is started again, and does nothing twice.

After each step it keeps a file and takes a checkpoint that names the file.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from examples.refund_case import AGENT, HELD, SCOPES, Step, steps
from gateway.sdk import Lost, Problem, Superseded, refusal
from gateway.sdk.sync import Killcord, Run


@dataclass(frozen=True, slots=True)
class State:
    """What the workflow knows: the steps that are done. ``name`` is the file it is kept in."""

    name: str
    done: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Folder:
    """Every state there ever was, by generation of the run: a rollback goes back to one of them."""

    path: Path

    def latest(self, run: Run) -> State:
        """Where to go on: the newest state of this generation; where a resume began one, the state that it names."""
        here = [path.name for path in self.path.glob(f"{run.generation}-*.json")]
        if here:
            return self._read(max(here))
        resumed = run.resumption()
        return State("") if resumed is None or resumed.state_ref is None else self._read(resumed.state_ref)

    def keep(self, run: Run, done: tuple[str, ...]) -> State:
        """On the disk, whole, or not at all."""
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


def work(run: Run, folder: Folder, tool: str, tenant: str) -> None:
    state = folder.latest(run)
    for step in steps(tenant):
        if step.name in state.done:
            print(f"{step.name}: done before", flush=True)
            continue
        call(run, tool, step)
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
        if refused is None:  # the ERP's own no
            raise
        raise refused from answer
    except OSError as error:
        raise Lost(f"{step.name}: {error}") from error


def main(arguments: argparse.Namespace) -> int:
    try:
        run = Killcord.of_environment().open(run_id=arguments.case, tenant=arguments.tenant, agent_id=AGENT, scopes=SCOPES)
        work(run, Folder(arguments.folder / arguments.case), arguments.tool, arguments.tenant)
    except (Problem, Lost, Superseded) as refused:
        print(f"stopped: {refused}", flush=True)
        return HELD if not isinstance(refused, Problem) or refused.held or refused.retryable else 1
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", help="the case; its run has this id")
    parser.add_argument("tenant")
    parser.add_argument("--folder", type=Path, default=Path("cases"), help="where states are kept")
    parser.add_argument("--tool", default="http://127.0.0.1:8090/erp", help="the ERP, through the agents' door")
    sys.exit(main(parser.parse_args()))
