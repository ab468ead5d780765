"""Divides the files that a process may have open: what the process needs itself, the control API, pools, and the agents' connections."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from msgspec import Struct

from gateway.errors import Misconfigured

OWN = 48
"""Descriptors that a gateway opens whatever it serves: the event loop, the journal, listeners, keys, policy files, names being resolved."""
CONTROL = 256
"""Connections of the control API at most, and what its requests open; a small limit gives it an eighth."""
LEAST_AGENTS = 32
"""Connections of the data API without which a gateway does not start."""
MOST_AGENTS = 8_192


class Descriptors(Struct, frozen=True, kw_only=True):
    """How many connections each part may have open at once.

    ``pools`` has the connections to each tool and service by its name, never more than it asked for.
    """

    agents: int
    control: int
    pools: Mapping[str, int]


def divide(limit: int, pools: Mapping[str, int], *, webhooks: int = 0) -> Descriptors:
    """Divide ``limit`` open files. ``pools`` are the connections that each pool asks for; each of ``webhooks`` has one and looks up a name.

    The control API comes first. Pools get at most half of what is left, in proportion to what they ask for and at least one each,
    because a call needs a connection on either side.

    Raises:
        Misconfigured: too few are left for agents.
    """
    divided = _divided(limit, pools, webhooks)
    if divided.agents < LEAST_AGENTS:
        enough = next(more for more in count(limit + 1) if _divided(more, pools, webhooks).agents >= LEAST_AGENTS)
        raise Misconfigured(
            [
                f"open files: the limit of {limit} leaves {max(divided.agents, 0)} connections for agents, and a gateway needs "
                f"{LEAST_AGENTS}; allow {enough} or more: ulimit -n, LimitNOFILE= in systemd, or --ulimit nofile= of a container"
            ]
        )
    return divided


def _divided(limit: int, pools: Mapping[str, int], webhooks: int) -> Descriptors:
    control = min(CONTROL, limit // 8)
    left = limit - OWN - control - 2 * webhooks
    asked, half = sum(pools.values()), max(left // 2, 0)
    granted = {name: wanted if asked <= half else max(1, wanted * half // asked) for name, wanted in pools.items()}
    return Descriptors(agents=min(MOST_AGENTS, left - sum(granted.values())), control=control, pools=granted)
