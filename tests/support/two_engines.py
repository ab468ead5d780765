"""One bundle on two engines: the embedded one and a real OPA, asked the same questions."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import regorus
from msgspec.structs import replace

from gateway import errors
from gateway.clients import policy_bundle
from gateway.clients.opa import channel
from gateway.clients.opa.channel import Answer
from gateway.clients.rego import engine, entry_points, evaluation, loading
from gateway.core.policy import decision, numbers
from gateway.model.decision import Decision, Deny, Reason
from tests.support import opa, policies

Outcome = tuple[str, object]
"""``value`` and what it is, ``undefined``, or ``failed``: a built-in did not take what it was given."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A real OPA with a bundle, asked over one connection that stays."""

    connection: http.client.HTTPConnection

    def decide(self, document: Mapping[str, object]) -> Decision:
        """As ``OpaEngine`` decides, without its deadline."""
        try:
            answer = self._answer(entry_points.RULE, document)
        except TypeError:
            return _denied(decision.UNREADABLE)
        try:
            return decision.parse(channel.parse_result(answer).value, decision_id="dec_1", revision="")
        except channel.RuleFailed as failed:
            return _denied(decision.inapplicable(failed.where))

    def ask(self, rule: str, document: Mapping[str, object]) -> Outcome:
        """As ``OpaEngine`` asks, without its deadline."""
        return self.evaluate(f"data.killcord.{rule}", numbers.documented(document))

    def evaluate(self, rule: str, document: Mapping[str, object]) -> Outcome:
        answer = self._answer(rule, document)
        shown = json.loads(answer.body)
        if answer.status != 200:
            assert {error["code"] for error in shown["errors"]} <= {"eval_type_error", "eval_builtin_error", "eval_conflict_error"}, shown
            return "failed", None
        return ("value", plain(shown["result"])) if "result" in shown else ("undefined", None)

    def _answer(self, rule: str, document: Mapping[str, object]) -> Answer:
        question = orjson.dumps({"input": document})
        self.connection.request("POST", f"/v1/{rule.replace('.', '/')}?strict-builtin-errors=true&provenance=true", question)
        response = self.connection.getresponse()
        return Answer(response.status, response.read())


@dataclass(frozen=True, slots=True)
class Embedded:
    """The embedded engine with a bundle; belongs to the thread that made it."""

    engine: engine.EmbeddedEngine
    bare: regorus.Engine

    def decide(self, document: Mapping[str, object]) -> Decision:
        return replace(asyncio.run(self.engine.decide(document)), revision="")

    def ask(self, rule: str, document: Mapping[str, object]) -> Outcome:
        try:
            answer = asyncio.run(self.engine.ask(rule, document))
        except errors.PolicyUnavailable:
            return "failed", None
        return ("undefined", None) if answer is None else ("value", plain(answer))

    def evaluate(self, rule: str, document: Mapping[str, object]) -> Outcome:
        self.bare.set_input_json(orjson.dumps(document).decode())
        try:
            answer = self.bare.eval_rule_as_json(rule)
        except RuntimeError:
            return "failed", None
        return ("undefined", None) if answer == evaluation.UNDEFINED else ("value", plain(json.loads(answer)))


def embedded(folder: Path) -> Embedded:
    """Raises:
    Misconfigured: the bundle does not load.
    """
    found = policy_bundle.read(folder)
    engine = policies.engine(folder)
    return Embedded(engine, evaluation.assemble_engine(loading.examine(found).modules, found.data))


@contextmanager
def remote(folder: Path) -> Iterator[Remote]:
    with opa.serving((str(folder),)) as served, closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)) as connection:
        yield Remote(connection)


def loads(folder: Path) -> list[str]:
    """What keeps a bundle from loading on the embedded engine."""
    try:
        policies.engine(folder)
    except errors.Misconfigured as refused:
        return list(refused.problems)
    return []


def comparable(decision: Decision) -> object:
    """All of a decision, its reasons in order of code; of a rule that failed only that it did: engines name its place differently."""
    if is_failure(decision):
        return "policy-error"
    return type(decision).__name__, replace(
        decision, reasons=tuple(sorted(decision.reasons, key=lambda reason: (reason.code, reason.message)))
    )


def is_failure(decision: Decision) -> bool:
    return isinstance(decision, Deny) and decision.reasons[0].code == "policy-error"


def plain(value: object) -> object:
    """A value in which 1 is 1.0 and not true."""
    if isinstance(value, bool):
        return "true" if value else "false", "boolean"
    if isinstance(value, list):
        return [plain(each) for each in value]
    return {name: plain(each) for name, each in value.items()} if isinstance(value, dict) else value


def _denied(reason: Reason) -> Deny:
    return Deny(decision_id="dec_1", revision="", reasons=(reason,))
