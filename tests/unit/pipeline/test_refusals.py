"""The agent's error for a tool that gave no answer: whether it is worth trying again, and what to do otherwise."""

from __future__ import annotations

import pytest

from gateway.errors import UpstreamFailure
from gateway.model.call import Answer
from gateway.pipeline import tool


@pytest.mark.parametrize(("permanent", "hint"), [(False, None), (False, "Wait a little."), (True, None), (True, "Ask an operator.")])
def test_a_failure_is_permanent_because_it_says_so_and_not_by_its_hint(permanent: bool, hint: str | None) -> None:
    lost = UpstreamFailure("it said no", sent=False, permanent=permanent, hint=hint)
    refused = tool.refusal(lost, "The target could not be read")
    assert refused.retryable is not permanent
    assert refused.advice == (hint or type(refused).hint)


def test_what_may_have_been_applied_is_never_repeated() -> None:
    assert tool.refusal(UpstreamFailure("it said nothing", sent=True), "erp gave no answer", unknown=True).retryable is False


def test_a_body_that_cannot_be_read_stays_so() -> None:
    assert tool.Unreadable("erp", Answer(status=200, headers=(), body=b""), "invoice").permanent
