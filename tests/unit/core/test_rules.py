"""What policy is asked beside the decision on a call, and what counts as an answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import jsonschema_rs
import orjson
import pytest

from gateway.clients.rego import entry_points
from gateway.core.policy import rules
from gateway.model.call import Effect, Remedy, Reversibility
from gateway.model.decision import Reason
from gateway.model.effect import State
from gateway.model.run import Mode, Run, Scope
from gateway.model.trigger import LAYERS, Measure, PastResponse, Response, Trigger, Verdict

SCHEMAS = Path(__file__).parents[3] / "policies" / "schemas"
RUN = Run(run_id="run_1", workflow_id="wf_1", tenant="acme", agent_id="billing", task_class="default", generation=3, parent_run="run_0")
PAUSE: dict[str, object] = {"action": "pause", "rollback": False, "verdict": "containment", "why": "Because."}


@pytest.mark.parametrize("name", ["authz", "response", "recovery", "invariants"])
def test_the_shipped_schema_is_that_of_the_gateway(name: str) -> None:
    shipped = SCHEMAS / ("input.json" if name == "authz" else f"{name}/input.json")
    assert orjson.loads(shipped.read_bytes()) == rules.schemas()["killcord", name], f"copy schemas/{name}.json to {shipped}"


def _words(schema: object) -> Iterator[tuple[str, ...]]:
    """The words of each enumeration in a schema."""
    if isinstance(schema, dict):
        if "enum" in schema:
            yield tuple(schema["enum"])
        for part in schema.values():
            yield from _words(part)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("authz", [Effect, Reversibility]),
        ("response", [set(LAYERS.values()), ("read", "write"), Measure]),
        ("recovery", [Reversibility, Remedy, State]),
        ("invariants", [Reversibility, Remedy, State]),
    ],
)
def test_a_schema_has_the_words_of_the_model(name: str, kinds: list[Iterable[object]]) -> None:
    modes = frozenset(mode.label for mode in Mode)
    wanted = {frozenset(getattr(word, "value", word) for word in words) for words in kinds} | {modes}
    assert {frozenset(words) for words in _words(rules.schemas()["killcord", name])} == wanted


# --- responses -------------------------------------------------------------------------------------------------------


def test_a_trigger_is_shown_with_its_run_and_what_came_before_it() -> None:
    trigger = Trigger(
        name="verify.finding",
        at=1_790_000_000.5,
        evidence=("node/7",),
        severity="critical",
        tool="erp",
        facts={"finding_id": "fnd_1"},
    )
    asked = rules.response_document(
        trigger=trigger,
        run=RUN,
        mode=Mode.READ_ONLY,
        counters={"steps": 4},
        history=[PastResponse("policy.denied", 1_790_000_000.0, Measure.PAUSE)],
        violations=[Reason("sum", "The sum is off.")],
    )
    assert asked == {
        "trigger": {
            "name": "verify.finding",
            "layer": "verification",
            "at": 1_790_000_000_500_000_000,
            "count": 1,
            "threshold": 1,
            "severity": "critical",
            "tool": "erp",
            "facts": {"finding_id": "fnd_1"},
            "evidence": ["node/7"],
        },
        "run": {
            "run_id": "run_1",
            "workflow_id": "wf_1",
            "tenant": "acme",
            "agent_id": "billing",
            "task_class": "default",
            "parent_run": "run_0",
            "mode": "read_only",
            "generation": 3,
            "opened_at": 0,
        },
        "counters": {"steps": 4},
        "history": [{"name": "policy.denied", "at": 1_790_000_000_000_000_000, "action": "pause"}],
        "violations": [{"code": "sum", "message": "The sum is off."}],
    }
    assert jsonschema_rs.is_valid(rules.schemas()["killcord", "response"], asked)


def test_of_a_long_history_the_newest_is_shown() -> None:
    history = [PastResponse("policy.denied", float(at), Measure.PAUSE) for at in range(60)]
    asked = rules.response_document(trigger=Trigger(name="blast.limit", at=0.0), run=RUN, mode=Mode.ACTIVE, counters={}, history=history)
    shown = asked["history"]
    assert isinstance(shown, list)
    assert [each["at"] for each in shown] == [at * 10**9 for at in range(10, 60)]
    assert "violations" not in asked


def test_an_answer_says_what_follows() -> None:
    assert rules.parse_response(PAUSE) == Response(action=Measure.PAUSE, rollback=False, verdict=Verdict.CONTAINMENT, why="Because.")
    assert rules.parse_response(PAUSE | {"rollback": True}).rollback


@pytest.mark.parametrize(
    ("scope", "meant"),
    [
        ({"run": "run_1"}, Scope(run="run_1")),
        ({"run": "run_1", "subtree": True}, Scope(run="run_1", subtree=True)),
        ({"run": "run_1", "subtree": False, "tool": "erp"}, Scope(run="run_1", tool="erp")),
        ({"agent": "a", "tenant": "t", "task_class": "c"}, Scope(agent="a", tenant="t", task_class="c")),
        ({"all": True}, Scope(everything=True)),
    ],
)
def test_a_scope_is_read_as_an_orders(scope: dict[str, object], meant: Scope) -> None:
    assert rules.parse_response(PAUSE | {"scope": scope}).scope == meant


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (None, "data.killcord.response.response is undefined"),
        *((raw, "it is not an object") for raw in (True, "pause", [], ["pause"], 1)),
        ({}, "action is not one of none, retry"),
        (PAUSE | {"action": "PAUSE"}, "action is not one of"),
        (PAUSE | {"action": None}, "action is not one of"),
        (PAUSE | {"action": ["pause"]}, "action is not one of"),
        (PAUSE | {"rollback": 1}, "rollback is neither true nor false"),
        (PAUSE | {"rollback": "true"}, "rollback is neither true nor false"),
        (PAUSE | {"verdict": "maybe"}, "verdict is not one of recoverable, containment"),
        (PAUSE | {"why": ""}, "why is no text"),
        (PAUSE | {"why": None}, "why is no text"),
        (PAUSE | {"scop": {"tenant": "acme"}}, "it has an unknown member scop"),
        (
            PAUSE | {"action": "none", "verdict": "recoverable", "rollback": True},
            "a rollback needs containment, and none does not contain",
        ),
        (PAUSE | {"action": "no_fanout", "rollback": True}, "a rollback needs containment, and no_fanout does not contain"),
        (PAUSE | {"action": "retry"}, "the verdict is containment, and retry contains nothing"),
        (PAUSE | {"scope": None}, "scope is not an object"),
        (PAUSE | {"scope": {}}, "scope is empty"),
        (PAUSE | {"scope": {"subtree": True}}, "scope is empty"),
        (PAUSE | {"scope": {"tenant": "t", "subtree": True}}, "scope.subtree needs the run"),
        (PAUSE | {"scope": {"run": "r", "subtree": "yes"}}, "scope.subtree is neither true nor false"),
        (PAUSE | {"scope": {"all": False}}, "scope.all must be true and alone"),
        (PAUSE | {"scope": {"all": True, "tenant": "t"}}, "scope.all must be true and alone"),
        (PAUSE | {"scope": {"tenant": 1}}, "scope.tenant is not text"),
        (PAUSE | {"scope": {"tenant": ""}}, "scope.tenant is not text"),
        (PAUSE | {"scope": {"tennant": "t"}}, "scope has an unknown member tennant"),
        (PAUSE | {"action": "revoke", "scope": {"tenant": "t"}}, "revoke needs a run or an agent in its scope"),
        (PAUSE | {"action": "revoke", "scope": {"all": True}}, "revoke needs a run or an agent in its scope"),
    ],
)
def test_what_is_no_response_is_quarantine_and_says_what_was_wrong(raw: object, fault: str) -> None:
    response = rules.parse_response(raw)
    assert (response.action, response.rollback, response.verdict, response.scope) == (Measure.QUARANTINE, False, Verdict.CONTAINMENT, None)
    assert fault in response.why


def test_a_long_why_is_cut() -> None:
    assert len(rules.parse_response(PAUSE | {"why": "x" * 5_000}).why) == rules.LONGEST_WHY


def test_each_measure_that_contains_has_the_mode_of_its_order() -> None:
    assert {measure: measure.mode for measure in Measure if measure.mode is not None} == {
        Measure.NO_FANOUT: Mode.ACTIVE,
        Measure.READ_ONLY: Mode.READ_ONLY,
        Measure.PAUSE: Mode.PAUSED,
        Measure.QUARANTINE: Mode.QUARANTINED,
        Measure.REVOKE: Mode.REVOKED,
    }


# --- recovery --------------------------------------------------------------------------------------------------------


def test_a_compensation_proceeds_where_policy_reports_it_or_says_nothing() -> None:
    assert rules.parse_recovery({"proceed": True}) is None
    assert rules.parse_recovery(None) is None


def test_a_compensation_that_is_held_back_is_a_task_that_says_why() -> None:
    assert rules.parse_recovery({"proceed": False, "why": "Ask sales."}) == "Ask sales."


@pytest.mark.parametrize(
    "raw",
    [
        *(True, False, "proceed", [], {}, 1),
        *({"proceed": 1}, {"proceed": "true"}, {"proceed": True, "why": "x"}, {"proceed": True, "when": 1}),
        *({"proceed": False}, {"proceed": False, "why": ""}, {"proceed": False, "why": 1}, {"proceed": False, "why": "x", "when": 1}),
    ],
)
def test_an_unclear_word_on_a_compensation_makes_a_task(raw: object) -> None:
    assert rules.parse_recovery(raw) == rules.UNCLEAR


# --- invariants ------------------------------------------------------------------------------------------------------


def test_violations_come_sorted() -> None:
    raw = [{"code": "b", "message": "2"}, {"code": "a", "message": "z"}, {"code": "b", "message": "1"}]
    assert rules.parse_invariants(raw) == (Reason("a", "z"), Reason("b", "1"), Reason("b", "2"))
    assert rules.parse_invariants([]) == ()


@pytest.mark.parametrize(
    "raw", [None, {}, True, "", {"code": "a", "message": "m"}, ["a"], [{"code": "a"}], [{"code": "a", "message": 1}], [{"a": 1}], [None]]
)
def test_an_answer_that_cannot_be_used_is_a_violation(raw: object) -> None:
    (violation,) = rules.parse_invariants(raw)
    assert violation.code == "invariants-unusable"


def test_every_sample_fits_its_schema() -> None:
    for rule, document in entry_points.samples().items():
        assert jsonschema_rs.is_valid(rules.schemas()["killcord", rule.partition(".")[0]], document), rule
