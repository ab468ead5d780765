"""Loopback ports for servers that take their port from a test.

They lie below the range from which the system takes ports for connections, so that no connection takes one between the choice and the
start. Each pytest worker has its own share, and reuses a port only after it has given out all of them.
"""

from __future__ import annotations

import itertools
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST = 10_240


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens now."""
    for port in itertools.islice(_PORTS, len(_OWN)):
        with socket.socket() as probe:
            # Connections of a server that has just ended (TIME_WAIT) would refuse this bind. The next server sets the option too.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no port of {_OWN} is free on 127.0.0.1")


def _own() -> range:
    """The ports of this worker."""
    beyond = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32_768
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if beyond < _FIRST + 200 * workers:  # the system's range leaves too few: use those inside it too, although a connection may take one
        beyond = 65_536
    share = (beyond - _FIRST) // workers
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return range(_FIRST + worker * share, _FIRST + (worker + 1) * share)


def _in_turn(own: range) -> Iterator[int]:
    """The ports in a circle from a random start, so that two suites on one machine rarely choose the same one."""
    start = random.randrange(len(own))
    return itertools.cycle([*own[start:], *own[:start]])


_OWN = _own()
_PORTS = _in_turn(_OWN)
