"""A bundle tried on generated inputs before it decides on anything: on each, every rule of an entry point's package is evaluated.

Refused are rules that contradict each other, that take long, and answers that the gateway could not use. A rule that fails on the type of
what a call sends is no fault of the bundle: such a call is denied when it comes.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

import orjson
import regorus

from gateway import errors
from gateway.clients.rego import entry_points, evaluation
from gateway.core.policy import generated_inputs, rules
from gateway.core.triggers import window

_CONTRADICTIONS = ("conflicts with the following rule", "multiple outputs", "multiple times")
"""What the engine says where two definitions give one rule, or one function, two values."""
DECISION = ".".join(entry_points.DECISION[2:])
"""The entry point for calls, named like those in ``core.policy.rules``."""
LONGEST = 0.1
"""Seconds of CPU for one answer: the gateway stands still while a rule is evaluated. The starter bundle takes less than 0.001."""
_SHOWN = 4
"""Members of an input that a problem names."""


class Tried(Protocol):
    """A bundle that was examined: its ``modules`` without tests, the entry points that it ``answers`` beside the decision, and what its
    rules compare members of the input with.
    """

    @property
    def modules(self) -> Mapping[str, str]: ...

    @property
    def answers(self) -> Collection[str]: ...

    @property
    def compared(self) -> Mapping[tuple[str, ...], Sequence[object]]: ...


def problems(bundle: Tried, data: Mapping[str, object]) -> list[str]:
    """One line each, at most one for an entry point; may run on any thread."""
    try:
        return list(_faults(evaluation.assemble_engine(bundle.modules, data), bundle))
    except errors.Misconfigured as wrong:
        return wrong.problems
    except evaluation.EnginePanicked:
        return ["the policy engine crashes on a generated input"]


def _faults(engine: regorus.Engine, bundle: Tried) -> Iterator[str]:
    for rule, document in ordinary(bundle.answers).items():
        if (fault := _on(engine, rule, document, strictly=True)) is not None:
            yield f"{fault} (on an ordinary input)"
            continue
        for varied, difference in variations(rule, document, bundle.compared):
            if (fault := _on(engine, rule, varied, strictly=False)) is not None:
                yield f"{fault} ({difference})"
                break  # the next inputs mostly show the same fault


def ordinary(answers: Collection[str]) -> Mapping[str, dict[str, object]]:
    """An ordinary input for the decision, and for each of these entry points beside it."""
    others = {rule: document for rule, document in entry_points.samples().items() if rule in answers}
    return {DECISION: entry_points.sample_call(), **others}


def variations(
    rule: str, document: dict[str, object], compared: Mapping[tuple[str, ...], Sequence[object]], combined: int = generated_inputs.COMBINED
) -> Iterator[tuple[dict[str, object], str]]:
    """Inputs of an entry point, each with what it differs in from the ordinary one."""
    schema = next(schema for package, schema in rules.schemas().items() if package[-1] == rule.partition(".")[0])
    known = dict(compared)
    if rule == rules.RESPONSE:
        known["trigger", "name"] = window.NAMES
    for varied, changes in generated_inputs.documents(schema, document, known, combined=combined):
        yield varied, _difference(changes)


def _on(engine: regorus.Engine, rule: str, document: Mapping[str, object], *, strictly: bool) -> str | None:
    """What is wrong with a bundle's answer to a document; with ``strictly`` a rule that fails is wrong too."""
    name = f"data.killcord.{rule}"
    try:
        engine.set_input_json(orjson.dumps(document).decode())
        # The whole package, so that rules are tried which this answer does not need.
        engine.eval_query_as_json(name.rpartition(".")[0])
        began = time.thread_time()
        answer = evaluation.evaluate(engine, name)
        took = time.thread_time() - began
    except RuntimeError as error:
        difference = evaluation.error_line(error)
        return difference if strictly or any(one in difference for one in _CONTRADICTIONS) else None
    if took > LONGEST:
        return f"{name} takes {took:.2f} s, and the gateway stands still meanwhile; the limit is {LONGEST:g} s"
    return fault(rule, answer, strictly=strictly)


def fault(rule: str, answer: object, *, strictly: bool) -> str | None:
    """What makes an answer to an input of an entry point unusable; that there is none is a fault only with ``strictly``."""
    if rule == DECISION:
        found = None if answer is None and not strictly else entry_points.decision_fault(answer)
    else:
        found = entry_points.fault(rule, answer)
    return f"data.killcord.{rule} returns no usable answer: {found}" if found else None


def _difference(changes: Mapping[tuple[str, ...], object]) -> str:
    """The members that make an input unlike the ordinary one."""
    named = [
        f"input.{'.'.join(path)} {'absent' if value is None else f'= {orjson.dumps(value).decode()}'}" for path, value in changes.items()
    ]
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    return f"on a generated input: {', '.join(named[:_SHOWN])}{more}"


def _value(value: object) -> str:
    return "absent" if value is None else f"= {orjson.dumps(value).decode()}"
