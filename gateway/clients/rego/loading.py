"""From a bundle to an engine that can be asked. An engine lives and dies on the thread that made it (regorus panics otherwise)."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson
import regorus

from gateway import errors
from gateway.clients.policy_bundle import Bundle
from gateway.clients.rego import arguments_read, compared, entry_points, evaluation, expansion, names, syntax, trial, vetting
from gateway.core.policy import rules

DEEPEST = 10
"""Arrays, objects, sets and comprehensions in each other. The engine's parser is slow on deeper ones (at 10 it takes a tenth of a second
for one term), and lets no other thread run meanwhile.
"""
LONGEST_COMPILATION = 0.25
"""Seconds of CPU. An engine is compiled on the thread that decides, so everything waits for it, orders included."""

_NESTING = re.compile(r'"(?:\\.|[^"\\\n])*"|`[^`]*`|#[^\n]*|[\[{}\]]')


@dataclass(frozen=True, slots=True)
class Examined:
    """A bundle's modules, ready to compile, unless there are problems.

    ``input_paths`` are the paths of the input that a decision on a call can depend on, see :mod:`syntax`; ``answers`` are those of the
    entry points that the bundle has; ``arguments`` is what decisions read of a call's arguments and query; ``compared`` are the values that
    rules compare members of the input with. Returned, not raised: an
    exception would carry its frames, and the engine in them, to another thread.
    """

    modules: Mapping[str, str]
    problems: tuple[str, ...]
    input_paths: tuple[tuple[str, ...], ...] | None = None
    arguments: tuple[tuple[str, ...], ...] = ()
    answers: frozenset[str] = frozenset()
    compared: Mapping[tuple[str, ...], Sequence[object]] = dataclasses.field(default_factory=dict)

    @property
    def asked(self) -> frozenset[str] | None:
        """The members of the input that a decision can depend on; ``None`` if that is unknown."""
        return None if self.input_paths is None else frozenset(path[0] for path in self.input_paths)


def examine(bundle: Bundle, *, tests: bool = False) -> Examined:
    """Parse and vet a bundle; may run on any thread. With ``tests``, its tests are added after the vetting."""
    files = {**bundle.modules, **(bundle.tests if tests else {})}
    if deep := [problem for file, content in files.items() for problem in _too_deep(file, content)]:
        return Examined({}, tuple(deep))
    engine, problems = regorus.Engine(), []
    for file, content in files.items():
        try:
            engine.add_policy(file, content)
        except RuntimeError as error:
            problems.append(evaluation.error_line(error))
    if problems:
        return Examined({}, tuple(problems))
    modules = [syntax.module(tree) for tree in orjson.loads(engine.get_ast_as_json())]
    own = [module for module in modules if module.file in bundle.modules]
    known = names.names(own, bundle, builtins=evaluation.engine_builtins(), schemas=rules.schemas())
    if found := vetting.problems(own, known):
        return Examined({}, tuple(found))
    deciding = names.reachable(modules, entry_points.DECISION[1:-1])
    return Examined(
        modules={module.file: expansion.expand(module, files[module.file], known) for module in modules},
        problems=(),
        input_paths=syntax.input_paths(deciding, files),
        arguments=arguments_read.paths(deciding, known),
        answers=frozenset(rule for rule in entry_points.ASKED if entry_points.path_of(rule) in known.definitions),
        compared=compared.values(known),
    )


def load(bundle: Bundle) -> Examined:
    """Examine a bundle, and try it on generated inputs; may run on any thread."""
    examined = examine(bundle)
    if examined.problems:
        return examined
    began = time.thread_time()
    try:
        compile_engine(examined, bundle.data)
    except errors.Misconfigured as wrong:
        return dataclasses.replace(examined, problems=tuple(wrong.problems))
    if (took := time.thread_time() - began) > LONGEST_COMPILATION:
        problem = (
            f"the policies take {took:.1f} s to compile, and the gateway stands still meanwhile; the limit is {LONGEST_COMPILATION:g} s: "
            f"make rules and data smaller, or use a real OPA (policy.engine: opa)"
        )
        return dataclasses.replace(examined, problems=(problem,))
    return dataclasses.replace(examined, problems=tuple(trial.problems(examined, bundle.data)))


def _too_deep(file: str, content: str) -> Iterator[str]:
    """The first place in a file where brackets are nested too deeply for the engine's parser. Found without parsing."""
    depth = 0
    for token in _NESTING.finditer(content):
        if token[0] in "[{":
            depth += 1
            if depth > DEEPEST:
                line = content.count("\n", 0, token.start()) + 1
                yield (
                    f"{file}:{line}: brackets are nested more than {DEEPEST} deep; "
                    "move the inner part into a rule of its own, or into a data file"
                )
                return
        elif token[0] in "]}":
            depth = max(depth - 1, 0)


def compile_engine(examined: Examined, data: Mapping[str, object]) -> regorus.Engine:
    """An engine for this thread, compiled by a first decision.

    Raises:
        Misconfigured: there are problems.
    """
    if examined.problems:
        raise errors.Misconfigured(list(examined.problems))
    engine = evaluation.assemble_engine(examined.modules, data)
    try:
        engine.set_input_json(orjson.dumps(entry_points.sample_call()).decode())
        evaluation.evaluate(engine)
    except RuntimeError as error:
        raise errors.Misconfigured([evaluation.error_line(error)]) from error
    except evaluation.EnginePanicked as panic:
        raise errors.Misconfigured(["the policy engine crashes on a sample document"]) from panic
    return engine
