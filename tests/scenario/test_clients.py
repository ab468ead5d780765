"""Clients that nobody changed, and secrets that no client has."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

from tests.support.erp import Erp
from tests.support.gateway import Gateway

Site = Callable[[str], Gateway]


def test_each_tenant_is_served_with_its_own_secret_and_one_without_is_not_served(site: Site, kinto_port: int) -> None:
    ours, theirs, none = (Erp(kinto_port, name, _basic(name)) for name in ("secret-a", "secret-b", "secret-c"))
    for erp in (ours, theirs, none):
        erp.seed()
    gateway = site(ours.url)
    gateway.settings["tools"]["erp"]["credential"] = {"header": "Authorization", "value": "Basic ${KEY_{tenant}}"}
    gateway.environ = {f"KEY_{erp.tenant}": erp.authorization.removeprefix("Basic ") for erp in (ours, theirs)}
    gateway.start()
    for erp in (ours, theirs, none):
        _, lease = gateway.open_run(erp.tenant)
        gateway.call("PATCH", erp.path("invoices", "inv-1"), {"data": {"status": "approved"}}, lease=lease)
    # Kinto lets none but a bucket's maker write in it: each write came under its own tenant's secret.
    assert ours.invoice("inv-1")["status"] == "approved"
    assert theirs.invoice("inv-1")["status"] == "approved"
    assert none.invoice("inv-1")["status"] == "open"


def test_a_client_without_a_lease_is_the_ambient_run(site: Site, erp: Erp) -> None:
    gateway = site(erp.url)
    gateway.settings["ambient_run"] = {"tenant": erp.tenant, "agent_id": "billing", "task_class": "default", "scopes": ["erp:*"]}
    gateway.start()
    done = gateway.call("PATCH", erp.path("invoices", "inv-1"), {"data": {"status": "approved"}})
    assert erp.invoice("inv-1")["status"] == "approved"
    gateway.contain("read_only", run=done.headers["killcord-run"])
    gateway.call("PATCH", erp.path("invoices", "inv-1"), {"data": {"status": "paid"}})
    assert erp.invoice("inv-1")["status"] == "approved"


def test_a_client_that_puts_its_key_in_a_header_of_its_own_brings_its_lease_there(site: Site, erp: Erp) -> None:
    gateway = site(erp.url)
    gateway.settings["tools"]["erp"]["lease_in"] = {"header": "X-API-Key"}
    gateway.start()
    _, lease = gateway.open_run(erp.tenant)
    gateway.call("PATCH", erp.path("invoices", "inv-1"), {"data": {"status": "approved"}}, headers={"X-API-Key": lease})
    assert erp.invoice("inv-1")["status"] == "approved"


def test_a_client_with_user_and_password_brings_its_lease_as_the_password(site: Site, erp: Erp) -> None:
    gateway = site(erp.url)
    gateway.settings["tools"]["erp"]["lease_in"] = {"basic": "password"}
    gateway.start()
    _, lease = gateway.open_run(erp.tenant)
    headers = {"Authorization": _basic("anyone", lease)}
    gateway.call("PATCH", erp.path("invoices", "inv-1"), {"data": {"status": "approved"}}, headers=headers)
    assert erp.invoice("inv-1")["status"] == "approved"


def _basic(user: str, password: str = "secret") -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()
