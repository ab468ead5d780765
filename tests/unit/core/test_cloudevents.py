"""What of an entry is told to the outside."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from gateway.core.codec import record
from gateway.core.webhook import cloudevents
from gateway.model.run import Mode, Order, Scope
from gateway.model.trigger import RollbackState
from tests.support.incidents import INCIDENT
from tests.support.journaling import typed

ORDER = Order(
    order_id="ord_1",
    epoch=7,
    scope=Scope(run="run_1"),
    mode=Mode.PAUSED,
    reason="refunds in a loop",
    by="ann",
    created_at=10,
    expires_at=20,
)


def entry(kind: str, **more: object) -> dict[str, Any]:
    return {"stream": "st_1", "seq": 12, "ts": "2026-11-24T20:08:03.123456Z", "kind": kind, "prev_hash": "00", "hash": "11", **more}


def order_entry(order: Order, change: str = "made", **more: object) -> dict[str, Any]:
    return entry("order", order=record.ORDER.journal(order), change=change, by="ann", reason="refunds in a loop", epoch=order.epoch, **more)


def test_an_order_is_reported_with_what_it_holds_and_why() -> None:
    assert cloudevents.event(typed(order_entry(ORDER, run_id="run_1"))) == {
        "specversion": "1.0",
        "id": "st_1/12",
        "source": "killcord/st_1",
        "type": "dev.killcord.order.made",
        "time": "2026-11-24T20:08:03.123456Z",
        "subject": "run_1",
        "datacontenttype": "application/json",
        "data": {
            "order_id": "ord_1",
            "scope": {"run": "run_1"},
            "mode": "paused",
            "no_fanout": False,
            "reason": "refunds in a loop",
            "by": "ann",
            "epoch": 7,
            "expires_at": "1970-01-01T00:00:20.000000Z",
        },
    }


def test_a_release_is_reported_with_who_released_it_and_why() -> None:
    released = replace(ORDER, epoch=8, released_at=15.0, released_by="bob")
    told = cloudevents.event(typed(order_entry(released, "released") | {"by": "bob", "reason": "it was a test"}))
    assert told is not None
    assert told["type"] == "dev.killcord.order.released"
    assert told["data"] | {"by": "bob", "reason": "it was a test", "epoch": 8} == told["data"]  # type: ignore[operator]


def test_an_order_over_everything_has_no_subject_and_is_written_as_users_write_it() -> None:
    told = cloudevents.event(typed(order_entry(replace(ORDER, scope=Scope(everything=True), expires_at=None))))
    assert told is not None
    assert "subject" not in told
    assert told["data"]["scope"] == {"all": True}  # type: ignore[index]
    assert told["data"]["expires_at"] is None  # type: ignore[index]


def test_a_trigger_is_reported_without_its_facts() -> None:
    trigger = {
        "name": "anomaly.loop",
        "layer": "behaviour",
        "count": 10,
        "threshold": 10,
        "evidence": ["st_1/3", "st_1/9"],
        "facts": {"path": "/canary"},
    }
    told = cloudevents.event(typed(entry("trigger", trigger=trigger, run_id="run_1", tenant="acme", incident_id="inc_1")))
    assert told is not None
    assert (told["type"], told["subject"]) == ("dev.killcord.trigger.fired", "run_1")
    assert told["data"] == {
        "name": "anomaly.loop",
        "layer": "behaviour",
        "count": 10,
        "threshold": 10,
        "evidence": ["st_1/3", "st_1/9"],
        "incident_id": "inc_1",
        "run_id": "run_1",
        "tenant": "acme",
    }


def test_an_incident_is_reported_whole_with_times_that_can_be_read() -> None:
    told = cloudevents.event(typed(entry("response", change="opened", incident=record.INCIDENT.journal(INCIDENT), run_id="run_1")))
    assert told is not None
    assert (told["type"], told["subject"]) == ("dev.killcord.incident.opened", "run_1")
    assert told["data"] == {name: value for name, value in record.INCIDENT.shown(INCIDENT).items() if value is not None}


def test_a_later_change_of_an_incident_is_an_update() -> None:
    later = replace(INCIDENT, updated_at=11.0, triggers=2, rollback=RollbackState.DUE)
    told = cloudevents.event(typed(entry("response", change="updated", incident=record.INCIDENT.journal(later))))
    assert told is not None
    assert told["type"] == "dev.killcord.incident.updated"


def test_a_response_without_an_incident_is_no_event() -> None:
    assert cloudevents.event(typed(entry("response", action="retry"))) is None


def test_nothing_but_the_named_members_ever_leaves() -> None:
    canary = {"args": "canary", "sealed": "canary", "lease": "canary", "snapshot_ref": "canary"}
    entries = [
        order_entry(ORDER, **canary) | {"order": {**record.ORDER.journal(ORDER), **canary}},
        entry("trigger", trigger={"name": "anomaly.loop", **canary}, **canary),
        entry("response", incident={**record.INCIDENT.journal(INCIDENT), **canary}, **canary),
    ]
    for one in entries:
        assert "canary" not in str(cloudevents.event(typed(one)))
