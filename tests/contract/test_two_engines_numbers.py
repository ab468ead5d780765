"""Numbers on both engines: whatever expression over numbers loads, both give the same value for what a call can bring."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core.policy import numbers
from tests.support import two_engines
from tests.support.policies import ALLOWED, POLICIES, ruled, written

_LITERALS = ("0", "1", "2", "3", "7", "100", "999", "100000", "9007199254740991", "0.5", "0.1", "19.99", "100.01", "1e3", "1.5e-3")
_LEAVES = ("x", "y", "count(l)", "count(t)", "round(x)", "round(y)", "abs(x)", "max(l)", "min(l)", "to_number(t)", "parse(t)", "input.now")
_LISTS = ("l", "[x, y]", "[round(v) | some v in l]", "[v | some v in l; is_number(v)]", "{round(v) | some v in l}", "[count(l), 1]")
_WHOLE = (0, 1, -1, 2, -3, 7, 99, 100, 101, 2**31, 2**53 - 1, 1 - 2**53, 2**53, 10**18, 10**25)
_FRACTIONS = (0.5, -0.5, 1.5, 2.5, -2.5, 0.1, 0.3, 0.30000000000000004, 19.99, 100.00000000000001, 1.005, 0.285, 1e-7, 4503599627370497.5)
_FLOATS = (1e15, 1e20, -0.0, 1.0, 3.0)
_TEXTS = ("1", "-2.5", "1e3", "100.5", "007", "+1", "1_0", " 1", "", "1e400", "0x10", "1" * 30, "0.1234567890123456789", "x")


def _number(pick: random.Random, depth: int) -> str:
    if depth == 0:
        return pick.choice(_LEAVES if pick.random() < 0.6 else _LITERALS)
    left, right = (_number(pick, pick.randrange(depth)) for _ in range(2))
    return f"round({left})" if pick.random() < 0.3 else f"({left} {pick.choice('+-*/%')} {right})"


def _expression(pick: random.Random) -> str:
    left, right = _number(pick, pick.randrange(3)), _number(pick, pick.randrange(3))
    sign = pick.choice(("<", "<=", "==", "!=", ">", ">="))
    return pick.choice(
        (
            left,
            f"{left} {sign} {right}",
            f"sum({pick.choice(_LISTS)}) {sign} {pick.choice(_LITERALS)}",
            f"round({left}) * round({right}) {sign} {pick.choice(_LITERALS)}",
            f"sort([{left}, {right}])",
            f"[1 | some w in {pick.choice(_LISTS)}; w {sign} {pick.choice(_LEAVES)}]",
        )
    )


def _rules(pick: random.Random, count: int) -> Iterator[str]:
    for at in range(count):
        used = _expression(pick).replace("parse(", "data.killcord.lib.number.parse(")
        named = "\n\t".join(f"{name} := input.args.{name}" for name in "xylt")
        yield f"use_{at} := answer if {{\n\t{named}\n\tanswer := {used}\n}}"


def _documents(pick: random.Random, count: int) -> Iterator[dict[str, object]]:
    for _ in range(count):
        x, y, *listed = (pick.choice((*_WHOLE, *_FRACTIONS, *_FLOATS)) for _ in range(2 + pick.randrange(4)))
        args = {"x": x, "y": y, "l": listed, "t": pick.choice(_TEXTS)}
        yield {"args": numbers.shown(args), "now": 1_790_000_000_123_456_789}


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(3, 40))])
def test_every_expression_over_numbers_that_loads_has_one_value(tmp_path: Path, seed: int) -> None:
    pick = random.Random(seed)
    rules = list(dict.fromkeys(_rules(pick, 300)))
    refused = {int(found.partition(":")[2].partition(":")[0]) for found in two_engines.loads(_bundle(tmp_path / "all", rules))}
    loaded = [rule for at, rule in enumerate(rules) if not refused & set(range(_line(at), _line(at + 1)))]
    assert len(loaded) >= 40
    folder = _bundle(tmp_path / "loaded", loaded)
    ours = two_engines.embedded(folder)
    with two_engines.remote(folder) as theirs:
        for document in _documents(pick, 40):
            for rule in loaded:
                asked = f"data.killcord.authz.{rule.split()[0]}", document
                assert _plain(ours.evaluate(*asked)) == _plain(theirs.evaluate(*asked)), (rule, document)


def _line(at: int) -> int:
    """Where a rule begins in the module; each has seven lines and one between."""
    return 5 + 8 * at


def _bundle(folder: Path, rules: list[str]) -> Path:
    written(folder, {"killcord/lib/number.rego": (POLICIES / "killcord" / "lib" / "number.rego").read_text()})
    return ruled(folder, f"{ALLOWED}\n\n" + "\n\n".join(rules))


def _plain(outcome: two_engines.Outcome) -> object:
    """A rule that fails denies on one engine; on the other it may be undefined, which denies likewise where a rule grants."""
    return outcome if outcome[0] == "value" else "no value"
