"""The embedded engine: what it decides, how it fails closed, how it takes up changes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from gateway import errors
from gateway.clients import policy_bundle
from gateway.clients.rego import entry_points
from gateway.control.supervisor import Supervisor
from gateway.core.policy import numbers, rules
from gateway.model.decision import Allow
from tests.support.decisions import DECISIONS
from tests.support.policies import ALLOWED, POLICIES, Reports, call, engine, outcome, ruled, written

UNFORESEEN = 'concat("", [input.tool, "!"]) == "crm!"'
"""A condition on a call that generated inputs do not meet."""


@pytest.mark.parametrize(("document", "expected"), [row[1:] for row in DECISIONS], ids=[row[0] for row in DECISIONS])
async def test_the_starter_bundle_decides(document: dict[str, object], expected: str | set[str]) -> None:
    assert outcome(await engine(POLICIES).decide(document)) == expected


async def test_a_decision_carries_its_id_and_the_revision() -> None:
    active = engine(POLICIES)
    decision = await active.decide(call())
    assert decision == Allow(decision_id="dec_1", revision=active.revision)
    assert active.revision == policy_bundle.read(POLICIES).revision
    assert len(active.revision) == 12


# --- failing closed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [2**64, {1: "x"}, object(), "\ud800", {"\udfff": 1}, b"x", {1, 2}],
    ids=["too big", "a number for a key", "an object", "half a character", "half a character as a key", "bytes", "a set"],
)
async def test_what_is_no_json_is_denied_and_kills_nothing(value: object) -> None:
    active = engine(POLICIES)
    assert outcome(await active.decide(call() | {"args": value})) == {"policy-input"}
    assert outcome(await active.decide(call())) == "allow"


async def test_a_document_too_deep_for_the_engine_is_denied() -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    assert outcome(await engine(POLICIES).decide(call() | {"args": deep})) == {"policy-input"}
    while isinstance(deep, list):  # taken apart by hand: freeing it at once is deep as well
        deep = deep.pop()


async def test_integers_are_decided_on_exactly(tmp_path: Path) -> None:
    rule = 'default decision := {"allow": false}\ndecision := {"allow": true} if input.args.n == 9007199254740993'
    active = engine(ruled(tmp_path, rule))
    assert outcome(await active.decide(call(args={"n": 9007199254740993}))) == "allow"
    assert outcome(await active.decide(call(args={"n": 9007199254740992}))) != "allow"


async def test_a_rule_that_fails_on_a_call_denies_it_without_quoting_it(tmp_path: Path) -> None:
    rule = 'decision := {"allow": true} if not secret\nsecret if startswith(input.args.name, "x")'
    decision = await engine(ruled(tmp_path, rule)).decide(call(args={"name": 4711}))
    assert outcome(decision) == {"policy-error"}
    assert "/killcord/authz/x.rego:4" in decision.reasons[0].message
    assert "4711" not in decision.reasons[0].message


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("input.args.answer", "policy-undefined"),
        ('{"allow": "true"}', "policy-malformed"),
        ("true", "policy-malformed"),
        ('{"allow": true, "obligations": {"dance": true}}', "obligation-unknown"),
        ('"<undefined>"', "policy-undefined"),
    ],
)
async def test_an_answer_that_only_looks_like_one_on_some_calls_denies_those(tmp_path: Path, answer: str, code: str) -> None:
    rule = f'decision := {{"allow": true}} if input.tool == "erp"\ndecision := {answer} if {UNFORESEEN}'
    active = engine(ruled(tmp_path, rule))
    assert outcome(await active.decide(call())) == "allow"
    assert outcome(await active.decide(call(tool="crm"))) == {code}


async def test_rules_that_contradict_each_other_on_a_call_deny_it(tmp_path: Path) -> None:
    rule = f'decision := {{"allow": true}} if input.tool\ndecision := {{"allow": false}} if {UNFORESEEN}'
    assert outcome(await engine(ruled(tmp_path, rule)).decide(call(tool="crm"))) == {"policy-error"}


async def test_a_call_on_which_the_engine_panics_is_denied_and_the_next_one_decided(tmp_path: Path) -> None:
    rules = 'default decision := {"allow": false}\ndecision := {"allow": true} if not odd\nodd if input.counters.steps % 2 == 1'
    active = engine(ruled(tmp_path, rules))
    assert outcome(await active.decide(call(counters={"steps": 1e16}))) == {"policy-error"}
    assert outcome(await active.decide(call(counters={"steps": 3}))) == {"unexplained"}
    assert outcome(await active.decide(call(counters={"steps": 4}))) == "allow"


# --- other questions --------------------------------------------------------------------------------------------------


async def test_a_rule_is_asked_for_by_its_name() -> None:
    raw = await engine(POLICIES).ask(rules.RESPONSE, entry_points.samples()[rules.RESPONSE])
    assert raw == {"action": "pause", "rollback": False, "verdict": "containment", "why": "Policy refused the run 5 times."}


async def test_what_is_undefined_or_not_there_is_none(tmp_path: Path) -> None:
    assert await engine(POLICIES).ask(rules.RESPONSE, {"trigger": {"name": "no.such-trigger"}}) is None
    assert await engine(ruled(tmp_path, ALLOWED)).ask(rules.RESPONSE, entry_points.samples()[rules.RESPONSE]) is None


async def test_a_set_comes_as_a_sorted_list(tmp_path: Path) -> None:
    rows = ["b", "a", "c"]
    members = "\n".join(f'violations contains {{"code": "{row}", "message": "m"}}' for row in rows)
    folder = written(ruled(tmp_path, ALLOWED), {"killcord/invariants/v.rego": f"package killcord.invariants\n\n{members}\n"})
    assert await engine(folder).ask(rules.INVARIANTS, {}) == [{"code": row, "message": "m"} for row in sorted(rows)]


@pytest.mark.parametrize("document", [{"trigger": "\ud800"}, {"trigger": {1}}, {"trigger": {1: 2}}])
async def test_what_is_no_json_cannot_be_asked(document: dict[str, object]) -> None:
    with pytest.raises(errors.PolicyUnavailable):
        await engine(POLICIES).ask(rules.RESPONSE, document)


async def test_a_rule_that_fails_is_no_answer_and_the_next_one_is_had(tmp_path: Path) -> None:
    answer = {"action": "none", "rollback": False, "verdict": "recoverable", "why": "Fine."}
    failing = f'response := {json.dumps(answer)} if startswith(input.trigger.facts.name, "x")'
    active = engine(written(ruled(tmp_path, ALLOWED), {"killcord/response/r.rego": f"package killcord.response\n\n{failing}\n"}))
    with pytest.raises(errors.PolicyUnavailable, match=r"r\.rego:3 cannot be applied"):
        await active.ask(rules.RESPONSE, {"trigger": {"facts": {"name": 1}}})
    assert await active.ask(rules.RESPONSE, {"trigger": {"facts": {"name": "xy"}}}) == answer
    assert outcome(await active.decide(call())) == "allow"


async def test_a_question_on_which_the_engine_panics_has_no_answer_and_the_next_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "documented", lambda document: document)  # what the gateway composes has no such number any more
    fine = 'response := {"action": "none", "rollback": false, "verdict": "recoverable", "why": "Fine."}'
    odd = f"{fine} if not odd\n\nodd if input.counters.steps % 2 == 1"
    active = engine(written(ruled(tmp_path, ALLOWED), {"killcord/response/r.rego": f"package killcord.response\n\n{odd}\n"}))
    with pytest.raises(errors.PolicyUnavailable, match=r"crashed on data\.killcord\.response\.response"):
        await active.ask(rules.RESPONSE, {"counters": {"steps": 1e16}})
    assert await active.ask(rules.RESPONSE, {"counters": {"steps": 3}}) is None
    assert outcome(await active.decide(call())) == "allow"


async def test_questions_between_calls_change_no_decision() -> None:
    active = engine(POLICIES)
    for _ in range(2):
        assert outcome(await active.decide(call())) == "allow"
        await active.ask(rules.RESPONSE, entry_points.samples()[rules.RESPONSE])
        assert outcome(await active.decide(call(target__tenant="globex"))) == {"tenant-boundary"}


async def test_an_engine_that_was_released_has_no_answers(tmp_path: Path) -> None:
    active = engine(POLICIES)
    active.release()
    with pytest.raises(errors.PolicyUnavailable):
        await active.ask(rules.RESPONSE, {})


def test_what_a_bundle_does_not_answer_is_reported_when_it_loads(tmp_path: Path) -> None:
    reports = Reports()
    active = engine(ruled(tmp_path, ALLOWED), reports)
    assert reports.lines == [("warning", f"revision {active.revision}: {lack}") for lack in entry_points.LACKING.values()]
    reports.lines.clear()
    engine(POLICIES, reports)
    assert reports.lines == []


async def test_no_other_package_has_the_gateway_gather_more_for_a_call() -> None:
    active = engine(POLICIES)
    assert not any(active.asks_for(name) for name in ("counters", "now", "trigger", "node"))


# --- reloading -------------------------------------------------------------------------------------------------------


async def test_a_changed_bundle_becomes_active_once_it_is_still(tmp_path: Path) -> None:
    reports = Reports()
    active = engine(ruled(tmp_path, ALLOWED), reports)
    before = active.revision
    ruled(tmp_path, 'decision := {"allow": false}')
    await active.refresh()
    assert active.revision == before
    await active.refresh()
    assert active.revision != before
    assert outcome(await active.decide(call())) == {"unexplained"}
    assert reports.of("info") == [f"policy revision {active.revision} is active"]


async def test_a_broken_change_is_refused_and_the_old_revision_decides_on(tmp_path: Path) -> None:
    reports = Reports()
    active = engine(ruled(tmp_path / "policies", ALLOWED), reports)
    before = active.revision
    ruled(tmp_path / "policies", f"{ALLOWED} if input.run.tennant")
    for _ in range(3):
        await active.refresh()
    assert active.revision == before
    assert outcome(await active.decide(call())) == "allow"
    assert active.health() == (
        True,
        f"embedded policy engine, revision {before} active (1 files); newer files refused: "
        "policies/killcord/authz/x.rego:3: there is no input.run.tennant; did you mean tenant?",
    )
    assert len(reports.of("error")) == 1


async def test_a_repaired_change_ends_the_refusal(tmp_path: Path) -> None:
    active = engine(ruled(tmp_path, ALLOWED))
    before = active.revision
    for rule in ("broken", ALLOWED):
        ruled(tmp_path, rule)
        await active.refresh()
        await active.refresh()
    assert active.revision == before
    assert "refused" not in active.health()[1]


@pytest.mark.parametrize("kind", ["a link to nowhere", "no text", "no regular file", "broken data"])
async def test_a_refusal_ends_when_its_file_is_removed(tmp_path: Path, kind: str) -> None:
    active = engine(ruled(tmp_path, ALLOWED))
    await active.refresh()
    await active.refresh()
    file = tmp_path / "killcord" / ("data.json" if kind == "broken data" else "more.rego")
    match kind:
        case "a link to nowhere":
            file.symlink_to("nowhere")
        case "no regular file":
            os.mkfifo(file)
        case _:
            file.write_bytes(b"\xff{")
    for _ in range(2):
        await active.refresh()
    assert f"refused: {file}: " in active.health()[1] or f"{file.name}: cannot be used as data" in active.health()[1]
    file.unlink()
    for _ in range(2):
        await active.refresh()
    assert "refused" not in active.health()[1]


async def test_a_change_that_keeps_size_and_time_is_seen(tmp_path: Path) -> None:
    folder = ruled(tmp_path, f"{ALLOWED} # aaa")
    active = engine(folder)
    for _ in range(2):
        await active.refresh()
    before, file = active.revision, tmp_path / "killcord/authz/x.rego"
    was = file.stat()
    file.write_text(file.read_text().replace("aaa", "bbb"))
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    for _ in range(2):
        await active.refresh()
    assert active.revision != before


async def test_a_folder_that_goes_away_leaves_the_old_revision(tmp_path: Path) -> None:
    active = engine(ruled(tmp_path / "policies", ALLOWED))
    shutil.rmtree(tmp_path / "policies")
    await active.refresh()
    assert "cannot be read" in active.health()[1]
    assert outcome(await active.decide(call())) == "allow"


async def test_an_emptied_folder_is_refused(tmp_path: Path) -> None:
    active = engine(ruled(tmp_path, ALLOWED))
    (tmp_path / "killcord/authz/x.rego").unlink()
    await active.refresh()
    await active.refresh()
    assert "there is no rule data.killcord.authz.decision" in active.health()[1]
    assert outcome(await active.decide(call())) == "allow"


async def test_touching_files_changes_nothing(tmp_path: Path) -> None:
    reports = Reports()
    active = engine(ruled(tmp_path, ALLOWED), reports)
    reports.lines.clear()
    os.utime(tmp_path / "killcord/authz/x.rego", ns=(1, 1))
    await active.refresh()
    await active.refresh()
    assert reports.lines == []


async def test_watching_takes_up_a_change_automatically(tmp_path: Path) -> None:
    active = engine(ruled(tmp_path, ALLOWED))
    before = active.revision
    supervisor = Supervisor(lambda *_, **__: None)
    supervisor.every(0.01, "policy", active.refresh)
    try:
        ruled(tmp_path, 'decision := {"allow": false}')
        async with asyncio.timeout(30):
            while active.revision == before:
                assert outcome(await active.decide(call())) == "allow"
                await asyncio.sleep(0.01)
    finally:
        await supervisor.finish(0.0)
    assert outcome(await active.decide(call())) == {"unexplained"}


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        ("allow_more if input.counters.writes > 3", True),
        ("allow_more if { some name; input[name] == 1 }", True),
        ("allow_more if { whole := input; whole.tool }", True),
        ('allow_more if input.tool == "erp"', False),
    ],
)
def test_an_engine_knows_what_its_rules_look_at(tmp_path: Path, rule: str, asked: bool) -> None:
    shutil.copytree(POLICIES, tmp_path, dirs_exist_ok=True)
    (tmp_path / "killcord" / "authz" / "more.rego").write_text(f"package killcord.authz\n\n{rule}\n")
    active = engine(tmp_path)
    assert active.asks_for("counters") is asked
    assert active.asks_for("tool")
