"""Ids from the gateway for a shell's completion: what the gateway answers within a second, and nothing instead of an error."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from gateway.cli import client
from gateway.sdk.messages import path

PATIENCE = 1.0
"""Seconds that a person waits for a completion at most."""

PAGE = 1000
"""Ids requested at most. They ascend, and the request begins at what was typed so far."""

Complete = Callable[[str], list[str]]
"""What an argument may be, of which this was typed so far."""


def _ids(of: str, member: str, **wanted: str) -> Complete:
    """The ids in a list of the control API whose items have ``member``, and match the filters ``wanted``."""

    def complete(incomplete: str) -> list[str]:
        found: list[str] = []

        def request() -> None:
            # Whatever goes wrong, the shell shows no completion, and the person types on.
            with suppress(Exception):
                query = {**wanted, "limit": PAGE, "after": incomplete or None}
                page = client.connect(timeout=PATIENCE).ask("GET", path(of), query=query)
                found.extend(one[member] for one in page["items"] if one[member].startswith(incomplete))

        # A thread, since a server that answers byte by byte meets every timeout of a socket.
        asking = threading.Thread(target=request, daemon=True)
        asking.start()
        asking.join(PATIENCE)
        return list(found)

    return complete


runs = _ids("runs", "run_id")
orders = _ids("orders", "order_id")
tasks = _ids("tasks", "task_id", status="open")
approvals = _ids("approvals", "approval_id", status="pending")
incidents = _ids("incidents", "incident_id")
rollbacks = _ids("rollbacks", "rollback_id")
