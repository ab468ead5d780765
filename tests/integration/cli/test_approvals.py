from __future__ import annotations

import pytest

from gateway.model.review import Approval
from tests.support.approvals import ask
from tests.support.command_line import Cli, Gateway


@pytest.fixture
def asked(gateway: Gateway) -> Approval:
    return gateway.do(ask(gateway.parts))


def test_alone_it_lists_what_is_pending(gateway: Gateway, killcord: Cli, asked: Approval) -> None:
    header, row = killcord("approvals").out.splitlines()
    assert header.split()[:3] == ["APPROVAL", "STATUS", "KIND"]
    assert row.split()[:3] == [asked.approval_id, "pending", "call"]
    killcord("approvals", "deny", asked.approval_id, "--reason", "no")
    assert killcord.json("approvals") == []
    assert [one["status"] for one in killcord.json("approvals", "list", "--all")] == ["denied"]
    assert [one["status"] for one in killcord.json("approvals", "list", "--status", "denied", "--run", "run_1")] == ["denied"]


def test_one_is_shown_with_its_request(gateway: Gateway, killcord: Cli, asked: Approval) -> None:
    said = killcord("approvals", "show", asked.approval_id).out
    assert said.startswith(f"approval  {asked.approval_id} (pending)\n")
    assert 'action    erp:refund.delete on erp:refund:r1\nversion   "v7"\nwhy       It cannot be undone.\n' in said
    assert "\nDELETE /refunds/r1\n" in said
    assert '  "why": "very-private"' in said


def test_a_role_that_does_not_see_the_request_is_told_so(
    gateway: Gateway, killcord: Cli, asked: Approval, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = killcord("approvals", "show", asked.approval_id).out
    monkeypatch.setenv("KILLCORD_TOKEN", "operator-token")
    assert killcord("approvals", "show", asked.approval_id).out == whole
    monkeypatch.setenv("KILLCORD_TOKEN", "viewer-token")
    lines = killcord("approvals", "show", asked.approval_id).out.splitlines()
    assert lines[:-1] == whole.splitlines()[: len(lines) - 1]
    assert lines[-1] == "request   withheld from the role of this token; an operator, an approver or an admin sees it"


@pytest.mark.parametrize(("word", "becomes"), [("approve", "granted"), ("deny", "denied")])
def test_a_decision_says_what_became_of_it(gateway: Gateway, killcord: Cli, asked: Approval, word: str, becomes: str) -> None:
    said = killcord("approvals", word, asked.approval_id, "--reason", "looked")
    assert (said.code, said.out) == (0, f"Approval {asked.approval_id} is {becomes}.\n")
    again = killcord("approvals", word, asked.approval_id, "--reason", "again")
    assert (again.code, again.err.startswith("conflict: ")) == (1, True)
    assert killcord("approvals", word, asked.approval_id).code == 2
    assert killcord.json("approvals", "show", asked.approval_id)["reason"] == "looked"
