"""The agents' door: listeners, their connections, and the end of both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from email.utils import formatdate

from gateway.ports import wire
from gateway.ports.clock import Clock
from gateway.wire.inbound.connection import Connection
from gateway.wire.inbound.head import Grammar
from gateway.wire.inbound.hosts import Hosts
from gateway.wire.limits import Bounds

Spawn = Callable[[Coroutine[object, object, None]], "asyncio.Task[None]"]


class Server:
    """Serves a front over TCP and Unix sockets.

    ``hosts`` are the names it answers to; ``once`` names further single-valued fields (a tool's ``lease_in``);
    ``spawn`` starts a task that its caller keeps track of and awaits at shutdown.
    """

    def __init__(
        self,
        front: wire.Front,
        *,
        hosts: Iterable[str],
        clock: Clock,
        spawn: Spawn,
        bounds: Bounds | None = None,
        once: Iterable[str] = (),
    ) -> None:
        self.front = front
        self.bounds = bounds or Bounds()
        self.grammar = Grammar(Hosts(hosts), self.bounds, once)
        self.draining = False
        self._clock = clock
        self._spawn = spawn
        self._servers: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._buffered = 0
        self._sweep: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._date = (0, b"")

    async def open_tcp(self, host: str, port: int) -> tuple[str, int]:
        """Listen on an address (``::1`` too) and return it, with the port that was taken where ``port`` is 0.

        Raises:
            OSError: the address cannot be had.
        """
        server = await asyncio.get_running_loop().create_server(self._connection, host, port, backlog=1024)
        self._opened(server)
        address = server.sockets[0].getsockname()
        return address[0], address[1]

    async def open_unix(self, path: str) -> None:
        """Listen on a Unix socket; a stale one of a dead process is replaced.

        Raises:
            OSError: the path cannot be had.
        """
        self._opened(await asyncio.get_running_loop().create_unix_server(self._connection, path, backlog=1024))

    async def drain(self, grace: float) -> bool:
        """Stop: no new connections, no further requests; calls on the wire get ``grace`` seconds to end. Whether all did.

        What has not ended by then loses its connection: calls that were not committed are cancelled, the others go on in
        their tasks, which are the spawner's to await.
        """
        self.draining = True
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.retire()
        self._note_empty()
        try:
            async with asyncio.timeout(grace):
                await self._empty.wait()
        except TimeoutError:
            pass
        ended = not self._tasks
        for connection in list(self._connections):
            connection.abort()
        if self._sweep is not None:
            self._sweep.cancel()
        return ended

    # --- what connections call ---

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more connection."""
        self._connections.add(connection)
        return len(self._connections) <= self.bounds.connections and not self.draining

    def forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._note_empty()

    def spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = self._spawn(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    @property
    def crowded(self) -> bool:
        """Whether the request bytes held for all clients are at their bound."""
        return self._buffered >= self.bounds.buffered

    def held(self, change: int) -> None:
        """Count request bytes taken in (or let go, negative); at the bound, unfinished bodies wait for others to end."""
        was_crowded = self.crowded
        self._buffered += change
        if was_crowded and not self.crowded:
            for connection in self._connections:
                connection.unpark()

    def date(self) -> bytes:
        """The Date of a reply made now."""
        second = int(self._clock.now())
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True).encode())
        return self._date[1]

    # --- its own ---

    def _connection(self) -> Connection:
        return Connection(self)

    def _opened(self, server: asyncio.Server) -> None:
        self._servers.append(server)
        if self._sweep is None:
            self._check_deadlines()

    def _check_deadlines(self) -> None:
        """One sweep over all connections: cheaper than a timer for each of their calls."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._connections):
            connection.check(now)
        self._sweep = loop.call_later(self.bounds.sweep, self._check_deadlines)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._note_empty()

    def _note_empty(self) -> None:
        if self.draining and not self._connections and not self._tasks:
            self._empty.set()
