"""A revision is refused for what its compiler, or a generated input, shows; a sound one is not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gateway.clients import policy_bundle
from gateway.clients.rego import compiler_checks, loading, trial
from tests.support.policies import POLICIES, written

COPY = {path.relative_to(POLICIES).as_posix(): path.read_text() for path in POLICIES.rglob("*.rego")}


def problems(folder: Path, package: str, rules: str, **files: str) -> tuple[str, ...]:
    """What is wrong with the starter bundle and a file of these rules."""
    mine = {f"killcord/{package}/mine.rego": f"package killcord.{package}\n\n{rules}\n"}
    return loading.load(policy_bundle.read(written(folder, COPY | mine | files))).problems


def test_the_starter_bundle_has_no_problems() -> None:
    assert loading.load(policy_bundle.read(POLICIES)).problems == ()


DENY = 'denials contains {"code": "x", "message": "y"} if'


@pytest.mark.parametrize(
    ("rules", "line", "problem"),
    [
        ('denials contains {"code": "x", "message": why} if input.args.amount > 5', 3, "the variable why has no value here"),
        (f"{DENY} not input.args[key]", 3, "the variable key has no value here"),
        (f"{DENY} {{\n\tsome key\n\tnot input.args[key]\n}}", 3, "the variable key has no value here"),
        (f"f(x) := y if x == 1\n\n{DENY} f(2)", 3, "the variable y has no value here"),
        ("limit := 1 if input.tool else := most", 3, "the variable most has no value here"),
        (f'{DENY} {{\n\tinput.tool == "never"\n\tstartswith("a", "b", "c", "d")\n}}', 5, "startswith takes 2, not 4 arguments"),
        (f'{DENY} {{\n\tinput.tool == "never"\n\tconcat(",")\n}}', 5, "concat takes 2, not 1 arguments"),
        ("default most := 1\n\ndefault most := 2", 5, "data.killcord.authz.most has a default already"),
        ("most(x) := 1 if x\n\nmost := 3", 5, "is a function of 1 arguments in .* and one value here"),
        ("most(x) := 1 if x\n\nmost(x, y) := 1 if x == y", 5, "and a function of 2 arguments here"),
        ("import data.killcord.lib.number\nimport data.killcord.authz as number", 4, "the import number hides the one in line 3"),
    ],
)
def test_what_opa_would_not_compile_is_refused_with_its_line(tmp_path: Path, rules: str, line: int, problem: str) -> None:
    found = "\n".join(problems(tmp_path / "policies", "authz", rules))
    assert f"policies/killcord/authz/mine.rego:{line}: " in found
    assert re.search(problem, found), found


@pytest.mark.parametrize(
    "rules",
    [
        f"{DENY} {{\n\tsome key, value in input.args\n\tnot value == key\n}}",
        f'{DENY} {{\n\tinput.args[key] > 5\n\tnot key == "free"\n}}',
        f"known[name] := count(name) if some name in input.lease.scopes\n\n{DENY} known.x > 5",
        f"f(x) := x if x\n\nf(x) := 0 if not x\n\n{DENY} f(input.args.amount) > 5",
        f'default most := 1\n\nmost := 2 if input.tool == "crm"\n\n{DENY} count(input.lease.scopes) > most + 5',
        f'{DENY} every scope in input.lease.scopes {{\n\tstartswith(scope, "x")\n}}',
        f'{DENY} count([name | some name in input.lease.scopes; not name == "x"]) > 50',
    ],
)
def test_a_sound_rule_is_not_refused(tmp_path: Path, rules: str) -> None:
    assert problems(tmp_path / "policies", "authz", rules) == ()


@pytest.mark.parametrize(
    ("package", "rules", "problem"),
    [
        (
            "authz",
            'most := 5 if input.action.class == "irreversible"\n\nmost := 6 if input.action.effect == "write"\n\n'
            f"{DENY} input.args.amount > most",
            'rule conflicts with the following rule: (on a generated input: input.action.class = "irreversible")',
        ),
        ("authz", f'f(x) := 1 if x\n\nf(x) := 2 if x\n\n{DENY} {{\n\tinput.tool == "crm"\n\tf(true) > 0\n}}', 'input.tool = "crm"'),
        ("authz", 'decision := {"allow": false} if input.tool in {"crm", "hr"}', 'input.tool = "crm"'),
        ("authz", 'risky := ["crm"]\n\ndecision := {"allow": false} if input.tool in risky', 'input.tool = "crm"'),
        ("authz", 'decision := {"allow": false} if input.args.data.amount > 700', "input.args.data.amount = 701"),
        ("authz", 'denials contains "no" if input.run.mode == "read_only"', "reasons is not a list of {code, message}"),
        ("authz", "obligations.dance := true if input.approval.granted", "Policy demands unsupported obligations: dance"),
        ("response", 'response := {"action": "none"} if input.trigger.name == "blast.limit"', 'input.trigger.name = "blast.limit"'),
        ("recovery", 'decision := {"proceed": "maybe"} if input.node.remedy == "release"', 'input.node.remedy = "release"'),
        (
            "invariants",
            'violations contains "bad" if {\n\tsome one in input.objects\n\tnot one.exists\n}',
            "input.objects.*.exists = false",
        ),
    ],
)
def test_what_only_some_inputs_show_is_refused_with_the_input(tmp_path: Path, package: str, rules: str, problem: str) -> None:
    found = problems(tmp_path / "policies", package, rules)
    assert len(found) == 1
    assert problem in found[0]


def test_a_rule_that_is_one_value_beside_a_set_is_refused(tmp_path: Path) -> None:
    found = problems(tmp_path / "policies", "authz", "denials := 3")
    assert "data.killcord.authz.denials is one value in policies/killcord/authz/mine.rego:3 and a set here; rename one of them" in found[0]


def test_a_rule_that_fails_on_the_type_of_an_argument_is_not_refused(tmp_path: Path) -> None:
    assert problems(tmp_path / "policies", "authz", f'{DENY} startswith(input.args.name, "x")') == ()


def test_a_missing_data_file_is_told_with_where_files_are(tmp_path: Path) -> None:
    wanted = f"{DENY} input.args.amount > data.limits.refund"
    placed = {"killcord/authz/data.json": '{"refund": 5}'}
    (found,) = problems(tmp_path / "one" / "policies", "authz", wanted, **placed)
    assert found == (
        "policies/killcord/authz/mine.rego:3: there is no data.limits.refund; policies/killcord/authz/data.json is at data.killcord.authz: "
        "a data file stands under the path of its folder"
    )
    (found,) = problems(tmp_path / "two" / "policies", "authz", wanted, **{"limits.json": '{"refund": 5}'})
    assert "policies/limits.json is not read: a data file is named data.json or data.yaml" in found
    assert problems(tmp_path / "three" / "policies", "authz", wanted, **{"limits/data.json": '{"refund": 5}'}) == ()


def test_the_engine_knows_how_many_arguments_a_builtin_takes() -> None:
    assert compiler_checks.arity_fault("startswith", 2) is None
    assert compiler_checks.arity_fault("startswith", 3) is None  # the third takes the result
    assert compiler_checks.arity_fault("startswith", 1) == "startswith takes 2, not 1 arguments"


def nested(depth: int) -> str:
    return "[" * depth + "1" + "]" * depth


def test_brackets_are_nested_as_deep_as_the_parser_bears(tmp_path: Path) -> None:
    quoted = f'text := "{nested(30)}" # {nested(30)}\n\nraw := `{nested(30)}`'
    deepest = f"{quoted}\n\nlist := {nested(loading.DEEPEST)}"
    assert problems(tmp_path / "deep", "authz", deepest) == ()
    found = problems(tmp_path / "deeper", "authz", f"{quoted}\n\nlist := {nested(loading.DEEPEST + 1)}")
    assert len(found) == 1
    assert found[0].startswith("deeper/killcord/authz/mine.rego:7: brackets are nested more than 10 deep; move the inner part")


def test_a_rule_that_takes_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "LONGEST", 0.001)
    each_pair = "some x in data.killcord.many.list; some y in data.killcord.many.list; x == y"
    many = {"killcord/many/data.json": json.dumps({"list": list(range(200))})}
    found = problems(tmp_path, "authz", f"{DENY} count([1 | {each_pair}]) > 200", **many)
    assert len(found) == 1
    assert re.match(
        r"data.killcord.authz.decision takes \d+.\d\d s, and the gateway stands still meanwhile; the limit is 0.001 s", found[0]
    )


def test_a_bundle_that_takes_long_to_compile_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "LONGEST_COMPILATION", 0.0)
    found = problems(tmp_path, "authz", f"{DENY} input.args.never")
    assert len(found) == 1
    assert "s to compile, and the gateway stands still meanwhile; the limit is 0 s" in found[0]
