"""A person's approval to one call: who is asked for what, what an approval is good for, and what uses it up."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client import generate_latest

from gateway.control.review.approvals import WrongDecision
from gateway.model.call import Reply
from gateway.model.review import Approval, ApprovalStatus
from tests.support import rig
from tests.support.ledger import Ledger
from tests.support.rig import Rig, code, header

REFUND = "/v1/tenants/acme/refunds/r1"
REFUNDS = "/v1/tenants/acme/refunds"
OTHER = "/v1/tenants/acme/refunds/r2"


@pytest.fixture
def ledger(gateway: Rig) -> Ledger:
    gateway.ledger.put("acme", "refunds", "r1", amount=10)
    gateway.ledger.put("acme", "refunds", "r2", amount=20)
    return gateway.ledger


def named(reply: Reply) -> str:
    """The approval that a refusal names."""
    assert (reply.status, code(reply)) == (403, "approval-required"), reply.body
    return str(orjson.loads(reply.body)["approval_id"])


async def decide(gateway: Rig, approval_id: str, *, grant: bool = True) -> Approval:
    return await gateway.gateway.control.approvals.decide(approval_id, grant=grant, reason="looked at it", by="ann")


async def status(gateway: Rig, approval_id: str) -> ApprovalStatus:
    found = await gateway.gateway.control.approvals.find(approval_id)
    assert found is not None
    return found.status


async def expired(gateway: Rig, approval_id: str) -> None:
    async def it_has() -> bool:
        return await status(gateway, approval_id) is ApprovalStatus.EXPIRED

    await rig.until_async(it_has)


@asynccontextmanager
async def ruled(folder: Path, rule: str) -> AsyncIterator[Rig]:
    """A gateway under the starter policies and a rule more."""
    shutil.copytree(rig.ROOT / "policies", folder / "policies")
    (folder / "policies" / "killcord" / "authz" / "more.rego").write_text(f"package killcord.authz\n\n{rule}\n")
    async with rig.assembled(folder, policy="{engine: embedded, path: ./policies}") as assembled:
        yield assembled


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[Rig]:
    """A gateway whose approvals lapse after two seconds."""
    async with rig.assembled(tmp_path, extra="approvals: {ttl: 2s}") as assembled:
        assembled.ledger.put("acme", "refunds", "r1", amount=10)
        assembled.ledger.put("acme", "refunds", "r2", amount=20)
        yield assembled


async def test_a_held_call_asks_once_and_shows_what_it_is_about(gateway: Rig, ledger: Ledger) -> None:
    run = await gateway.open()
    first, second = [named(await gateway.call(run.lease, "DELETE", REFUND)) for _ in range(2)]
    assert first == second
    assert ledger.writes == []
    asked = await gateway.journal(run.run.run_id, "approval")
    assert [(one["change"], one["approval_id"]) for one in asked] == [("requested", first)]
    shown = asked[0]["approval"]
    assert (shown["kind"], shown["status"], shown["action"], shown["generation"]) == ("call", "pending", "refund.delete", 1)
    assert (shown["target"]["id"], shown["existed"], shown["version"]) == ("r1", True, '"v1"')
    assert shown["summary"] == "ledger:refund.delete cannot be undone."
    refusals = await gateway.journal(run.run.run_id, "refusal")
    assert {one["approval_id"] for one in refusals} == {first}


async def test_fifty_first_calls_at_once_ask_one_person(gateway: Rig, ledger: Ledger) -> None:
    run = await gateway.open()
    replies = await asyncio.gather(*(gateway.call(run.lease, "DELETE", REFUND, Idempotency_Key=f"k{n}") for n in range(50)))
    assert len({named(reply) for reply in replies}) == 1
    assert len(await gateway.journal(run.run.run_id, "approval")) == 1


async def test_the_same_call_repeated_finds_its_grant_once(gateway: Rig, ledger: Ledger) -> None:
    run = await gateway.open()
    approval_id = named(await gateway.call(run.lease, "DELETE", REFUND))
    await decide(gateway, approval_id)
    reply = await gateway.call(run.lease, "DELETE", REFUND)
    assert (reply.status, len(ledger.writes)) == (200, 1)
    intent = (await gateway.journal(run.run.run_id, "intent"))[-1]
    assert intent["approval_id"] == approval_id
    assert intent["decision"]["approval"] == {"granted": True, "id": approval_id, "by": "ann"}
    found = await gateway.gateway.control.approvals.find(approval_id)
    assert found is not None
    assert (found.status, found.used_by) == (ApprovalStatus.USED, f"{intent['stream']}/{intent['seq']}")
    replay = await gateway.call(run.lease, "DELETE", REFUND)  # a standing effect needs no approval to be told again
    assert (replay.status, header(replay, "idempotent-replayed"), len(ledger.writes)) == (200, "true", 1)
    ledger.put("acme", "refunds", "r1", amount=10)
    again = named(await gateway.call(run.lease, "DELETE", REFUND, Idempotency_Key="again"))
    assert again != approval_id


async def test_fifty_calls_under_different_keys_spend_one_grant_once(tmp_path: Path) -> None:
    async with ruled(tmp_path, 'approvals contains "every payment" if input.action.name == "refund.create"') as gateway:
        run, path, body = await gateway.open(), "/v1/tenants/acme/refunds", {"amount": 10}
        approval_id = named(await gateway.call(run.lease, "POST", path, body))
        await decide(gateway, approval_id)
        replies = await asyncio.gather(*(gateway.call(run.lease, "POST", path, body, Idempotency_Key=f"k{n}") for n in range(50)))
        assert sorted(reply.status for reply in replies) == [201] + [403] * 49
        assert {code(reply) for reply in replies if reply.status == 403} == {"approval-required"}
        assert len(gateway.ledger.writes) == 1
        refused = [one for one in await gateway.journal(run.run.run_id, "refusal") if one["code"] == "approval-required"]
        assert {one["status"] for one in refused} == {403}
        told = {f"{one['stream']}/{one['seq']}" for one in refused}
        assert {header(reply, "killcord-entry") for reply in replies if reply.status == 403} <= told


async def test_fifty_calls_at_once_on_one_object_are_one(gateway: Rig, ledger: Ledger) -> None:
    run = await gateway.open()
    await decide(gateway, named(await gateway.call(run.lease, "DELETE", REFUND)))
    replies = await asyncio.gather(*(gateway.call(run.lease, "DELETE", REFUND, Idempotency_Key=f"k{n}") for n in range(50)))
    assert [reply.status for reply in replies].count(200) == 1
    # Who looks at the object only after it is gone hears that.
    assert {code(reply) for reply in replies if reply.status != 200} <= {"approval-required", "precondition-changed"}
    assert len(ledger.writes) == 1


async def test_a_grant_is_no_other_calls_and_no_other_runs(gateway: Rig, ledger: Ledger) -> None:
    run, stranger = await gateway.open(), await gateway.open()
    approval_id = named(await gateway.call(run.lease, "DELETE", REFUND))
    await decide(gateway, approval_id)
    other = named(await gateway.call(run.lease, "DELETE", OTHER, Killcord_Approval=approval_id))
    foreign = named(await gateway.call(stranger.lease, "DELETE", REFUND, Killcord_Approval=approval_id))
    assert len({approval_id, other, foreign}) == 3
    assert ledger.writes == []
    assert (await gateway.call(run.lease, "DELETE", REFUND, Killcord_Approval=approval_id)).status == 200


async def test_a_call_that_names_another_approval_is_not_made_under_its_own(gateway: Rig, ledger: Ledger) -> None:
    run = await gateway.open()
    approval_id = named(await gateway.call(run.lease, "DELETE", REFUND))
    await decide(gateway, approval_id)
    assert named(await gateway.call(run.lease, "DELETE", REFUND, Killcord_Approval="apr_other")) == approval_id
    assert ledger.writes == []
    assert code(await gateway.call(run.lease, "DELETE", REFUND, Killcord_Approval="apr other")) == "malformed-request"


async def test_other_content_is_another_call(tmp_path: Path) -> None:
    async with ruled(tmp_path, 'approvals contains "every payment" if input.action.name == "refund.create"') as gateway:
        run, path = await gateway.open(), "/v1/tenants/acme/refunds"
        ten, eleven = [named(await gateway.call(run.lease, "POST", path, {"amount": amount})) for amount in (10, 11)]
        await decide(gateway, ten)
        assert named(await gateway.call(run.lease, "POST", path, {"amount": 11})) == eleven
        assert (await gateway.call(run.lease, "POST", path, b'{ "amount" : 10 }')).status == 201


async def test_a_no_stands_for_the_rest_of_the_generation(hasty: Rig) -> None:
    run = await hasty.open()
    approval_id = named(await hasty.call(run.lease, "DELETE", REFUND))
    await decide(hasty, approval_id, grant=False)
    await expired(hasty, named(await hasty.call(run.lease, "DELETE", OTHER)))  # what was asked for later has lapsed
    reply = await hasty.call(run.lease, "DELETE", REFUND)
    assert (reply.status, code(reply)) == (403, "approval-denied")
    assert orjson.loads(reply.body)["detail"] == "ann denied this call: looked at it"
    assert hasty.ledger.writes == []


@pytest.mark.parametrize("grant", [True, False])
async def test_what_nobody_answers_or_uses_in_time_is_a_no_and_asked_again(hasty: Rig, grant: bool) -> None:
    run = await hasty.open()
    first = named(await hasty.call(run.lease, "DELETE", REFUND))
    if grant:
        await decide(hasty, first)
    await expired(hasty, first)
    second = named(await hasty.call(run.lease, "DELETE", REFUND))
    assert first != second
    assert (await status(hasty, first), await status(hasty, second)) == (ApprovalStatus.EXPIRED, ApprovalStatus.PENDING)
    with pytest.raises(WrongDecision, match="has expired"):
        await decide(hasty, first)
    assert hasty.ledger.writes == []


async def test_a_yes_that_runs_out_while_the_target_is_looked_at_is_no_yes(hasty: Rig) -> None:
    run = await hasty.open()
    approval_id = named(await hasty.call(run.lease, "DELETE", REFUND))
    await decide(hasty, approval_id)
    hasty.ledger.hold = asyncio.Event()
    call = asyncio.ensure_future(hasty.call(run.lease, "DELETE", REFUND))
    await rig.until(lambda: len(hasty.ledger.seen) == 2)
    await expired(hasty, approval_id)
    hasty.ledger.hold.set()
    assert named(await call) == approval_id
    assert hasty.ledger.writes == []


async def test_a_yes_to_a_version_is_void_for_another(gateway: Rig, ledger: Ledger) -> None:
    run = await gateway.open()
    first = named(await gateway.call(run.lease, "DELETE", REFUND))
    await decide(gateway, first)
    ledger.put("acme", "refunds", "r1", amount=99)
    reply = await gateway.call(run.lease, "DELETE", REFUND)
    assert (reply.status, code(reply)) == (412, "precondition-changed")
    assert "ledger:refund:r1:v1" in orjson.loads(reply.body)["detail"]
    assert "ledger:refund:r1:v2" in orjson.loads(reply.body)["detail"]
    assert ledger.writes == []
    assert await status(gateway, first) is ApprovalStatus.VOID
    second = named(await gateway.call(run.lease, "DELETE", REFUND))
    assert second != first
    await decide(gateway, second)
    assert (await gateway.call(run.lease, "DELETE", REFUND)).status == 200


async def test_a_yes_to_what_was_there_is_void_once_it_is_gone(gateway: Rig, ledger: Ledger) -> None:
    run = await gateway.open()
    first = named(await gateway.call(run.lease, "DELETE", REFUND))
    await decide(gateway, first)
    del ledger.objects["acme", "refunds", "r1"]
    assert code(await gateway.call(run.lease, "DELETE", REFUND)) == "precondition-changed"
    assert await status(gateway, first) is ApprovalStatus.VOID


async def test_policy_has_the_last_word_over_a_yes(tmp_path: Path) -> None:
    async with ruled(tmp_path, 'denials contains {"code": "frozen", "message": "No."} if input.approval.by == "ann"') as gateway:
        gateway.ledger.put("acme", "refunds", "r1", amount=10)
        run = await gateway.open()
        approval_id = named(await gateway.call(run.lease, "DELETE", REFUND))
        await decide(gateway, approval_id)
        reply = await gateway.call(run.lease, "DELETE", REFUND)
        assert (reply.status, code(reply)) == (403, "policy-denied")
        assert gateway.ledger.writes == []
        assert await status(gateway, approval_id) is ApprovalStatus.GRANTED  # nothing was done with it


async def test_a_policy_that_wants_more_than_a_yes_is_not_satisfied_by_one(tmp_path: Path) -> None:
    always = 'obligations["approval"] := {"why": "Always."} if {\n\tinput.action.name == "job.start"\n\tcount(approvals) == 0\n}'
    async with ruled(tmp_path, always) as gateway:
        run, path = await gateway.open(), "/v1/tenants/acme/jobs"
        approval_id = named(await gateway.call(run.lease, "POST", path, {}))
        await decide(gateway, approval_id)
        reply = await gateway.call(run.lease, "POST", path, {})
        assert named(reply) == approval_id
        assert orjson.loads(reply.body)["detail"] == "Policy requires more than the given approval."
        assert gateway.ledger.writes == []


@pytest.mark.reliability(fault="A tool definitely refuses an approved call", case="its approval is valid for one repetition of that call")
@pytest.mark.parametrize("refused_as", [429, 422])
async def test_a_call_that_was_not_applied_has_its_yes_back(gateway: Rig, ledger: Ledger, refused_as: int) -> None:
    run = await gateway.open()
    approval_id = named(await gateway.call(run.lease, "DELETE", REFUND))
    await decide(gateway, approval_id)
    ledger.refuse, ledger.refuse_as = 1, refused_as
    assert (await gateway.call(run.lease, "DELETE", REFUND)).status == refused_as
    assert await status(gateway, approval_id) is ApprovalStatus.GRANTED
    (outcome,) = await gateway.journal(run.run.run_id, "outcome")
    assert outcome["approval_returned"] == approval_id
    shown = generate_latest(gateway.gateway.metrics).decode()
    assert all(f'killcord_approvals_total{{decision="{change}"}} 1.0' in shown for change in ("used", "returned"))
    replies = await asyncio.gather(*(gateway.call(run.lease, "DELETE", REFUND, Idempotency_Key=f"k{n}") for n in range(20)))
    assert [reply.status for reply in replies].count(200) == 1
    assert await status(gateway, approval_id) is ApprovalStatus.USED
    assert len(ledger.writes) == 2


async def test_a_call_of_unknown_outcome_has_spent_its_yes(gateway: Rig, ledger: Ledger) -> None:
    run = await gateway.open()
    approval_id = named(await gateway.call(run.lease, "DELETE", REFUND))
    await decide(gateway, approval_id)
    ledger.refuse, ledger.refuse_as = 1, 503
    assert (await gateway.call(run.lease, "DELETE", REFUND)).status == 503
    assert await status(gateway, approval_id) is ApprovalStatus.USED
    assert code(await gateway.call(run.lease, "DELETE", REFUND)) == "outcome-unknown"


async def test_a_call_that_could_not_be_sent_has_its_yes_still(gateway: Rig, ledger: Ledger) -> None:
    run = await gateway.open()
    approval_id = named(await gateway.call(run.lease, "DELETE", REFUND))
    await decide(gateway, approval_id)
    await gateway.gateway.resources.pool.close()
    assert (await gateway.call(run.lease, "DELETE", REFUND)).status == 502
    assert await status(gateway, approval_id) is ApprovalStatus.GRANTED


async def test_what_a_limit_refuses_spends_no_yes(gateway: Rig, ledger: Ledger) -> None:
    run = await gateway.open(limits={"writes": 1})
    approval_id = named(await gateway.call(run.lease, "DELETE", REFUND))
    await decide(gateway, approval_id)
    assert (await gateway.call(run.lease, "POST", REFUNDS, {"amount": 1})).status == 201
    assert code(await gateway.call(run.lease, "DELETE", REFUND)) == "blast-radius"
    assert await status(gateway, approval_id) is ApprovalStatus.GRANTED


@pytest.mark.reliability(fault="A held call would pass a limit", case="the gateway asks for no approval of a call that the limit refuses")
@pytest.mark.parametrize("limits", [{"writes": 0}, {"tenants": 0}, {"systems": 0}])
async def test_no_person_is_asked_for_what_a_limit_refuses(gateway: Rig, ledger: Ledger, limits: dict[str, int]) -> None:
    run = await gateway.open(limits=limits)
    reply = await gateway.call(run.lease, "DELETE", REFUND)
    assert (reply.status, code(reply), header(reply, "retry-after")) == (403, "blast-radius", None)
    said = orjson.loads(reply.body)
    assert said["retryable"] is False
    assert said["violated-policies"] == [f"run:{run.run.run_id} {next(iter(limits))}"]
    assert await gateway.journal(run.run.run_id, "approval") == []
    assert ledger.seen == []


async def test_no_person_is_asked_for_what_an_ancestors_limit_refuses(gateway: Rig, ledger: Ledger) -> None:
    parent = await gateway.open(limits={"writes": 1})
    child = await gateway.open(parent_run=parent.run.run_id)
    assert (await gateway.call(parent.lease, "POST", REFUNDS, {"amount": 1})).status == 201
    reply = await gateway.call(child.lease, "DELETE", REFUND)
    assert orjson.loads(reply.body)["violated-policies"] == [f"run:{parent.run.run_id} writes"]
    assert await gateway.journal(child.run.run_id, "approval") == []


async def test_what_cannot_be_shown_is_not_asked_for(gateway: Rig, ledger: Ledger) -> None:
    run = await gateway.open()
    await gateway.gateway.resources.pool.close()
    assert code(await gateway.call(run.lease, "DELETE", REFUND)) == "tool-unreachable"
    assert await gateway.journal(run.run.run_id, "approval") == []


async def test_a_held_read_spends_its_yes_before_it_is_sent(tmp_path: Path) -> None:
    async with ruled(tmp_path, 'approvals contains "secret" if input.action.name == "invoice.read"') as gateway:
        gateway.ledger.put("acme", "invoices", "inv_1", status="open")
        run, path = await gateway.open(), "/v1/tenants/acme/invoices/inv_1"
        approval_id = named(await gateway.call(run.lease, "GET", path))
        assert gateway.ledger.seen == []
        await decide(gateway, approval_id)
        replies = await asyncio.gather(*(gateway.call(run.lease, "GET", path) for _ in range(20)))
        assert [reply.status for reply in replies].count(200) == 1
        assert len(gateway.ledger.seen) == 1
        assert [one["change"] for one in await gateway.journal(run.run.run_id, "approval")][:3] == ["requested", "granted", "used"]


@pytest.mark.parametrize(("trouble", "status_then"), [("busy_reads", 429), ("down", 503)])
async def test_a_held_read_that_got_no_answer_has_its_yes_back(tmp_path: Path, trouble: str, status_then: int) -> None:
    async with ruled(tmp_path, 'approvals contains "secret" if input.action.name == "invoice.read"') as gateway:
        gateway.ledger.put("acme", "invoices", "inv_1", status="open")
        run, path = await gateway.open(), "/v1/tenants/acme/invoices/inv_1"
        approval_id = named(await gateway.call(run.lease, "GET", path))
        await decide(gateway, approval_id)
        setattr(gateway.ledger, trouble, True)
        assert (await gateway.call(run.lease, "GET", path)).status == status_then
        assert await status(gateway, approval_id) is ApprovalStatus.GRANTED
        setattr(gateway.ledger, trouble, False)
        replies = [await gateway.call(run.lease, "GET", path) for _ in range(2)]
        assert [reply.status for reply in replies] == [200, 403]
        changes = [one["change"] for one in await gateway.journal(run.run.run_id, "approval")]
        assert changes[:5] == ["requested", "granted", "used", "returned", "used"]


async def test_the_request_is_kept_for_the_approver_without_what_may_be_secret(tmp_path: Path) -> None:
    rule = """approvals contains "every payment" if input.action.name == "refund.create"

obligations["redact"] := ["card.number"]"""
    async with ruled(tmp_path, rule) as gateway:
        run = await gateway.open()
        body = {"amount": 10, "card": {"number": "4111", "name": "ann"}}
        headers: dict[str, Any] = {"X_Api_Key": "canary-1", "Cookie": "canary-2", "Prefer": "return=minimal"}
        approval_id = named(await gateway.call(run.lease, "POST", "/v1/tenants/acme/refunds", body, **headers))
        found = await gateway.gateway.control.approvals.find(approval_id)
        assert found is not None
        assert await gateway.gateway.control.approvals.request_of(found) == {
            "method": "POST",
            "path": "/v1/tenants/acme/refunds",
            "headers": {"content-type": "application/json", "prefer": "return=minimal"},
            "withheld": ["x-api-key"],
            "body": {"amount": 10, "card": {"number": "[redacted]", "name": "ann"}},
            "redacted": True,
        }


async def test_approvals_outlive_a_restart(tmp_path: Path) -> None:
    async with rig.assembled(tmp_path) as first:
        ledger = first.ledger
        ledger.put("acme", "refunds", "r1", amount=10)
        run = await first.open()
        approval_id = named(await first.call(run.lease, "DELETE", REFUND))
    async with rig.assembled(tmp_path, ledger) as second:
        assert named(await second.call(run.lease, "DELETE", REFUND)) == approval_id
        await decide(second, approval_id)
    async with rig.assembled(tmp_path, ledger) as third:
        assert (await third.call(run.lease, "DELETE", REFUND)).status == 200
        assert await status(third, approval_id) is ApprovalStatus.USED
