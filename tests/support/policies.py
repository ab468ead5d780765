"""Bundles to load, calls to decide on, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest

from gateway import errors
from gateway.clients.rego import engine as rego_engine
from gateway.clients.rego import entry_points
from gateway.model.decision import Decision, Deny, Hold

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "policies"

ALLOWED = 'decision := {"allow": true}'


class Reports:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, level: str, message: str) -> None:
        self.lines.append((level, message))

    def of(self, level: str) -> list[str]:
        return [message for told, message in self.lines if told == level]


MADE: list[rego_engine.EmbeddedEngine] = []
"""Engines of the running test, closed after it on the thread that made them (see tests/conftest.py)."""


def engine(folder: Path, report: rego_engine.Report | None = None) -> rego_engine.EmbeddedEngine:
    MADE.append(rego_engine.EmbeddedEngine(folder, mint=lambda prefix: f"{prefix}_1", report=report or Reports()))
    return MADE[-1]


def written(folder: Path, files: Mapping[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def ruled(folder: Path, rules: str) -> Path:
    """A bundle with one module of these rules; they begin in line 3."""
    return written(folder, {"killcord/authz/x.rego": f"package killcord.authz\n\n{rules}\n"})


def problems(folder: Path) -> list[str]:
    with pytest.raises(errors.Misconfigured) as refused:
        engine(folder)
    return refused.value.problems


def call(**changes: object) -> dict[str, object]:
    """An ordinary write; ``target__tenant="x"`` sets one member, ``...`` takes it away."""
    document: dict[str, object] = orjson.loads(orjson.dumps(entry_points.sample_call()))
    for path, value in changes.items():
        part, _, member = path.partition("__")
        inside = document[part] if member else document
        assert isinstance(inside, dict)
        if value is ...:
            del inside[member or part]
        else:
            inside[member or part] = value
    return document


def outcome(decision: Decision) -> str | set[str]:
    if isinstance(decision, Deny):
        return {reason.code for reason in decision.reasons}
    return "hold" if isinstance(decision, Hold) else "allow"
