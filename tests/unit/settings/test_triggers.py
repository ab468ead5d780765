"""The thresholds of triggers, as killcord.yaml says them."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from gateway.core.triggers.window import NAMES, REMEMBERED, Share, Thresholds, Times
from gateway.settings import document, triggers
from gateway.settings.triggers import TriggersSection

DOCS = Path(__file__).parents[3] / "docs" / "triggers.md"

WHOLE = """\
policy.tenant-boundary: {reads: 3}
policy.out-of-scope: off
policy.denied: {count: 6, within: 2m}
anomaly.loop: {count: 11, within: 4m}
anomaly.retry-spike: {repeats: 21, failures: 7, within: 90s}
anomaly.step-count: {share: 0.9, at_least: 51}
anomaly.mutation-volume: {share: 0.25, at_least: 22, within: 30s}
uncertain.low-confidence: {below: 0.65, count: 4}
uncertain.schema-drift: off
uncertain.partial-failure: off
uncertain.outcome-unknown: {count: 5, within: 1h}
uncertain.identity: "off"
blast.rate: {share: 1, records: 23, tenants: 3, systems: 4, within: 1d}
"""


def read(text: str) -> tuple[Thresholds | None, list[str]]:
    found, problems = document.parse(text.encode(), "killcord.yaml")
    assert problems == []
    section, problems = document.validate(found, TriggersSection)
    return (None if section is None else triggers.thresholds(section)), problems


def test_every_number_can_be_said() -> None:
    found, problems = read(WHOLE)
    assert problems == []
    assert found == Thresholds(
        boundary_reads=3,
        denied=Times(6, 120.0),
        loop=Times(11, 240.0),
        repeats=Times(21, 90.0),
        failures=Times(7, 90.0),
        steps=Share(0.9, 51),
        writes=Share(0.25, 22),
        writes_within=30.0,
        confidence=650_000,
        unsure=4,
        unknown=Times(5, 3_600.0),
        records=Share(1.0, 23),
        tenants=Share(1.0, 3),
        systems=Share(1.0, 4),
        blast_within=86_400.0,
        off=frozenset({"policy.out-of-scope", "uncertain.schema-drift", "uncertain.partial-failure", "uncertain.identity"}),
    )
    # None was left at its default: a number that comes to Thresholds needs a key, too.
    assert [one.name for one in fields(Thresholds) if getattr(found, one.name) == getattr(Thresholds(), one.name)] == []


def test_what_is_not_said_stays_as_it_is() -> None:
    assert read("{}") == (Thresholds(), [])
    found, _ = read("anomaly.loop: {count: 3}")
    assert found == Thresholds(loop=Times(3, 300.0))


def test_there_is_a_key_for_every_trigger_and_none_besides() -> None:
    assert [field.alias for field in TriggersSection.model_fields.values()] == list(NAMES)


CANNOT_BE_OFF = {"policy.tenant-boundary", "verify.postcondition-failed", "verify.finding", "blast.limit"}


@pytest.mark.parametrize("name", sorted(set(NAMES) - CANNOT_BE_OFF))
def test_a_trigger_can_be_switched_off(name: str) -> None:
    assert read(f"{name}: off") == (Thresholds(off=frozenset({name})), [])


@pytest.mark.parametrize("name", sorted(CANNOT_BE_OFF))
def test_what_stops_damage_for_certain_cannot_be_switched_off(name: str) -> None:
    found, problems = read(f"\n{name}: off")
    assert found is None
    assert problems == [f"killcord.yaml:2: {name}: {triggers.NEVER_OFF}"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("anomaly.lop: {count: 3}", "1: anomaly.lop: unknown key; did you mean anomaly.loop?"),
        ("anomaly.loop: {cuont: 3}", "1: anomaly.loop.cuont: unknown key; did you mean count?"),
        ("anomaly.loop:\n  count: 0", "2: anomaly.loop.count: 0 is not a number of times; write a whole number from 1 to 10000"),
        ("anomaly.loop: {count: 1.5}", "1: anomaly.loop.count: 1.5 is not a count"),
        (f"anomaly.loop: {{count: {REMEMBERED + 1}}}", "1: anomaly.loop.count: 513 can never be reached"),
        ("anomaly.loop: {within: 0s}", "1: anomaly.loop.within: '0s' is not a duration"),
        ("anomaly.loop: {within: 25h}", "1: anomaly.loop.within: 90000 s is too long; write at most 1d"),
        ("anomaly.loop: on", "1: anomaly.loop: must be a mapping of its numbers, or off, not true"),
        ("anomaly.loop:", "1: anomaly.loop: must be a mapping of its numbers, or off, not an empty value"),
        ("anomaly.loop: [3]", "1: anomaly.loop: must be a mapping of its numbers, or off, not a list"),
        ("anomaly.step-count: {share: 0}", "1: anomaly.step-count.share: 0 is not a share"),
        ("anomaly.step-count: {share: 80}", "1: anomaly.step-count.share: 80 is not a share; write a number above 0, up to 1, such as 0.8"),
        ("anomaly.step-count: {share: 80%}", "1: anomaly.step-count.share: '80%' is not a share"),
        ("uncertain.low-confidence: {below: 1.5}", "1: uncertain.low-confidence.below: 1.5 is not a confidence"),
        ("uncertain.low-confidence: {below: 0.0000001}", "at most six decimals"),
        (
            "uncertain.schema-drift: {count: 3}",
            "1: uncertain.schema-drift: has no numbers to set: it fires each time. Write off, or remove it",
        ),
        ("blast.limit: {count: 3}", "1: blast.limit: has no numbers to set: it fires each time. Remove it"),
        ("policy.tenant-boundary: 2", "1: policy.tenant-boundary: must be a mapping of its numbers; it cannot be off, not 2"),
        ("policy.tenant-boundary: {reads: 10001}", "1: policy.tenant-boundary.reads: 10001 is not a number of times"),
    ],
)
def test_a_threshold_that_cannot_be_is_reported_at_its_line(text: str, problem: str) -> None:
    found, problems = read(text)
    assert found is None
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_trigger_is_documented(name: str) -> None:
    assert re.search(rf"^\| .*`{re.escape(name)}`", DOCS.read_text(), re.MULTILINE)


def test_the_documented_thresholds_are_the_defaults() -> None:
    shown = re.search(r"```yaml\ntriggers:.*?\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert shown is not None
    assert read(shown[1]) == (Thresholds(), [])
    assert set(re.findall(r"^  ([a-z]+\.[a-z-]+):", shown[1], re.MULTILINE)) == {
        field.alias for field in TriggersSection.model_fields.values() if field.annotation is not bool
    }
