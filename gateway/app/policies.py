"""The policy engine that a configuration asks for."""

from __future__ import annotations

from collections.abc import Callable

from gateway.clients.opa import OpaEngine
from gateway.clients.opa_channel import Channel
from gateway.clients.rego import EmbeddedEngine
from gateway.settings.config import PolicyConfig
from gateway.settings.origin import Origin

Engine = EmbeddedEngine | OpaEngine


async def open_engine(chosen: PolicyConfig, *, mint: Callable[[str], str], report: Callable[[str, str], None]) -> Engine:
    """The engine, to be closed; a real OPA has been looked at once, and need not be there yet.

    Raises:
        Misconfigured: the embedded engine cannot use the folder; one line per problem.
    """
    if chosen.opa is None:
        return EmbeddedEngine(chosen.path, mint=mint, report=report)
    channel = Channel(_base(chosen.opa), chosen.opa.socket)
    remote = OpaEngine(channel, timeout=chosen.timeout, shown=_shown(chosen.opa), mint=mint, report=report)
    await remote.look()
    return remote


def _base(at: Origin) -> str:
    scheme = "http" if at.scheme == "unix" else at.scheme
    return f"{scheme}://{at.authority.decode()}{at.base}"


def _shown(at: Origin) -> str:
    return f"unix://{at.socket}{at.base}" if at.scheme == "unix" else _base(at)
