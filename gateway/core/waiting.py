"""What cannot be done now and may be later: when it is tried next, and for how long it has been waited for. Pure; times are arguments."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model.plan import NodeState

LONGEST_PAUSE = 10.0
"""Seconds between two tries, unless a tool asks for more."""
MOST_ASKED = 60.0
"""Seconds that a tool may ask for before the next try."""

GIVEN_UP = "mend that, then continue the rollback, and it is tried again"
"""What a person has to do about a node once patience with it is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A node that waits for what passes by itself.

    ``since`` is when it began to wait, ``entered`` when it came to wait in this ``state``, both in Unix seconds; ``due`` is when it is
    tried next, on the monotonic clock. ``refused`` counts how often its call was refused for certain. ``why`` is a sentence.
    """

    state: NodeState
    why: str
    since: float
    entered: float
    due: float
    pause: float
    refused: int = 0


def longer(
    known: Wait | None,
    state: NodeState,
    why: str,
    *,
    now: float,
    monotonic: float,
    first: float,
    asked: float = 0.0,
    since: float | None = None,
    refused: bool = False,
) -> Wait:
    """The wait after one more try that came to nothing: each pause is twice as long as the one before, up to a bound.

    ``first`` is the first pause, ``asked`` the one that the tool asks for, both in seconds. ``since`` is when it began where somebody
    waited before this process did.
    """
    same = known is not None and known.state is state
    pause = min(LONGEST_PAUSE, known.pause * 2) if known is not None and same else first
    return Wait(
        state=state,
        why=why,
        since=known.since if known is not None else now if since is None else min(since, now),
        entered=known.entered if known is not None and same else now,
        due=monotonic + max(pause, min(asked, MOST_ASKED)),
        pause=pause,
        refused=(known.refused if known is not None else 0) + refused,
    )
