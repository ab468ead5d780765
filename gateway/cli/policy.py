"""``killcord policy``: test a folder of policies, load it into an OPA, decide past calls with other policies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from gateway.cli import client, configuration, output
from gateway.cli.options import CONFIG, Config, OfTenant, OfTool, group
from gateway.cli.output import Failure, columns
from gateway.errors import Misconfigured
from gateway.sdk.messages import path

app = group("Policies: test them, push them, compare their decisions.", former={"spared": ["would-deny"]})

Folder = Annotated[Path, typer.Argument(help="The folder of the policies.")]

_TESTS = columns(
    "AT TEST RESULT",
    AT=lambda one: f"{one['file']}:{one['line']}",
    TEST=lambda one: one["rule"].rpartition(".")[2],
    RESULT=lambda one: "pass" if one["passed"] else "FAIL",
)
_DIFFERENCES = columns(
    "ENTRY RUN=run_id CHANGE ACTION TARGET REASONS",
    CHANGE=lambda one: f"{one['was']}->{one['now']}",
    ACTION=lambda one: f"{one['tool']}:{one['action']}",
    REASONS=lambda one: "; ".join(one["reasons"]),
)
_DENIED = columns(
    "CALLS=count BY=why ACTION REASON=code RUNS LAST NEWEST=example MESSAGE",
    ACTION=lambda one: f"{one['tool']}:{one['action']}",
    RUNS=lambda one: len(one["runs"]),
)

Url = Annotated[str, typer.Option(help="The URL of the OPA.")]
Bundle = Annotated[Path, typer.Option(help="The folder of the policies to compare with.")]
Printed = Annotated[int, typer.Option(help="How many differences to print; all are counted.")]


On = Annotated[Literal["embedded", "opa"], typer.Option(help="The embedded engine, or a real `opa test`.")]


@app.command("test")
def run_tests(context: typer.Context, folder: Folder = Path("policies"), engine: On = "embedded") -> None:
    """Run a folder's own tests. They are the rules test_* in its *_test.rego. Exits with code 1 if a test fails or there is none."""
    from gateway.app import policies

    with _usable():
        trials = policies.trials(folder, real=engine == "opa")
    failed = [one for one in trials if not one.passed]
    tests = [asdict(one) for one in trials]
    value = {"engine": engine, "passed": len(trials) - len(failed), "failed": len(failed), "tests": tests}
    if not trials:
        raise Failure(f"There are no tests in {folder}: add rules test_* to files *_test.rego.", value=value)
    out = output.of(context)
    if not out.as_json:
        out.table(value, _TESTS, tests)
    if failed:
        lines = [one.message for one in failed]
        raise Failure("\n".join([*lines, f"{len(failed)} of {len(trials)} tests failed ({engine})."]), value=value)
    out.value(value, [f"{len(trials)} tests passed ({engine})."])


@app.command("push")
def push(context: typer.Context, folder: Folder = Path("policies"), url: Url = "http://127.0.0.1:8181") -> None:
    """Vet a folder and load it into a running OPA. It replaces the previous push; until it is complete, the OPA denies every call."""
    from gateway.app import policies

    pushed = policies.push(folder, url)
    lines = [f"{len(pushed.modules)} modules are active as revision {pushed.revision}."]
    lines += [f"removed {name}" for name in pushed.removed]
    output.of(context).value({"url": url, **asdict(pushed)}, lines)


@app.command("replay")
def replay(context: typer.Context, bundle: Bundle, config: Config = CONFIG, limit: Printed = 100) -> None:
    """Decide recorded calls again, with another bundle.

    Sends nothing. Exits with code 1 if an allowed call would now be denied.

    It reads the data_dir of the configuration, also while its gateway runs.
    """
    import asyncio

    from gateway.app import replay as replaying

    out = output.of(context)
    with output.progress("replaying", 0) as bar:
        task = bar.task_ids[0]
        data_dir = configuration.load(config).data_dir
        with _usable():
            found = asyncio.run(replaying.run(data_dir, bundle, progress=lambda at, of: bar.update(task, completed=at, total=of)))
    changes = Counter(f"{one.was}->{one.now}" for one in found.different)
    value: dict[str, Any] = {
        "revision": found.revision,
        "decided": found.decided,
        "same": dict(found.same),
        "changes": dict(changes),
        "lost": dict(found.lost),
        "differences": [asdict(one) for one in found.different],
    }
    if not out.as_json and found.different:
        out.table(value, _DIFFERENCES, value["differences"][:limit])
    lines = [f"{found.decided} decisions were made again with revision {found.revision}; {sum(found.same.values())} are the same."]
    lines += [f"{change}: {count}" for change, count in sorted(changes.items())]
    lines += [f"not replayed: {count}, {why}" for why, count in found.lost.items()]
    if changes["ALLOW->DENY"]:
        raise Failure("\n".join(lines), value=value)
    out.value(value, lines)


@app.command("would-deny")
def would_deny(context: typer.Context, tool: OfTool = None, tenant: OfTenant = None) -> None:
    """Report what policy would have denied. Calls of a tool in shadow mode, or by the candidate; from the running gateway's journal."""
    from gateway.core.codec import entry as codec
    from gateway.core.policy import replay as policy_replay

    out, gateway = output.of(context), client.connect()
    entries = (one for kind in ("read", "intent") for one in gateway.items(path("journal"), kind=kind, tenant=tenant))
    found = policy_replay.would_deny(codec.of_fields(one) for one in entries if tool is None or one.get("tool") == tool)
    value = [asdict(one) | {"runs": sorted(one.runs)} for one in found]
    if found:
        out.table(value, _DENIED, value)
    else:
        out.value(value, ["Nothing: neither shadow mode nor the candidate would have denied a call."])


@contextmanager
def _usable() -> Iterator[None]:
    """A folder that holds no usable policies is wrong use, not a finding."""
    try:
        yield
    except Misconfigured as wrong:
        raise output.problems(wrong.problems, code=output.WRONG_USE) from wrong
