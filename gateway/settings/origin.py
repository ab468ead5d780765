"""Where a tool is: its base_url, taken apart once."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.core import addresses

_URL = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?(/.*)?", re.ASCII)
_UNIX = re.compile(r"unix://(/[^:]+)(?::(/.*))?", re.ASCII)
_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,=:@-]+)*/?", re.ASCII)
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """``scheme`` is http, https or unix (then ``socket`` is its path).

    ``base`` stands in front of a call's path and has no slash at its end.
    """

    scheme: str
    host: str
    port: int
    socket: str
    base: str

    def __str__(self) -> str:
        """As it is written: what :func:`parse` reads."""
        if self.scheme == "unix":
            return f"unix://{self.socket}" + (f":{self.base}" if self.base else "")
        return f"{self.scheme}://{self.authority.decode()}{self.base}"

    @property
    def authority(self) -> bytes:
        """The Host header's value: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (host if self.scheme == "unix" or self.port == _PORTS[self.scheme] else f"{host}:{self.port}").encode("ascii")

    @property
    def readable_on_the_way(self) -> bool:
        """Whether what is sent crosses a network in plain text."""
        return self.scheme == "http" and not addresses.loopback(self.host)


def parse(url: str) -> Origin:
    """``http://erp.internal:8080/v1``, ``https://...``, ``unix:///run/erp.sock`` or ``unix:///run/erp.sock:/v1``.

    Raises:
        ValueError: it is none of these; what stands there is not repeated, since it could hold a secret.
    """
    if found := _UNIX.fullmatch(url):
        return Origin("unix", "localhost", 0, found[1], _base(found[2] or ""))
    if "@" in url.split("://", 1)[-1].split("/", 1)[0]:
        raise ValueError("holds a user or password; put them under credential")
    found = _URL.fullmatch(url)
    port = int(found[3]) if found and found[3] else 0
    if found is None or port > 65_535 or (found[3] and not port):
        raise ValueError("is no base URL; write http://host:port/path, https://host/path or unix:///path")
    return Origin(found[1], found[2].strip("[]").lower(), port or _PORTS[found[1]], "", _base(found[4] or ""))


def _base(path: str) -> str:
    if not _PATH.fullmatch(path) or {".", ".."}.intersection(path.split("/")):
        raise ValueError("has a path that is not plain: no dots, escapes, empty segments, query or fragment")
    return path.rstrip("/")
