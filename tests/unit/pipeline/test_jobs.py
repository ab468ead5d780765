"""Where the gateway asks what became of an accepted write: at its tool, by a canonical path, or nowhere."""

from __future__ import annotations

import pytest

from gateway.core.adapter import expression
from gateway.core.adapter.long_running import Pending, Phase
from gateway.errors import MalformedRequest
from gateway.model.call import NOTHING_CARRIED
from gateway.pipeline.polling import Accepted, job_target
from gateway.pipeline.tool import Tool
from tests.unit.core.test_catalog import ERP, UPDATE

TOOL = Tool(name="erp", catalog=ERP, authority=b"tool.example", base="/v1")
DONE = expression.compile("reply.body.done")


def asked(job: str | None, *, location: str | None = None, named: str | None = None) -> str:
    reply = {"status": 202, "headers": {} if location is None else {"location": location}, "body": {"job": named}}
    captures = {"tenant": "acme", "id": "7"}
    accepted = Accepted(TOOL, UPDATE, captures, {"reply": reply}, "acme", NOTHING_CARRIED)
    return job_target(accepted, Pending(done=DONE, job=None if job is None else expression.compile(job)))


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://tool.example/v1/jobs/1?t=x#part", "/jobs/1?t=x"),
        ("/v1/jobs/1", "/jobs/1"),
        ("jobs/1", "/acme/invoices/jobs/1"),
        ("../jobs/1", "/acme/jobs/1"),
    ],
)
def test_a_location_is_resolved_as_the_tool_means_it(location: str, expected: str) -> None:
    assert asked(None, location=location) == expected


def test_an_adapter_may_write_a_path_as_it_does_elsewhere() -> None:
    assert asked("reply.body.job", named="/jobs/1") == "/jobs/1"
    assert asked("reply.body.job", named="/v1/jobs/1") == "/jobs/1"
    assert asked("join('', ['/jobs/', reply.body.job])", named="a%20b") == "/jobs/a%20b"


@pytest.mark.parametrize("location", ["/jobs/1", "http://elsewhere.example/v1/jobs/1", "//elsewhere.example/v1/jobs/1", "/v1/../jobs"])
def test_what_leads_elsewhere_is_not_asked(location: str) -> None:
    with pytest.raises(ValueError):
        asked(None, location=location)


@pytest.mark.parametrize("named", ["/jobs/%2e%2e/x", "/jobs//1", "/jobs/a;b", "/jobs/%2F", "/../x"])
def test_what_could_be_another_path_is_not_asked(named: str) -> None:
    with pytest.raises(MalformedRequest):
        asked("reply.body.job", named=named)


def test_without_a_name_there_is_nothing_to_ask() -> None:
    with pytest.raises(KeyError):
        asked(None)
    with pytest.raises(KeyError):
        asked("reply.body.job")


@pytest.mark.parametrize(
    ("body", "phase"),
    [
        ({"done": True}, Phase.DONE),
        ({"failed": True}, Phase.FAILED),
        ({"done": True, "failed": True}, Phase.PENDING),
        ({"done": "true"}, Phase.PENDING),
        ({}, Phase.PENDING),
    ],
)
def test_only_what_is_exactly_true_ends_it(body: dict[str, object], phase: Phase) -> None:
    pending = Pending(done=DONE, failed=expression.compile("reply.body.failed"))
    assert pending.phase({"reply": {"body": body}}) is phase
