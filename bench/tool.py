"""The tool that everything measured stands in front of: versioned objects on a raw protocol, so fast that it is never the bottleneck.

``python -m bench.tool PORT``. Requests carry Content-Length or no body, one at a time on a connection.
GET answers an object and its ETag, PATCH and PUT replace it, POST makes one.
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_NEW = (0, b'{"n":"new"}')


class Objects:
    """What the tool knows: a version and a body for each path."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[int, bytes]] = {}
        self._made = 0

    def answer(self, method: bytes, path: bytes, body: bytes) -> bytes:
        """The whole reply to a request."""
        if method == b"POST":
            self._made += 1
            return _reply(b"201 Created", 1, b'{"data":{"id":"made-%d"}}' % self._made)
        version, kept = self._kept.get(path, _NEW)
        if method != b"GET":
            version, kept = version + 1, body
            self._kept[path] = version, kept
        return _reply(b"200 OK", version, b'{"data":%b}' % kept)


def _reply(status: bytes, version: int, body: bytes) -> bytes:
    head = b'HTTP/1.1 %b\r\nContent-Type: application/json\r\nETag: "v%d"\r\nContent-Length: %d\r\n\r\n'
    return head % (status, version, len(body)) + body


class Connection(asyncio.Protocol):
    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end]
        if _CHUNKED.search(head):
            self._transport.write(b"HTTP/1.1 411 Length Required\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            self._transport.close()
            return
        found = _LENGTH.search(head)
        whole = end + 4 + (int(found[1]) if found else 0)
        if len(self._buffer) < whole:
            return
        body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
        method, path, _ = head.split(b" ", 2)
        self._transport.write(self._objects.answer(method, path, body))


async def serve(port: int) -> None:
    objects = Objects()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(objects), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
