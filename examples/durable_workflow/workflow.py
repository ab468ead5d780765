"""A DBOS workflow, durable in SQLite with no server: killed at any moment, it continues after a restart and does nothing twice.

DBOS makes each step at least once: one that was killed between the ERP and DBOS's own record is made again. Its name makes it once.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass

from dbos import DBOS, DBOSClient, DBOSConfig, SetWorkflowID, WorkflowStatus

from examples.refund_case import Case, Started, Step, started, stopped
from gateway.sdk import Lost, Problem, Superseded, refusal
from gateway.sdk.sync import Killcord, Run

NAME = "refunds"
VERSION = "1"
"""DBOS resumes only workflows of the same version. Without a fixed one, any change of this file would abandon them."""


@dataclass(frozen=True, slots=True)
class Hands:
    """What steps use. It is not an argument: DBOS stores arguments, and a lease is a secret."""

    run: Run
    given: Started


_hands: list[Hands] = []


@DBOS.workflow()
def settle(case: Case) -> None:
    for step in case.steps:
        carry_out(step)
        take_checkpoint(step.name)
    close()


@DBOS.step()
def carry_out(step: Step) -> None:
    (hands,) = _hands
    call(hands, step)
    hands.given.time_to_kill()
    print(f"{step.name}: done", flush=True)


@DBOS.step()
def take_checkpoint(name: str) -> None:
    """The state is all that DBOS has recorded up to this step, this one included."""
    (hands,) = _hands
    hands.run.checkpoint(f"{DBOS.workflow_id}/{DBOS.step_id}", name)


@DBOS.step()
def close() -> None:
    (hands,) = _hands
    hands.run.close("the case is done")


def call(hands: Hands, step: Step) -> None:
    """One step, with whatever HTTP client the tool is spoken to.

    Raises:
        Problem: the gateway refused it.
        Lost: there was no answer.
    """
    headers = {"Content-Type": "application/json", **hands.run.step(step.name)}
    request = urllib.request.Request(hands.given.tool + step.path, json.dumps(step.body).encode(), headers, method=step.method)
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


def placed(client: DBOSClient, run: Run) -> str | None:
    """The workflow to wait for, prepared before DBOS resumes anything; ``None`` if the case has not begun.

    Workflows of a case are named CASE@GENERATION.NUMBER, so that a resumed run is not continued by a workflow whose
    state contains compensated effects.
    """
    tried = client.list_workflows(workflow_id_prefix=f"{run.run_id}@", load_input=False)
    if not tried:
        return None
    last = max(tried, key=_number)
    if last.workflow_id.startswith(f"{run.run_id}@{run.generation}."):
        return _again(client, run, last)
    client.cancel_workflow(last.workflow_id)
    resumed = run.resumption()
    if resumed is None or resumed.state_ref is None:
        return _fork(client, run, last.workflow_id, 1, _number(last) + 1)
    workflow_id, step_id = resumed.state_ref.rsplit("/", 1)
    return _fork(client, run, workflow_id, int(step_id) + 1, _number(last) + 1)


def _again(client: DBOSClient, run: Run, last: WorkflowStatus) -> str:
    """DBOS resumes killed workflows automatically. After a release, a refused workflow is forked at the refused step."""
    if last.status != "ERROR":
        return last.workflow_id
    failed = [one["function_id"] for one in client.list_workflow_steps(last.workflow_id) if one["error"] is not None]
    return _fork(client, run, last.workflow_id, min(failed, default=1), _number(last) + 1)


def _fork(client: DBOSClient, run: Run, workflow_id: str, step_id: int, number: int) -> str:
    with SetWorkflowID(f"{run.run_id}@{run.generation}.{number}"):
        return client.fork_workflow(workflow_id, step_id, application_version=VERSION).workflow_id


def _number(status: WorkflowStatus) -> int:
    return int(status.workflow_id.rsplit(".", 1)[1])


def work(hands: Hands) -> None:
    run, case = hands.run, hands.given.case
    database = f"sqlite:///{(hands.given.folder / 'workflows.db').resolve()}"
    # The exception of a workflow is raised again below; DBOS would print it too.
    config: DBOSConfig = {"name": NAME, "system_database_url": database, "application_version": VERSION, "console_log_level": "CRITICAL"}
    _hands[:] = [hands]
    DBOS(config=config)
    DBOS.migrate(system_database_url=database)
    client = DBOSClient(system_database_url=database)
    workflow_id = placed(client, run)
    DBOS.launch()
    try:
        if workflow_id is None:
            with SetWorkflowID(f"{run.run_id}@{run.generation}.1"):
                workflow_id = DBOS.start_workflow(settle, case).workflow_id
        DBOS.retrieve_workflow(workflow_id).get_result()
    finally:
        client.destroy()
        DBOS.destroy()


def main(given: Started) -> int:
    try:
        work(Hands(Killcord.of_environment().open(**given.case.run), given))
    except (Problem, Lost, Superseded) as why:
        return stopped(why)
    return 0


if __name__ == "__main__":
    sys.exit(main(started(__doc__)))
