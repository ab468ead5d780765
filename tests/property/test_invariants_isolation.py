"""I8: what befalls one tenant is the same with and without another beside it, crashes of the process aside."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.test_invariants import AGENTS, OPERATORS, WORLD, Event, points
from tests.support import invariants, invariants_world
from tests.support.invariants_points import POINTS
from tests.support.invariants_story import Story

IN_CI = int(os.environ.get("N", "60"))
SHARED = frozenset({"turn", "wait", "policy", "sign", "crash", "restart"})
EVENTS = st.lists(st.tuples(st.one_of(AGENTS, AGENTS, OPERATORS, WORLD), points(POINTS)), min_size=10, max_size=40)


@pytest.mark.parametrize("examples", [IN_CI, pytest.param(2_000, marks=pytest.mark.soak)])
def test_a_tenant_fares_the_same_alone_and_beside_another(examples: int) -> None:
    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), database=None, derandomize=examples == IN_CI)
    @given(EVENTS)
    def alike(events: list[tuple[Event, str | None]]) -> None:
        events = [(event, point) for event, point in events if event[1].get("scope") != "all"]
        crashed, among = _trace(events, None)
        _, alone = _trace(events, crashed)
        found = list(invariants.i8_isolation(alone, among))
        assert not found, found

    with invariants_world.stories():
        alike()


def _trace(events: list[tuple[Event, str | None]], crashed: set[int] | None) -> tuple[set[int], list[object]]:
    """What came of acme, and at which events of the other tenant's the process was gone; with ``crashed``, told without the other, where
    it is gone at these for no reason of its own.
    """
    story, gone = Story(), set[int]()
    try:
        for tenant in ("acme", "bolt") if crashed is None else ("acme",):
            story.tell("edit", tenant=tenant, doc=0, removed=False)
            story.tell("open", tenant=tenant, parent=None, same_workflow=True)
        for number, ((name, how), point) in enumerate(events):
            before = story.lives
            if how.get("tenant") != "bolt":
                if point is not None and name not in SHARED:
                    story.world.points.armed = {point}
                story.tell(name, **how)
            elif crashed is None:
                if point is not None:
                    story.world.points.armed = {point}
                story.tell(name, **how)
                gone |= {number} if story.lives > before else set()
            elif number in crashed:
                story.tell("killed")
            story.world.points.armed = set()
        return gone, _of(story)
    finally:
        story.end()


def _of(story: Story) -> list[object]:
    """The replies that acme got, its tool's log, and what its effects came to."""
    effects = [
        (one.intent["action"], one.intent["target"]["id"], one.intent["attempt"], one.state, one.results, one.intent["run_id"])
        for one in story.chronicle.effects.values()
        if one.intent["tenant"] == "acme"
    ]
    log = [(one.name, one.what, one.before, one.after) for one in story.tool.tools["acme"].log]
    return [*story.parts["acme"].heard, *log, *effects]
