"""The adapter against a real Kinto: versions, states, verification, probes and compensations work as declared."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.core.adapter import matching, probing, resolve
from gateway.core.adapter.catalog import ActionType, Tool
from gateway.core.adapter.matching import Matched, Unmatched
from tests.support import kinto, samples

FOLDER = Path(__file__).parent
_BUCKETS = itertools.count(1)


@dataclass(frozen=True)
class Written:
    """A write that was sent to Kinto: the values that expressions see, and the object before and after."""

    matched: Matched
    document: dict[str, Any]
    before: Any
    after: Any
    version: str | None
    target_id: str

    @property
    def action(self) -> ActionType:
        return self.matched.action


@dataclass(frozen=True)
class Erp:
    """What the gateway does around a write, in a few lines, with the adapter's expressions and a real Kinto."""

    tool: Tool
    port: int
    tenant: str

    def records(self, collection: str) -> str:
        return f"/buckets/{self.tenant}/collections/{collection}/records"

    def invoice(self, name: str) -> str:
        return f"{self.records('invoices')}/{name}"

    def put(self, path: str, data: object) -> Any:
        return kinto.send(self.port, "PUT", path, {"data": data})

    def read(self, path: str) -> Any:
        return kinto.send(self.port, "GET", path)

    def write(self, method: str, path: str, body: object = None) -> Written:
        asked = samples.call(method, path, body, {"content-type": "application/json"} if body is not None else None)
        matched = samples.matched(self.tool, asked)
        document = matching.document(self.tool, asked, matched.captures)
        before = None if matched.action.creates else self.read(resolve.object_path(self.tool, matched.action, matched.captures))
        version = None if before is None else self._version(matched.action, before)
        guard = {"If-Match": version} if matched.action.guard and version else {}
        document["reply"] = kinto.send(self.port, method, path, body, guard)
        made = resolve.created_id(self.tool, matched.action, matched.captures, document)
        path = resolve.object_path(self.tool, matched.action, matched.captures, made)
        after = self.read(path)
        identity = made or resolve.target_of(self.tool, matched, document).id
        return Written(matched, document, before, after, self._version(matched.action, after), identity)

    def verified(self, written: Written) -> bool:
        assert written.action.verify is not None
        return written.action.verify.expect.holds(written.document | {"object": {"version": None, "body": written.after["body"]}})

    def applied(self, written: Written, read: Any) -> bool:
        assert written.action.probe is not None
        return written.action.probe.applied.holds(written.document | {"object": {"version": None, "body": read["body"]}})

    def undo(self, written: Written, *, by: str | None = None) -> Any:
        """Carry out the declared compensation: the path, body and If-Match that the adapter gives."""
        undo = written.action.undo
        assert undo is not None
        carrier = self.tool.actions[by or undo.by or ""]
        path = resolve.undo_path(self.tool, written.action, carrier.name, written.matched.captures, written.target_id)
        kind = self.tool.objects[written.action.object_type or ""]
        snapshot = None if written.before is None else resolve.state_of(kind, {"reply": written.before})
        body = undo.body.search({**written.document, "snapshot": snapshot}) if undo.body and carrier.method != "DELETE" else None
        if body is not None:
            asked = samples.call(carrier.method, path, body, {"content-type": "application/json"})
            assert samples.matched(self.tool, asked).action is carrier
        guard = {"If-Match": written.version} if written.version and written.after["status"] == 200 else {}
        return kinto.send(self.port, carrier.method, path, body, guard)

    def _version(self, action: ActionType, read: Any) -> str | None:
        return resolve.version_of(self.tool.objects[action.object_type or ""], {"reply": read})


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with kinto.serving(tmp_path_factory.mktemp("kinto")) as port:
        yield port


@pytest.fixture
def erp(port: int) -> Erp:
    """A bucket of its own for each test, with one open invoice."""
    tenant = f"acme{next(_BUCKETS)}"
    made = Erp(samples.load(FOLDER, {"collection": "invoices"}), port, tenant)
    for path in (f"/buckets/{tenant}", f"/buckets/{tenant}/collections/invoices", f"/buckets/{tenant}/collections/refunds"):
        assert made.put(path, {})["status"] == 201
    assert made.put(made.invoice("inv-1"), {"status": "open", "amount": 120})["status"] == 201
    return made


def data(read: Any) -> dict[str, object]:
    """A record without the fields that Kinto sets."""
    return {name: value for name, value in read["body"]["data"].items() if name not in ("id", "last_modified")}


def test_a_status_update_is_verified_and_undone(erp: Erp) -> None:
    written = erp.write("PATCH", erp.invoice("inv-1"), {"data": {"status": "paid"}})
    assert written.action.name == "invoice.status.update"
    assert erp.verified(written)
    assert erp.undo(written)["status"] == 200
    assert data(erp.read(erp.invoice("inv-1"))) == {"status": "open", "amount": 120}


def test_a_status_update_that_did_not_happen_is_not_taken_for_applied(erp: Erp) -> None:
    written = erp.write("PATCH", erp.invoice("inv-1"), {"data": {"status": "paid"}})
    assert erp.applied(written, written.after)
    assert not erp.applied(written, written.before)


def test_an_update_of_other_fields_is_verified_and_undone(erp: Erp) -> None:
    written = erp.write("PATCH", erp.invoice("inv-1"), {"data": {"amount": 7, "note": "typo"}})
    assert written.action.name == "invoice.update"
    assert erp.verified(written)
    assert not erp.applied(written, written.before)
    assert erp.undo(written)["status"] == 200
    assert data(erp.read(erp.invoice("inv-1"))) == {"status": "open", "amount": 120}


def test_a_replaced_invoice_gets_its_old_fields_back(erp: Erp) -> None:
    written = erp.write("PUT", erp.invoice("inv-1"), {"data": {"status": "void"}})
    assert erp.verified(written)
    assert not erp.applied(written, written.before)
    assert erp.undo(written)["status"] == 200
    assert data(erp.read(erp.invoice("inv-1"))) == {"status": "open", "amount": 120}


def test_a_replacement_that_kept_a_field_is_not_verified(erp: Erp) -> None:
    written = erp.write("PUT", erp.invoice("inv-1"), {"data": {"status": "void"}})
    kept = {**written.after["body"]["data"], "amount": 120}
    assert not erp.applied(written, {"body": {"data": kept}})


def test_an_upsert_that_made_its_invoice_is_undone_by_deleting_it(erp: Erp) -> None:
    written = erp.write("PUT", erp.invoice("inv-2"), {"data": {"status": "open"}})
    assert written.before["status"] == 404
    assert written.action.undo is not None
    assert erp.undo(written, by=written.action.undo.delete_created)["status"] == 200
    assert erp.read(erp.invoice("inv-2"))["status"] == 404


def test_a_created_invoice_is_deleted_again(erp: Erp) -> None:
    written = erp.write("POST", erp.records("invoices"), {"data": {"status": "open", "amount": 1}})
    assert written.action.success is not None
    assert written.action.success.holds(written.document)
    assert erp.verified(written)
    assert erp.undo(written)["status"] == 200
    assert erp.read(erp.invoice(written.target_id))["status"] == 404


def test_a_deleted_invoice_comes_back_at_a_version_of_its_own(erp: Erp) -> None:
    written = erp.write("DELETE", erp.invoice("inv-1"))
    assert written.document["reply"]["body"]["data"]["deleted"] is True
    assert erp.undo(written)["status"] == 201
    again = erp.read(erp.invoice("inv-1"))
    assert data(again) == {"status": "open", "amount": 120}
    assert again["headers"]["etag"] != written.before["headers"]["etag"]


def test_a_record_that_is_read_names_itself(erp: Erp) -> None:
    invoice, read = erp.tool.objects["invoice"], erp.read(erp.invoice("inv-1"))
    assert resolve.same_object(invoice, {"reply": read}, "inv-1")
    assert not resolve.same_object(invoice, {"reply": read}, "inv-2")
    assert not resolve.same_object(invoice, {"reply": erp.read(erp.records("invoices"))}, "inv-1")


def test_a_version_that_has_gone_by_is_refused_with_412(erp: Erp) -> None:
    stale = erp.read(erp.invoice("inv-1"))["headers"]["etag"]
    assert erp.put(erp.invoice("inv-1"), {"status": "disputed"})["status"] == 200
    late = kinto.send(erp.port, "PATCH", erp.invoice("inv-1"), {"data": {"status": "paid"}}, {"If-Match": stale})
    assert late["status"] == 412


def test_what_a_person_changed_is_not_overwritten_by_an_undo(erp: Erp) -> None:
    written = erp.write("PATCH", erp.invoice("inv-1"), {"data": {"status": "paid"}})
    assert erp.put(erp.invoice("inv-1"), {"status": "disputed"})["status"] == 200
    assert erp.undo(written)["status"] == 412
    assert data(erp.read(erp.invoice("inv-1"))) == {"status": "disputed"}


def test_a_refund_costs_its_amount_and_is_deleted_again(erp: Erp) -> None:
    written = erp.write("POST", erp.records("refunds"), {"data": {"invoice": "inv-1", "amount": 12.5}})
    cost = resolve.cost_of(written.action, written.document)
    assert (cost.records, dict(cost.amounts), cost.unpriced) == (1, {"refund": 12_500_000}, ())
    assert erp.verified(written)
    assert erp.undo(written)["status"] == 200
    assert erp.read(f"{erp.records('refunds')}/{written.target_id}")["status"] == 404


@pytest.mark.parametrize("reference", ["r-17", "42", "véro & co"])
def test_a_refund_whose_reply_was_lost_is_found_by_its_reference(erp: Erp, reference: str) -> None:
    body = {"data": {"invoice": "inv-1", "amount": 5, "reference": reference}}
    other = {"data": {"invoice": "inv-1", "amount": 5, "reference": "other"}}
    written = erp.write("POST", erp.records("refunds"), body)
    erp.write("POST", erp.records("refunds"), other)
    assert found_again(erp, written) == (written.target_id,)


def test_a_refund_that_never_arrived_is_not_found(erp: Erp) -> None:
    written = erp.write("POST", erp.records("refunds"), {"data": {"amount": 5, "reference": "r-18"}})
    assert erp.undo(written)["status"] == 200
    assert found_again(erp, written) == ()


def test_a_page_of_refunds_that_is_not_the_last_shows_nothing_of_what_is_not_on_it(erp: Erp) -> None:
    for number in range(2):
        erp.write("POST", erp.records("refunds"), {"data": {"amount": number, "reference": "many"}})
    written = erp.write("POST", erp.records("refunds"), {"data": {"amount": 5, "reference": "r-19"}})
    probe = written.action.probe
    assert probe is not None
    for query, whole in (("?reference=%22many%22&_limit=1", False), ("?reference=%22many%22", True)):
        listing = erp.read(f"{erp.records('refunds')}{query}")
        assert probing.page_of(probe, written.document | {"reply": listing}, "kc-0").whole is whole


def test_a_refund_without_a_reference_cannot_be_looked_for(erp: Erp) -> None:
    written = erp.write("POST", erp.records("refunds"), {"data": {"amount": 5}})
    with pytest.raises(KeyError, match="reference"):
        found_again(erp, written)


def found_again(erp: Erp, written: Written) -> tuple[str, ...] | None:
    probe = written.action.probe
    assert probe is not None
    assert probe.find is not None
    listing = erp.read(probing.listing_target(probe.find, written.matched.captures, written.document))
    page = probing.page_of(probe, written.document | {"reply": listing}, "kc-0")
    assert page.whole, "one page holds them all"
    return None if page.items is None else tuple([item.id for item in page.items])


def test_kinto_keeps_no_idempotency_keys(erp: Erp) -> None:
    """The reason for ``gateway: true`` in the adapter."""
    sent = [kinto.send(erp.port, "POST", erp.records("refunds"), {"data": {}}, {"Idempotency-Key": "k"}) for _ in range(2)]
    assert [one["status"] for one in sent] == [201, 201]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "invoices/records/inv-1", {"data": {"status": "paid"}, "permissions": {"read": ["system.Everyone"]}}),
        ("PUT", "invoices/records/inv-1", {"permissions": {"read": ["system.Everyone"]}}),
        ("POST", "refunds/records", {"data": {"id": "chosen", "amount": 1}}),
        ("POST", "refunds/records", None),
        ("PATCH", "invoices/records/inv-1", [{"op": "remove", "path": "/data/status"}]),
        ("DELETE", "invoices/records", None),
        ("DELETE", "invoices", None),
        ("PUT", "invoices/records/inv-1?_since=1", {"data": {}}),
        ("GET", "invoices", None),
    ],
)
def test_what_could_not_be_undone_is_no_listed_action(erp: Erp, method: str, path: str, body: object) -> None:
    found = matching.match(erp.tool, samples.call(method, f"/buckets/{erp.tenant}/collections/{path}", body))
    assert isinstance(found, Unmatched)
    assert not found.allowed


def test_a_merge_patch_is_no_listed_action(erp: Erp) -> None:
    headers = {"Content-Type": "application/merge-patch+json"}
    asked = samples.call("PATCH", erp.invoice("inv-1"), {"data": {"status": None}}, headers)
    assert isinstance(matching.match(erp.tool, asked), Unmatched)


def test_a_recorded_write_means_what_is_written_beside_it(sample: samples.Sample) -> None:
    tool = samples.load(FOLDER, {"collection": "invoices"})
    assert samples.meaning(tool, sample) == sample["means"]
