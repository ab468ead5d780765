"""``killcord policy``: test a folder of policies, put it onto an OPA, ask what another one would have said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import api, output
from gateway.cli.configuration import Config, loaded
from gateway.cli.failure import Failure

app = typer.Typer(help="Policies: test them, push them, see what others would have said.", no_args_is_help=True)

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


@app.command("replay")
def replay(
    context: typer.Context,
    bundle: Annotated[Path, typer.Option("--bundle", help="The folder of the policies to ask.", show_default=False)],
    config: Config = Path("killcord.yaml"),
    limit: Annotated[int, typer.Option(help="How many differences to print; all are counted.")] = 100,
) -> None:
    """Decide again on every recorded call, with another bundle; sends nothing. Exit 1 where what was allowed would now be denied.

    Reads the data_dir of the configuration, also while its gateway runs.
    """
    import asyncio

    from gateway.app import replay as replaying

    out = output.of(context)
    with _told(), output.progress("deciding again", 0) as bar:
        task = bar.task_ids[0]
        data_dir = loaded(config).data_dir
        found = asyncio.run(replaying.run(data_dir, bundle, progress=lambda at, of: bar.update(task, completed=at, total=of)))
    changes = Counter(f"{one.was.value}->{one.now.value}" for one in found.different)
    value = {
        "revision": found.revision,
        "decided": found.decided,
        "same": {word.value: count for word, count in found.same.items()},
        "changes": dict(changes),
        "lost": dict(found.lost),
        "differences": [asdict(one) | {"was": one.was.value, "now": one.now.value} for one in found.different],
    }
    if not out.as_json and found.different:
        rows = [
            (one.entry, one.run_id, f"{one.was.value}->{one.now.value}", f"{one.tool}:{one.action}", one.target, "; ".join(one.reasons))
            for one in found.different[:limit]
        ]
        out.table(value, ("ENTRY", "RUN", "CHANGE", "ACTION", "TARGET", "REASONS"), rows)
    lines = [f"{found.decided} decisions made again with revision {found.revision}: {sum(found.same.values())} as before."]
    lines += [f"{change}: {count}" for change, count in sorted(changes.items())]
    lines += [f"not decided again: {count}, {why}" for why, count in found.lost.items()]
    if changes["ALLOW->DENY"]:
        raise Failure("\n".join(lines), value=value)
    out.value(value, lines)


@app.command("would-deny")
@app.command("spared", hidden=True)
def would_deny(
    context: typer.Context,
    tool: Annotated[str | None, typer.Option(help="Only this tool.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
) -> None:
    """Report what policy would have denied: calls of a tool in shadow mode, or by the candidate. Reads the running gateway's journal."""
    from gateway.core.policy import shadow_report

    out = output.of(context)
    client = api.of_environment()
    entries = (one for kind in ("read", "intent") for one in client.all("/v1/journal", kind=kind, tenant=tenant))
    found = shadow_report.spared(one for one in entries if tool is None or one.get("tool") == tool)
    value = [asdict(one) | {"runs": sorted(one.runs)} for one in found]
    if not found:
        out.value(value, ["Nothing: neither shadow mode nor the candidate would have denied a call."])
        return
    rows = [(one.count, one.why, f"{one.tool}:{one.action}", one.code, len(one.runs), one.last, one.example, one.message) for one in found]
    out.table(value, ("CALLS", "BY", "ACTION", "REASON", "RUNS", "LAST", "NEWEST", "MESSAGE"), rows)


@contextmanager
def _told() -> Iterator[None]:
    """What cannot be used, as a failure with a line for each problem."""
    from gateway import errors

    try:
        yield
    except errors.Misconfigured as wrong:
        raise Failure("\n".join(wrong.problems), value={"problems": wrong.problems}) from wrong
