"""Policies for the gateway and for the command line: the engine that a configuration asks for, tests, loading onto an OPA."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gateway import errors
from gateway.clients import policy_tests
from gateway.clients.opa.channel import Channel
from gateway.clients.opa.engine import OpaEngine
from gateway.clients.rego.engine import EmbeddedEngine
from gateway.settings import network
from gateway.settings.config import Config, PolicyConfig
from gateway.settings.network import Origin

if TYPE_CHECKING:
    from gateway.clients.opa.push import Pushed

Engine = EmbeddedEngine | OpaEngine

LOCAL_OPA = Path(".tools") / "opa"
"""Where ``make tools`` puts a real OPA."""


async def open_engine(chosen: PolicyConfig, *, mint: Callable[[str], str], report: Callable[[str, str], None], connections: int) -> Engine:
    """The engine, to be closed; a real OPA has been looked at once, over at most ``connections``, and need not be there yet.

    Raises:
        Misconfigured: the embedded engine cannot use the folder; one line per problem.
    """
    if chosen.opa is None:
        return EmbeddedEngine(chosen.path, mint=mint, report=report)
    channel = Channel(_base(chosen.opa), chosen.opa.socket, connections=connections)
    remote = OpaEngine(channel, timeout=chosen.timeout, shown=str(chosen.opa), mint=mint, report=report)
    await remote.refresh()
    return remote


def problems(config: Config) -> list[str]:
    """What keeps the policies that a configuration names from being used; a real OPA's are not here to be looked at."""
    folders = [] if config.policy.opa is not None else [config.policy.path]
    folders += [] if config.candidate is None else [config.candidate]
    found: list[str] = []
    for folder in folders:
        if folder.is_dir():  # else its absence is a problem of its own
            try:
                EmbeddedEngine(folder, mint=str, report=lambda *_: None).release()
            except errors.Misconfigured as wrong:
                found += wrong.problems
    return found


def trials(folder: Path, *, real: bool) -> list[policy_tests.Trial]:
    """A folder's own tests, run on the embedded engine, or, if ``real``, by ``opa test``.

    Raises:
        Misconfigured: the folder cannot be used, or there is no opa; one line per problem.
    """
    return policy_tests.run_opa(folder, _binary()) if real else policy_tests.run_embedded(folder)


def push(folder: Path, url: str) -> Pushed:
    """Put a folder's policies onto the OPA of a URL, in the place of those pushed before.

    Raises:
        Misconfigured: the folder or the URL cannot be used, or OPA does not take it; one line per problem.
    """
    try:
        at = network.origin(url)
    except ValueError as error:
        raise errors.Misconfigured([f"--url: {error}"]) from error
    if at.scheme == "unix" or at.base:
        raise errors.Misconfigured(["--url: write http://host:port or https://host:port, without a path"])
    try:
        from gateway.clients.opa import push as opa_push
    except ImportError as error:
        raise errors.Misconfigured([f"the package {error.name} is missing; run: pip install 'killcord[opa]'"]) from error
    return opa_push.push(folder, host=at.host, port=at.port, tls=at.scheme == "https")


def _binary() -> str:
    found = shutil.which("opa") or (str(LOCAL_OPA.absolute()) if LOCAL_OPA.exists() else None)
    if found is None:
        raise errors.Misconfigured([f"there is no opa on PATH, nor at {LOCAL_OPA}; install it, or test on the embedded engine"])
    return found


def _base(at: Origin) -> str:
    scheme = "http" if at.scheme == "unix" else at.scheme
    return f"{scheme}://{at.authority.decode()}{at.base}"
