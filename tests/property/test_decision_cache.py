"""Remembering decisions never changes one."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clients import policy_bundle
from gateway.clients.rego import loading, syntax
from gateway.clients.rego.engine import DecisionCache
from tests.support.policies import POLICIES, call, engine, outcome, ruled, written

STARTER = loading.examine(policy_bundle.read(POLICIES)).input_paths


def test_the_starter_bundle_looks_at_these_paths_and_no_others() -> None:
    assert STARTER is not None
    assert {".".join(path) for path in STARTER} == {
        "action.class",
        "action.effect",
        "action.name",
        "approval.granted",
        "lease.scopes",
        "lease.tools",
        "run.mode",
        "run.tenant",
        "target.tenant",
        "tool",
    }


@pytest.mark.parametrize(
    "rule",
    [
        "denials contains x if { some name; input[name] == 1; x := {} }",
        "denials contains x if { whole := input; whole.tool == 1; x := {} }",
        'denials contains x if { object.get(input, "tool", "") == 1; x := {} }',
        "denials contains x if { input.now > 5; x := {} }",
        "denials contains x if { input.step.id; x := {} }",
    ],
)
def test_what_cannot_be_reported_or_is_new_each_time_is_not_remembered(tmp_path: Path, rule: str) -> None:
    found = loading.examine(policy_bundle.read(ruled(tmp_path, rule)))
    assert DecisionCache(found.input_paths).key(call()) is None


def test_an_input_that_the_syntax_does_not_account_for_turns_remembering_off() -> None:
    module = syntax.Module("a.rego", ("killcord", "authz"), (), ())
    assert syntax.input_paths([module], {"a.rego": "x if input.tool"}) is None
    assert syntax.input_paths([module], {"a.rego": 'x := "input" # input\ny := data.input\nz := `input`'}) == ()


def test_absent_null_empty_and_look_alikes_are_reported_apart() -> None:
    memory = DecisionCache([("args", "amount"), ("target", "tenant")])
    documents: list[dict[str, Any]] = [
        {"args": {"amount": None}, "target": {"tenant": "a"}},
        {"args": {}, "target": {"tenant": "a"}},
        {"args": None, "target": {"tenant": "a"}},
        {"args": [], "target": {"tenant": "a"}},
        {"args": {"amount": "1"}, "target": {"tenant": "a"}},
        {"args": {"amount": 1}, "target": {"tenant": "a"}},
        {"args": {"amount": 1.0}, "target": {"tenant": "a"}},
        {"args": {"amount": True}, "target": {"tenant": "a"}},
        {"args": {"amount": 1}, "target": {}},
        {"args": {"amount": "\x00"}, "target": {"tenant": "a"}},
    ]
    keys = [memory.key(document) for document in documents]
    assert len(set(keys)) == len(documents)


async def test_a_decision_made_before_has_an_id_of_its_own_and_the_same_answer() -> None:
    active = engine(POLICIES)
    minted = iter(range(100))
    active._mint = lambda prefix: f"{prefix}_{next(minted)}"
    first, again = await active.decide(call()), await active.decide(call() | {"args": {"other": "arguments"}})
    assert (first.decision_id, again.decision_id) == ("dec_0", "dec_1")
    assert outcome(first) == outcome(again) == "allow"


async def test_what_is_no_json_is_denied_even_where_the_rest_is_known() -> None:
    active = engine(POLICIES)
    assert outcome(await active.decide(call())) == "allow"
    for value in (2**64, object(), "\ud800"):
        assert outcome(await active.decide(call() | {"args": value})) == {"policy-input"}


AMOUNTS = """
denials contains {"code": "amount", "message": "Too much."} if {
	input.action.name == "refund.create"
	input.args.amount > data.limits[input.run.tenant]
}

denials contains {"code": "items", "message": "Too many."} if count(input.args.items) > 2

denials contains {"code": "who", "message": "Not you."} if {
	some part in split(input.agent.id, "-")
	part == "rogue"
}
"""

PLACES: list[tuple[str, ...]] = [
    ("action", "name"),
    ("action", "class"),
    ("action", "effect"),
    ("target", "tenant"),
    ("run", "tenant"),
    ("run", "mode"),
    ("agent", "id"),
    ("args",),
    ("args", "amount"),
    ("args", "items"),
    ("lease", "scopes"),
    ("lease", "tools"),
    ("approval",),
    ("counters",),
    ("http", "path"),
]
WORDS = [None, True, "refund.create", "acme", "globex", "read", "irreversible", "read_only", "a-rogue-b"]
VALUES: st.SearchStrategy[Any] = st.sampled_from([*WORDS, 5, 50, [], [1, 2, 3], ["erp:*"], {}, {"amount": 50}])


@settings(max_examples=100)
@given(st.lists(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), max_size=3), min_size=2, max_size=12))
def test_an_engine_that_remembers_decides_as_one_that_does_not(tmp_path_factory: pytest.TempPathFactory, changes: list[Any]) -> None:
    import asyncio

    folder = _amounts(tmp_path_factory)
    remembering, forgetting = engine(folder), engine(folder)
    assert remembering._active.memory._paths is not None
    object.__setattr__(forgetting._active, "memory", DecisionCache(None))
    for change in changes:
        document = copy.deepcopy(call())
        for place, value in change:
            _put(document, place, value)
        pair = [asyncio.run(one.decide(document)) for one in (remembering, forgetting)]
        assert outcome(pair[0]) == outcome(pair[1]), orjson.dumps(document, default=str)
    for one in (remembering, forgetting):
        one.release()


_FOLDERS: list[Path] = []


def _amounts(factory: pytest.TempPathFactory) -> Path:
    if not _FOLDERS:
        folder = factory.mktemp("amounts")
        shutil.copytree(POLICIES, folder, dirs_exist_ok=True)
        written(folder, {"killcord/authz/more.rego": f"package killcord.authz\n{AMOUNTS}"})
        (folder / "data.json").write_text('{"limits": {"acme": 10, "globex": 100}}')
        _FOLDERS.append(folder)
    return _FOLDERS[0]


def _put(document: dict[str, Any], place: tuple[str, ...], value: object) -> None:
    at = document
    for step in place[:-1]:
        below = at.get(step)
        if not isinstance(below, dict):
            below = at[step] = {}
        at = below
    if value is None:
        at.pop(place[-1], None)
    else:
        at[place[-1]] = value
