"""Bodies on the whole line: what policy cannot see is not sent, and what a person approves is not bytes in disguise."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from gateway.core.request import canonical
from gateway.model.call import Head, Reply
from tests.support import rig
from tests.support.rig import ADAPTER, Rig

OPAQUE = """
  - name: import.start
    match: {method: PUT, path: "/v1/tenants/{tenant}/imports/{id}"}
    effect: write
    class: irreversible
    body: opaque
    snapshot: false
    compensation: {type: manual_review}
"""
REFUNDS, IMPORT = "/v1/tenants/acme/refunds", "/v1/tenants/acme/imports/i1"
LARGE = b'{"amount": 99999}'


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig.assembled(tmp_path, adapter=ADAPTER + OPAQUE) as found:
        yield found


async def send(at: Rig, lease: str, method: str, path: str, body: bytes, kind: str, coding: str = "") -> Reply:
    lines = [(b"Content-Type", kind.encode()), (b"Authorization", f"Bearer {lease}".encode())]
    lines += [(b"Content-Encoding", coding.encode())] if coding else []
    head = Head(method=method, target=f"/ledger{path}", headers=tuple(lines), length=len(body))
    return await at.gateway.calls.endpoint.handle(canonical.call(head, body), lambda: None)


@pytest.mark.parametrize(
    "kind", ["application/octet-stream", "application/x-json", "multipart/form-data; boundary=x", "application/x-ndjson"]
)
async def test_a_write_whose_body_policy_cannot_see_is_not_sent(gateway: Rig, kind: str) -> None:
    run = await gateway.open()
    reply = await send(gateway, run.lease, "POST", REFUNDS, LARGE, kind)
    assert reply.status == 415
    problem = orjson.loads(reply.body)
    assert (problem["code"], problem["retryable"]) == ("malformed-request", False)
    assert "application/json" in problem["hint"]
    assert gateway.ledger.seen == []
    (entry,) = await gateway.journal(run.run.run_id, "refusal")
    assert entry["code"] == "malformed-request"
    assert (await gateway.call(run.lease, "POST", REFUNDS, {"amount": 4})).status == 201


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "compress"])
async def test_a_write_whose_body_is_packed_otherwise_is_not_sent(gateway: Rig, coding: str) -> None:
    run = await gateway.open()
    reply = await send(gateway, run.lease, "POST", REFUNDS, LARGE, "application/json", coding)
    assert (reply.status, rig.code(reply)) == (415, "malformed-request")
    assert gateway.ledger.seen == []


async def test_a_spelling_or_a_number_that_a_tool_could_read_otherwise_is_not_sent(gateway: Rig) -> None:
    run = await gateway.open()
    for body in (
        b'{"Amount": 5}',
        b'{"amount": 5, "account": 9007199254740993}',
        b'{"amount": 5, "account": 18446744073709551616}',
        b'{"amount": 5, "account": -9223372036854775809}',
        b'{"amount": 5, "rate": 1e400}',
        b'{"amount": 5, "_method": "DELETE"}',
    ):
        reply = await send(gateway, run.lease, "POST", REFUNDS, body, "application/json")
        assert (reply.status, rig.code(reply)) == (400, "malformed-request")
    assert gateway.ledger.seen == []


async def test_an_approver_sees_that_there_is_a_body_that_nobody_read(gateway: Rig) -> None:
    run = await gateway.open()
    reply = await send(gateway, run.lease, "PUT", IMPORT, b"\x00" * 48, "application/octet-stream")
    assert rig.code(reply) == "approval-required"
    found = await gateway.gateway.control.approvals.find(orjson.loads(reply.body)["approval_id"])
    assert found is not None
    shown = await gateway.gateway.control.approvals.request_of(found)
    assert shown is not None
    assert shown["body"] is None
    assert shown["opaque"] == {"bytes": 48, "sha256": "17b0761f87b081d5cf10757ccc89f12be355c70e2e29df288b65b30710dcbcd1"}
    assert "raw" not in shown


async def test_equal_numbers_are_one_call_however_they_are_written(gateway: Rig) -> None:
    run = await gateway.open()
    first = await send(gateway, run.lease, "POST", REFUNDS, b'{"amount": 5}', "application/json")
    again = await send(gateway, run.lease, "POST", REFUNDS, b'{"amount": 5.0}', "application/json")
    assert (first.status, again.status) == (201, 201)
    assert rig.header(again, "Idempotent-Replayed") == "true"
    assert len(gateway.ledger.writes) == 1


CEILING = """
package killcord.authz

denials contains {"code": "ceiling", "message": "Too much."} if input.args.units > 100

denials contains {"code": "lines", "message": "Too dear."} if {
	some line in input.args.lines
	line.price > 100
}

denials contains {"code": "region", "message": "Not there."} if input.http.query.region == "eu"
"""


@pytest.fixture
async def ruled(tmp_path: Path) -> AsyncIterator[Rig]:
    policies = tmp_path / "policies"
    shutil.copytree(rig.ROOT / "policies", policies)
    (policies / "killcord" / "authz" / "ceiling.rego").write_text(CEILING)
    adapter = ADAPTER.replace('"/v1/tenants/{tenant}/jobs"}', '"/v1/tenants/{tenant}/jobs"}\n    request_schema: job.json')
    described = tmp_path / "adapters" / "ledger"
    described.mkdir(parents=True)
    (described / "job.json").write_text('{"type": "object", "properties": {"Units": {"type": "integer"}}}')
    async with rig.assembled(tmp_path, adapter=adapter, policy=f"{{engine: embedded, path: {policies}}}") as found:
        yield found


@pytest.mark.parametrize(
    "body",
    [b'{"Units": 999}', b'{"UNITS": 999}', b'{"units\xe2\x80\x8b": 999}', b'{"units": 1, "units[]": 999}', b'{"lines": [{"Price": 999}]}'],
)
async def test_a_key_that_a_tool_could_take_for_one_that_policy_reads_is_not_sent(ruled: Rig, body: bytes) -> None:
    run = await ruled.open()
    reply = await send(ruled, run.lease, "POST", REFUNDS, body, "application/json")
    assert reply.status == 400
    assert "take both for the same key" in orjson.loads(reply.body)["detail"]
    assert ruled.ledger.seen == []
    (entry,) = await ruled.journal(run.run.run_id, "refusal")
    assert entry["code"] == "malformed-request"


async def test_policy_sees_the_names_that_it_reads_and_a_tools_declared_names_are_its_own(ruled: Rig) -> None:
    run = await ruled.open()
    denied = await ruled.call(run.lease, "POST", REFUNDS, {"amount": 1, "units": 999})
    assert rig.code(denied) == "policy-denied"
    assert (await ruled.call(run.lease, "POST", REFUNDS, {"amount": 1, "units": 9, "note": {"Units": 999}})).status == 201
    assert (await ruled.call(run.lease, "POST", "/v1/tenants/acme/jobs", {"Units": 999})).status == 201
    query = await ruled.call(run.lease, "GET", "/v1/tenants/acme/invoices?Region=eu")
    assert rig.code(query) == "malformed-request"
