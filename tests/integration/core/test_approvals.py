"""What an approval still allows, and when it must be asked for again."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gateway.core.authorization import approvals
from gateway.core.codec import record
from gateway.model.review import ApprovalStatus
from tests.support.approvals import DRAFT

ASKED = replace(DRAFT, approval_id="apr_1", requested_at=1000.0, expires_at=4600.0, number=3)


@pytest.mark.parametrize(
    ("status", "now", "is_in_effect"),
    [
        (ApprovalStatus.PENDING, 4599.9, True),
        (ApprovalStatus.PENDING, 4600.0, False),
        (ApprovalStatus.GRANTED, 4599.9, True),
        (ApprovalStatus.GRANTED, 4600.0, False),
        (ApprovalStatus.DENIED, 9e9, True),
        (ApprovalStatus.USED, 1000.0, False),
        (ApprovalStatus.VOID, 1000.0, False),
    ],
)
def test_the_newest_approval_speaks_for_its_call(status: ApprovalStatus, now: float, is_in_effect: bool) -> None:
    newest = replace(ASKED, status=status)
    assert approvals.in_effect(newest, now=now) == (newest if is_in_effect else None)


def test_a_call_nobody_asked_for_is_asked_for_first() -> None:
    assert approvals.in_effect(None, now=0.0) is None


def test_what_never_lapses_never_lapses() -> None:
    assert approvals.status(replace(ASKED, expires_at=None), now=9e9) is ApprovalStatus.PENDING


@pytest.mark.parametrize(
    ("shown", "now", "holds"),
    [
        ((True, '"v1"'), (True, '"v1"'), True),
        ((True, '"v1"'), (True, '"v2"'), False),
        ((True, '"v1"'), (False, None), False),
        ((True, None), (True, None), True),
        ((False, None), (False, None), True),
        ((False, None), (True, None), False),
        ((None, None), (True, '"v9"'), True),
    ],
)
def test_a_yes_is_to_the_target_as_it_was_shown(shown: tuple[bool | None, str | None], now: tuple[bool, str | None], holds: bool) -> None:
    approval = replace(ASKED, existed=shown[0], version=shown[1])
    assert approvals.holds_for(approval, existed=now[0], version=now[1]) is holds


def test_ids_are_stable_and_of_one_call() -> None:
    asked = ("run_1", 1, "refund.delete", "content", 1)
    one = approvals.id_of_call(*asked)
    assert one == approvals.id_of_call(*asked)
    others = [("run_2", *asked[1:]), ("run_1", 2, *asked[2:]), (*asked[:2], "refund.create", "content", 1), (*asked[:4], 2)]
    assert len({one, *(approvals.id_of_call(*other) for other in others)}) == 5
    assert approvals.id_of_compensation("rb_1", "n1") != approvals.id_of_compensation("rb_1", "n2")


def test_an_approval_is_the_same_again_out_of_its_entry() -> None:
    full = replace(
        ASKED,
        status=ApprovalStatus.USED,
        decided_at=2000.0,
        decided_by="ann",
        reason="looked",
        used_at=3000.0,
        used_by="st/9",
        request_ref="sha256:r",
        rollback_id="rb_1",
        node_id="n1",
    )
    for approval in (ASKED, full):
        assert record.APPROVAL.read(record.APPROVAL.journal(approval)) == approval
