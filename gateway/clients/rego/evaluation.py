"""An engine for the thread that makes it (regorus panics on any other), what a rule is on a document, and what its errors say."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping

import orjson
import regorus

from gateway import errors
from gateway.clients.rego import entry_points, expansion

# Where RUST_BACKTRACE is set, the engine takes a backtrace of each error. The first one reads the symbols of the whole process, which holds
# up everything for most of a second; and nobody reads it.
os.environ["RUST_LIB_BACKTRACE"] = "0"

UNDEFINED = '"<undefined>"'  # what regorus answers where a rule has no value

_PLACE = re.compile(r"--> (?P<file>[^\n]+?):(?P<line>\d+):\d+\n")
_ERROR = re.compile(r"^error: (?P<what>.+)$", re.MULTILINE)


class EnginePanicked(Exception):
    """The engine gave up in the middle of a rule; it answers nothing any more, another has to take its place."""


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
