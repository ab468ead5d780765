"""A content key answers for its effect until its object is known to be at a later version."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import rig
from tests.support.rig import Rig, header

INVOICE = "/v1/tenants/acme/invoices/inv_1"
NAME = ("acme", "invoices", "inv_1")


async def shown(gateway: Rig, lease: str, version: int) -> None:
    """The run reads the object from a replica that is at this version."""
    held = gateway.ledger.objects[NAME]
    gateway.ledger.objects[NAME] = (version, held[1])
    assert (await gateway.call(lease, "GET", INVOICE)).status == 200
    gateway.ledger.objects[NAME] = held


@pytest.mark.parametrize("version", [3, 2, 1], ids=["its own before", "two writes ago", "read before, and changed by a person since"])
async def test_a_replica_that_lags_frees_no_key(gateway: Rig, version: int) -> None:
    run, other = await gateway.open(workflow_id="wf"), await gateway.open()
    await gateway.call(run.lease, "GET", INVOICE)
    gateway.ledger.put(*NAME, status="open")
    await gateway.call(other.lease, "PATCH", INVOICE, {"status": "held"})
    await gateway.call(run.lease, "GET", INVOICE)
    assert (await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"})).status == 200
    await shown(gateway, run.lease, version)
    again = await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"})
    assert (header(again, "idempotent-replayed"), len(gateway.ledger.writes)) == ("true", 2)


async def test_a_version_that_nobody_here_has_seen_frees_no_key_while_the_write_is_still_there(gateway: Rig) -> None:
    for status in ("held", "open", "held"):
        gateway.ledger.put(*NAME, status=status)
    run = await gateway.open()
    assert (await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"})).status == 200
    await shown(gateway, run.lease, 1)
    again = await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"})
    assert (header(again, "idempotent-replayed"), len(gateway.ledger.writes)) == ("true", 1)


async def test_a_version_that_is_new_frees_the_key(gateway: Rig) -> None:
    run = await gateway.open()
    await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"})
    gateway.ledger.put(*NAME, status="open")
    await gateway.call(run.lease, "GET", INVOICE)
    assert (await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"})).status == 200
    assert len(gateway.ledger.writes) == 2


async def test_two_reads_that_differ_free_no_key(gateway: Rig) -> None:
    """The run and the gateway see two versions that nobody here knows: both may be of replicas that lag."""
    for status in ("held", "open", "held"):
        gateway.ledger.put(*NAME, status=status)
    run = await gateway.open()
    assert (await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"})).status == 200
    await shown(gateway, run.lease, 1)
    version, data = gateway.ledger.objects[NAME]
    for lagging in (2, 3, version - 1):
        gateway.ledger.objects[NAME] = (lagging, data)
        again = await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"})
        assert (header(again, "idempotent-replayed"), len(gateway.ledger.writes)) == ("true", 1)
    assert gateway.ledger.seen[-1].headers["cache-control"] == "no-cache"


async def test_a_key_is_free_once_both_see_what_is_there(gateway: Rig) -> None:
    run = await gateway.open()
    await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"})
    gateway.ledger.put(*NAME, status="open")
    await gateway.call(run.lease, "GET", INVOICE)
    gateway.ledger.put(*NAME, status="held")
    again = await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"})
    assert (header(again, "idempotent-replayed"), len(gateway.ledger.writes)) == ("true", 1)
    await gateway.call(run.lease, "GET", INVOICE)
    assert (await gateway.call(run.lease, "PATCH", INVOICE, {"status": "paid"})).status == 200
    assert len(gateway.ledger.writes) == 2


@pytest.mark.parametrize(("identity", "equal"), [("", None), (', identity: ["to_string(request.body.amount)"]', "true")])
async def test_json_and_a_form_are_one_content_where_the_identity_says_so(tmp_path: Path, identity: str, equal: str | None) -> None:
    """A form holds texts alone: whether its 5 is the number is the tool's to know."""
    text = rig.ADAPTER.replace(
        """    idempotency: {gateway: true}
    cost: {amount: {refund: request.body.amount}}
""",
        f"""    idempotency: {{gateway: true{identity}}}
    cost: {{amount: {{refund: request.body.amount}}}}
""",
    )
    async with rig.assembled(tmp_path, adapter=text) as at:
        run = await at.open()
        refunds = "/v1/tenants/acme/refunds"
        assert (await at.call(run.lease, "POST", refunds, {"amount": 5})).status == 201
        again = await at.call(run.lease, "POST", refunds, b"amount=5", Content_Type="application/x-www-form-urlencoded")
        assert header(again, "idempotent-replayed") == equal
