"""The hosts this door answers to: what keeps a web page from reaching it by a name of its own (DNS rebinding). Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

_AUTHORITY = re.compile(rb"([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\])(?::([0-9]{1,5}))?")
_ORIGIN = re.compile(rb"[a-z][a-z0-9+.-]*://(.+)")


class Hosts:
    """A set of host names and addresses, whatever their port."""

    __slots__ = ("_names", "_seen")

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(_plain(name) for name in names)
        self._seen: set[bytes] = set()

    def admits(self, authority: bytes) -> bool:
        """Whether a Host value (``name``, ``name:port``, ``[v6]:port``) names one of the hosts and holds nothing else."""
        if authority in self._seen:
            return True
        match = _AUTHORITY.fullmatch(authority)
        if match is None or (match[2] is not None and int(match[2]) > 0xFFFF) or _plain(match[1].decode()) not in self._names:
            return False
        # Bounded: a client can vary the port alone, and its letters' case.
        if len(self._seen) < 256:
            self._seen.add(authority)
        return True

    def admits_origin(self, origin: bytes) -> bool:
        """Whether an Origin value is of one of the hosts; ``null`` is not."""
        match = _ORIGIN.fullmatch(origin)
        return match is not None and self.admits(match[1])


def _plain(name: str) -> str:
    """A name in lower case; an IPv6 address in its shortest form, without brackets."""
    bare = name.lower().removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(bare).compressed
    except ValueError:
        return bare
