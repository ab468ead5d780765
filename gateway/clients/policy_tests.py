"""A bundle's own tests: every rule ``test_*`` of its ``*_test.rego`` files, run on the embedded engine or by a real ``opa test``."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import regorus

from gateway import errors
from gateway.clients import policy_bundle
from gateway.clients.rego import evaluation, loading, syntax

DEADLINE = 600.0
"""Seconds for a run of ``opa test``."""


@dataclass(frozen=True, slots=True, order=True)
class Trial:
    """One test: passed if its rule is true. ``message`` says where and why it is not."""

    file: str
    line: int
    rule: str
    passed: bool = True
    message: str = ""


def run_embedded(folder: Path) -> list[Trial]:
    """Run all tests of a folder on the embedded engine, in order of file and line.

    Raises:
        Misconfigured: the folder holds no bundle that can be used, or a test cannot be read.
    """
    found = policy_bundle.read(folder)
    # First as a gateway would load it: tests of a bundle that none would use prove nothing.
    examined = loading.load(found)
    examined = examined if examined.problems else loading.examine(found, tests=True)
    if examined.problems:
        raise errors.Misconfigured(list(examined.problems))
    engine = evaluation.assemble_engine(examined.modules, found.data)
    modules = [syntax.module(tree) for tree in orjson.loads(engine.get_ast_as_json())]
    tests = [(module, rule) for module in modules if module.file in found.tests for rule in module.rules]
    return sorted(
        _tried(engine, module.file, rule.line, ".".join(("data", *module.package, *rule.name)))
        for module, rule in tests
        if rule.name[-1].startswith("test_")
    )


def run_opa(folder: Path, opa: str) -> list[Trial]:
    """Run all tests of a folder by the binary ``opa``, in order of file and line; tests marked as still to do are left out.

    Raises:
        Misconfigured: OPA cannot be run, or cannot use the folder; one line per problem.
    """
    whole = folder.resolve()
    try:
        # From beside the folder, so that files have the names they have everywhere else.
        command = [opa, "test", "--format", "json", "--", whole.name]
        done = subprocess.run(command, cwd=whole.parent, capture_output=True, text=True, timeout=DEADLINE, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise errors.Misconfigured([f"{opa}: cannot run it: {error}"]) from error
    try:
        # Where there is no test, OPA prints nothing, or null.
        found = orjson.loads(done.stdout or "[]") or []
        trials = [_reported(one) for one in found if not one.get("skip")]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise errors.Misconfigured(_complaints(done)) from error
    if done.returncode not in (0, 2) and not trials:
        raise errors.Misconfigured(_complaints(done))
    return sorted(trials)


def _tried(engine: regorus.Engine, file: str, line: int, rule: str) -> Trial:
    try:
        answer = engine.eval_rule_as_json(rule)
    except RuntimeError as error:
        return Trial(file, line, rule, False, evaluation.error_line(error))
    if answer == "true":
        return Trial(file, line, rule)
    return Trial(file, line, rule, False, f"{file}:{line}: {rule.rpartition('.')[2]} is {answer.strip(chr(34))}, not true")


def _reported(one: dict[str, Any]) -> Trial:
    where, name = one["location"], f"{one['package']}.{one['name']}"
    file, line = str(where["file"]), int(where["row"])
    if error := one.get("error"):
        return Trial(file, line, name, False, f"{file}:{line}: {error.get('message')}")
    if one.get("fail"):
        return Trial(file, line, name, False, f"{file}:{line}: {one['name']} is not true")
    return Trial(file, line, name)


def _complaints(done: subprocess.CompletedProcess[str]) -> list[str]:
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return lines or [f"opa test ended with exit code {done.returncode} and without output"]
