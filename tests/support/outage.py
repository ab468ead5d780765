"""The way to a tool, as a port of loopback that can be cut and mended: while it is cut, nobody listens there and nothing is passed on."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.support.ports import free_port


@dataclass(slots=True)
class Way:
    """Leads from ``port`` to the tool at ``to``."""

    to: int
    port: int = field(default_factory=free_port)
    _listening: socket.socket | None = None
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def mend(self) -> None:
        """Listen, and pass on what comes."""
        self._listening = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def cut(self) -> None:
        """Listen no more, and end every connection."""
        with self._lock:
            ended, self._open = [self._listening, *self._open], set()
            self._listening = None
        for one in ended:
            if one is not None:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listening.accept()
                far = socket.create_connection(("127.0.0.1", self.to))
                with self._lock:
                    self._open |= {near, far}
                    gone = self._listening is not listening
                if gone:
                    near.close()
                    far.close()
                    return
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=_pass_on, args=(one, other), daemon=True).start()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65_536):
            other.sendall(data)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)


@contextmanager
def way(to: int) -> Iterator[Way]:
    """A way that is open, cut afterwards."""
    made = Way(to)
    made.mend()
    try:
        yield made
    finally:
        made.cut()
