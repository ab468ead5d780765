"""``killcord policy``: test a folder of policies, put it onto an OPA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import output
from gateway.cli.failure import Failure

app = typer.Typer(help="Policies: test them, put them onto an OPA.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="The folder of the policies.")]


class Engine(StrEnum):
    """On which engine tests run."""

    EMBEDDED = "embedded"
    OPA = "opa"


@app.command("test")
def run_tests(
    context: typer.Context,
    folder: Folder = Path("policies"),
    engine: Annotated[Engine, typer.Option(help="The embedded engine, or a real `opa test`.")] = Engine.EMBEDDED,
) -> None:
    """Run a folder's own tests, every rule test_* of its *_test.rego; exit 1 where one fails or there is none."""
    from gateway.app import policies

    with _told():
        trials = policies.trials(folder, real=engine is Engine.OPA)
    failed = [one for one in trials if not one.passed]
    value = {"engine": engine.value, "passed": len(trials) - len(failed), "failed": len(failed), "tests": [asdict(one) for one in trials]}
    if not trials:
        raise Failure(f"There are no tests in {folder}: write rules test_* into files *_test.rego.", value=value)
    out = output.of(context)
    if not out.as_json:
        rows = [(f"{one.file}:{one.line}", one.rule.rpartition(".")[2], "pass" if one.passed else "FAIL") for one in trials]
        out.table(value, ("AT", "TEST", "RESULT"), rows)
    if failed:
        lines = [one.message for one in failed]
        raise Failure("\n".join([*lines, f"{len(failed)} of {len(trials)} tests failed ({engine.value})."]), value=value)
    out.value(value, [f"{len(trials)} tests passed ({engine.value})."])


@app.command("push")
def push(
    context: typer.Context,
    folder: Folder = Path("policies"),
    url: Annotated[str, typer.Option("--url", help="Where the OPA is.")] = "http://127.0.0.1:8181",
) -> None:
    """Vet a folder and put it onto a running OPA, in the place of what was pushed before; until it is whole, calls are refused."""
    from gateway.app import policies

    with _told():
        pushed = policies.push(folder, url)
    lines = [f"{len(pushed.modules)} modules are active as revision {pushed.revision}."]
    lines += [f"removed {name}" for name in pushed.removed]
    output.of(context).value({"url": url, **asdict(pushed)}, lines)


@contextmanager
def _told() -> Iterator[None]:
    """What cannot be used, as a failure with a line for each problem."""
    from gateway import errors

    try:
        yield
    except errors.Misconfigured as wrong:
        raise Failure("\n".join(wrong.problems), value={"problems": wrong.problems}) from wrong
