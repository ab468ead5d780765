"""What a reply proves, and what reading back adds."""

from __future__ import annotations

import pytest

from gateway.core.adapter import resolve
from gateway.model.entry import Result, Verification


@pytest.mark.parametrize("status", [200, 201, 202, 204, 207])
def test_a_2xx_is_a_success_unless_the_adapter_demands_more(status: int) -> None:
    assert resolve.result_of(status) is Result.SUCCESS
    assert resolve.result_of(status, success=False) is Result.UNKNOWN


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 412, 413, 415, 422, 428, 429])
def test_these_statuses_prove_that_nothing_was_applied(status: int) -> None:
    assert resolve.result_of(status) is Result.FAILED


@pytest.mark.parametrize("status", [301, 302, 307, 402, 406, 408, 418, 423, 424, 499, 500, 502, 503, 504])
def test_everything_else_proves_nothing(status: int) -> None:
    assert resolve.result_of(status) is Result.UNKNOWN


def test_a_postcondition_not_met_at_a_newer_version_is_superseded_not_failed() -> None:
    assert resolve.verification_of(met=True, before="1", ours="2", seen="9") is Verification.PASSED
    assert resolve.verification_of(met=False, before="1", ours="2", seen="2") is Verification.FAILED
    assert resolve.verification_of(met=False, before="1", ours="2", seen="3") is Verification.SUPERSEDED
    assert resolve.verification_of(met=False, before=None, ours="2", seen="3") is Verification.SUPERSEDED
    assert resolve.verification_of(met=False, before="1", ours=None, seen="3") is Verification.FAILED
    assert resolve.verification_of(met=False, before="1", ours="2", seen="1") is Verification.FAILED
