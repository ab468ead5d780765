"""A bundle's own tests, run by a real ``opa test``."""

from __future__ import annotations

import subprocess
from pathlib import Path

import orjson

from gateway import errors
from gateway.clients.rego.test_runner import Trial

DEADLINE = 600.0


def run_tests(folder: Path, opa: str) -> list[Trial]:
    """Run all tests of a folder by the binary ``opa``, in order of file and line; what is marked as still to do is left out.

    Raises:
        Misconfigured: OPA cannot be run, or cannot use the folder; one line per problem.
    """
    whole = folder.resolve()
    try:
        # From beside the folder, so that files have the names they have everywhere else.
        command = [opa, "test", "--format", "json", "--", whole.name]
        done = subprocess.run(command, cwd=whole.parent, capture_output=True, text=True, timeout=DEADLINE, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise errors.Misconfigured([f"{opa}: cannot be run: {error}"]) from error
    try:
        # No test at all is told as nothing, or as null.
        found = orjson.loads(done.stdout or "[]") or []
        trials = [_trial(one) for one in found if not one.get("skip")]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise errors.Misconfigured(_complaints(done)) from error
    if done.returncode not in (0, 2) and not trials:
        raise errors.Misconfigured(_complaints(done))
    return sorted(trials, key=lambda trial: (trial.file, trial.line, trial.rule))


def _trial(told: dict[str, dict[str, object]]) -> Trial:
    where, name = told["location"], f"{told['package']}.{told['name']}"
    file, line = str(where["file"]), int(str(where["row"]))
    if error := told.get("error"):
        return Trial(file, line, name, False, f"{file}:{line}: {error.get('message')}")
    if told.get("fail"):
        return Trial(file, line, name, False, f"{file}:{line}: {told['name']} is not true")
    return Trial(file, line, name, True)


def _complaints(done: subprocess.CompletedProcess[str]) -> list[str]:
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return lines or [f"opa test ended with exit code {done.returncode} and said nothing"]
