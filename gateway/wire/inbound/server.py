"""The agents' server: its listeners, the deadlines of its connections, and the end of both."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from functools import partial

from gateway.ports.clock import Clock
from gateway.ports.wire import Endpoint
from gateway.wire.inbound.connection import Connection, ServerState, Spawn
from gateway.wire.inbound.head import Grammar, Hosts
from gateway.wire.limits import Bounds


class Server:
    """Serves an endpoint over TCP and Unix sockets.

    ``hosts`` are the names it answers to; ``once`` names further single-valued fields (a tool's ``lease_in``);
    ``spawn`` starts a task that its caller keeps track of and awaits at shutdown.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        hosts: Iterable[str],
        clock: Clock,
        spawn: Spawn,
        bounds: Bounds | None = None,
        once: Iterable[str] = (),
    ) -> None:
        bounds = bounds or Bounds()
        self.state = ServerState(endpoint, Grammar(Hosts(hosts), bounds, once), bounds, clock, spawn)
        self._protocol = partial(Connection, self.state)
        self._listeners: list[asyncio.Server] = []
        self._sweep: asyncio.TimerHandle | None = None

    async def open_tcp(self, host: str, port: int) -> tuple[str, int]:
        """Listen on an address (``::1`` too) and return it, with the port that the system chose if ``port`` is 0.

        Raises:
            OSError: cannot bind the address.
        """
        listener = await asyncio.get_running_loop().create_server(self._protocol, host, port, backlog=1024)
        self._opened(listener)
        address = listener.sockets[0].getsockname()
        return address[0], address[1]

    async def open_unix(self, path: str) -> None:
        """Listen on a Unix socket; a stale one of a dead process is replaced.

        Raises:
            OSError: cannot bind the path.
        """
        self._opened(await asyncio.get_running_loop().create_unix_server(self._protocol, path, backlog=1024))

    async def drain(self, grace: float) -> bool:
        """Stop: no new connections, no further requests; calls under way get ``grace`` seconds to end. Returns whether all did.

        What has not ended by then loses its connection: calls that were not committed are cancelled, the others continue in their tasks,
        which the spawner awaits.
        """
        state = self.state
        state.draining = True
        for listener in self._listeners:
            listener.close()
        for connection in state.connections:
            connection.retire()
        state.note_empty()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await state.empty.wait()
        ended = not state.tasks
        for connection in state.connections:
            connection.abort()
        if self._sweep is not None:
            self._sweep.cancel()
        return ended

    def _opened(self, listener: asyncio.Server) -> None:
        self._listeners.append(listener)
        if self._sweep is None:
            self._check_deadlines()

    def _check_deadlines(self) -> None:
        """One sweep over all connections: cheaper than a timer for each of their calls."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in self.state.connections:
            connection.check(now)
        self._sweep = loop.call_later(self.state.bounds.sweep, self._check_deadlines)
