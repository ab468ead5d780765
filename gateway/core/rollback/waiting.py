"""What cannot be done now and may be later: when it is tried next, and for how long it has been waited for. Pure; times are arguments."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.backoff import Backoff
from gateway.model.plan import NodeState

GIVEN_UP = "mend that, then continue the rollback, and it is tried again"
"""What a person has to do about a node once patience with it is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A node that waits for what passes by itself.

    ``since`` is when it began to wait, ``entered`` when it came to wait in this ``state``, both in Unix seconds; ``due`` is when it is
    tried next, on the monotonic clock. ``tries`` counts those in this state, ``refused`` how often its call was refused for certain.
    ``why`` is a sentence.
    """

    state: NodeState
    why: str
    since: float
    entered: float
    due: float
    tries: int
    refused: int = 0


def longer(
    known: Wait | None,
    state: NodeState,
    why: str,
    *,
    now: float,
    monotonic: float,
    backoff: Backoff,
    asked: float = 0.0,
    since: float | None = None,
    refused: bool = False,
) -> Wait:
    """The wait after one more try that came to nothing; a change of state begins with the first pause again.

    ``asked`` is the pause that the tool asks for, in seconds. ``since`` is when it began where somebody waited before this process did.
    """
    same = known is not None and known.state is state
    tries = known.tries + 1 if known is not None and same else 1
    return Wait(
        state=state,
        why=why,
        since=known.since if known is not None else now if since is None else min(since, now),
        entered=known.entered if known is not None and same else now,
        due=monotonic + backoff.pause(tries, asked=asked),
        tries=tries,
        refused=(known.refused if known is not None else 0) + refused,
    )
