"""The policy engine that is a real OPA: asked over HTTP or a Unix socket on every call, believed only while its bundles are active."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import orjson
from yarl import URL

from gateway import errors
from gateway.clients.opa import channel
from gateway.clients.opa.channel import Channel, Result, RuleFailed
from gateway.clients.rego import entry_points, trial
from gateway.clients.rego.engine import Report
from gateway.core.policy import decision as policy_decision
from gateway.core.policy import numbers
from gateway.model.decision import Decision, Deny

CHECK_TIMEOUT = 2.0
"""Seconds that OPA has for each question of a check: nobody waits for those, so one slow answer is not an outage."""
TRIED = 50
"""Generated inputs of each entry point that vary all members at once: OPA takes a millisecond for each."""
LARGEST_DECISION = 1 << 20
LARGEST_LISTING = 1 << 26
_ASKED = "/v1/data/killcord/{path}?strict-builtin-errors=true&provenance=true"
_DECISION = _ASKED.format(path="authz/decision")


@dataclass(frozen=True, slots=True)
class _Status:
    """What the last check found. With ``trouble`` nothing is decided; ``bundles`` are the names of those that were active together."""

    trouble: str
    revision: str = "none"
    bundles: frozenset[str] = frozenset()


class OpaEngine:
    """Decides by one POST a call; ``timeout`` (seconds) is the deadline for all of it, and nothing is asked twice.

    ``shown`` is how operators know the OPA, ``mint`` makes ids for decisions to which OPA gives none. Knows nothing,
    and so refuses everything, until its first ``refresh``.
    """

    def __init__(self, channel: Channel, *, timeout: float, shown: str, mint: Callable[[str], str], report: Report) -> None:
        self._channel = channel
        self._timeout = timeout
        self._shown = shown
        self._mint = mint
        self._report = report
        self._status = _Status("it was not asked yet")
        self._reported = ""
        self._decision, self._health, self._policies = (channel.at(path) for path in (_DECISION, "/health?bundles", "/v1/policies"))

    @property
    def revision(self) -> str:
        """As of the last check; a decision carries its own."""
        return self._status.revision

    def health(self) -> tuple[bool, str]:
        """As of the last check."""
        status = self._status
        if status.trouble:
            return False, f"OPA at {self._shown} cannot decide: {status.trouble}"
        return True, f"OPA at {self._shown}, revision {status.revision} active"

    def asks_for(self, name: str) -> bool:
        """OPA's rules may change at any moment: whatever could be asked for is gathered."""
        return True

    @property
    def arguments(self) -> tuple[tuple[str, ...], ...]:
        """OPA's rules are its own: what they read is not known."""
        return ()

    async def decide(self, document: Mapping[str, object]) -> Decision:
        """Decide on an input document; ``ports.PolicyEngine`` says what is raised.

        A document that cannot be sent, or on which a rule fails, is denied: asking again would not help.
        """
        decision_id, status = self._mint("dec"), self._ready()
        try:
            found = await self._evaluate(self._decision, document, within=self._timeout)
        except TypeError:
            return Deny(decision_id=decision_id, revision=status.revision, reasons=(policy_decision.UNREADABLE,))
        except RuleFailed as failed:
            return Deny(decision_id=decision_id, revision=status.revision, reasons=(policy_decision.inapplicable(failed.where),))
        _check_bundles(found, status)
        return policy_decision.parse(found.value, decision_id=found.decision_id or decision_id, revision=found.revision or status.revision)

    async def ask(self, rule: str, document: Mapping[str, object]) -> object:
        """What ``data.killcord.<rule>`` is on an input document; ``ports.policy.Rules`` says what is raised."""
        status = self._ready()
        found = await self._ask(rule, numbers.documented(document), within=self._timeout)
        _check_bundles(found, status)
        return found.value

    async def refresh(self) -> None:
        """Check whether OPA can decide; what it finds holds until the next check."""
        try:
            status = await self._check()
        except errors.PolicyUnavailable as refused:
            status = _Status(refused.detail)
        before, self._status = self._status, status
        if status.trouble and status.trouble != before.trouble:
            self._report("error", self.health()[1])
        elif not status.trouble and status != before:
            self._report("info", f"policy revision {status.revision} is active")
        if not status.trouble and status.revision != self._reported:
            self._reported = status.revision
            await self._try_revision(await self._report_missing())

    async def close(self) -> None:
        await self._channel.close()

    async def _check(self) -> _Status:
        health = await self._channel.ask("GET", self._health, within=CHECK_TIMEOUT, most=LARGEST_DECISION)
        if health.status != 200:
            return _Status(
                "its bundles are not all active yet" if health.status == 500 else f"its /health answers with status {health.status}"
            )
        try:
            found = await self._evaluate(self._decision, entry_points.sample_call(), within=CHECK_TIMEOUT)
        except RuleFailed as failed:
            return _Status(f"on a sample call: {policy_decision.inapplicable(failed.where).message}")
        if fault := entry_points.decision_fault(found.value):
            return _Status(f"on a sample call, {entry_points.RULE} gives no usable decision: {fault}")
        return _Status("", found.revision or await self._digest(), frozenset(found.bundles))

    async def _ask(self, rule: str, document: Mapping[str, object], *, within: float) -> Result:
        try:
            return await self._evaluate(self._channel.at(_ASKED.format(path=rule.replace(".", "/"))), document, within=within)
        except TypeError as error:
            raise errors.PolicyUnavailable("The document is not JSON.") from error
        except RuleFailed as failed:
            raise errors.PolicyUnavailable(f"The rule at {failed.where} cannot be applied to this document.") from failed

    async def _evaluate(self, rule: URL, document: Mapping[str, object], *, within: float) -> Result:
        """Raises:
        TypeError: the document is not JSON.
        RuleFailed, PolicyUnavailable: see ``channel.result``.
        """
        question = orjson.dumps({"input": document})
        return channel.parse_result(await self._channel.ask("POST", rule, question, within=within, most=LARGEST_DECISION))

    def _ready(self) -> _Status:
        if self._status.trouble:
            raise errors.PolicyUnavailable("The policy engine is not ready.", retry_after=1.0)
        return self._status

    async def _report_missing(self) -> list[str]:
        """Report which rules of a new revision are missing or unusable, and return those that are usable. OPA still decides on calls."""
        usable: list[str] = []
        for rule, document in entry_points.samples().items():
            try:
                result = (await self._ask(rule, document, within=CHECK_TIMEOUT)).value
            except errors.PolicyUnavailable as refused:
                self._report("warning", f"revision {self.revision}: data.killcord.{rule} has no answer for a sample: {refused.detail}")
                continue
            fault = entry_points.fault(rule, result)
            if result is None and rule in entry_points.LACKING:
                self._report("warning", f"revision {self.revision}: {entry_points.LACKING[rule]}")
            elif fault is not None:
                self._report("warning", f"revision {self.revision}: data.killcord.{rule} returns no usable answer for a sample: {fault}")
            else:
                usable.append(rule)
        return usable

    async def _try_revision(self, usable: Collection[str]) -> None:
        """Try a new revision on generated inputs, and report the first one of each entry point on which it fails.

        OPA has no earlier revision to return to: it still decides, and what it fails on is denied.
        """
        for rule, document in trial.ordinary(usable).items():
            for varied, difference in trial.variations(rule, document, {}, combined=TRIED):
                try:
                    fault = trial.fault(rule, (await self._ask(rule, varied, within=CHECK_TIMEOUT)).value, strictly=False)
                except errors.PolicyUnavailable as refused:
                    fault = f"data.killcord.{rule} has no answer: {refused.detail}"
                if fault is not None:
                    self._report(
                        "error", f"revision {self.revision}: {fault} ({difference}); such calls are denied until the bundle is corrected"
                    )
                    break

    async def _digest(self) -> str:
        """A revision for bundles that name none: it follows the modules, not the data."""
        found = channel.parse_modules(await self._channel.ask("GET", self._policies, within=CHECK_TIMEOUT, most=LARGEST_LISTING))
        return channel.revision_of(found) if found else "unknown"


def _check_bundles(found: Result, status: _Status) -> None:
    """An OPA that just restarted may have one of its bundles and not yet the one that denies."""
    if found.bundles.keys() != status.bundles:
        raise errors.PolicyUnavailable("The policy engine is changing its bundles.", retry_after=1.0)
