"""The thresholds of triggers, as ``triggers:`` of killcord.yaml sets them: a key for each name, numbers under it, or ``off``."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field

from gateway.core.triggers.window import REMEMBERED, Share, Thresholds, Times
from gateway.core.units import amount, shown
from gateway.settings.document import Count, Duration, Section, must

MAX_COUNT = 10_000
"""The most occurrences that a threshold can ask for: so many are remembered for every run."""
MAX_WINDOW = 86_400.0
"""Seconds in the longest window: after a start, the entries of that time are read again."""

NEVER_OFF = "cannot be off; change its response in Rego, by an override of killcord.response (docs/triggers.md)"

_DEFAULT = Thresholds()


def _fraction(value: object, what: str) -> Decimal:
    number = Decimal(value) if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else None
    if number is None or not 0 < number <= 1:
        raise ValueError(f"{shown(value)} is not a {what}; write a number above 0, up to 1, such as 0.8")
    return number


Occurrences = Annotated[
    Count, must(lambda times: 1 <= times <= MAX_COUNT, f"{{}} is not a number of times; write a whole number from 1 to {MAX_COUNT}")
]
RememberedCount = Annotated[
    Occurrences,
    must(
        lambda times: times <= REMEMBERED,
        f"{{}} can never be reached; at most {REMEMBERED} writes of a run are remembered",
    ),
]
Window = Annotated[Duration, must(lambda seconds: seconds <= MAX_WINDOW, "{:g} s is too long; write at most 1d")]
Fraction = Annotated[float, BeforeValidator(lambda value: float(_fraction(value, "share")))]
Confidence = Annotated[int, BeforeValidator(lambda value: amount(_fraction(value, "confidence")))]


class BoundarySection(Section):
    reads: Occurrences = _DEFAULT.boundary_reads


class DeniedSection(Section):
    count: Occurrences = _DEFAULT.denied.count
    within: Window = _DEFAULT.denied.within


class LoopSection(Section):
    count: RememberedCount = _DEFAULT.loop.count
    within: Window = _DEFAULT.loop.within


class RetrySpikeSection(Section):
    repeats: Occurrences = _DEFAULT.repeats.count
    failures: Occurrences = _DEFAULT.failures.count
    within: Window = _DEFAULT.repeats.within


class StepCountSection(Section):
    share: Fraction = _DEFAULT.steps.share
    at_least: Occurrences = _DEFAULT.steps.at_least


class MutationVolumeSection(Section):
    share: Fraction = _DEFAULT.writes.share
    at_least: Occurrences = _DEFAULT.writes.at_least
    within: Window = _DEFAULT.writes_within


class LowConfidenceSection(Section):
    below: Confidence = _DEFAULT.confidence
    count: Occurrences = _DEFAULT.unsure


class OutcomeUnknownSection(Section):
    count: Occurrences = _DEFAULT.unknown.count
    within: Window = _DEFAULT.unknown.within


class BlastRateSection(Section):
    """``records``, ``tenants`` and ``systems`` are the least that counts as much, however small the limit of which ``share`` is a part."""

    share: Fraction = _DEFAULT.records.share
    records: Occurrences = _DEFAULT.records.at_least
    tenants: Occurrences = _DEFAULT.tenants.at_least
    systems: Occurrences = _DEFAULT.systems.at_least
    within: Window = _DEFAULT.blast_within


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

NumbersOrOff = Annotated[Numbers | None, _setting(numbers=True, can_be_off=True)]
NumbersOnly = Annotated[Numbers, _setting(numbers=True, can_be_off=False)]
OnOrOff = Annotated[bool, _setting(numbers=False, can_be_off=True)]
AlwaysOn = Annotated[bool, _setting(numbers=False, can_be_off=False)]


class TriggersSection(Section):
    """``None`` and ``False`` are triggers that are off."""

    boundary: NumbersOnly[BoundarySection] = Field(default=BoundarySection(), alias="policy.tenant-boundary")
    out_of_scope: OnOrOff = Field(default=True, alias="policy.out-of-scope")
    denied: NumbersOrOff[DeniedSection] = Field(default=DeniedSection(), alias="policy.denied")
    postcondition: AlwaysOn = Field(default=True, alias="verify.postcondition-failed")
    finding: AlwaysOn = Field(default=True, alias="verify.finding")
    loop: NumbersOrOff[LoopSection] = Field(default=LoopSection(), alias="anomaly.loop")
    retry_spike: NumbersOrOff[RetrySpikeSection] = Field(default=RetrySpikeSection(), alias="anomaly.retry-spike")
    step_count: NumbersOrOff[StepCountSection] = Field(default=StepCountSection(), alias="anomaly.step-count")
    mutation_volume: NumbersOrOff[MutationVolumeSection] = Field(default=MutationVolumeSection(), alias="anomaly.mutation-volume")
    low_confidence: NumbersOrOff[LowConfidenceSection] = Field(default=LowConfidenceSection(), alias="uncertain.low-confidence")
    schema_drift: OnOrOff = Field(default=True, alias="uncertain.schema-drift")
    partial_failure: OnOrOff = Field(default=True, alias="uncertain.partial-failure")
    outcome_unknown: NumbersOrOff[OutcomeUnknownSection] = Field(default=OutcomeUnknownSection(), alias="uncertain.outcome-unknown")
    identity: OnOrOff = Field(default=True, alias="uncertain.identity")
    limit: AlwaysOn = Field(default=True, alias="blast.limit")
    rate: NumbersOrOff[BlastRateSection] = Field(default=BlastRateSection(), alias="blast.rate")


def thresholds(section: TriggersSection) -> Thresholds:
    """The thresholds that a section sets; what it does not set has its default."""
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
