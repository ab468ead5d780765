"""Webhooks over a real journal and real receivers: order, signatures, patience, restarts, and that none is in another's way."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from gateway import errors
from gateway.app.webhooks import counted
from gateway.clients import webhooks_delivery
from gateway.clients.webhooks import Webhooks, open_webhooks
from gateway.control.supervisor import Supervisor
from gateway.core import records, signing
from gateway.model.entry import Position
from gateway.model.order import Scope
from gateway.model.run import Mode
from gateway.model.webhook import Topic, Webhook
from tests.support.certificate import certificate
from tests.support.incidents import INCIDENT
from tests.support.receiver import SECRET, Receiver, receiving
from tests.support.rig import Rig, assembled, until

pytestmark = pytest.mark.usefixtures("_hurried")

STAMP = "2026-11-24T20:08:03.123456Z"


@pytest.fixture
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks_delivery, "IDLE", 0.02)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with assembled(tmp_path) as one:
        yield one


@dataclass(slots=True)
class Telling:
    webhooks: Webhooks
    supervisor: Supervisor
    logged: list[tuple[str, dict[str, object]]]

    @property
    def said(self) -> list[str]:
        return [event for event, _ in self.logged]

    def delivered(self) -> int:
        return sum(one.delivered for one in self.webhooks.deliveries)


def hook(receiver: Receiver | str, name: str = "ops", **more: Any) -> Webhook:
    url = receiver if isinstance(receiver, str) else receiver.url()
    return Webhook(name=name, host="127.0.0.1", url=url, key=signing.key(SECRET), **more)


@asynccontextmanager
async def telling(rig: Rig, *hooks: Webhook) -> AsyncIterator[Telling]:
    """Deliveries as ``killcord serve`` runs them, with little patience; in the same folder again they go on."""
    logged: list[tuple[str, dict[str, object]]] = []

    def log(event: str, **more: object) -> None:
        logged.append((event, more))

    store, folder = rig.gateway.store, rig.gateway.config.data_dir / "told"
    webhooks = await open_webhooks(hooks, folder, store.history, store.registry, rig.gateway.clock, log, first=0.01)
    supervisor = Supervisor(log)
    for delivery in webhooks.deliveries:
        supervisor.every(0.005, delivery.webhook.name, delivery.turn)
    try:
        yield Telling(webhooks, supervisor, logged)
    finally:
        await supervisor.finish(1.0)
        await webhooks.close()


async def fire(rig: Rig, name: str = "anomaly.loop", **more: object) -> None:
    trigger = {"name": name, "layer": "behaviour", "count": 1, "threshold": 1, "evidence": []}
    await rig.gateway.store.journal.append({"ts": STAMP, "kind": "trigger", "trigger": trigger, **more})


async def respond(rig: Rig) -> None:
    who = {"ts": STAMP, "kind": "response", "run_id": "run_1", "tenant": "acme"}
    fields = {**who, "change": "opened", "incident": records.incident_entry(INCIDENT)}
    await rig.gateway.store.journal.append(fields)


async def test_everything_is_told_in_the_order_in_which_it_happened(rig: Rig) -> None:
    async with receiving() as receiver, telling(rig, hook(receiver)):
        await fire(rig)
        await respond(rig)
        order = await rig.contain("run_1")
        await rig.gateway.containment.release(order.order_id, reason="it was a test", by="ann")
        await until(lambda: len(receiver.received) == 4)
        kinds = ["trigger.fired", "incident.opened", "order.made", "order.released"]
        assert [one["type"] for one in receiver.events] == [f"dev.killcord.{kind}" for kind in kinds]
        stream = rig.gateway.store.journal.stream
        assert [one["id"] for one in receiver.events] == [f"{stream}/{seq}" for seq in range(1, 5)]
        assert {one["source"] for one in receiver.events} == {f"killcord/{stream}"}


async def test_hundreds_that_came_while_nobody_listened_stay_in_order_across_kinds(rig: Rig) -> None:
    async with receiving() as receiver:
        async with telling(rig, hook(receiver)):
            pass
        for number in range(250):
            trigger = {"name": "anomaly.loop", "count": number}
            rig.gateway.store.journal.post({"ts": STAMP, "kind": "trigger", "trigger": trigger})
            if number % 3 == 0:
                await rig.contain(f"run_{number}", Mode.READ_ONLY)
        async with telling(rig, hook(receiver)):
            await until(lambda: len(receiver.received) == 334, 60.0)
        seqs = [int(one["id"].rpartition("/")[2]) for one in receiver.events]
        assert seqs == sorted(set(seqs))


async def test_a_receiver_can_verify_who_sent_it_and_when(rig: Rig) -> None:
    async with receiving() as receiver, telling(rig, hook(receiver)):
        await rig.contain("run_1")
        await until(lambda: receiver.received)
        one = receiver.received[0]
        assert one.signed_with(SECRET.encode())
        assert not one.signed_with(b"another secret of more than 24 characters")
        assert one.headers["webhook-id"] == one.event["id"]
        assert abs(int(one.headers["webhook-timestamp"]) - time.time()) < 60
        assert one.headers["Content-Type"] == "application/cloudevents+json; charset=utf-8"
        assert "Cookie" not in one.headers


async def test_what_was_not_taken_is_sent_again_with_the_same_id_and_body(rig: Rig) -> None:
    async with receiving(500, -1, 429, 408, 425) as receiver, telling(rig, hook(receiver)) as told:
        await rig.contain("run_1")
        await until(told.delivered)
        assert len(receiver.received) == 6
        assert len({(one.headers["webhook-id"], one.body) for one in receiver.received}) == 1
        assert all(one.signed_with(SECRET.encode()) for one in receiver.received)
        assert told.logged == []


async def test_a_receiver_that_asks_for_a_second_gets_it(rig: Rig) -> None:
    async with receiving((503, {"Retry-After": "1"})) as receiver, telling(rig, hook(receiver)) as told:
        began = time.monotonic()
        await rig.contain("run_1")
        await until(told.delivered)
        assert time.monotonic() - began >= 1.0


async def test_what_is_never_taken_is_given_up_told_of_and_passed_over(rig: Rig) -> None:
    async with receiving(500, 500, 500) as receiver, telling(rig, hook(receiver, attempts=3)) as told:
        await rig.contain("run_1")
        await rig.contain("run_2")
        await until(told.delivered)
        assert [one["subject"] for one in receiver.events] == ["run_1", "run_1", "run_1", "run_2"]
        said = {"webhook": "ops", "host": "127.0.0.1", "entry": receiver.events[0]["id"], "why": "status 500", "attempts": 3}
        assert told.logged == [("webhook-event-given-up", said)]


async def test_what_a_receiver_calls_wrong_is_not_sent_twice(rig: Rig) -> None:
    async with receiving(400) as receiver, telling(rig, hook(receiver)) as told:
        await rig.contain("run_1")
        await rig.contain("run_2")
        await until(told.delivered)
        assert [one["subject"] for one in receiver.events] == ["run_1", "run_2"]
        assert told.said == ["webhook-event-given-up"]


async def test_a_receiver_that_is_gone_is_left_alone_until_a_restart_and_then_told_what_it_missed(rig: Rig) -> None:
    async with receiving(410) as receiver:
        async with telling(rig, hook(receiver)) as told:
            await rig.contain("run_1")
            await until(lambda: told.webhooks.deliveries[0].gone)
            await rig.contain("run_2")
            await asyncio.sleep(0.1)
            assert len(receiver.received) == 1
            assert told.said == ["webhook-gone"]
        async with telling(rig, hook(receiver)) as told:
            await until(lambda: told.delivered() == 2)
        assert [one["subject"] for one in receiver.events] == ["run_1", "run_1", "run_2"]


async def test_a_redirect_is_not_followed(rig: Rig) -> None:
    async with receiving() as elsewhere, receiving((307, {"Location": elsewhere.url("/elsewhere")})) as receiver:
        async with telling(rig, hook(receiver)) as told:
            await rig.contain("run_1")
            await until(told.delivered)
        assert elsewhere.received == []
        assert len(receiver.received) == 2


async def test_a_new_webhook_is_told_of_what_happens_from_then_on(rig: Rig) -> None:
    await rig.contain("run_before")
    async with receiving() as receiver:
        async with telling(rig, hook(receiver)):
            pass
        await rig.contain("run_while_away")
        async with telling(rig, hook(receiver)):
            await until(lambda: receiver.received)
            await rig.contain("run_after")
            await until(lambda: len(receiver.received) == 2)
        assert [one["subject"] for one in receiver.events] == ["run_while_away", "run_after"]


async def test_a_restart_goes_on_where_it_stopped_and_sends_nothing_twice_that_was_taken(rig: Rig) -> None:
    async with receiving() as receiver:
        async with telling(rig, hook(receiver)) as told:
            await rig.contain("run_1")
            await until(told.delivered)
            receiver.always = 500
            await rig.contain("run_2")
            await until(lambda: len(receiver.received) >= 3)
        await rig.contain("run_3")
        receiver.always, before = 204, len(receiver.received)
        async with telling(rig, hook(receiver)) as told:
            await until(lambda: told.delivered() == 2)
        assert [one["subject"] for one in receiver.events[before:]] == ["run_2", "run_3"]


async def test_a_dead_receiver_is_in_nobodys_way(rig: Rig) -> None:
    async with receiving(always=0) as dead, receiving() as healthy, telling(rig, hook(dead, "dead"), hook(healthy, "healthy")) as told:
        await rig.contain("run_1")
        await until(lambda: dead.received)
        opened = await rig.open()
        for _ in range(20):
            assert (await rig.call(opened.lease, "GET", "/v1/tenants/acme/invoices/inv-1")).status < 500
            await rig.contain("run_2")
        await until(lambda: len(healthy.received) == 21)
        assert len(dead.received) == 1
        began = time.monotonic()
        await told.supervisor.finish(1.0)
        assert time.monotonic() - began < 4.5  # the dead one has five seconds


async def test_a_receiver_that_does_not_answer_in_time_is_asked_again(rig: Rig) -> None:
    async with receiving(0) as receiver, telling(rig, hook(receiver, timeout=0.2)) as told:
        await rig.contain("run_1")
        await until(told.delivered)
        assert len(receiver.received) == 2


async def test_nobody_listening_and_a_name_without_an_address_are_waited_for(rig: Rig) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        async with telling(rig, hook(nobody, "nobody", attempts=2), hook("http://nowhere.invalid/", "nowhere", attempts=2)) as told:
            await rig.contain("run_1")
            await until(lambda: len(told.logged) == 2)
    assert {more["why"] for _, more in told.logged} == {"it cannot be reached"}


@pytest.mark.parametrize("address", ["169.254.169.254", "[::ffff:169.254.169.254]", "100.100.100.200", "0.0.0.0"])
async def test_an_address_of_the_clouds_metadata_is_never_dialled(rig: Rig, address: str) -> None:
    async with telling(rig, hook(f"http://{address}:9/", attempts=1)) as told:
        await rig.contain("run_1")
        await until(lambda: told.logged)
    assert told.logged[0][1]["why"] == "its host has an address that is not allowed"


async def test_a_name_that_leads_to_a_forbidden_address_is_never_dialled(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()

    async def resolved(*_: object, **__: object) -> list[tuple[Any, ...]]:
        one = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*one, ("127.0.0.1", 9)), (*one, ("169.254.169.254", 9))]

    monkeypatch.setattr(loop, "getaddrinfo", resolved)
    async with telling(rig, hook("http://rebound.example/", attempts=1)) as told:
        await rig.contain("run_1")
        await until(lambda: told.logged)
    assert told.logged[0][1]["why"] == "its host has an address that is not allowed"


async def test_a_receiver_is_trusted_by_its_certificate_alone(rig: Rig, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    async with receiving(tls=context) as receiver:
        url = receiver.url().replace("http:", "https:")
        async with telling(rig, hook(url, "trusting", ca=cert), hook(url, "doubting", attempts=1)) as told:
            await rig.contain("run_1")
            await until(lambda: told.delivered() and told.logged)
        assert len(receiver.received) == 1
        assert told.logged[0][1] | {"webhook": "doubting", "why": "its TLS certificate or handshake is not acceptable"} == told.logged[0][1]


async def test_a_webhook_is_told_of_its_topics_and_tenants_alone(rig: Rig) -> None:
    acme, globex = await rig.open(), await rig.open(tenant="globex")
    async with receiving() as orders, receiving() as mine, receiving() as last:
        hooks = (
            hook(orders, "orders", topics=frozenset({Topic.ORDER})),
            hook(mine, "mine", tenants=frozenset({"acme"})),
            hook(last, "last"),
        )
        async with telling(rig, *hooks):
            await fire(rig, tenant="globex")
            await fire(rig, tenant="acme")
            await rig.contain(globex.run.run_id)
            await rig.contain(acme.run.run_id)
            await rig.gateway.containment.make(Scope(everything=True), Mode.READ_ONLY, reason="test", by="test")
            await rig.gateway.containment.make(Scope(tenant="acme"), Mode.READ_ONLY, reason="test", by="test")
            await until(lambda: len(last.received) == 6 and len(orders.received) == 4 and len(mine.received) == 3)
        assert {one["type"] for one in orders.events} == {"dev.killcord.order.made"}
        shown = [one["data"].get("tenant") or one["data"]["scope"] for one in mine.events]
        assert shown == ["acme", {"run": acme.run.run_id}, {"tenant": "acme"}]


async def test_the_bell_is_enough_even_where_it_rings_before_the_entry_is_durable(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks_delivery, "IDLE", 3600.0)
    async with receiving() as receiver, telling(rig, hook(receiver)) as told:
        for _ in range(20):
            before = len(receiver.received)
            fields = {"ts": STAMP, "kind": "trigger", "trigger": {"name": "anomaly.loop"}}
            told.webhooks.heard(fields, rig.gateway.store.journal.post(fields))
            await until(lambda: len(receiver.received) > before)  # noqa: B023


@pytest.mark.parametrize(("stream", "seq"), [("st_other", 0), ("its own", 999)])
async def test_another_journal_or_an_older_one_is_told_of_from_its_end_on(rig: Rig, stream: str, seq: int) -> None:
    folder = rig.gateway.config.data_dir / "told"
    folder.mkdir()
    await rig.contain("run_1")
    own = rig.gateway.store.journal.stream
    (folder / "ops.json").write_text(json.dumps({"stream": own if stream == "its own" else stream, "seq": seq}))
    async with receiving() as receiver, telling(rig, hook(receiver)) as told:
        assert told.said == ["webhook-begins-anew"]
        await rig.contain("run_2")
        await until(told.delivered)
        assert [one["subject"] for one in receiver.events] == ["run_2"]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"stream": "st", "seq": "x"}', "\x00" * 30])
async def test_a_damaged_cursor_stops_the_start_and_says_what_to_do(rig: Rig, content: str) -> None:
    folder = rig.gateway.config.data_dir / "told"
    folder.mkdir()
    (folder / "ops.json").write_text(content)
    with pytest.raises(errors.Misconfigured, match="delete it"):
        async with telling(rig, hook("http://127.0.0.1:9/")):
            pass


async def test_a_cursor_that_cannot_be_kept_costs_no_event(rig: Rig) -> None:
    async with receiving() as receiver:
        async with telling(rig, hook(receiver)) as told:
            folder = rig.gateway.config.data_dir / "told"
            (folder / "ops.new").mkdir()  # stands where the new cursor would be written
            await rig.contain("run_1")
            await rig.contain("run_2")
            await until(lambda: told.delivered() == 2)
            assert set(told.said) == {"webhook-cursor-not-kept"}
        (folder / "ops.new").rmdir()
        async with telling(rig, hook(receiver)) as told:
            await until(lambda: told.delivered() == 2)
        assert [one["subject"] for one in receiver.events] == ["run_1", "run_2"] * 2


async def test_no_secret_is_ever_logged_or_shown(rig: Rig) -> None:
    async with receiving(401) as receiver:
        secretive = replace(hook(receiver), url=receiver.url("/hook/url-canary?token=url-canary"))
        async with telling(rig, secretive) as told:
            await rig.contain("run_1")
            await until(lambda: told.logged)
        assert receiver.received[0].path == "/hook/url-canary?token=url-canary"
    async with telling(rig, replace(secretive, attempts=1)) as again:  # nobody is there any more
        await rig.contain("run_2")
        await until(lambda: again.logged)
    for text in (str(told.logged), str(again.logged), repr(secretive)):
        assert "canary" not in text


async def test_prometheus_is_told_what_arrived_what_did_not_and_what_waits(rig: Rig) -> None:
    registry = CollectorRegistry()
    async with receiving(204, 400, always=500) as receiver, telling(rig, hook(receiver)) as told:
        registry.register(counted(told.webhooks, lambda: rig.gateway.store.journal.health().seq))
        assert 'killcord_webhook_lag_entries{webhook="ops"} 0.0' in generate_latest(registry).decode()
        for number in range(4):
            await rig.contain(f"run_{number}")
        await until(lambda: len(receiver.received) == 3)
        text = generate_latest(registry).decode()
    assert 'killcord_webhook_delivered_total{webhook="ops"} 1.0' in text
    assert 'killcord_webhook_given_up_total{webhook="ops"} 1.0' in text
    assert 'killcord_webhook_lag_entries{webhook="ops"} 2.0' in text


async def test_what_no_webhook_tells_of_rings_no_bell(rig: Rig) -> None:
    async with receiving() as receiver, telling(rig, hook(receiver, topics=frozenset({Topic.ORDER}))) as told:
        delivery = told.webhooks.deliveries[0]
        told.webhooks.heard({"kind": "trigger"}, Position("st", 7))
        told.webhooks.heard({"kind": "read"}, Position("st", 8))
        assert delivery._heard == 0
        told.webhooks.heard({"kind": "order"}, Position("st", 9))
        assert delivery._heard == 9


async def test_a_whole_gateway_rings_its_own_bells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks_delivery, "IDLE", 3600.0)
    (tmp_path / "hook").write_text(SECRET)
    async with receiving() as receiver:
        extra = f"webhooks: {{ops: {{url: '{receiver.url()}', secret: {{file: ./hook}}}}}}"
        async with assembled(tmp_path, extra=extra) as rig:
            supervisor = Supervisor(lambda *_, **__: None)
            for delivery in rig.gateway.webhooks.deliveries:
                supervisor.every(0.005, "ops", delivery.turn)
            for number in range(3):
                await rig.contain(f"run_{number}")
                await until(lambda: len(receiver.received) > number)  # noqa: B023
            await supervisor.finish(1.0)
    assert [one["subject"] for one in receiver.events] == ["run_0", "run_1", "run_2"]


async def test_a_write_over_the_tenant_boundary_is_told_as_trigger_order_and_incident(rig: Rig) -> None:
    opened = await rig.open()
    async with receiving() as receiver, telling(rig, hook(receiver, tenants=frozenset({"acme"}))):
        refused = await rig.call(opened.lease, "PATCH", "/v1/tenants/globex/invoices/inv_1", {"status": "body-canary"})
        assert refused.status == 403
        await until(lambda: len(receiver.received) >= 3)
    events = {one["type"].removeprefix("dev.killcord."): one for one in receiver.events}
    assert {one["subject"] for one in receiver.events} == {opened.run.run_id}
    fired, made, begun = (events[name]["data"] for name in ("trigger.fired", "order.made", "incident.opened"))
    assert (fired["name"], fired["layer"], fired["tenant"]) == ("policy.tenant-boundary", "policy", "acme")
    assert begun["orders"] == [made["order_id"]]
    assert begun["evidence"] == fired["evidence"]
    assert "canary" not in str(receiver.events)
