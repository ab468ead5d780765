"""Operators' tokens: shown once, kept as hashes, found by digest."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gateway import errors
from gateway.http.server.operators import Operator, Role
from gateway.settings import operators


def test_a_new_token_opens_for_whom_it_was_made(tmp_path: Path) -> None:
    path = tmp_path / "operators.yaml"
    token = operators.add(path, "ann", Role.APPROVER, tenants=["acme"], classes=["billing"])
    found = operators.load(path)
    assert token.startswith("kcop_")
    assert len(token) >= 48
    assert found.get(operators.digest(token)) == Operator("ann", Role.APPROVER, ("acme",), ("billing",))
    assert found.get(operators.digest(token + "x")) is None
    assert found.get(operators.digest("")) is None


def test_the_file_holds_no_token_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "operators.yaml"
    token = operators.add(path, "ann", Role.ADMIN)
    assert token not in path.read_text()
    assert token.removeprefix("kcop_") not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["operators.yaml"]


def test_operators_are_added_beside_those_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "operators.yaml"
    tokens = [operators.add(path, name, Role.VIEWER) for name in ("ann", "bob", "cy")]
    found = operators.load(path)
    assert [one.name for one in found.values()] == ["ann", "bob", "cy"]
    assert {found.get(operators.digest(token)) for token in tokens} == set(found.values())


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    path = tmp_path / "operators.yaml"
    operators.add(path, "ann", Role.VIEWER)
    with pytest.raises(errors.Misconfigured, match="there is an operator ann already"):
        operators.add(path, "ann", Role.ADMIN)


@pytest.mark.parametrize("name", ["", " ", "a b", "../x", "-x", "a\nb", "x" * 65])
def test_what_is_no_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(errors.Misconfigured, match="is not an operator's name"):
        operators.add(tmp_path / "operators.yaml", name, Role.VIEWER)


def test_no_file_is_no_operator(tmp_path: Path) -> None:
    assert operators.load(tmp_path / "operators.yaml").get(operators.digest("kcop_x")) is None


def test_an_operator_touches_only_its_tenants_and_classes() -> None:
    mine = Operator("ann", Role.OPERATOR, ("acme",), ("*",))
    assert mine.covers("acme", None)
    assert mine.covers("acme", "billing")
    assert not mine.covers("beta", "billing")
    assert not Operator("bob", Role.ORCHESTRATOR, ("*",), ("support",)).covers("acme", "billing")


HASH = "a" * 64


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ann: 5\n", ":1: must be a list of {name, role, hash, tenants, classes}"),
        ("- ann\n", ":1: [0]: must be a mapping with name, role, hash, tenants or classes"),
        (
            f"- {{name: ann, role: king, hash: {HASH}}}\n",
            ":1: [0].role: 'king' is not one of viewer, operator, approver, verifier, orchestrator or admin",
        ),
        ("- {name: ann, role: admin, hash: kcop_plain}\n", ":1: [0].hash: "),
        (
            f"- {{name: a, role: admin, hash: {HASH}}}\n- {{name: b, role: viewer, hash: {HASH}}}\n",
            ":2: [1].name: b or its hash is a duplicate",
        ),
        (f"- {{name: a, rol: admin, hash: {HASH}}}\n", ":1: [0].rol: unknown key; did you mean role?"),
    ],
)
def test_a_broken_file_is_reported_by_line(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "operators.yaml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(errors.Misconfigured) as caught:
        operators.load(path)
    assert any(line.removeprefix(str(path)).startswith(problem) for line in caught.value.problems), caught.value.problems


def test_a_file_that_others_can_change_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "operators.yaml"
    operators.add(path, "ann", Role.VIEWER)
    path.chmod(0o622)
    with pytest.raises(errors.Misconfigured, match="others can change this file; run: chmod 600"):
        operators.load(path)
