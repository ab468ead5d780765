"""When bytes arrived, by the kernel's clock: a tool that notes each request, and a control connection that notes each acknowledgement.

On loopback the kernel stamps a segment as it is sent, whoever reads it later. Two stamps of different connections can be compared
without a tolerance, however busy the processes are that read them.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Any, Self

_SO_TIMESTAMPNS = 35
_STAMP = struct.Struct("qq")
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_OK = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(slots=True)
class Stamped:
    """A connection whose messages are read one by one, each with the time of its arrival in Unix nanoseconds."""

    sock: socket.socket
    _pending: bytearray = field(default_factory=bytearray)
    _arrived: int = 0

    def __post_init__(self) -> None:
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)

    def read(self) -> bool:
        """Read what is there; whether the connection still lives."""
        data, notes, _, _ = self.sock.recvmsg(1 << 16, socket.CMSG_SPACE(_STAMP.size))
        if data and not self._pending:
            stamps = [_STAMP.unpack(value) for level, kind, value in notes if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS)]
            assert stamps, "the kernel gave no time of arrival"
            self._arrived = stamps[0][0] * 1_000_000_000 + stamps[0][1]
        self._pending += data
        return data != b""

    def message(self) -> tuple[int, bytes] | None:
        """The next whole message (by Content-Length) and its arrival; ``None`` if it is not whole yet."""
        end = self._pending.find(b"\r\n\r\n")
        if end < 0:
            return None
        length = _LENGTH.search(self._pending, 0, end + 2)
        size = end + 4 + (int(length[1]) if length else 0)
        if len(self._pending) < size:
            return None
        whole = bytes(self._pending[:size])
        del self._pending[:size]
        return self._arrived, whole

    def ask(self, request: bytes) -> tuple[int, int, bytes]:
        """Send a request; when its reply arrived, and the reply's status and body."""
        self.sock.sendall(request)
        while (found := self.message()) is None:
            assert self.read(), "the gateway ended the connection"
        arrived, reply = found
        return arrived, int(reply.split(b" ", 2)[1]), reply.partition(b"\r\n\r\n")[2]


@dataclass(slots=True)
class Arrivals:
    """A tool that answers every request with 201, while entered. ``seen`` has each request's arrival and path, in order of arrival."""

    seen: list[tuple[int, str]] = field(default_factory=list)
    port: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)  # the kernel begins to stamp a moment after the first who asks
        self.port = listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, args=(listener,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        assert self._thread is not None
        self._thread.join()

    def _serve(self, listener: socket.socket) -> None:
        with selectors.DefaultSelector() as waiting, listener:
            waiting.register(listener, selectors.EVENT_READ, None)
            while not self._over.is_set():
                for key, _ in waiting.select(0.1):
                    if key.data is None:
                        visit = Stamped(listener.accept()[0])
                        waiting.register(visit.sock, selectors.EVENT_READ, visit)
                    elif not self._answer(key.data):
                        waiting.unregister(key.fileobj)
                        key.data.sock.close()
            for key in list(waiting.get_map().values()):
                if key.data is not None:
                    key.data.sock.close()

    def _answer(self, visit: Stamped) -> bool:
        try:
            if not visit.read():
                return False
            while (found := visit.message()) is not None:
                arrived, request = found
                self.seen.append((arrived, request.split(b" ", 2)[1].decode()))
                visit.sock.sendall(_OK)
        except ConnectionError:
            return False
        return True


class Orders:
    """A kept connection to the control API on which orders are made and released."""

    def __init__(self, address: str, token: str) -> None:
        self._connection = connected(address)
        self._head = f"Host: {address}\r\nAuthorization: Bearer {token}\r\n"

    def ask(self, method: str, path: str, status: int, body: object = None) -> tuple[int, Any]:
        """When the reply arrived, and its document. Another status than this one fails the test."""
        content = b"" if body is None else json.dumps(body).encode()
        typed = f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n" if content else ""
        arrived, got, reply = self._connection.ask(f"{method} {path} HTTP/1.1\r\n{self._head}{typed}\r\n".encode() + content)
        assert got == status, reply
        return arrived, json.loads(reply)

    def close(self) -> None:
        self._connection.sock.close()


def connected(address: str) -> Stamped:
    host, _, port = address.rpartition(":")
    return Stamped(socket.create_connection((host, int(port)), timeout=30))
