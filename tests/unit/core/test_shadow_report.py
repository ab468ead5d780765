"""Gathering what a watched policy would have stopped."""

from __future__ import annotations

from typing import Any

from gateway.core.codec.entry import of_fields
from gateway.core.policy import replay
from gateway.core.policy.replay import Why, WouldDeny
from tests.support import journaling


def entry(seq: int, run: str = "r1", **decision: Any) -> dict[str, Any]:
    return {
        **journaling.read(),
        "stream": "st",
        "seq": seq,
        "ts": f"2026-11-24T20:00:{seq:02}.000000Z",
        "run_id": run,
        "tool": "erp",
        "action": "refund.create",
        "decision": {"id": "dec_1", "revision": "r1", **decision},
    }


def would_deny(entries: list[dict[str, Any]]) -> list[WouldDeny]:
    return replay.would_deny(map(of_fields, entries))


AMOUNT = [{"code": "amount", "message": "Refunds stop at 10."}]
YES: dict[str, Any] = {"allow": True, "reasons": []}
NO: dict[str, Any] = {"allow": False, "reasons": AMOUNT}


def test_calls_are_gathered_by_action_and_reason_with_the_newest_as_example() -> None:
    found = would_deny(
        [
            entry(1, **YES, candidate=NO),
            entry(2, "r2", **YES, candidate=NO),
            entry(3, **YES, candidate=YES),
            entry(4, **NO, waived=True),
            {**journaling.run_entry(), "stream": "st", "seq": 5},
        ]
    )
    assert [(one.why, one.code, one.count, sorted(one.runs), one.example) for one in found] == [
        (Why.CANDIDATE, "amount", 2, ["r1", "r2"], "st/2"),
        (Why.SHADOW, "amount", 1, ["r1"], "st/4"),
    ]
    assert (found[0].first, found[0].last) == ("2026-11-24T20:00:01.000000Z", "2026-11-24T20:00:02.000000Z")


def test_what_the_active_policy_stopped_anyway_was_not_would_deny() -> None:
    assert would_deny([entry(1, **NO, candidate=NO)]) == []


def test_a_candidate_that_failed_denied_nothing() -> None:
    assert would_deny([entry(1, **YES, candidate={"error": "down"})]) == []
