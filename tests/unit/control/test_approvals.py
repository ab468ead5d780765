"""Compensations that wait for a person: asked for once, learned of on the journal, and good for every attempt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from msgspec.structs import replace

from gateway.clients.clock import SystemClock
from gateway.clients.keys.vault import TenantVault, open_master_key
from gateway.control.review.approvals import Approvals, WrongDecision
from gateway.control.triggers.publishing_journal import PublishingJournal
from gateway.model.entries import ApprovalEntry, Entry
from gateway.model.entry import Kind, Position
from gateway.model.review import Approval, ApprovalKind, ApprovalStatus
from gateway.stores.sqlite import open_store
from gateway.stores.sqlite.log.opening import Expected
from tests.support import journaling
from tests.support.rolled import NODE, ROLLBACK

RUN = journaling.RUN
SHOWN = b'{"method":"PUT","path":"/invoices/inv_1","headers":{},"withheld":[],"body":{"status":"open"}}'
Heard = list[ApprovalEntry]


@pytest.fixture
def heard() -> Heard:
    return []


@pytest.fixture
async def approvals(tmp_path: Path, heard: Heard) -> AsyncIterator[Approvals]:
    clock = SystemClock()
    store = await open_store(tmp_path, clock, Expected(key=b"k" * 32))

    def hear(entry: Entry, _: Position) -> None:
        assert isinstance(entry, ApprovalEntry)
        heard.append(entry)

    journal = PublishingJournal(store.journal, {Kind.APPROVAL: (hear,)})
    vault = TenantVault(store.blobs, open_master_key(tmp_path / "keys"))
    yield Approvals(journal, store.approvals, store.registry, vault, clock, ttl=0.0)
    await store.close()


async def asked(approvals: Approvals) -> Approval:
    return await approvals.request_compensation(ROLLBACK, NODE, RUN, "Puts back inv_1.", '"v2"', SHOWN)


async def test_a_compensation_is_asked_for_once(approvals: Approvals, heard: Heard) -> None:
    first, second = await asked(approvals), await asked(approvals)
    assert (second.approval_id, second.status) == (first.approval_id, ApprovalStatus.PENDING)
    assert (first.kind, first.action, first.version) == (ApprovalKind.COMPENSATION, "invoice.replace", '"v2"')
    other = await approvals.request_compensation(ROLLBACK, replace(NODE, node_id="n2"), RUN, "And another.", None, SHOWN)
    assert (other.approval_id != first.approval_id, other.existed) == (True, None)
    assert [one.change for one in heard] == ["requested", "requested"]


async def test_anyone_who_is_asked_sees_what_would_be_sent_and_the_journal_does_not(approvals: Approvals, heard: Heard) -> None:
    waiting = await asked(approvals)
    assert await approvals.request_of(waiting) == orjson.loads(SHOWN)
    known = await approvals.compensation("rb_1", "n1")
    assert known is not None
    assert known.approval_id == waiting.approval_id
    assert await approvals.compensation("rb_1", "n2") is None
    assert "body" not in str(heard)


@pytest.mark.parametrize("grant", [True, False])
async def test_anyone_who_waits_learns_of_the_answer(approvals: Approvals, heard: Heard, grant: bool) -> None:
    approval_id = (await asked(approvals)).approval_id
    assert not await approvals.granted(approval_id)
    await approvals.decide(approval_id, grant=grant, reason="looked", by="ann")
    assert await approvals.granted(approval_id) is grant
    told = heard[-1]
    assert (told.change, told.approval_id) == ("granted" if grant else "denied", approval_id)
    assert (told.rollback_id, told.node, told.run_id, told.by, told.reason) == ("rb_1", "n1", "run_1", "ann", "looked")
    assert told.approval.status.value == told.change
    again = await asked(approvals)
    assert again.status is (ApprovalStatus.GRANTED if grant else ApprovalStatus.DENIED)


async def test_it_waits_for_as_long_as_its_rollback(approvals: Approvals) -> None:
    waiting = await asked(approvals)  # under a ttl of nothing, and for a run that it is unknown any more
    assert waiting.expires_at is None
    granted = await approvals.decide(waiting.approval_id, grant=True, reason="looked", by="ann")
    assert granted.expires_at is None
    assert await approvals.granted(waiting.approval_id)


async def test_what_is_no_longer_wanted_cannot_be_granted(approvals: Approvals, heard: Heard) -> None:
    waiting = await asked(approvals)
    await approvals.void(waiting, "the rollback was stopped")
    await approvals.void(waiting, "twice is once")
    assert [one.change for one in heard] == ["requested", "voided"]
    with pytest.raises(WrongDecision, match="is void"):
        await approvals.decide(waiting.approval_id, grant=True, reason="late", by="ann")
    with pytest.raises(KeyError):
        await approvals.decide("apr_none", grant=True, reason="r", by="ann")
