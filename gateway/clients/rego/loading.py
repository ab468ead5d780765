"""From a bundle to an engine that can be asked. An engine lives and dies on the thread that made it (regorus panics otherwise)."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

import orjson
import regorus

from gateway import errors
from gateway.clients.policy_bundle import Bundle
from gateway.clients.rego import arguments_read, entry_points, expansion, names, syntax, vetting
from gateway.core.policy import rules

UNDEFINED = '"<undefined>"'  # what regorus answers where a rule has no value

_PLACE = re.compile(r"--> (?P<file>[^\n]+?):(?P<line>\d+):\d+\n")
_ERROR = re.compile(r"^error: (?P<what>.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Examined:
    """A bundle's modules, ready to compile, unless there are problems.

    ``input_paths`` are the paths of the input that a decision on a call can depend on, see :mod:`syntax`; ``answers`` are those of the
    entry points that the bundle has; ``arguments`` is what decisions read of a call's arguments and query. Returned, not raised: an
    exception would carry its frames, and the engine in them, to another thread.
    """

    modules: Mapping[str, str]
    problems: tuple[str, ...]
    input_paths: tuple[tuple[str, ...], ...] | None = None
    arguments: tuple[tuple[str, ...], ...] = ()
    answers: frozenset[str] = frozenset()

    @property
    def asked(self) -> frozenset[str] | None:
        """The members of the input that a decision can depend on; ``None`` if that is unknown."""
        return None if self.input_paths is None else frozenset(path[0] for path in self.input_paths)


class EnginePanicked(Exception):
    """The engine gave up in the middle of a rule; it answers nothing any more, another has to take its place."""


def examine(bundle: Bundle, *, tests: bool = False) -> Examined:
    """Parse and vet a bundle; may run on any thread. With ``tests``, its tests are added after the vetting."""
    files = {**bundle.modules, **(bundle.tests if tests else {})}
    engine, problems = regorus.Engine(), []
    for file, content in files.items():
        try:
            engine.add_policy(file, content)
        except RuntimeError as error:
            problems.append(error_line(error))
    if problems:
        return Examined({}, tuple(problems))
    modules = [syntax.module(tree) for tree in orjson.loads(engine.get_ast_as_json())]
    own = [module for module in modules if module.file in bundle.modules]
    known = names.names(own, data=bundle.data, builtins=engine_builtins(), schemas=rules.schemas())
    if found := vetting.problems(own, known):
        return Examined({}, tuple(found))
    deciding = names.reachable(modules, entry_points.DECISION[1:-1])
    return Examined(
        modules={module.file: expansion.expand(module, files[module.file], known) for module in modules},
        problems=(),
        input_paths=syntax.input_paths(deciding, files),
        arguments=arguments_read.paths(deciding, known),
        answers=frozenset(rule for rule in entry_points.ASKED if entry_points.path_of(rule) in known.definitions),
    )


def compile_engine(examined: Examined, data: Mapping[str, object]) -> regorus.Engine:
    """An engine for this thread, tried on a sample call, and on a sample of each entry point that the bundle answers.

    Raises:
        Misconfigured: there are problems, the rules contradict each other, or a sample gets no usable answer.
    """
    if examined.problems:
        raise errors.Misconfigured(list(examined.problems))
    engine = assemble_engine(examined.modules, data)
    samples = {rule: document for rule, document in entry_points.samples().items() if rule in examined.answers}
    try:
        engine.set_input_json(orjson.dumps(entry_points.sample_call()).decode())
        # The whole package, so that a rule the sample's decision does not need is tried as well.
        engine.eval_query_as_json("data.killcord.authz")
        if fault := entry_points.decision_fault(evaluate(engine)):
            raise errors.Misconfigured([f"{entry_points.RULE} returns no usable decision for a sample call: {fault}"])
        for rule, document in samples.items():
            if fault := entry_points.fault(rule, evaluate(engine, f"data.killcord.{rule}", document)):
                raise errors.Misconfigured([f"data.killcord.{rule} returns no usable answer for a sample: {fault}"])
    except RuntimeError as error:
        raise errors.Misconfigured([error_line(error)]) from error
    except EnginePanicked as panic:
        raise errors.Misconfigured(["the policy engine crashes on a sample document"]) from panic
    return engine


def assemble_engine(modules: Mapping[str, str], data: Mapping[str, object]) -> regorus.Engine:
    """An engine for this thread, not tried on anything yet; what rules print goes nowhere.

    Raises:
        Misconfigured: the modules or the data cannot be read.
    """
    engine = regorus.Engine()
    engine.set_gather_prints(True)
    try:
        for file, content in {**expansion.LIBRARY, **modules}.items():
            engine.add_policy(file, content)
        engine.add_data_json(orjson.dumps(data).decode())
    except RuntimeError as error:
        raise errors.Misconfigured([error_line(error)]) from error
    return engine


def evaluate(engine: regorus.Engine, rule: str = entry_points.RULE, document: Mapping[str, object] | None = None) -> object:
    """What a rule is on a document, or on the one that the engine was given last; ``None`` if it is undefined.

    Raises:
        RuntimeError: the engine cannot read the document, or the rule fails on it; ``place`` says which rule.
        TypeError: the document is not JSON.
        ValueError: the answer is not JSON.
        Panicked: see there.
    """
    if document is not None:
        engine.set_input_json(orjson.dumps(document).decode())
    try:
        answer = engine.eval_rule_as_json(rule)
    except BaseException as error:
        # What a Rust panic becomes derives from BaseException and cannot be imported.
        if type(error).__name__ != "PanicException":
            raise
        raise EnginePanicked from error
    return None if answer == UNDEFINED else orjson.loads(answer)


def error_place(error: RuntimeError) -> str | None:
    """``policies/x.rego:12``, if regorus says in which rule an evaluation failed."""
    match = _PLACE.search(str(error))
    return f"{match['file']}:{match['line']}" if match else None


def error_line(error: RuntimeError) -> str:
    """A regorus error as one line, without excerpt and backtrace."""
    what = _ERROR.search(str(error))
    message = what["what"] if what else str(error).strip().partition("\n")[0]
    where = error_place(error)
    return f"{where}: {message}" if where else message


@functools.cache
def engine_builtins() -> frozenset[str]:
    """Names of the built-ins that the embedded engine lists."""
    engine = regorus.Engine()
    engine.add_policy("builtins.rego", "package builtins\nnames := opa.runtime().builtins")
    return frozenset(orjson.loads(engine.eval_rule_as_json("data.builtins.names")))
