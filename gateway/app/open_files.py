"""The limit on open files of this process, and how a configuration divides it."""

from __future__ import annotations

import resource
from contextlib import suppress

from gateway.clients.opa import channel
from gateway.core import descriptors
from gateway.core.descriptors import Descriptors
from gateway.settings.config import Config

POLICY, RATES = "policy", "rates"
"""Names of the pools of services; no tool's, which hold a blank."""

_UNLIMITED = 1 << 20


def raise_limit() -> None:
    """Raise the soft limit to the hard one. Some systems refuse that; then the soft limit is the one that is divided."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def divided(config: Config) -> Descriptors:
    """What each part of a gateway may open of this process's limit.

    Raises:
        Misconfigured: the limit leaves too few connections for agents.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    pools = {tool(name): one.section.connections for name, one in config.tools.items()}
    if config.policy.opa is not None:
        pools[POLICY] = channel.CONNECTIONS
    if config.rates is not None:
        from gateway.stores.redis.rates import CONNECTIONS  # here, because a gateway without it need not load the library

        pools[RATES] = CONNECTIONS
    return descriptors.divide(_UNLIMITED if limit == resource.RLIM_INFINITY else limit, pools, webhooks=len(config.webhooks))


def tool(name: str) -> str:
    """The name of a tool's pool."""
    return f"tool {name}"


def shrunk(config: Config, parts: Descriptors) -> dict[str, tuple[int, int]]:
    """The tools that get fewer connections than they are configured with: both numbers, by tool."""
    wanted = {name: one.section.connections for name, one in config.tools.items()}
    return {name: (count, parts.pools[tool(name)]) for name, count in wanted.items() if parts.pools[tool(name)] < count}
