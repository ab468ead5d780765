"""A tool whose writes only append entries: one request each, with nothing read before or after."""

from __future__ import annotations

from tests.support.gateway import CHECKOUT, Gateway

_ADAPTER = """
system: entries
tenant: request.path.tenant
objects: {}
actions:
  - name: entry.post
    match: {method: POST, path: "/tenants/{tenant}/runs/{run}/entries"}
    effect: write
    class: compensatable
    snapshot: false
    success: "reply.status == `201`"
    compensation: {type: manual_review}
unlisted: {read: deny, write: deny}
"""


def before(gateway: Gateway, port: int, **limits: object) -> None:
    """Configure a gateway in front of such a tool on this port, as its only tool; ``limits`` are further keys of the tool."""
    adapter = gateway.folder / "adapters" / "entries" / "adapter.yaml"
    adapter.parent.mkdir(parents=True)
    adapter.write_text(_ADAPTER)
    gateway.settings["adapters"] = [str(gateway.folder / "adapters"), str(CHECKOUT / "adapters")]
    gateway.settings["tools"] = {"entries": {"adapter": "entries", "base_url": f"http://127.0.0.1:{port}", **limits}}


def path(tenant: str, run: str) -> str:
    """Where a run's entries go; ``run`` is any name."""
    return f"/tenants/{tenant}/runs/{run}/entries"


def run_of(path: str) -> str:
    return path.split("/")[4]
