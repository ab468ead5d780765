"""The agent: a script that keeps an ERP's invoices, given a base URL and a token in its environment.

It is run as a program of its own and imports nothing but the standard library: it does not know who answers at that
URL. A task is a line on standard input: one that it knows by name, or a JSON list of calls. Each call it makes is a JSON
line on standard output, and so is a task's end.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

BASE = urlsplit(os.environ["ERP_URL"])
TOKEN = os.environ["ERP_TOKEN"]
PAUSE = float(os.environ.get("AGENT_PAUSE", "0"))

INVOICES = "/buckets/acme/collections/invoices/records"
REFUNDS = "/buckets/acme/collections/refunds/records"
REFUND = {"invoice": "inv-1002", "amount": 80, "reference": "returned goods, case 5512"}


def call(saying: str, method: str, path: str, data: object = None, more: dict[str, str] | None = None) -> tuple[int, Any]:
    """One request; the screen shows what was done, sent and answered."""
    body = None if data is None else json.dumps({"data": data})
    headers = {"Authorization": f"Bearer {TOKEN}", **({} if body is None else {"Content-Type": "application/json"}), **(more or {})}
    connection = http.client.HTTPConnection(BASE.hostname or "", BASE.port, timeout=30)
    sent = time.monotonic()
    try:
        connection.request(method, BASE.path + path, body, headers)
        answer = connection.getresponse()
        document = json.loads(answer.read())
    finally:
        connection.close()
    mode = answer.getheader("Killcord-Mode")
    tell(saying=saying, method=method, path=path, status=answer.status, document=document, mode=mode, sent=sent, answered=time.monotonic())
    time.sleep(PAUSE)
    return answer.status, document.get("data")


def tell(**event: object) -> None:
    print(json.dumps(event), flush=True)


def read(invoice: str) -> tuple[int, Any]:
    return call(f"reads {invoice}", "GET", f"{INVOICES}/{invoice}")


def set_status(invoice: str, status: str) -> tuple[int, Any]:
    return call(f"sets {invoice} to {status!r}", "PATCH", f"{INVOICES}/{invoice}", {"status": status})


def morning() -> None:
    """Look through the invoices, approve two, refund what came back; the refund's first answer was too slow for this client."""
    call("lists the invoices", "GET", INVOICES)
    for invoice in ("inv-1001", "inv-1002"):
        read(invoice)
        set_status(invoice, "approved")
    call("refunds 80 on inv-1002", "POST", REFUNDS, REFUND)
    call("gives up waiting, and refunds 80 on inv-1002 again", "POST", REFUNDS, REFUND)


def look() -> None:
    read("inv-1003")


def act() -> None:
    """Act on what it saw; if that is refused, read again and leave alone what a person has taken over."""
    status, _ = set_status("inv-1003", "approved")
    if status == 412:
        _, invoice = read("inv-1003")
        tell(thought=f"finds inv-1003 {invoice['status']!r} now, and leaves it alone")


def loop() -> None:
    """Two rules that contradict each other: each undoes what the other did, for as long as the ERP can be read."""
    wanted = "on hold"
    while read("inv-1001")[0] == 200:
        status, _ = set_status("inv-1001", wanted)
        if status == 200:
            wanted = "approved" if wanted == "on hold" else "on hold"


TASKS: dict[str, Callable[[], None]] = {"morning": morning, "look": look, "act": act, "loop": loop}


def main() -> None:
    for line in sys.stdin:
        task = line.strip()
        if task in TASKS:
            TASKS[task]()
        else:
            for one in json.loads(task):
                call(**one)
        tell(done=task)


if __name__ == "__main__":
    main()
