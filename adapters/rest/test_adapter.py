"""The adapter to copy loads unchanged, and its expressions do what its README says."""

from __future__ import annotations

from gateway.core.adapter import matching, resolve
from gateway.core.adapter.catalog import Tool
from gateway.core.adapter.matching import Unmatched
from gateway.model.call import Reversibility
from tests.support import samples


def test_a_recorded_write_means_what_is_written_beside_it(tool: Tool, sample: samples.Sample) -> None:
    assert samples.meaning(tool, sample) == sample["means"]


def test_an_order_that_is_not_shipped_can_be_put_back(tool: Tool) -> None:
    found = samples.call("PATCH", "/tenants/acme/orders/1/status", {"status": "paid"})
    matched = samples.matched(tool, found)
    assert resolve.class_of(matched.action, matching.document(tool, found, matched.captures)) is Reversibility.REVERSIBLE


def test_a_create_takes_its_declared_query_key_and_no_other(tool: Tool) -> None:
    assert samples.matched(tool, samples.call("POST", "/tenants/acme/orders?dry_run=1", {})).action.name == "order.create"
    refused = matching.match(tool, samples.call("POST", "/tenants/acme/orders?force=1", {}))
    assert isinstance(refused, Unmatched)
    assert refused.reason == "order.create does not accept the query key 'force'"


def test_a_read_that_gets_no_answer_is_asked_of_the_replica(tool: Tool) -> None:
    matched = samples.matched(tool, samples.call("GET", "/tenants/acme/orders/4%2011"))
    path = resolve.fallback_path(tool, matched.action, matched.captures)
    assert path == "/tenants/acme/replica/orders/4%2011"
    assert samples.matched(tool, samples.call("GET", path)).action.name == matched.action.fallback


def test_a_reply_is_held_against_the_schema(tool: Tool) -> None:
    conforms = tool.actions["order.create"].reply_conforms
    assert conforms is not None
    assert conforms({"id": "1", "status": "open", "total": 5})
    assert not conforms({"id": 1, "status": "open", "total": 5})
