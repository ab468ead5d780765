"""What a finding is about, and where with that the first bad entry is, against whatever its evidence may hold."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.core.incident import findings as incident_findings
from gateway.core.incident.findings import FirstBad, References
from gateway.model.effect import State, Write
from gateway.model.entries import FindingEntry
from gateway.model.entry import Position
from tests.support import rolled

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=5), one),
)
NAMES = ("entry", "entries", "object", "objects")
STREAM = "st_1"


def effect(seq: int, which: int, state: State = State.STANDING, **more: Any) -> Write:
    write = rolled.written(seq)
    return replace(write, target=replace(write.target, id=f"inv_{which}"), state=state, **more)


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), anything))
@example({"entries": "st_1/4", "objects": None})
@example({"entry": "st_1/" + "9" * 5_000})
@example({"objects": [{"type": "invoice", "id": ["x"]}, {"type": {}, "id": 3}]})
def test_whatever_the_evidence_holds_it_is_read_and_what_names_nothing_of_the_run_is_never_taken_for_known(
    evidence: dict[str, object],
) -> None:
    named = incident_findings.references(evidence)
    places = [place for name in named.entries if (place := incident_findings.place(name, "st_other")) is not None]
    about = incident_findings.subject(named, places, [effect(3, 1)])
    assert len(about.places) + about.unfound <= len(named.entries) + len(named.objects)
    assert about.known is (bool(about.places) and not about.unfound)
    assert incident_findings.of_entry(finding(1, about)) == about


def finding(seq: int, about: incident_findings.Subject | None) -> FindingEntry:
    return FindingEntry(
        ts="",
        tenant="acme",
        workflow_id="wf_1",
        run_id="run_1",
        generation=1,
        stream=STREAM,
        seq=seq,
        finding="books.off",
        finding_id="fnd_1",
        severity="high",
        evidence_ref="sha256:x",
        by="verifier",
        about=None if about is None else tuple(map(str, about.places)),
        unfound=None if about is None else about.unfound,
    )


states = st.sampled_from([State.STANDING, State.STANDING, State.UNKNOWN, State.IN_FLIGHT, State.FAILED, State.COMPENSATED])


@given(st.lists(st.tuples(st.integers(0, 3), states), max_size=12), st.lists(st.integers(0, 3), max_size=4))
def test_an_object_stands_for_the_first_effect_on_it_that_may_have_left_something(done: list[tuple[int, State]], things: list[int]) -> None:
    writes = [effect(2 * number + 1, which, state) for number, (which, state) in enumerate(done)]
    about = incident_findings.subject(References(objects=tuple(f"invoice:inv_{one}" for one in things)), (), writes)
    left = {
        one: [w.intent.seq for w in writes if w.target.id == f"inv_{one}" and w.state not in (State.FAILED, State.COMPENSATED)]
        for one in things
    }
    assert {place.seq for place in about.places} == {min(seqs) for seqs in left.values() if seqs}
    assert about.unfound == sum(not left[one] for one in things)


def test_an_object_is_named_as_the_api_shows_it() -> None:
    write = effect(3, 1, before_version='"v1"', after_version='"v2"')
    system, target = write.target.system, write.target
    names: list[object] = [
        "invoice:inv_1",
        f"{system}:invoice:inv_1",
        target.ref('"v2"'),
        target.ref('"v1"'),
        {"type": "invoice", "id": "inv_1"},
    ]
    names.append({"system": system, "type": "invoice", "id": "inv_1", "tenant": target.tenant})
    for name in names:
        assert incident_findings.subject(References(objects=(name,)), (), [write]).places == (write.intent,), name
    for name in (
        "inv_1",
        "invoice:inv_11",
        f"{system}:invoice:inv_1:v3",
        {"id": "inv_1"},
        {"type": "invoice", "id": "inv_1", "system": "x"},
        7,
    ):
        assert incident_findings.subject(References(objects=(name,)), (), [write]).unfound == 1, name


findings = st.lists(st.tuples(st.integers(1, 60), st.lists(st.integers(1, 60), max_size=4), st.integers(0, 2)), max_size=5)


@given(st.lists(st.integers(1, 60), max_size=5), findings)
def test_the_first_bad_entry_is_the_first_of_all_that_is_reported_and_known_only_where_every_finding_says_it(
    seen: list[int], told: list[tuple[int, list[int], int]]
) -> None:
    entries = [
        finding(seq, incident_findings.Subject(tuple(Position(STREAM, one) for one in about), unfound)) for seq, about, unfound in told
    ]
    found = incident_findings.first_bad(seen, entries)
    everything = [*seen, *(seq for seq, _, _ in told), *(one for _, about, _ in told for one in about)]
    assert found.seq == min(everything, default=None)
    assert found.known is all(about and not unfound for _, about, unfound in told)
    assert incident_findings.first_bad(seen, []) == FirstBad(min(seen, default=None))


def test_a_finding_of_a_journal_from_before_says_nothing() -> None:
    assert incident_findings.first_bad([], [finding(7, None)]) == FirstBad(7, ("st_1/7",))
