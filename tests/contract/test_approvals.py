"""What any store makes of approvals: their status only goes forward, and a grant is spent by one intent."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from msgspec.structs import replace

from gateway.core.codec import record
from gateway.model.effect import Charge
from gateway.model.entry import Position
from gateway.model.review import Approval, ApprovalStatus
from gateway.ports.journal import IntentRefused, IntentRequest
from gateway.stores.sqlite import SqliteStore
from tests.contract.conftest import Reopen
from tests.support import journaling as make
from tests.support.approvals import DRAFT
from tests.support.journaling import typed

ASKED = replace(DRAFT, approval_id="apr_1", requested_at=1000.0, expires_at=4600.0)
GRANTED = replace(ASKED, status=ApprovalStatus.GRANTED, decided_at=2000.0, decided_by="ann", reason="looked", expires_at=5600.0)


def entry(approval: Approval) -> make.Entry:
    return make.entry("approval", change=approval.status.value, approval=record.APPROVAL.journal(approval))


def spending(name: str, approval_id: str = "apr_1", **more: object) -> IntentRequest:
    return make.opening(name, approval_id=approval_id, **more)  # type: ignore[arg-type]


async def found(store: SqliteStore, approval_id: str = "apr_1") -> Approval:
    approval = await store.approvals.approval(approval_id)
    assert approval is not None
    return approval


async def test_an_approval_is_what_its_newest_entry_says(reopen: Reopen) -> None:
    store = await reopen()
    await store.journal.append(typed(entry(ASKED)))
    assert await found(store) == ASKED
    await store.journal.append(typed(entry(GRANTED)))
    store = await reopen()
    assert await found(store) == GRANTED
    assert await store.approvals.approval("apr_2") is None


async def test_of_one_call_the_newest_counts(store: SqliteStore) -> None:
    second = replace(ASKED, approval_id="apr_0", number=2)
    for one in (
        ASKED,
        second,
        replace(ASKED, approval_id="apr_other", action="refund.create"),
        replace(ASKED, approval_id="apr_g", generation=2),
    ):
        await store.journal.append(typed(entry(one)))
    assert await store.approvals.newest_of("run_1", 1, "refund.delete", DRAFT.content) == second
    assert await store.approvals.newest_of("run_2", 1, "refund.delete", DRAFT.content) is None
    assert [one.approval_id for one in await store.approvals.approvals(run="run_1", limit=2)] == ["apr_0", "apr_1"]
    assert [one.approval_id for one in await store.approvals.approvals(after="apr_1")] == ["apr_g", "apr_other"]


@pytest.mark.parametrize("end", [ApprovalStatus.DENIED, ApprovalStatus.VOID])
async def test_a_status_only_goes_forward(store: SqliteStore, end: ApprovalStatus) -> None:
    ended = replace(ASKED, status=end)
    for one in (ASKED, ended, GRANTED, ASKED):
        await store.journal.append(typed(entry(one)))
    assert await found(store) == ended
    assert make.code(await store.journal.intend(spending("a"))) == "approval-required"


async def test_the_intent_spends_the_grant(reopen: Reopen) -> None:
    store = await reopen()
    await store.journal.append(typed(entry(ASKED)))
    await store.journal.append(typed(entry(GRANTED)))
    opened = await store.journal.intend(spending("a"))
    assert isinstance(opened, Position)
    store = await reopen()
    spent = await found(store)
    assert (spent.status, spent.used_by, spent.decided_by) == (ApprovalStatus.USED, str(opened), "ann")
    assert spent.used_at == pytest.approx(1795550883.123456)
    refused = await store.journal.intend(spending("b"))
    assert isinstance(refused, IntentRefused)
    assert refused.code == "approval-required"
    line = await store.history.line(refused.position)
    assert line is not None
    assert b'"approval_id":"apr_1"' in line
    assert b'"code":"approval-required"' in line
    assert await store.writes.by_wire_key(make.wire_key("b")) is None


async def test_of_fifty_intents_at_once_one_spends_it(store: SqliteStore) -> None:
    await store.journal.append(typed(entry(ASKED)))
    store.journal.post(typed(entry(GRANTED)))
    done = await asyncio.gather(*(store.journal.intend(spending(f"key {number}")) for number in range(50)))
    assert Counter(make.code(one) for one in done) == {"opened": 1, "approval-required": 49}


@pytest.mark.parametrize("approval", [None, ASKED])
async def test_what_was_not_granted_cannot_be_spent(store: SqliteStore, approval: Approval | None) -> None:
    if approval is not None:
        await store.journal.append(typed(entry(approval)))
    assert make.code(await store.journal.intend(spending("a"))) == "approval-required"


async def test_an_intent_that_is_not_made_spends_nothing(store: SqliteStore) -> None:
    await store.journal.append(typed(entry(ASKED)))
    await store.journal.append(typed(entry(GRANTED)))
    await store.journal.intend(make.opening("a"))
    assert make.code(await store.journal.intend(spending("a"))) == "in-flight"
    charge = Charge("run:run_1", "writes", 1, 0)
    assert make.code(await store.journal.intend(spending("b", charges=(charge,)))) == "blast-radius"
    assert (await found(store)).status is ApprovalStatus.GRANTED
