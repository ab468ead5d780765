"""Folders as bundles: data, imports, revisions."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.clients import policy_bundle
from tests.support.policies import ALLOWED, call, engine, outcome, problems, ruled, written


@pytest.mark.parametrize(("name", "content"), [("data.json", '{"refund": 100}'), ("data.yaml", "refund: 100\n")])
async def test_data_lies_under_its_folders_path(tmp_path: Path, name: str, content: str) -> None:
    rule = 'default decision := {"allow": false}\ndecision := {"allow": true} if input.counters.steps < data.killcord.limits.refund'
    active = engine(written(ruled(tmp_path, rule), {f"killcord/limits/{name}": content}))
    assert outcome(await active.decide(call(counters={"steps": 99}))) == "allow"
    assert outcome(await active.decide(call(counters={"steps": 100}))) == {"unexplained"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"data.json": "{"}, "policies/data.json: cannot be used as data"),
        ({"data.yaml": "a: [1"}, "policies/data.yaml: cannot be used as data"),
        ({"data.yaml": "a: 2026-11-24"}, "there is no"),
        ({"data.json": "[1]"}, "must be an object"),
        ({"a/data.json": '{"b": 1}', "a/b/data.yaml": "c: 1"}, "data.a.b is defined by another data file as well"),
    ],
)
def test_unusable_data_is_named(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    if expected == "there is no":
        # Dates become their ISO text, as JSON would have them.
        assert policy_bundle.read(written(tmp_path / "policies", files)).data == {"a": "2026-11-24"}
        return
    assert any(expected in problem for problem in problems(written(ruled(tmp_path / "policies", ALLOWED), files)))


async def test_functions_can_be_called_through_imports(tmp_path: Path) -> None:
    library = "package killcord.lib.texts\n\nquiet(text) if lower(text) == text\n"
    rule = """import data.killcord.lib.texts as t

# Spans count bytes, not characters: é
decision := {"allow": t.quiet(input.tool)} if {"é" == "é"; t.quiet("a")}"""
    active = engine(written(ruled(tmp_path, rule), {"killcord/lib/texts.rego": library}))
    assert outcome(await active.decide(call())) == "allow"


def test_tests_and_hidden_files_are_no_part_of_a_revision(tmp_path: Path) -> None:
    before = policy_bundle.read(ruled(tmp_path, ALLOWED)).revision
    written(tmp_path, {"killcord/authz/x_test.rego": "package x", "..data/old.rego": "broken", ".hidden.rego": "broken", "notes.txt": "x"})
    assert policy_bundle.read(tmp_path).revision == before
    assert policy_bundle.read(ruled(tmp_path, f"{ALLOWED} ")).revision != before
