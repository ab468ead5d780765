"""Whether a lease still speaks for its run."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gateway import errors
from gateway.core.authorization import gate
from gateway.model.run import Lease, Run

RUN = Run(run_id="r", workflow_id="w", tenant="acme", agent_id="a", task_class="c", generation=2, revoked=0, expires_at=2000.0)
LEASE = Lease(run_id="r", tenant="acme", generation=2, not_before=900.0, expires_at=2000.0)


def test_a_good_lease_gives_its_run() -> None:
    assert gate.authenticate(LEASE, RUN, now=1000.0) is RUN


@pytest.mark.parametrize(
    ("change", "run", "refusal"),
    [
        ({}, None, errors.LeaseInvalid),
        ({"tenant": "globex"}, RUN, errors.LeaseInvalid),
        ({"generation": 3}, RUN, errors.LeaseInvalid),
        ({"not_before": 1000.1}, RUN, errors.LeaseInvalid),
        ({"expires_at": 1000.0}, RUN, errors.LeaseExpired),
        ({"generation": 1}, RUN, errors.LeaseExpired),
        ({"generation": 1}, replace(RUN, revoked=1), errors.LeaseRevoked),
        ({}, replace(RUN, revoked=2), errors.LeaseRevoked),
        ({}, replace(RUN, closed_at=999.0), errors.LeaseRevoked),
    ],
)
def test_any_other_is_refused_for_what_it_is(change: dict[str, object], run: Run | None, refusal: type[errors.Refusal]) -> None:
    with pytest.raises(refusal):
        gate.authenticate(replace(LEASE, **change), run, now=1000.0)
