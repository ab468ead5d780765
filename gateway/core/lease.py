"""Whether a lease still speaks for its run."""

from __future__ import annotations

from gateway import errors
from gateway.model.run import Lease, Run


def judge(lease: Lease, run: Run | None, *, now: float) -> Run:
    """The run that the lease speaks for at ``now`` (Unix seconds).

    Raises:
        LeaseInvalid: no such run, another tenant's, a generation that was never given, or not valid yet.
        LeaseRevoked: this generation was cut, or the run was closed.
        LeaseExpired: its time is over, or a newer generation took its place.
    """
    if run is None:
        raise errors.LeaseInvalid("The lease names a run that this gateway does not know.")
    if lease.tenant != run.tenant or lease.generation > run.generation:
        raise errors.LeaseInvalid("The lease does not fit the run it names.")
    if lease.not_before > now:
        raise errors.LeaseInvalid("The lease is not valid yet.", hint="Check the clocks of the orchestrator and of this machine.")
    if lease.generation <= run.revoked:
        raise errors.LeaseRevoked
    if run.closed_at is not None:
        raise errors.LeaseRevoked("The run was closed.", hint="Open a new run for new work.")
    if lease.generation < run.generation:
        raise errors.LeaseExpired("A newer generation of the run's lease took this one's place.")
    if lease.expires_at <= now:
        raise errors.LeaseExpired
    return run
