"""Real tools behind the gateway: honest work, another writer in between, a rogue run contained and rolled back; by the tool's own state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import real_tools, undone
from tests.support.gateway import Gateway
from tests.support.real_tools import Agent, Tool

TASKS, CUSTOMERS, EVENTS = "/api/collections/tasks/records", "/v1/customers", "/acme/calendar"
ICAL = {"Content-Type": "text/calendar"}


def _event(uid: str, summary: str) -> bytes:
    lines = ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//example//EN", "BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20261130T100000Z")
    return "\r\n".join((*lines, "DTSTART:20261201T100000Z", f"SUMMARY:{summary}", "END:VEVENT", "END:VCALENDAR", "")).encode()


# --- payments: no versions, no If-Match, forms ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def payments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tool]:
    with real_tools.payments(tmp_path_factory.mktemp("payments")) as tool:
        yield tool


@pytest.fixture(scope="module")
def before_payments(payments: Tool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with real_tools.behind(payments, real_tools.PAYMENTS, tmp_path_factory.mktemp("before")) as gateway:
        yield gateway


def _customer(tool: Tool, name: str) -> str:
    answer = tool.send("POST", CUSTOMERS, json={"name": name, "email": "ann@example.com"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def _names(tool: Tool) -> list[str]:
    return [one["name"] for one in tool.send("GET", f"{CUSTOMERS}?limit=100").json()["data"]]


def test_a_form_that_is_sent_again_under_a_new_key_makes_one_customer(payments: Tool, before_payments: Gateway) -> None:
    agent = real_tools.agent(before_payments)
    answers = [
        agent.send("POST", CUSTOMERS, {"Idempotency-Key": f"sdk-{at}"}, data={"name": "Form & Co", "email": "f@x.org"}) for at in (1, 2, 3)
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert _names(payments).count("Form & Co") == 1


def test_what_a_rogue_run_made_and_changed_at_the_payments_is_undone(payments: Tool, before_payments: Gateway) -> None:
    kept = _customer(payments, "Kept")
    agent = real_tools.agent(before_payments)
    made = agent.send("POST", CUSTOMERS, json={"name": "Made up"})
    assert made.status_code == 200, made.text
    assert agent.send("POST", f"{CUSTOMERS}/{kept}", data={"name": "Renamed"}).status_code == 200
    assert {"Made up", "Renamed"} <= set(_names(payments))
    done = undone.rolled_back(before_payments, agent.run_id)
    assert (done.status, done.tasks) == ("clean", [])
    assert "Made up" not in _names(payments)
    assert payments.send("GET", f"{CUSTOMERS}/{kept}").json()["name"] == "Kept"
    assert agent.send("POST", f"{CUSTOMERS}/{kept}", data={"name": "Again"}).status_code == 403


def test_a_person_s_change_at_the_payments_is_not_overwritten(payments: Tool, before_payments: Gateway) -> None:
    customer = _customer(payments, "First")
    agent = real_tools.agent(before_payments)
    assert agent.send("GET", f"{CUSTOMERS}/{customer}").status_code == 200
    payments.send("POST", f"{CUSTOMERS}/{customer}", json={"name": "A person's"})
    refused = agent.send("POST", f"{CUSTOMERS}/{customer}", data={"name": "The agent's"})
    assert (refused.status_code, refused.json()["code"]) == (412, "precondition-changed")
    agent.send("GET", f"{CUSTOMERS}/{customer}")
    assert agent.send("POST", f"{CUSTOMERS}/{customer}", data={"name": "The agent's"}).status_code == 200
    payments.send("POST", f"{CUSTOMERS}/{customer}", json={"name": "A person's again"})
    done = undone.rolled_back(before_payments, agent.run_id)
    assert (done.status, len(done.tasks)) == ("residue", 1)
    assert payments.send("GET", f"{CUSTOMERS}/{customer}").json()["name"] == "A person's again"


# --- records: a version in the body, no If-Match, multipart -----------------------------------------------------------


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tool]:
    with real_tools.records(tmp_path_factory.mktemp("records")) as tool:
        yield tool


@pytest.fixture(scope="module")
def before_records(records: Tool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with real_tools.behind(records, real_tools.RECORDS, tmp_path_factory.mktemp("before")) as gateway:
        yield gateway


def _task(tool: Tool, title: str) -> str:
    return str(tool.send("POST", TASKS, json={"title": title, "done": False}).json()["id"])


def _titles(tool: Tool) -> list[str]:
    return [one["title"] for one in tool.send("GET", TASKS).json()["items"]]


def test_what_a_rogue_run_made_and_changed_at_the_records_is_undone(records: Tool, before_records: Gateway) -> None:
    kept = _task(records, "Kept")
    agent = real_tools.agent(before_records)
    made = agent.send("POST", TASKS, json={"title": "Made up"})
    assert made.status_code == 200, made.text
    for title in ("Once", "Twice"):
        assert agent.send("PATCH", f"{TASKS}/{kept}", json={"title": title, "done": True}).status_code == 200
    done = undone.rolled_back(before_records, agent.run_id)
    assert (done.status, done.tasks) == ("clean", [])
    assert "Made up" not in _titles(records)
    after = records.send("GET", f"{TASKS}/{kept}").json()
    assert (after["title"], after["done"]) == ("Kept", False)


def test_a_multipart_body_that_policy_cannot_see_does_not_reach_the_records(records: Tool, before_records: Gateway) -> None:
    agent = real_tools.agent(before_records)
    refused = agent.send("POST", TASKS, files={"title": (None, "Unseen")})
    assert (refused.status_code, refused.json()["code"]) == (415, "malformed-request")
    assert "Unseen" not in _titles(records)


def test_a_person_s_change_at_the_records_is_not_overwritten(records: Tool, before_records: Gateway) -> None:
    task = _task(records, "First")
    agent = real_tools.agent(before_records)
    assert agent.send("GET", f"{TASKS}/{task}").status_code == 200
    records.send("PATCH", f"{TASKS}/{task}", json={"title": "A person's"})
    refused = agent.send("PATCH", f"{TASKS}/{task}", json={"title": "The agent's"})
    assert (refused.status_code, refused.json()["code"]) == (412, "precondition-changed")
    assert records.send("GET", f"{TASKS}/{task}").json()["title"] == "A person's"


# --- calendar: entity tags, If-Match, text ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def calendar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tool]:
    with real_tools.calendar(tmp_path_factory.mktemp("calendar")) as tool:
        yield tool


@pytest.fixture(scope="module")
def before_calendar(calendar: Tool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with real_tools.behind(calendar, real_tools.CALENDAR, tmp_path_factory.mktemp("before")) as gateway:
        yield gateway


def _put(sender: Tool | Agent, uid: str, summary: str) -> int:
    return sender.send("PUT", f"{EVENTS}/{uid}.ics", headers=ICAL, content=_event(uid, summary)).status_code


def test_what_a_rogue_run_made_changed_and_removed_in_the_calendar_is_undone(calendar: Tool, before_calendar: Gateway) -> None:
    assert (_put(calendar, "kept", "Kept"), _put(calendar, "gone", "Gone")) == (201, 201)
    was = {uid: calendar.send("GET", f"{EVENTS}/{uid}.ics").content for uid in ("kept", "gone")}
    agent = real_tools.agent(before_calendar)
    assert _put(agent, "made", "Made up") == 201
    assert _put(agent, "kept", "Changed") in (201, 204)
    assert agent.send("DELETE", f"{EVENTS}/gone.ics").status_code == 200
    done = undone.rolled_back(before_calendar, agent.run_id)
    assert (done.status, done.tasks) == ("clean", [])
    assert calendar.send("GET", f"{EVENTS}/made.ics").status_code == 404
    assert {uid: calendar.send("GET", f"{EVENTS}/{uid}.ics").content for uid in was} == was


def test_a_person_s_change_in_the_calendar_is_not_overwritten(calendar: Tool, before_calendar: Gateway) -> None:
    assert _put(calendar, "shared", "First") == 201
    agent = real_tools.agent(before_calendar)
    assert agent.send("GET", f"{EVENTS}/shared.ics").status_code == 200
    assert _put(calendar, "shared", "A person's") in (201, 204)
    assert _put(agent, "shared", "The agent's") == 412
    agent.send("GET", f"{EVENTS}/shared.ics")
    assert _put(agent, "shared", "The agent's") in (201, 204)
    assert _put(calendar, "shared", "A person's again") in (201, 204)
    done = undone.rolled_back(before_calendar, agent.run_id)
    assert (done.status, len(done.tasks)) == ("residue", 1)
    assert b"A person's again" in calendar.send("GET", f"{EVENTS}/shared.ics").content
