"""What policy is asked about who calls is prepared once, and never outlives the run, the lease or the mode that it is of."""

from __future__ import annotations

from msgspec.structs import replace

from gateway.core.policy import decision
from gateway.model.run import Lease, Mode, Run
from gateway.pipeline.stages.decide import Callers

RUN = Run(run_id="run_1", workflow_id="run_1", tenant="acme", agent_id="billing", task_class="default", scopes=("erp:*",))
LEASE = Lease(run_id="run_1", tenant="acme", generation=1, not_before=0.0, expires_at=1_790_000_060.0)


def test_it_is_the_same_value_for_the_next_call() -> None:
    callers = Callers()
    assert callers.of(RUN, LEASE, Mode.ACTIVE) is callers.of(RUN, LEASE, Mode.ACTIVE)


def test_another_mode_lease_or_state_of_the_run_shows_at_once() -> None:
    callers = Callers()
    callers.of(RUN, LEASE, Mode.ACTIVE)
    later, narrowed = replace(LEASE, generation=2), replace(RUN, scopes=("erp:read",))
    for run, lease, mode in ((RUN, LEASE, Mode.READ_ONLY), (RUN, later, Mode.READ_ONLY), (narrowed, later, Mode.READ_ONLY)):
        assert callers.of(run, lease, mode) == decision.of_caller(run, lease, mode)


def test_runs_are_told_apart() -> None:
    callers, other = Callers(), replace(RUN, run_id="run_2", tenant="globex")
    callers.of(RUN, LEASE, Mode.ACTIVE)
    assert callers.of(other, LEASE, Mode.ACTIVE)["tenant"] == "globex"
    assert callers.of(RUN, LEASE, Mode.ACTIVE)["tenant"] == "acme"
