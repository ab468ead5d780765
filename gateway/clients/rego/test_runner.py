"""A bundle's own tests, run on the embedded engine: every rule ``test_*`` of its ``*_test.rego`` files, as ``opa test`` would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
import regorus

from gateway import errors
from gateway.clients import policy_bundle
from gateway.clients.rego import loading, syntax


@dataclass(frozen=True, slots=True)
class Trial:
    """One test: passed if its rule is true. ``message`` says where and why it is not."""

    file: str
    line: int
    rule: str
    passed: bool
    message: str = ""


def run_tests(folder: Path) -> list[Trial]:
    """Run all tests of a folder, in order of file and line.

    Raises:
        Misconfigured: the folder holds no bundle that can be used, or a test cannot be read.
    """
    found = policy_bundle.read(folder)
    examined = loading.examine(found, tests=True)
    if examined.problems:
        raise errors.Misconfigured(list(examined.problems))
    engine = loading.assembled(examined.modules, found.data)
    return [_tried(engine, file, line, rule) for file, line, rule in _tests(engine, found.tests)]


def _tests(engine: regorus.Engine, files: Mapping[str, str]) -> list[tuple[str, int, str]]:
    modules = (syntax.module(tree) for tree in orjson.loads(engine.get_ast_as_json()))
    return sorted(
        (module.file, rule.line, ".".join(("data", *module.package, *rule.name)))
        for module in modules
        if module.file in files
        for rule in module.rules
        if rule.name[-1].startswith("test_")
    )


def _tried(engine: regorus.Engine, file: str, line: int, rule: str) -> Trial:
    try:
        answer = engine.eval_rule_as_json(rule)
    except RuntimeError as error:
        return Trial(file, line, rule, False, loading.complaint(error))
    if answer == "true":
        return Trial(file, line, rule, True)
    return Trial(file, line, rule, False, f"{file}:{line}: {rule.rpartition('.')[2]} is {answer.strip(chr(34))}, not true")
