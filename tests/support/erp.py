"""What the ERP itself says: a Kinto's records, read with its own password and past any gateway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support import kinto

INVOICES: Mapping[str, Mapping[str, object]] = {
    "inv-1": {"customer": "Aldous Ltd", "amount": 120, "status": "open"},
    "inv-2": {"customer": "Brandt GmbH", "amount": 480, "status": "open"},
}

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Erp:
    """One tenant's bucket. ``authorization`` is the Kinto user that owns it."""

    port: int
    tenant: str
    authorization: str = kinto.AUTHORIZATION

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def seed(self) -> None:
        """Make the bucket with its collections and invoices."""
        self._made("")
        for collection in ("invoices", "refunds"):
            self._made(f"/collections/{collection}")
        for name, fields in INVOICES.items():
            self._made(f"/collections/invoices/records/{name}", fields)

    def path(self, collection: str, name: str = "") -> str:
        """The tool's own path of a collection's records, or of one of them."""
        return f"/buckets/{self.tenant}/collections/{collection}/records" + (f"/{name}" if name else "")

    def records(self, collection: str) -> dict[str, Record]:
        """Every record by id."""
        answer = self._send("GET", self.path(collection))
        assert answer["status"] == 200, answer
        body: Any = answer["body"]
        return {record["id"]: record for record in body["data"]}

    def invoice(self, name: str) -> Record:
        return self.records("invoices")[name]

    def edit(self, invoice: str, **fields: object) -> None:
        """A person changes an invoice in the ERP itself."""
        answer = self._send("PATCH", self.path("invoices", invoice), {"data": fields})
        assert answer["status"] == 200, answer

    def _made(self, path: str, fields: Mapping[str, object] | None = None) -> None:
        answer = self._send("PUT", f"/buckets/{self.tenant}{path}", None if fields is None else {"data": fields})
        assert answer["status"] == 201, answer

    def _send(self, method: str, path: str, body: object = None) -> kinto.Document:
        return kinto.send(self.port, method, path, body, {"Authorization": self.authorization})
