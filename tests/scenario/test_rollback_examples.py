"""The four examples that rollback was asked for, on real tools, by an operator and by itself: judged by the tools' own state."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.support import company, undone
from tests.support.company import Clerk, Company, Seen
from tests.support.erp import Erp
from tests.support.gateway import Gateway
from tests.support.onlooker import at_work
from tests.support.undone import Rolled

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def firm(kinto_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with company.serving(tmp_path_factory.mktemp("company"), kinto_port) as made:
        yield made


@pytest.fixture
def sku(firm: Company) -> str:
    """Ten of something that no other test sells."""
    name = f"sku-{next(_numbers)}"
    firm.office.stock[name] = 10
    return name


@pytest.fixture
def contact(firm: Company) -> str:
    name = f"contact-{next(_numbers)}"
    firm.office.contacts[name] = {"name": "Dubois", "status": "lead", "version": 1}
    return name


def by_an_operator(gateway: Gateway, run_id: str) -> Rolled:
    return undone.rolled_back(gateway, run_id)


def by_itself(gateway: Gateway, run_id: str) -> Rolled:
    """A verifier finds the run unsafe; nobody asks for more."""
    Clerk(gateway, run_id, "").is_found_unsafe()
    return undone.of_run(gateway, run_id)


HOW = pytest.mark.parametrize("roll_back", [by_an_operator, by_itself], ids=["operator", "finding"])
RollBack = Callable[[Gateway, str], Rolled]


# --- a bad inventory reservation -------------------------------------------------------------------------------------


@HOW
def test_a_reservation_that_still_stands_is_given_back(firm: Company, sku: str, roll_back: RollBack) -> None:
    clerk = company.clerk(firm.gateway)
    made = clerk.reserves(sku, 3)
    assert firm.office.available(sku) == 7
    done = roll_back(firm.gateway, clerk.run_id)
    assert (done.status, done.states, done.tasks) == ("clean", [("reservation.create", "done")], [])
    assert firm.office.reservations[made.body["id"]]["state"] == "released"
    assert (firm.office.available(sku), firm.office.stock[sku]) == (10, 10)


@HOW
def test_goods_that_were_picked_meanwhile_are_booked_in_again(firm: Company, sku: str, roll_back: RollBack) -> None:
    clerk = company.clerk(firm.gateway)
    made, since = clerk.reserves(sku, 3), len(firm.office.writes)
    firm.office.pick(made.body["id"])
    assert firm.office.stock[sku] == 7
    done = roll_back(firm.gateway, clerk.run_id)
    assert (done.status, done.tasks) == ("clean", [])
    assert firm.office.stock[sku] == 10
    assert firm.office.reservations[made.body["id"]]["state"] == "picked", "what happened is not made to look as if it had not"
    (sent,) = firm.office.writes[since:]
    assert (sent.path, sent.body["direction"]) == (f"/warehouse/tenants/{company.TENANT}/adjustments", "in")


def test_a_reservation_that_somebody_gave_back_is_not_given_back_twice(firm: Company, sku: str) -> None:
    clerk = company.clerk(firm.gateway)
    made = clerk.reserves(sku, 3)
    firm.office.reservations[made.body["id"]]["state"] = "released"
    done = by_an_operator(firm.gateway, clerk.run_id)
    assert (done.status, done.states) == ("residue", [("reservation.create", "task")])
    assert (firm.office.available(sku), firm.office.stock[sku]) == (10, 10)
    (task,) = done.tasks
    assert "answered 410" in task["evidence"]["why"]


# --- a wrong status in the CRM ---------------------------------------------------------------------------------------


@HOW
def test_a_wrong_status_is_set_back_where_nobody_touched_the_contact(firm: Company, contact: str, roll_back: RollBack) -> None:
    clerk = company.clerk(firm.gateway)
    for status in ("customer", "churned"):
        assert clerk.sets(contact, status).status == 200
    done = roll_back(firm.gateway, clerk.run_id)
    assert (done.status, done.states) == ("clean", [("contact.status.update", "done")])
    assert firm.office.contacts[contact] == {"name": "Dubois", "status": "lead", "version": 4}


@HOW
def test_a_persons_edit_survives_and_becomes_a_task_with_all_that_it_takes(firm: Company, contact: str, roll_back: RollBack) -> None:
    clerk = company.clerk(firm.gateway)
    clerk.sets(contact, "customer")
    firm.office.edit(contact, status="lost", owner="M. Roux")
    edited = dict(firm.office.contacts[contact])
    done = roll_back(firm.gateway, clerk.run_id)
    assert firm.office.contacts[contact] == edited
    assert (done.status, done.states) == ("residue", [("contact.status.update", "task")])
    (task,) = done.tasks
    assert (task["kind"], task["target"]["id"]) == ("correction", contact)
    seen = task["evidence"]
    assert [seen[moment] for moment in ("before", "after", "now")] == ['"1"', '"2"', '"3"']
    assert len(seen["entries"]) == 2


# --- an e-mail that was sent already ---------------------------------------------------------------------------------


@HOW
def test_a_mail_that_was_sent_is_never_said_to_be_undone(firm: Company, roll_back: RollBack) -> None:
    clerk = company.clerk(firm.gateway)
    sent = clerk.mails(f"wrong prices {next(_numbers)}")
    started = clerk.follows_up(sent.body["id"])
    done = roll_back(firm.gateway, clerk.run_id)
    assert done.status == "residue"
    assert done.states == [("sequence.start", "done"), ("message.send", "task")]
    assert done.rollback["irreversible"] is True
    assert firm.office.sequences[started.body["id"]]["state"] == "stopped", "what it set off is stopped"
    assert sent.body["id"] in firm.office.messages
    (task,) = done.tasks
    assert task["kind"] == "review"
    assert [line for line in done.rollback["residue"] if line.startswith("message.send")]
    (effect,) = [one for one in firm.gateway.effects(clerk.run_id) if one["action"] == "message.send"]
    assert effect["state"] == "standing"


def test_after_a_mail_nothing_follows_even_once_the_run_may_write_again(firm: Company, sku: str) -> None:
    clerk = company.clerk(firm.gateway)
    sent = clerk.mails(f"wrong prices {next(_numbers)}")
    order = firm.gateway.contain("read_only", run=clerk.run_id).body["order_id"]
    undone.started(firm.gateway, clerk.run_id)
    assert firm.gateway.ask("DELETE", f"/v1/orders/{order}", {"reason": "looked at"}).status == 200
    assert clerk.reserves(sku, 1).status == 201, "it works again"
    before = dict(firm.office.sequences)
    refused = clerk.follows_up(sent.body["id"])
    assert (refused.status, refused.body["code"]) == (403, "fanout-blocked")
    assert firm.office.sequences == before


# --- a duplicate refund ----------------------------------------------------------------------------------------------


@HOW
def test_a_duplicate_refund_is_stopped_by_its_key_and_compensated_once(firm: Company, erp: Erp, roll_back: RollBack) -> None:
    agent, seen = at_work(firm.gateway, erp), Seen()
    with firm.relay.going_wrong(seen):
        first, again = agent.refunds("case 5512"), agent.refunds("case 5512")
        assert (again.status, again.body) == (first.status, first.body)
        assert list(erp.records("refunds")) == [first.body["data"]["id"]]
        done = roll_back(firm.gateway, agent.run_id)
        assert (done.status, done.states) == ("clean", [("refund.create", "done")])
        twice = undone.started(firm.gateway, agent.run_id)
        assert (twice.status, twice.states) == ("clean", []), "there is nothing left to compensate"
    assert erp.records("refunds") == {}
    assert (seen.count("POST"), seen.count("DELETE")) == (1, 1)


@HOW
def test_a_refund_that_nobody_heard_of_is_found_and_neither_made_again_nor_removed_without_a_person(
    firm: Company, erp: Erp, roll_back: RollBack
) -> None:
    agent, losing, seen = at_work(firm.gateway, erp), Seen(lost="POST"), Seen()
    with firm.relay.going_wrong(losing):
        lost = agent.refunds("case 5513")
    assert (lost.status, lost.body["outcome"]) == (502, "unknown")
    with firm.relay.going_wrong(seen):
        again = agent.refunds("case 5513")
        assert again.body["code"] == "reply-not-kept", "the journal knows by now that it was made, not what was answered"
        assert len(erp.records("refunds")) == 1
        done = roll_back(firm.gateway, agent.run_id)
    assert (done.status, done.states) == ("residue", [("refund.create", "task")]), "somebody else may have made it"
    assert len(erp.records("refunds")) == 1
    assert (losing.count("POST"), seen.count("POST"), seen.count("DELETE")) == (1, 0, 0)
