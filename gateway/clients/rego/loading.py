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
from gateway.clients.rego import entry_points, expansion, names, syntax, vetting
from gateway.core.policy import decision as policy_decision
from gateway.core.policy import schemas
from gateway.model.action import Effect, Reversibility, Target
from gateway.model.call import Call
from gateway.model.decision import Deny
from gateway.model.run import Lease, Mode, Run

RULE = ".".join(vetting.DECISION)
DECIDING = vetting.DECISION[1:-1]
"""The package of that rule."""
UNDEFINED = '"<undefined>"'  # what regorus answers where a rule has no value


@dataclass(frozen=True, slots=True)
class Examined:
    """A bundle's modules, ready to compile, unless there are problems. ``asked`` and ``looked_at``, as :mod:`rego_syntax` has them,
    are what a decision on a call can depend on; ``answers`` as :func:`rego_questions.present`.

    Returned, not raised: an exception would carry its frames, and the engine in them, to another thread.
    """

    modules: Mapping[str, str]
    problems: tuple[str, ...]
    asked: frozenset[str] | None = None
    looked_at: tuple[tuple[str, ...], ...] | None = None
    answers: frozenset[str] = frozenset()


def examine(bundle: Bundle, *, tests: bool = False) -> Examined:
    """Parse and vet a bundle; may run on any thread. With ``tests``, its tests are taken in after the vetting."""
    files = {**bundle.modules, **(bundle.tests if tests else {})}
    engine, problems = regorus.Engine(), []
    for file, content in files.items():
        try:
            engine.add_policy(file, content)
        except RuntimeError as error:
            problems.append(complaint(error))
    if problems:
        return Examined({}, tuple(problems))
    modules = [syntax.module(tree) for tree in orjson.loads(engine.get_ast_as_json())]
    known = names.names(
        (module for module in modules if module.file in bundle.modules),
        data=bundle.data,
        builtins=engine_builtins(),
        schemas=schemas.by_package(),
    )
    found = vetting.problems((module for module in modules if module.file in bundle.modules), known)
    if found:
        return Examined({}, tuple(found))
    expansions = {module.file: expansion.expanded(module, files[module.file], known) for module in modules}
    deciding = names.within_reach(modules, DECIDING)
    return Examined(expansions, (), syntax.asked(deciding), syntax.looked_at(deciding, files), entry_points.present(known))


def compiled(modules: Mapping[str, str], data: Mapping[str, object], answers: frozenset[str] = frozenset()) -> regorus.Engine:
    """An engine for this thread, tried on a sample call, and on a sample of each question that the bundle ``answers``.

    Raises:
        Misconfigured: the rules do not stand together, or a sample gets no well-formed answer.
    """
    engine = assembled(modules, data)
    try:
        engine.set_input_json(orjson.dumps(sample()).decode())
        # The whole package, so that a rule the sample's decision does not need is tried as well.
        engine.eval_query_as_json("data.killcord.authz")
        answer = answered(engine)
    except RuntimeError as error:
        raise errors.Misconfigured([complaint(error)]) from error
    decision = policy_decision.parse(answer, decision_id="sample", revision="sample")
    if isinstance(decision, Deny) and decision.reasons[0].code in policy_decision.UNUSABLE:
        raise errors.Misconfigured([f"{RULE} gives no usable decision on a sample call: {decision.reasons[0].message}"])
    _questioned(engine, answers)
    return engine


def _questioned(engine: regorus.Engine, answers: frozenset[str]) -> None:
    """Raises:
    Misconfigured: one of these rules has no usable answer to its sample.
    """
    for rule, document in entry_points.samples().items():
        if rule not in answers:
            continue
        try:
            engine.set_input_json(orjson.dumps(document).decode())
            fault = entry_points.fault(rule, answered(engine, f"data.killcord.{rule}"))
        except RuntimeError as error:
            raise errors.Misconfigured([complaint(error)]) from error
        except Panicked as panic:
            raise errors.Misconfigured([f"data.killcord.{rule}: the engine gives up on a sample"]) from panic
        if fault is not None:
            raise errors.Misconfigured([f"data.killcord.{rule} gives no usable answer to a sample: {fault}"])


class Panicked(Exception):
    """The engine gave up in the middle of a rule; it answers nothing any more, another has to take its place."""


def answered(engine: regorus.Engine, rule: str = RULE) -> object:
    """What a rule is on the input that the engine was given; ``None`` where it is undefined.

    Raises:
        RuntimeError: a rule fails on this input; ``place`` says which.
        ValueError: the answer is no JSON.
        Panicked: see there.
    """
    try:
        answer = engine.eval_rule_as_json(rule)
    except BaseException as error:
        # What a Rust panic becomes derives from BaseException and cannot be imported.
        if type(error).__name__ != "PanicException":
            raise
        raise Panicked from error
    return None if answer == UNDEFINED else orjson.loads(answer)


def assembled(modules: Mapping[str, str], data: Mapping[str, object]) -> regorus.Engine:
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
        raise errors.Misconfigured([complaint(error)]) from error
    return engine


_PLACE = re.compile(r"--> (?P<file>[^\n]+?):(?P<line>\d+):\d+\n")
_ERROR = re.compile(r"^error: (?P<what>.+)$", re.MULTILINE)


def place(error: RuntimeError) -> str | None:
    """``policies/x.rego:12`` where regorus says in which rule an evaluation failed."""
    match = _PLACE.search(str(error))
    return f"{match['file']}:{match['line']}" if match else None


def complaint(error: RuntimeError) -> str:
    """A regorus error as one line, without excerpt and backtrace."""
    what = _ERROR.search(str(error))
    message = what["what"] if what else str(error).strip().partition("\n")[0]
    where = place(error)
    return f"{where}: {message}" if where else message


@functools.cache
def engine_builtins() -> frozenset[str]:
    """Names of the built-ins that the embedded engine lists."""
    engine = regorus.Engine()
    engine.add_policy("builtins.rego", "package builtins\nnames := opa.runtime().builtins")
    return frozenset(orjson.loads(engine.eval_rule_as_json("data.builtins.names")))


def sample() -> dict[str, object]:
    """The document of an ordinary write."""
    run = Run(run_id="run_1", workflow_id="run_1", tenant="acme", agent_id="billing", task_class="default", scopes=("erp:*",))
    return policy_decision.document(
        run=run,
        lease=Lease(run_id="run_1", tenant="acme", generation=1, not_before=0.0, expires_at=1_800_000_000.0),
        mode=Mode.ACTIVE,
        call=Call(tool="erp", method="PATCH", path="/acme/invoices/1", segments=("acme", "invoices", "1"), args={}),
        action="invoice.update",
        effect=Effect.WRITE,
        reversibility=Reversibility.REVERSIBLE,
        fanout=False,
        target=Target("erp", "invoice", "1", "acme"),
        step_id="auto-1",
        parent_step_id=None,
        counters={},
        now=1_790_000_000.0,
    )
