"""Webhooks over a real journal and real receivers: order, signatures, patience, restarts, and that none is in another's way."""

from __future__ import annotations

import asyncio
import socket
import time

from gateway.model.run import Mode
from tests.support.journaling import typed
from tests.support.receiver import SECRET, receiving
from tests.support.rig import Rig, until
from tests.support.telling import STAMP, fire, hook, respond, telling


async def test_everything_is_reported_in_the_order_in_which_it_happened(rig: Rig) -> None:
    async with receiving() as receiver, telling(rig, hook(receiver)):
        await fire(rig)
        await respond(rig)
        order = await rig.contain("run_1")
        await rig.gateway.control.containment.release(order.order_id, reason="it was a test", by="ann")
        await until(lambda: len(receiver.received) == 4)
        kinds = ["trigger.fired", "incident.opened", "order.made", "order.released"]
        assert [one["type"] for one in receiver.events] == [f"dev.killcord.{kind}" for kind in kinds]
        stream = rig.gateway.resources.store.journal.stream
        assert [one["id"] for one in receiver.events] == [f"{stream}/{seq}" for seq in range(1, 5)]
        assert {one["source"] for one in receiver.events} == {f"killcord/{stream}"}


async def test_hundreds_that_came_while_nobody_listened_stay_in_order_across_kinds(rig: Rig) -> None:
    async with receiving() as receiver:
        async with telling(rig, hook(receiver)):
            pass
        for number in range(250):
            trigger = {"name": "anomaly.loop", "count": number}
            rig.gateway.resources.store.journal.post(typed({"ts": STAMP, "kind": "trigger", "trigger": trigger}))
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


async def test_a_new_webhook_is_reported_of_what_happens_from_then_on(rig: Rig) -> None:
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


async def test_a_restart_continues_where_it_stopped_and_sends_nothing_twice_that_was_taken(rig: Rig) -> None:
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
