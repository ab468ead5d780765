"""Whether a lease still speaks for its run.

Scope patterns: ``<tool>:<action>`` with ``*`` for any characters.
"""

from __future__ import annotations

from collections.abc import Iterable

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


def within(pattern: str, ceiling: str) -> bool:
    """Whether everything that ``pattern`` matches is matched by ``ceiling`` too.

    The pattern is read as a text in which ``*`` is a letter of its own that only a ``*`` of the ceiling can cover:
    never true where it should be false.
    """
    pieces = ceiling.split("*")
    if len(pieces) == 1:
        return pattern == ceiling
    if not pattern.startswith(pieces[0]):
        return False
    position = len(pieces[0])
    for piece in pieces[1:-1]:
        found = pattern.find(piece, position)
        if found < 0:
            return False
        position = found + len(piece)
    return pattern.endswith(pieces[-1]) and len(pattern) - len(pieces[-1]) >= position


def beyond(asked: Iterable[str], ceilings: Iterable[str]) -> list[str]:
    """The asked patterns that no single ceiling covers."""
    allowed = tuple(ceilings)
    return [pattern for pattern in asked if not any(within(pattern, ceiling) for ceiling in allowed)]


def reach(patterns: Iterable[str], tool: str) -> bool:
    """Whether any pattern matches some action of a tool."""
    ours = f"{tool}:"
    return any(_begins(pattern, ours) for pattern in patterns)


def _begins(pattern: str, ours: str) -> bool:
    literal, star, _ = pattern.partition("*")
    # A star may stand for the rest of the tool's name and more: what comes after it is matched by the action.
    return literal.startswith(ours) or (bool(star) and ours.startswith(literal))
