"""The ERP: a real Kinto with its own storage, its own credential and no idea of a gateway. A bucket is a tenant."""

from __future__ import annotations

import os
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from killcord_demo import children, web
from killcord_demo.surprise import expect

TENANT = "acme"
NEIGHBOUR = "globex"
"""Another tenant of the same ERP, where a story has one."""
BASIC = b64encode(b"erp:the agent never sees this").decode()
"""The ERP's secret, as the header of basic authentication carries it."""

INVOICES: Mapping[str, Mapping[str, object]] = {
    "inv-1001": {"customer": "Aldous Ltd", "amount": 120, "status": "open"},
    "inv-1002": {"customer": "Brandt GmbH", "amount": 480, "status": "open"},
    "inv-1003": {"customer": "Castella SA", "amount": 95, "status": "open"},
}

_INI = """\
[app:main]
use = egg:kinto
kinto.storage_backend = kinto.core.storage.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.userid_hmac_secret = for this demo only
kinto.bucket_create_principals = system.Authenticated
multiauth.policies = basicauth

[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = {port}

[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = plain
[logger_root]
level = WARNING
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = plain
[formatter_plain]
format = %(message)s
"""


@dataclass(frozen=True, slots=True)
class Erp:
    """What a person with the ERP's own password can do, past any gateway. ``url`` ends in ``/v1``."""

    url: str
    started_in: float

    def send(self, method: str, path: str, body: object = None) -> web.Answer:
        return web.send(method, self.url + path, body, {"Authorization": f"Basic {BASIC}"})

    def records(self, collection: str, tenant: str = TENANT) -> dict[str, dict[str, Any]]:
        """Every record by id, as Kinto has it now."""
        answer = self.send("GET", path(collection, tenant))
        expect(answer.status == 200, f"Kinto to list {collection}", answer)
        return {record["id"]: record for record in answer.body["data"]}

    def state(self) -> dict[str, dict[str, Any]]:
        """All that the agent could have changed."""
        return self.records("invoices") | self.records("refunds")

    def edit(self, invoice: str, **fields: object) -> None:
        """A person changes an invoice in the ERP itself."""
        answer = self.send("PATCH", path(f"invoices/{invoice}"), {"data": fields})
        expect(answer.status == 200, f"Kinto to take a person's edit of {invoice}", answer)

    def begin_anew(self) -> None:
        """As it was at first, with a neighbour."""
        gone = [self.send("DELETE", f"/buckets/{tenant}").status for tenant in (TENANT, NEIGHBOUR)]
        expect(set(gone) <= {200, 403, 404}, "Kinto to forget its tenants", gone)
        for tenant in (TENANT, NEIGHBOUR):
            self.seed(tenant)

    def seed(self, tenant: str = TENANT) -> None:
        made = [self.send("PUT", f"/buckets/{tenant}")]
        made += [self.send("PUT", f"/buckets/{tenant}/collections/{name}") for name in ("invoices", "refunds")]
        for name, fields in INVOICES.items():
            made.append(self.send("PUT", path(f"invoices/{name}", tenant), {"data": fields}))
        expect(all(answer.status == 201 for answer in made), "Kinto to take the seed", [answer.status for answer in made])


def path(thing: str, tenant: str = TENANT) -> str:
    """Where a collection's records are, or one of them (``invoices/inv-1001``)."""
    collection, _, name = thing.partition("/")
    return f"/buckets/{tenant}/collections/{collection}/records" + (f"/{name}" if name else "")


@contextmanager
def serving(folder: Path, port: int) -> Iterator[Erp]:
    """Kinto on a port of loopback, seeded; its files and log are in ``folder``."""
    with started(folder, port) as erp:
        erp.seed()
        yield erp


@contextmanager
def started(folder: Path, port: int) -> Iterator[Erp]:
    """Kinto with nothing in it."""
    ini, log = folder / "kinto.ini", folder / "kinto.log"
    ini.write_text(_INI.format(port=port))
    expect(find_spec("kinto") is not None, "Kinto to be installed", "it is not; run: pip install 'killcord[demo]'")
    # By its function: the kinto command need not be beside the interpreter.
    command = [sys.executable, "-W", "ignore", "-c", "from kinto.__main__ import main; main()", "start", "--ini", str(ini)]
    url = f"http://127.0.0.1:{port}/v1"
    with children.running("Kinto", command, log=log, environ=os.environ, folder=folder) as process:
        took = children.until_it_answers("Kinto", process, log, lambda: web.send("GET", url + "/").status == 200)
        yield Erp(url, took)
