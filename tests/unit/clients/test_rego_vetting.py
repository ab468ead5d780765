"""What does not load, and how it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.policies import ALLOWED, engine, problems, ruled, written


@pytest.mark.parametrize(
    ("rules", "line", "expected"),
    [
        ('decision := {"allow": true', 4, "expecting `}`"),
        (f"{ALLOWED} if startwith(input.tool, `e`)", 3, "there is no function startwith; did you mean startswith?"),
        (f"{ALLOWED} if data.killcord.authz.nope(1)", 3, "there is no function data.killcord.authz.nope"),
        (f"import data.killcord.lib.wildcart\n{ALLOWED}", 3, "there is no data.killcord.lib.wildcart"),
        (f"import data.killcord.lib.wildcart\n{ALLOWED} if wildcart.f(1)", 4, "there is no function wildcart.f"),
        (f"{ALLOWED} if http.send({{}})", 3, "http.send may not be used"),
        (f"{ALLOWED} if time.now_ns() > 1", 3, "use input.now"),
        (f"{ALLOWED} if opa.runtime()", 3, "opa.runtime may not be used"),
        (f"{ALLOWED} if strings.replace_n({{}}, `a`)", 3, "strings.replace_n may not be used"),
        (f"{ALLOWED} if input.run.tennant", 3, "there is no input.run.tennant; did you mean tenant?"),
        (f'{ALLOWED} if input["run"]["tennant"]', 3, "there is no input.run.tennant; did you mean tenant?"),
        (f"{ALLOWED} if input.tennant", 3, "there is no input.tennant; did you mean tenant?"),
        (f"{ALLOWED} if not input.run.tennant", 3, "there is no input.run.tennant"),
        (f"{ALLOWED} if {{\n\tr := input.run\n\tr.tennant\n}}", 5, "there is no input.run.tennant"),
        (f"{ALLOWED} if {{\n\tsome s in input.lease.scopes\n\ts.tool\n}}", 5, "input.lease.scopes._ is a string"),
        (f"{ALLOWED} if every s in input.lease.scopes {{ s.tool }}", 3, "input.lease.scopes._ is a string"),
        (f"import input.run\n{ALLOWED} if run.tennant", 4, "there is no input.run.tennant"),
        (f"import input.rum\n{ALLOWED}", 3, "there is no input.rum; did you mean run?"),
        (f'{ALLOWED} if object.get(input.run, "tennant", "") == ""', 3, "there is no input.run.tennant"),
        (f'{ALLOWED} if object.get(input, ["run", "tennant"], "") == ""', 3, "there is no input.run.tennant"),
        (f"{ALLOWED} if input.lease.scopes.first", 3, "input.lease.scopes is a list"),
        (f"{ALLOWED} if input.tool.name", 3, "input.tool is a string, it has no fields"),
        (f"{ALLOWED} if input.http.query.a.b", 3, "input.http.query.a is a string"),
        (f'{ALLOWED} if "a" in [x | x := input.step.perent]', 3, "did you mean parent?"),
        (f"{ALLOWED} if f(1)\nf(x) if f(x)", 4, "f refers to itself"),
        (f"{ALLOWED} if f(1)\nf(x) if g(x)\ng(x) if f(x)", 4, "Rego does not support recursion"),
        ("decision := data.killcord.authz.decision", 3, "decision refers to itself"),
        (f"{ALLOWED} if f(1, 2, 3)\nf(x) if x", 3, "f takes 1, not 3 arguments"),
        (f"{ALLOWED} if not startswith(input.args.name, `x`)", 3, "not: input.args.name may be absent, and engines differ"),
        (f"{ALLOWED} if not input.args.n > 3", 3, "not: input.args.n may be absent"),
        (f"{ALLOWED} if not input.action.class in {{1}}", 3, "not: input.action.class may be absent"),
        (f"{ALLOWED} if {{ some x in input.foo; x }}", 3, "there is no input.foo"),
        (f"{ALLOWED} if {{ some x in input.run.foo; x }}", 3, "there is no input.run.foo"),
        (f"{ALLOWED} if {{ some k, v in input.htpp; k == v }}", 3, "there is no input.htpp; did you mean http?"),
        (f"{ALLOWED} if every x in input.leese.scopes {{ x }}", 3, "there is no input.leese; did you mean lease?"),
        (f"{ALLOWED} if input.runs[_]", 3, "there is no input.runs; did you mean run?"),
        (f"{ALLOWED} if input.lease.scopes[_].tool", 3, "input.lease.scopes._ is a string"),
        (f"{ALLOWED} if input.lease.scopes[0].tool", 3, "input.lease.scopes._ is a string"),
        (f"{ALLOWED} if startswith(input.actoin.name, `x`)", 3, "there is no input.actoin; did you mean action?"),
        (f"{ALLOWED} if `x` in input.lease.scope", 3, "there is no input.lease.scope; did you mean scopes?"),
        (f"{ALLOWED} if {{ x := {{`a`: input.tenent}}; x }}", 3, "did you mean tenant?"),
        (f"{ALLOWED} if {{ [x, _] := [input.step.idd, 1]; x }}", 3, "there is no input.step.idd; did you mean id?"),
        (f"{ALLOWED} if count(object.keys(input.counter)) > 0", 3, "did you mean counters?"),
        (f"{ALLOWED} if {{ walk(input.arg, [p, v]); p == v }}", 3, "did you mean args?"),
        (f"{ALLOWED} if input.run.tennant with input as {{}}", 3, "there is no input.run.tennant"),
        (f"{ALLOWED} if input.approval.grantd == true", 3, "did you mean granted?"),
        (f"import input.lease.scopess as s\n{ALLOWED} if s", 3, "there is no input.lease.scopess"),
        (f"{ALLOWED} if f(input.runn)\nf(x) if x", 3, "there is no input.runn; did you mean run?"),
        (f"{ALLOWED} if f(1)\nf(x) := y if {{ y := input.runn; x }}", 4, "there is no input.runn"),
        (f"{ALLOWED} if false\nelse := input.runn", 4, "there is no input.runn"),
        ("default x := false\nx if input.runn", 4, "there is no input.runn"),
        ("p[input.runn] := 1", 3, "there is no input.runn"),
        ("p contains input.runn", 3, "there is no input.runn"),
        (f"{ALLOWED} if input[`runn`]", 3, "there is no input.runn"),
        (f"{ALLOWED} if {{ x := input[`run`][`tenant`].a; x }}", 3, "input.run.tenant is a string"),
        (f"{ALLOWED} if f\nf := [x | x := max([1, 2])]\nmax := 3", 4, "max is a rule here, not a function"),
        (f"{ALLOWED} if {{ time := input.now; time.clock(time) }}", 3, "time.clock is hidden by the variable time"),
        (f"{ALLOWED} if internal\ninternal if input.tool in {{`erp`}}", 4, "internal is reserved by Rego"),
        (f"{ALLOWED} if f(1)\nf(plus) if plus > 0", 4, "plus is reserved by Rego"),
        ("x := 1 if input.tool == `erp`\nelse := [y | some y in input.lease.scopes]", 4, "does not support a comprehension here"),
        ("x := [y | some y in input.lease.scopes] if input.tool", 3, "assign it in a body"),
        ("x contains {y | some y in input.lease.scopes} if input.tool", 3, "does not support a comprehension here"),
        ("x[k] contains v if some k, v in input.http.query", 3, "empty objects of sets"),
        ("f({`a`: x}) := x", 3, "object pattern"),
        (f"{ALLOWED} if data.limits.refund", 3, "there is no data.limits.refund"),
        (f"{ALLOWED} if {{ x == 1 }}", 3, "unsafe"),
        ("other := 1", None, "there is no rule data.killcord.authz.decision"),
        ('decision := "yes"', None, "returns no usable answer: "),
        ("decision := {} if false", None, "returns no usable answer: "),
        ("decision := 1\ndecision := 2", 4, "rule conflicts"),
        (f"{ALLOWED}\nbroken := startswith(`a`)", 4, "startswith takes 2, not 1 arguments"),
    ],
)
def test_a_bundle_that_cannot_mean_what_it_says_does_not_load(tmp_path: Path, rules: str, line: int | None, expected: str) -> None:
    found = problems(ruled(tmp_path / "policies", rules))
    wanted = f"policies/killcord/authz/x.rego:{line}: " if line else ""
    assert any(problem.startswith(wanted) and expected in problem for problem in found), found
    assert all("\n" not in problem and "backtrace" not in problem for problem in found)


@pytest.mark.parametrize(
    "rules",
    [
        f'{ALLOWED} if not input.args.name == "x"',
        f"{ALLOWED} if not input.args.name",
        f"{ALLOWED}\nsmall if {{\n\tinput.args.n\n\tnot input.args.n > 3\n}}",
        f'{ALLOWED} if not object.get(input.args, "n", 0) > 3\ndecision := {{"allow": false}} if false',
        f"{ALLOWED} if not input.tool in {{`crm`}}",
        f"{ALLOWED} if {{\n\tsome run in [{{`tennant`: 1}}]\n\trun.tennant\n}}",
        f"import input.run\n{ALLOWED} if run.tenant",
        f"{ALLOWED} if count([r | r := input.run; r.tenant]) == count([r | r := {{`x`: 1}}; r.x])",
        f"{ALLOWED} if f(input.run)\nf(anything) if not anything.tennant",
        f"import rego.v1\n{ALLOWED}",
        f"{ALLOWED} if input.counters[`amount:refund`] > 3\n{ALLOWED} if not input.counters.steps == 3",
        f"{ALLOWED} if print(`hello`)",
        f"{ALLOWED}\nused if f\nf if {{ [hour, minute, _] := time.clock(input.now); (hour * 60) + minute > 450 }}",
        f"{ALLOWED}\nused if input.now - input.run.opened_at > (24 * 3600) * 1000000000",
        f"{ALLOWED}\nused if limit - input.counters.steps > 3\nlimit := 500",
        f"{ALLOWED}\nused if input.counters.steps % 100 == 0",
        f"{ALLOWED}\nused if count(object.keys(input.counters) - {{`steps`}}) == 0",
        f"{ALLOWED}\nused if count(seen - {{`steps`}}) == 0\nseen contains x if some x in input.lease.scopes",
        f"{ALLOWED}\nused if sum([round(x.price) | some x in input.args.items]) > 5000",
        f"{ALLOWED}\nused if {{ total := sum([round(x.price) | some x in input.args.items]); total > 5000 }}",
        f"{ALLOWED}\nused if round(input.args.quantity) * round(input.args.price) > 5000",
        f"{ALLOWED}\nused if 100 * round(input.args.price) > round(input.args.limit)",
        f"{ALLOWED}\nused if count(input.args.a) * 2 > count(input.args.b)",
        f"{ALLOWED}\nused if input.args.amount > 100.01",
        f"{ALLOWED}\nused if regex.match(pattern, input.tool)\npattern := `^[a-z]+$`",
        f"{ALLOWED}\nused if x == sprintf(`%s: %s`, [x, input.tool])\nx := concat(``, [`a`])",
        f"{ALLOWED}\nused if sprintf(`%s`, [x]) == ``\nx := lower(input.tool) if input.tool == `a`\nx := `b` if input.tool == `b`",
        f"{ALLOWED}\nused if {{ some scope in input.lease.scopes; sprintf(`%s`, [scope]) }}",
        f"{ALLOWED}\nused if [x] == [1]\nx := [y | some y in [1]]",
    ],
)
def test_what_is_plain_rego_loads(tmp_path: Path, rules: str) -> None:
    assert engine(ruled(tmp_path, rules)).health()[0]


def test_all_problems_are_named_at_once_in_order_of_place(tmp_path: Path) -> None:
    folder = ruled(tmp_path / "policies", f"{ALLOWED} if startwith(1)\nx if input.tool.a\ny if input.b")
    places = [problem.partition(": ")[0].rpartition("/")[2] for problem in problems(folder)]
    assert places == ["x.rego:3", "x.rego:4", "x.rego:5"]


def test_a_package_has_to_lie_under_killcord(tmp_path: Path) -> None:
    folder = written(ruled(tmp_path / "policies", ALLOWED), {"other.rego": "package other\n\nx := 1\n"})
    assert problems(folder) == ["policies/other.rego:1: package other must lie under killcord"]


def test_other_packages_have_other_inputs(tmp_path: Path) -> None:
    rule = "used if input.trigger.facts.limit\n"
    (problem,) = problems(ruled(tmp_path / "authz", f"{ALLOWED}\n\n{rule}"))
    assert problem.startswith("authz/killcord/authz/x.rego:5: there is no input.trigger")
    folder = written(ruled(tmp_path / "response", ALLOWED), {"killcord/response/r.rego": f"package killcord.response\n\n{rule}"})
    assert engine(folder).health()[0]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert problems(tmp_path / "nowhere") == [f"{tmp_path}/nowhere: policies cannot be read: No such file or directory"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.rego"
    file.symlink_to("nowhere")
    assert problems(tmp_path) == [f"{file}: policies cannot be read: No such file or directory"]
    file.unlink()
    file.write_bytes(b"package \xff")
    assert problems(tmp_path) == [f"{file}: is not UTF-8 text (invalid start byte at byte 8)"]
