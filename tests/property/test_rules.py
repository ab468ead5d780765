"""Whatever policy answers, containment is never less than a well-formed answer asks for."""

from __future__ import annotations

import jsonschema_rs
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.policy import rules
from gateway.model.decision import Reason
from gateway.model.run import Mode, Run
from gateway.model.trigger import LAYERS, Measure, PastResponse, Trigger, Verdict

VALIDATOR = jsonschema_rs.validator_for(rules.schemas()["killcord", "response"])

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | texts | st.sampled_from([*Measure, *Verdict]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
scopes = st.fixed_dictionaries({}, optional=dict.fromkeys(("run", "agent", "tenant", "subtree", "all", "tool", "other"), texts | values))
answers = values | st.fixed_dictionaries(
    {
        "action": st.sampled_from([measure.value for measure in Measure]) | values,
        "rollback": st.booleans() | values,
        "verdict": st.sampled_from([verdict.value for verdict in Verdict]) | values,
        "why": texts | values,
    },
    optional={"scope": scopes | values},
)
times = st.floats(min_value=0, max_value=4_000_000_000)
triggers = st.builds(
    Trigger,
    name=st.sampled_from(sorted(LAYERS)).map(lambda word: f"{word}.x"),
    at=times,
    count=st.integers(0, 2**53),
    threshold=st.integers(0, 2**53),
    evidence=st.lists(texts, max_size=3).map(tuple),
    effect=st.sampled_from([None, "read", "write"]),
    severity=st.none() | texts,
    facts=st.dictionaries(texts, values, max_size=3),
)
runs = st.builds(Run, run_id=texts, workflow_id=texts, tenant=texts, agent_id=texts, task_class=texts, parent_run=st.none() | texts)


@settings(max_examples=500)
@given(raw=answers)
def test_an_answer_is_taken_by_its_letter_or_not_at_all(raw: object) -> None:
    response = rules.parse_response(raw)
    if response.why.startswith("Quarantined, because"):
        assert (response.action, response.rollback, response.scope) == (Measure.QUARANTINE, False, None)
        return
    assert isinstance(raw, dict)
    assert (response.action.value, response.rollback, response.verdict.value) == (raw["action"], raw["rollback"], raw["verdict"])
    assert not response.rollback or response.action.mode not in (None, Mode.ACTIVE)
    assert (response.scope is None) == ("scope" not in raw)


@settings(max_examples=300)
@given(raw=values | st.fixed_dictionaries({"proceed": values | st.booleans()}, optional={"why": values | texts}))
def test_a_compensation_proceeds_by_nothing_but_a_plain_yes_or_silence(raw: object) -> None:
    if rules.parse_recovery(raw) is None:
        assert raw is None or (isinstance(raw, dict) and list(raw) == ["proceed"] and raw["proceed"] is True)


@settings(max_examples=300)
@given(raw=values | st.lists(st.fixed_dictionaries({"code": texts, "message": texts | values}), max_size=3))
def test_a_state_is_sound_by_nothing_but_an_empty_set(raw: object) -> None:
    if not rules.parse_invariants(raw):
        assert raw == []


@settings(max_examples=200)
@given(
    trigger=triggers,
    run=runs,
    mode=st.sampled_from(Mode),
    history=st.lists(st.builds(PastResponse, texts, times, st.sampled_from(Measure)), max_size=4),
    violations=st.none() | st.lists(st.builds(Reason, texts, texts), max_size=2),
)
def test_every_document_fits_the_schema(
    trigger: Trigger, run: Run, mode: Mode, history: list[PastResponse], violations: list[Reason] | None
) -> None:
    asked = rules.response_document(trigger=trigger, run=run, mode=mode, counters={"steps": 1}, history=history, violations=violations)
    assert VALIDATOR.is_valid(asked), list(VALIDATOR.iter_errors(asked))
