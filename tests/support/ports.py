"""Ports of loopback for servers that are told theirs: below those that the system gives to connections, so that no client takes one first.

Each pytest worker has ports of its own, and gives none of them twice before all were given: some tests end a server and start it again.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST = 10_240
_WORKERS = 8


def free_port() -> int:
    """A port that nobody listens on now, and that no connection is given."""
    for _, port in zip(_OWN, _PORTS, strict=False):
        with socket.socket() as probe:
            # A server that has just ended leaves connections behind that forbid only this probe, not the next server.
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
    if beyond < _FIRST + 100 * _WORKERS:  # too few are left on this machine: connections may take some of these
        beyond = 65_536
    share = (beyond - _FIRST) // _WORKERS
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    return range(_FIRST + worker * share, _FIRST + (worker + 1) * share)


def _in_turn(own: range) -> Iterator[int]:
    """Beginning anywhere: two suites on one machine rarely meet."""
    start = random.randrange(len(own))
    while True:
        for step in range(len(own)):
            yield own[(start + step) % len(own)]


_OWN = _own()
_PORTS = _in_turn(_OWN)
