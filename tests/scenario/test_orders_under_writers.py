"""Orders under 16 writers that never pause: once an order is acknowledged, no write that it holds is sent any more."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tests.support import append_only
from tests.support.arrivals import Arrivals, Orders, Stamped, connected
from tests.support.gateway import Gateway, wait_until

Site = Callable[[str], Gateway]
TENANTS, WRITERS = ("acme", "globex", "initech", "umbrella"), 16
CONNECTIONS = 2
"""To the tool: most of the writes in flight are journaled and wait for one, so an order comes after their decision."""
STANDS = 0.01
"""Seconds that an order stands before its release; the writers are refused meanwhile."""
CONTAINED = ("run-read-only", "run-paused", "run-quarantined")


@dataclass(slots=True)
class Writer:
    """Writes in its run as fast as the gateway answers; ``begin`` gives it another run."""

    address: str
    tenant: str
    run: str = ""
    failed: BaseException | None = None
    _lease: str = ""
    _over: threading.Event = field(default_factory=threading.Event)

    def begin(self, gateway: Gateway) -> None:
        self.run, self._lease = gateway.open_run(self.tenant, scopes=["entries:*"])

    def work(self) -> None:
        connection = connected(self.address)
        try:
            for number in itertools.count():
                if self._over.is_set():
                    return
                if self._write(connection, number) != 201:
                    time.sleep(0.001)
        except BaseException as error:
            self.failed = error
        finally:
            connection.sock.close()

    def end(self) -> None:
        self._over.set()

    def _write(self, connection: Stamped, number: int) -> int:
        run, lease = self.run, self._lease
        body = json.dumps({"number": number})
        head = f"POST /entries{append_only.path(self.tenant, run)} HTTP/1.1\r\nHost: {self.address}\r\nAuthorization: Bearer {lease}\r\n"
        _, status, reply = connection.ask(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        assert status == 201 or json.loads(reply)["code"] in CONTAINED, reply
        return status


@contextmanager
def writing(gateway: Gateway) -> Iterator[list[Writer]]:
    writers = [Writer(gateway.settings["listen"]["data"], TENANTS[number % len(TENANTS)]) for number in range(WRITERS)]
    threads = [threading.Thread(target=writer.work) for writer in writers]
    for writer in writers:
        writer.begin(gateway)
    try:
        for thread in threads:
            thread.start()
        yield writers
    finally:
        for writer in writers:
            writer.end()
        for thread in threads:
            thread.join()


def held(number: int, writers: list[Writer]) -> tuple[str, dict[str, object], list[Writer]]:
    """The mode and scope of an order, and the writers that it holds."""
    one = writers[number // 5 % len(writers)]
    match number % 5:
        case 0:
            return "read_only", {"run": one.run}, [one]
        case 1:
            return "paused", {"tenant": one.tenant}, [writer for writer in writers if writer.tenant == one.tenant]
        case 2:
            return "quarantined", {"run": one.run}, [one]
        case 3:
            return "paused", {"tool": "entries"}, writers
        case _:
            return "read_only", {"all": True}, writers


@dataclass(frozen=True, slots=True)
class Held:
    """These runs, from the acknowledgement of an order to the request for its release, or for good. Unix nanoseconds."""

    runs: frozenset[str]
    acknowledged: int
    released: int | None

    def holds_at(self, at: int) -> bool:
        return at > self.acknowledged and (self.released is None or at < self.released)


@pytest.mark.parametrize("orders", [100, pytest.param(1000, marks=pytest.mark.soak)])
@pytest.mark.reliability(fault="16 writers that never pause", case="no write is sent once the order that holds it is acknowledged")
def test_no_write_is_sent_after_the_acknowledgement_of_an_order(
    orders: int, site: Site, record_property: Callable[[str, object], None]
) -> None:
    with Arrivals() as tool:
        gateway = site("")
        append_only.before(gateway, tool.port, connections=CONNECTIONS)
        gateway.start()
        control = Orders(gateway.settings["listen"]["control"], gateway.token)
        with writing(gateway) as writers:
            made = [ordered(number, gateway, control, tool, writers) for number in range(orders)]
        control.close()
    assert [writer.failed for writer in writers if writer.failed] == []
    sent = by_run(tool)
    late = [(run, arrived) for one in made for run in one.runs for arrived in sent[run] if one.holds_at(arrived)]
    assert late == []
    closest = min(one.acknowledged - arrived for one in made for run in one.runs for arrived in sent[run] if arrived <= one.acknowledged)
    told = f"{orders} orders, {len(tool.seen)} writes sent, 0 after an acknowledgement"
    record_property("measured", f"{told}; the closest was sent {closest / 1e6:.1f} ms before it")


def ordered(number: int, gateway: Gateway, control: Orders, tool: Arrivals, writers: list[Writer]) -> Held:
    """Make an order while the writers that it holds write, let it stand, and end what it did."""
    mode, scope, of = held(number, writers)
    runs = frozenset(writer.run for writer in of)
    since = len(tool.seen)
    wait_until(lambda: writes(tool, runs, since), f"a write of a run that order {number} will hold")
    acknowledged, order = control.ask("POST", "/v1/orders", 201, {"scope": scope, "mode": mode, "reason": "a test says so"})
    time.sleep(STANDS)
    if mode == "quarantined":
        of[0].begin(gateway)
        return Held(runs, acknowledged, None)
    asked = time.time_ns()
    control.ask("DELETE", f"/v1/orders/{order['order_id']}?reason=over", 200)
    return Held(runs, acknowledged, asked)


def writes(tool: Arrivals, runs: frozenset[str], since: int) -> bool:
    return any(append_only.run_of(path) in runs for _, path in tool.seen[since:])


def by_run(tool: Arrivals) -> defaultdict[str, list[int]]:
    """When each run's writes were sent."""
    sent = defaultdict(list)
    for arrived, path in tool.seen:
        sent[append_only.run_of(path)].append(arrived)
    return sent
