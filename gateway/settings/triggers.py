"""When signs become triggers, as ``triggers:`` of killcord.yaml says it: a key for each name, numbers under it, or ``off``."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field

from gateway.core.triggers.window import REMEMBERED, Share, Thresholds, Times
from gateway.core.units import amount, shown
from gateway.settings.document import Count, Duration, Section, must

MOST = 10_000
"""Occurrences that can be asked for: each is remembered until there are that many, for every run."""
LONGEST = 86_400.0
"""Seconds in the longest window: after a start, entries of that long are read again."""

NEVER_OFF = "cannot be off; change its response in Rego, by an override of killcord.response (docs/triggers.md)"

_DEFAULT = Thresholds()


def _fraction(value: object, what: str) -> Decimal:
    number = Decimal(value) if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else None
    if number is None or not 0 < number <= 1:
        raise ValueError(f"{shown(value)} is not a {what}; write a number above 0, up to 1, such as 0.8")
    return number


Often = Annotated[Count, must(lambda times: 1 <= times <= MOST, f"{{}} is not a number of times; write a whole number from 1 to {MOST}")]
Remembered = Annotated[
    Often,
    must(
        lambda times: times <= REMEMBERED,
        f"{{}} can never be reached; at most {REMEMBERED} writes of a run are remembered",
    ),
]
Within = Annotated[Duration, must(lambda seconds: seconds <= LONGEST, "{:g} s is too long; write at most 1d")]
Part = Annotated[float, BeforeValidator(lambda value: float(_fraction(value, "share")))]
Confidence = Annotated[int, BeforeValidator(lambda value: amount(_fraction(value, "confidence")))]


class BoundarySection(Section):
    reads: Often = _DEFAULT.boundary_reads


class DeniedSection(Section):
    count: Often = _DEFAULT.denied.count
    within: Within = _DEFAULT.denied.within


class LoopSection(Section):
    count: Remembered = _DEFAULT.loop.count
    within: Within = _DEFAULT.loop.within


class RetrySpikeSection(Section):
    repeats: Often = _DEFAULT.repeats.count
    failures: Often = _DEFAULT.failures.count
    within: Within = _DEFAULT.repeats.within


class StepCountSection(Section):
    share: Part = _DEFAULT.steps.share
    at_least: Often = _DEFAULT.steps.at_least


class MutationVolumeSection(Section):
    share: Part = _DEFAULT.writes.share
    at_least: Often = _DEFAULT.writes.at_least
    within: Within = _DEFAULT.writes_within


class LowConfidenceSection(Section):
    below: Confidence = _DEFAULT.confidence
    count: Often = _DEFAULT.unsure


class OutcomeUnknownSection(Section):
    count: Often = _DEFAULT.unknown.count
    within: Within = _DEFAULT.unknown.within


class BlastRateSection(Section):
    """``records``, ``tenants`` and ``systems`` are the least that counts as much, however small the limit of which ``share`` is a part."""

    share: Part = _DEFAULT.records.share
    records: Often = _DEFAULT.records.at_least
    tenants: Often = _DEFAULT.tenants.at_least
    systems: Often = _DEFAULT.systems.at_least
    within: Within = _DEFAULT.blast_within


def _setting(*, numbers: bool, can_be_off: bool) -> BeforeValidator:
    """How a trigger is set: its numbers, or off (``None``, or ``False`` for one without numbers). YAML reads a plain ``off`` as false."""

    def read(value: object) -> object:
        if value is False or value == "off":
            if not can_be_off:
                raise ValueError(NEVER_OFF)
            return None if numbers else False
        if not numbers:
            raise ValueError(f"has no numbers to set: it fires each time. {'Write off, or remove it' if can_be_off else 'Remove it'}")
        if not isinstance(value, dict):
            form = "a mapping of its numbers, or off" if can_be_off else "a mapping of its numbers; it cannot be off"
            raise ValueError(f"must be {form}, not {'a list' if isinstance(value, list) else shown(value)}")
        return value

    return BeforeValidator(read)


Numbers = TypeVar("Numbers", bound=Section)

Switch = Annotated[Numbers | None, _setting(numbers=True, can_be_off=True)]
Kept = Annotated[Numbers, _setting(numbers=True, can_be_off=False)]
Plain = Annotated[bool, _setting(numbers=False, can_be_off=True)]
Always = Annotated[bool, _setting(numbers=False, can_be_off=False)]


class TriggersSection(Section):
    """``None`` and ``False`` are triggers that are off."""

    boundary: Kept[BoundarySection] = Field(default=BoundarySection(), alias="policy.tenant-boundary")
    out_of_scope: Plain = Field(default=True, alias="policy.out-of-scope")
    denied: Switch[DeniedSection] = Field(default=DeniedSection(), alias="policy.denied")
    postcondition: Always = Field(default=True, alias="verify.postcondition-failed")
    finding: Always = Field(default=True, alias="verify.finding")
    loop: Switch[LoopSection] = Field(default=LoopSection(), alias="anomaly.loop")
    retry_spike: Switch[RetrySpikeSection] = Field(default=RetrySpikeSection(), alias="anomaly.retry-spike")
    step_count: Switch[StepCountSection] = Field(default=StepCountSection(), alias="anomaly.step-count")
    mutation_volume: Switch[MutationVolumeSection] = Field(default=MutationVolumeSection(), alias="anomaly.mutation-volume")
    low_confidence: Switch[LowConfidenceSection] = Field(default=LowConfidenceSection(), alias="uncertain.low-confidence")
    schema_drift: Plain = Field(default=True, alias="uncertain.schema-drift")
    partial_failure: Plain = Field(default=True, alias="uncertain.partial-failure")
    outcome_unknown: Switch[OutcomeUnknownSection] = Field(default=OutcomeUnknownSection(), alias="uncertain.outcome-unknown")
    identity: Plain = Field(default=True, alias="uncertain.identity")
    limit: Always = Field(default=True, alias="blast.limit")
    rate: Switch[BlastRateSection] = Field(default=BlastRateSection(), alias="blast.rate")


def thresholds(section: TriggersSection) -> Thresholds:
    """The thresholds that a section says; one that says nothing says the defaults."""
    # The numbers of a trigger that is off do not matter: the defaults are used.
    denied, loop = section.denied or DeniedSection(), section.loop or LoopSection()
    retries, steps = section.retry_spike or RetrySpikeSection(), section.step_count or StepCountSection()
    writes, rate = section.mutation_volume or MutationVolumeSection(), section.rate or BlastRateSection()
    unsure, unknown = section.low_confidence or LowConfidenceSection(), section.outcome_unknown or OutcomeUnknownSection()
    return Thresholds(
        boundary_reads=section.boundary.reads,
        denied=Times(denied.count, denied.within),
        loop=Times(loop.count, loop.within),
        repeats=Times(retries.repeats, retries.within),
        failures=Times(retries.failures, retries.within),
        steps=Share(steps.share, steps.at_least),
        writes=Share(writes.share, writes.at_least),
        writes_within=writes.within,
        confidence=unsure.below,
        unsure=unsure.count,
        unknown=Times(unknown.count, unknown.within),
        records=Share(rate.share, rate.records),
        tenants=Share(rate.share, rate.tenants),
        systems=Share(rate.share, rate.systems),
        blast_within=rate.within,
        off=frozenset(str(one.alias) for name, one in TriggersSection.model_fields.items() if not getattr(section, name)),
    )
