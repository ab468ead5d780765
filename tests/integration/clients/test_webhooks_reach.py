"""Webhooks: whom they may reach, what each is told, where they continue, and what operators see of them."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, generate_latest

from gateway import errors
from gateway.app.gateway import deliveries
from gateway.clients.webhook import delivery as webhook_delivery
from gateway.control.supervisor import Supervisor
from gateway.model.entry import Position
from gateway.model.run import Mode, Scope
from gateway.model.webhook import Topic
from tests.support.certificate import certificate
from tests.support.journaling import order, order_entry, typed
from tests.support.receiver import SECRET, receiving
from tests.support.rig import Rig, assembled, until
from tests.support.telling import STAMP, fire, hook, telling


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


async def test_a_webhook_is_reported_of_its_topics_and_tenants_alone(rig: Rig) -> None:
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
            await rig.gateway.control.containment.make(Scope(everything=True), Mode.READ_ONLY, reason="test", by="test")
            await rig.gateway.control.containment.make(Scope(tenant="acme"), Mode.READ_ONLY, reason="test", by="test")
            await until(lambda: len(last.received) == 6 and len(orders.received) == 4 and len(mine.received) == 3)
        assert {one["type"] for one in orders.events} == {"dev.killcord.order.made"}
        shown = [one["data"].get("tenant") or one["data"]["scope"] for one in mine.events]
        assert shown == ["acme", {"run": acme.run.run_id}, {"tenant": "acme"}]


async def test_the_bell_is_enough_even_where_it_rings_before_the_entry_is_durable(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_delivery, "IDLE", 3600.0)
    async with receiving() as receiver, telling(rig, hook(receiver)) as told:
        for _ in range(20):
            before = len(receiver.received)
            fields = {"ts": STAMP, "kind": "trigger", "trigger": {"name": "anomaly.loop"}}
            told.webhooks.on_entry(typed(fields), rig.gateway.resources.store.journal.post(typed(fields)))
            await until(lambda: len(receiver.received) > before)  # noqa: B023


@pytest.mark.parametrize(("stream", "seq"), [("st_other", 0), ("its own", 999)])
async def test_another_journal_or_an_older_one_is_reported_of_from_its_end_on(rig: Rig, stream: str, seq: int) -> None:
    folder = rig.gateway.config.data_dir / "told"
    folder.mkdir()
    await rig.contain("run_1")
    own = rig.gateway.resources.store.journal.stream
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


async def test_prometheus_is_reported_what_arrived_what_did_not_and_what_waits(rig: Rig) -> None:
    registry = CollectorRegistry()
    async with receiving(204, 400, always=500) as receiver, telling(rig, hook(receiver)) as told:
        registry.register(deliveries(told.webhooks, lambda: rig.gateway.resources.store.journal.health().seq))
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
        told.webhooks.on_entry(typed({"kind": "trigger", "trigger": {"name": "anomaly.loop"}}), Position("st", 7))
        told.webhooks.on_entry(typed({"kind": "read"}), Position("st", 8))
        assert delivery._newest == 0
        told.webhooks.on_entry(typed(order_entry(order(Mode.PAUSED))), Position("st", 9))
        assert delivery._newest == 9


async def test_a_whole_gateway_rings_its_own_bells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_delivery, "IDLE", 3600.0)
    (tmp_path / "hook").write_text(SECRET)
    async with receiving() as receiver:
        extra = f"webhooks: {{ops: {{url: '{receiver.url()}', secret: {{file: ./hook}}}}}}"
        async with assembled(tmp_path, extra=extra) as rig:
            supervisor = Supervisor(lambda *_, **__: None)
            for delivery in rig.gateway.resources.webhooks.deliveries:
                supervisor.every(0.005, "ops", delivery.turn)
            for number in range(3):
                await rig.contain(f"run_{number}")
                await until(lambda: len(receiver.received) > number)  # noqa: B023
            await supervisor.finish(1.0)
    assert [one["subject"] for one in receiver.events] == ["run_0", "run_1", "run_2"]


async def test_a_write_over_the_tenant_boundary_is_reported_as_trigger_order_and_incident(rig: Rig) -> None:
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
