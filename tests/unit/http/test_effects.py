from __future__ import annotations

import pytest
from msgspec.structs import replace

from gateway.core.adapter.catalog import Undo
from gateway.http.api import effects
from gateway.model.call import Compensation, Remedy, Reversibility, Target
from gateway.model.effect import Key, KeyKind, State, Write
from gateway.model.entry import Position

KEY = Key(tenant="acme", workflow_id="w", kind=KeyKind.OWN, digest="d", content="c", window=900.0)
WAY = Compensation(reversibility=Reversibility.REVERSIBLE, remedy=Remedy.RESTORE_PREVIOUS_VERSION, allowed_until=2000.0)
WRITE = Write(
    key=KEY,
    attempt=1,
    wire_key="kc-1",
    state=State.STANDING,
    run_id="r",
    generation=1,
    step_id="s",
    tool="erp",
    action="invoice.update",
    target=Target("erp", "invoice", "i1", "acme"),
    compensation=WAY,
    intent=Position("st", 1),
    at=1000.0,
    before_version='"1"',
    after_version='"2"',
    snapshot_ref="sha256:s",
    method="PATCH",
    existed=True,
)
UNDO = Undo(remedy=Remedy.RESTORE_PREVIOUS_VERSION, by="invoice.replace", automatic=True)


def test_a_standing_effect_in_time_can_be_undone() -> None:
    row = effects.row(WRITE, UNDO, now=1999.0)
    assert row["can_undo"] is True
    assert "why_not" not in row


def test_no_deadline_is_no_end() -> None:
    assert effects.row(replace(WRITE, compensation=replace(WAY, allowed_until=None)), UNDO, now=9e9)["can_undo"] is True


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (replace(WRITE, state=State.IN_FLIGHT), "still in flight"),
        (replace(WRITE, state=State.FAILED), "not applied"),
        (replace(WRITE, state=State.UNKNOWN), "outcome is unknown"),
        (replace(WRITE, state=State.COMPENSATED), "already undone"),
        (replace(WRITE, compensation=replace(WAY, remedy=Remedy.MANUAL_REVIEW)), "its adapter assigns it to a person"),
        (replace(WRITE, compensation=replace(WAY, remedy=Remedy.CORRECTION_TASK)), "its adapter assigns it to a person"),
        (replace(WRITE, compensation=replace(WAY, allowed_until=1500.0)), "its deadline was"),
        (replace(WRITE, compensation=replace(WAY, reversibility=Reversibility.IRREVERSIBLE)), "cannot be undone"),
        (replace(WRITE, compensation=replace(WAY, remedy=Remedy.RELEASE)), "now declares another compensation"),
        (replace(WRITE, snapshot_ref=None), "the state before it was not stored"),
        (replace(WRITE, after_version=None), "the version it left is unknown"),
        (replace(WRITE, existed=False, before_version=None, method="PUT", status=201), "it created the object"),
        (replace(WRITE, existed=False, before_version=None, method="PUT", guarded=True), "it created the object"),
        (replace(WRITE, existed=False, before_version=None, method="PUT", status=200), "a read before it found no object"),
        (replace(WRITE, existed=False, before_version=None, method="PATCH", status=201), "it created the object"),
        (replace(WRITE, existed=False, before_version=None, method="PATCH", status=200), "a read before it found no object"),
        (replace(WRITE, existed=False, before_version=None, method="DELETE", status=204), "a read before it found no object"),
    ],
)
def test_what_cannot_be_undone_says_why(write: Write, why: str) -> None:
    row = effects.row(write, UNDO, now=1500.0)
    assert row["can_undo"] is False
    assert why in str(row["why_not"])


def test_what_was_removed_needs_no_version() -> None:
    assert effects.row(replace(WRITE, method="DELETE", after_version=None), UNDO, now=1500.0)["can_undo"] is True


def test_what_no_adapter_declares_any_more_reports_it() -> None:
    assert "no longer declares the action" in str(effects.row(WRITE, None, now=1500.0)["why_not"])
