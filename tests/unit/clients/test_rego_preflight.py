"""A bundle is loaded by another process first: its answer is what loading it here gives, and it is ended when it takes too long."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import errors
from gateway.clients import policy_bundle
from gateway.clients.rego import loading, preflight
from tests.support.policies import ALLOWED, POLICIES, Reports, engine, ruled


async def test_the_answer_is_that_of_loading_here() -> None:
    bundle = policy_bundle.read(POLICIES)
    assert await preflight.load(bundle) == loading.load(bundle)


async def test_problems_are_those_of_loading_here(tmp_path: Path) -> None:
    bundle = policy_bundle.read(ruled(tmp_path, "broken"))
    examined = await preflight.load(bundle)
    assert examined.problems
    assert examined == loading.load(bundle)


async def test_a_load_that_does_not_end_is_ended() -> None:
    with pytest.raises(errors.Misconfigured) as refused:
        await preflight.load(policy_bundle.read(POLICIES), within=0.0)
    assert refused.value.problems == ["the policies did not load and answer generated inputs within 0 s"]


async def test_a_process_that_cannot_start_now_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reports = Reports()
    active = engine(ruled(tmp_path, ALLOWED), reports)
    before = active.revision
    ruled(tmp_path, 'decision := {"allow": false}')
    with monkeypatch.context() as broken:
        broken.setattr("sys.executable", str(tmp_path / "absent"))
        for _ in range(3):
            await active.refresh()
    assert len(reports.of("error")) == 1
    assert "cannot start the process that tests new policies: No such file or directory; the gateway tries again" in active.health()[1]
    await active.refresh()
    assert active.revision != before
    assert "refused" not in active.health()[1]


async def test_a_process_that_fails_refuses_the_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_PROGRAM", "raise SystemExit('out of memory')")
    with pytest.raises(errors.Misconfigured, match="the process that tests new policies ended with exit code 1: out of memory"):
        await preflight.load(policy_bundle.read(POLICIES))
