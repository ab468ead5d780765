"""The embedded policy engine: Rego on regorus, evaluated in the gateway's own process.

Decisions are remembered: the same rules on the same values, at every path that any rule looks at, give the same answer.

Rules cannot look anywhere else: the loader refuses every built-in that does (time, chance, network, environment).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import regorus
from msgspec import structs

from gateway import errors
from gateway.clients import policy_bundle
from gateway.clients.rego import entry_points, evaluation, loading, preflight
from gateway.core.policy import decision as policy_decision
from gateway.core.policy import numbers
from gateway.model.decision import Decision, Deny

_SOMEWHERE = "an unknown place"  # some built-ins fail without saying where
Report = Callable[[str, str], None]
"""Takes a level (``info``, ``warning``, ``error``) and a line for the operator."""

BOUND = 4_096
"""Answers remembered."""

_NEW_EACH_TIME = frozenset({"now", "step"})
"""Members that differ in each call: a bundle that looks at one is asked every time."""

# No JSON text holds this byte: what is absent is like nothing that could be there.
_ABSENT = orjson.Fragment(b"\x00")


class DecisionCache:
    """Belongs to one revision of a bundle. ``paths`` are the paths that its rules look at, ``None`` if that is unknown."""

    def __init__(self, paths: Sequence[tuple[str, ...]] | None) -> None:
        known = None if paths is None or any(path[0] in _NEW_EACH_TIME for path in paths) else paths
        # Most are two steps long, and found in the shortest way.
        self._pairs = tuple((path[0], path[1]) for path in known or () if len(path) == 2)
        self._paths = None if known is None else tuple(path for path in known if len(path) != 2)
        self._answers: OrderedDict[bytes, Decision] = OrderedDict()

    def key(self, document: Mapping[str, object]) -> bytes | None:
        """What the rules will see of a document; ``None`` if it is not remembered."""
        if self._paths is None:
            return None
        found: list[object] = [_at(document, path) for path in self._paths]
        for first, second in self._pairs:
            value = document.get(first)
            found.append(value.get(second, _ABSENT) if type(value) is dict else _at(document, (first, second)))
        return orjson.dumps(found)

    def get(self, key: bytes) -> Decision | None:
        """The answer to a key, under the id it was given first; ``None`` if there is none yet."""
        found = self._answers.get(key)
        if found is not None:
            self._answers.move_to_end(key)
        return found

    def put(self, key: bytes, answer: Decision) -> None:
        self._answers[key] = answer
        if len(self._answers) > BOUND:
            self._answers.popitem(last=False)


def _at(document: Mapping[str, object], path: tuple[str, ...]) -> object:
    """The value at a path; if something on the way is no object, that something, marked as such: a rule may see parts of it."""
    value: object = document
    for step in path:
        if not isinstance(value, dict):
            return (_ABSENT, step, value)
        value = value.get(step, _ABSENT)
        if value is _ABSENT:
            return value
    return value


@dataclass(frozen=True, slots=True)
class _Active:
    engine: regorus.Engine | None
    bundle: policy_bundle.Bundle
    examined: loading.Examined
    asked: frozenset[str] | None
    memory: DecisionCache


class EmbeddedEngine:
    """Decides inline, some 40 microseconds a call, or 10 if the rules would see only values that they have seen before;
    all but ``health`` belongs to the thread that made it.

    ``mint`` makes decision ids (``Clock.mint``).

    Raises:
        Misconfigured: the folder holds no bundle that can be used; one line per problem.
    """

    def __init__(self, folder: Path, *, mint: Callable[[str], str], report: Report) -> None:
        self._folder = folder
        self._mint = mint
        self._report = report
        self._refused: tuple[str, ...] = ()
        found = policy_bundle.read(folder)
        try:
            self._active = _activate(found, loading.load(found))
        except errors.Misconfigured as wrong:
            # Each with where it is: the file and line that it begins with, else the folder.
            shown = [one if ":" in one.partition(" ")[0] else f"{folder}: {one}" for one in wrong.problems]
            raise errors.Misconfigured(shown) from wrong
        self._report_missing()
        self._seen: policy_bundle.Fingerprint | None = None
        self._loaded: policy_bundle.Fingerprint | None = None

    @property
    def revision(self) -> str:
        return self._active.bundle.revision

    def health(self) -> tuple[bool, str]:
        """Always able to decide: a broken newer revision leaves the old one active, and is named."""
        active = f"embedded policy engine, revision {self._active.bundle.revision} active ({len(self._active.examined.modules)} files)"
        if not self._refused:
            return True, active
        more = f" (and {len(self._refused) - 1} more)" if len(self._refused) > 1 else ""
        return True, f"{active}; newer files refused: {self._refused[0]}{more}"

    def asks_for(self, name: str) -> bool:
        return self._active.asked is None or name in self._active.asked

    @property
    def arguments(self) -> tuple[tuple[str, ...], ...]:
        return self._active.examined.arguments

    async def decide(self, document: Mapping[str, object]) -> Decision:
        """Decide on an input document; ``ports.PolicyEngine`` says what is raised.

        A document that the engine cannot read, or on which a rule fails, is denied: asking again would not help.
        """
        decision_id, active = self._mint("dec"), self._active
        if active.engine is None:
            raise errors.PolicyUnavailable("The gateway is shutting down.")
        try:
            # As JSON: what a real OPA would get; and regorus crashes the process on a str with a lone surrogate, orjson refuses it.
            asked = orjson.dumps(document)
            key = active.memory.key(document)
            if key is not None and (known := active.memory.get(key)) is not None:
                return structs.replace(known, decision_id=decision_id)
            active.engine.set_input_json(asked.decode())
        except (TypeError, RuntimeError):
            return Deny(decision_id=decision_id, revision=active.bundle.revision, reasons=(policy_decision.UNREADABLE,))
        where: str | None = None
        try:
            raw = evaluation.evaluate(active.engine)
        except evaluation.EnginePanicked:
            self._restart()
        except RuntimeError as error:
            where = evaluation.error_place(error)
        except ValueError as error:
            raise errors.PolicyUnavailable() from error
        else:
            decision = policy_decision.parse(raw, decision_id=decision_id, revision=active.bundle.revision)
            if key is not None:
                active.memory.put(key, decision)
            return decision
        return Deny(decision_id=decision_id, revision=active.bundle.revision, reasons=(policy_decision.inapplicable(where or _SOMEWHERE),))

    async def ask(self, rule: str, document: Mapping[str, object]) -> object:
        """What ``data.killcord.<rule>`` is on an input document; ``ports.policy.Rules`` says what is raised."""
        active = self._active
        if active.engine is None:
            raise errors.PolicyUnavailable("The gateway is shutting down.")
        if rule not in active.examined.answers:
            return None
        try:
            return evaluation.evaluate(active.engine, f"data.killcord.{rule}", numbers.documented(document))
        except evaluation.EnginePanicked as panic:
            self._restart()
            raise errors.PolicyUnavailable(f"The policy engine crashed on data.killcord.{rule}.") from panic
        except RuntimeError as error:
            where = evaluation.error_place(error) or _SOMEWHERE
            raise errors.PolicyUnavailable(f"The rule at {where} cannot be applied to this document.") from error
        except (TypeError, ValueError) as error:
            raise errors.PolicyUnavailable("The document, or policy's answer to it, is not JSON.") from error

    async def close(self) -> None:
        self.release()

    def release(self) -> None:
        """Drop the engine, on the thread that made it: regorus demands that, and a garbage collector may run on any thread."""
        self._active = replace(self._active, engine=None)

    async def refresh(self) -> None:
        """Read the folder if its files changed; replace the engine, in one step, if there is a new revision that can be used.

        Files count as changed once two calls have seen them alike: a folder that is being copied is not a revision.
        """
        try:
            seen = await asyncio.to_thread(policy_bundle.fingerprint, self._folder)
        except OSError as error:
            self._loaded = None  # as they were before, the files are read again
            self._refuse((policy_bundle.unreadable(self._folder, error),))
            return
        still, self._seen = seen == self._seen, seen
        if still and seen != self._loaded:
            await self._load(seen)

    async def _load(self, seen: policy_bundle.Fingerprint) -> None:
        self._loaded = None
        try:
            found = await asyncio.to_thread(policy_bundle.read, self._folder)
            self._loaded = seen
            if found.revision != self._active.bundle.revision:
                self._active = _activate(found, await preflight.load(found))
                self._report("info", f"policy revision {found.revision} is active")
                self._report_missing()
            self._refused = ()
        except errors.Misconfigured as refused:
            self._refuse(tuple(refused.problems))
        except OSError as error:
            self._loaded = None
            self._refuse((f"cannot start the process that tests new policies: {error.strerror}; the gateway tries again",))

    def _restart(self) -> None:
        """Put another engine in the place of one that gave up."""
        active = self._active
        self._active = replace(active, engine=loading.compile_engine(active.examined, active.bundle.data))

    def _report_missing(self) -> None:
        """Warn of each rule that the active revision lacks, if something follows from that."""
        for rule, lack in entry_points.LACKING.items():
            if rule not in self._active.examined.answers:
                self._report("warning", f"revision {self.revision}: {lack}")

    def _refuse(self, problems: tuple[str, ...]) -> None:
        if problems != self._refused:
            for problem in problems:
                self._report("error", f"policy files refused, revision {self.revision} stays active: {problem}")
        self._refused = problems


def _activate(found: policy_bundle.Bundle, examined: loading.Examined) -> _Active:
    engine = loading.compile_engine(examined, found.data)
    return _Active(engine, found, examined, examined.asked, DecisionCache(examined.input_paths))
