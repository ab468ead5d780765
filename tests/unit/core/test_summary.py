"""Entries of a rollback, in one line of words each."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gateway.core.codec import record
from gateway.core.journal import summary
from gateway.model.rollback import Rollback, RollbackStatus
from tests.support.incidents import INCIDENT
from tests.support.journaling import typed
from tests.support.rolled import ROLLBACK

RESIDUE = replace(ROLLBACK, status=RollbackStatus.RESIDUE, residue=("a", "b"))


@pytest.mark.parametrize(
    ("change", "rollback", "words"),
    [
        ("started", ROLLBACK, "began, of run run_1 to start: 1 node(s); wrong prices"),
        ("started", replace(ROLLBACK, subtree=True), "began, of run run_1 and its subtree to start: 1 node(s); wrong prices"),
        ("waits", ROLLBACK, "waits for a person"),
        ("continued", ROLLBACK, "continued; wrong prices"),
        ("claimed", ROLLBACK, "was continued after a restart"),
        ("stopped", ROLLBACK, "was stopped; wrong prices"),
        ("ended", replace(ROLLBACK, status=RollbackStatus.CLEAN), "ended: clean"),
        ("ended", RESIDUE, "ended: residue, 2 thing(s) left"),
    ],
)
def test_a_rollback_is_reported_change_by_change(change: str, rollback: Rollback, words: str) -> None:
    entry = {"kind": "rollback", "change": change, "rollback": record.ROLLBACK.journal(rollback), "reason": "wrong prices"}
    assert summary.describe_entry(typed(entry)) == f"rollback rb_1 {words}"


def test_a_node_is_reported_by_its_state_and_not_by_what_a_tool_said() -> None:
    entry = {"kind": "rollback", "change": "node", "rollback_id": "rb_1", "node": "st-3", "state": "task", "why": "/secret/path"}
    assert summary.describe_entry(typed(entry)) == "rollback rb_1, node st-3: task"


@pytest.mark.parametrize(("tenant", "whose"), [("acme", ""), ("globex", " of tenant globex"), (None, "")])
def test_an_object_of_another_tenant_is_reported_with_its_tenant(tenant: str | None, whose: str) -> None:
    target = {"system": "erp", "type": "invoice", "id": "inv_1"} | ({} if tenant is None else {"tenant": tenant})
    entry = {"kind": "refusal", "tenant": "acme", "action": "invoice.update", "target": target, "code": "tenant-boundary"}
    assert summary.describe_entry(typed(entry)) == f"invoice.update on erp:invoice:inv_1{whose} was refused: tenant-boundary"


@pytest.mark.parametrize(("change", "words"), [("recover", "recovery was requested"), ("closed", "incident closed")])
def test_what_becomes_of_the_incident_itself_is_reported_without_a_rollback(change: str, words: str) -> None:
    entry = {"kind": "rollback", "change": change, "incident": record.INCIDENT.journal(INCIDENT), "reason": "mended"}
    assert summary.describe_entry(typed(entry)) == f"{words}; mended"
