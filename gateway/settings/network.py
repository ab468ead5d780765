"""Where the gateway listens and which servers it calls: addresses and URLs, parsed once. No error repeats a URL: it could hold a secret."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticKnownError

from gateway.core import addresses
from gateway.core.units import shown
from gateway.ports.rates import Server

_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?"
_LOGIN = r"(?:(?P<user>[A-Za-z0-9_.-]*):\$\{(?P<variable>[A-Za-z_][A-Za-z0-9_]*)\}@)?"
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})", re.ASCII)
_ORIGIN = re.compile(rf"(https?)://{_HOST}(/.*)?", re.ASCII)
_ORIGIN_SOCKET = re.compile(r"unix://(/[^:]+)(?::(/.*))?", re.ASCII)
_ORIGIN_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,=:@-]+)*/?", re.ASCII)
_WEBHOOK = re.compile(rf"https?://{_HOST}(?:[/?][!$-;=?-\[\]_a-z~]*)?", re.ASCII)
_REDIS = re.compile(rf"(rediss?)://{_LOGIN}{_HOST}(?:/(\d{{1,5}}))?/?", re.ASCII)
_REDIS_SOCKET = re.compile(rf"unix://{_LOGIN}(/[^:?]+)(?::(\d{{1,5}}))?", re.ASCII)
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server of the gateway listens: ``host`` and ``port``, or a Unix socket at ``path``."""

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def loopback(self) -> bool:
        """Whether only processes of this machine reach it."""
        return bool(self.path) or addresses.loopback(self.host)

    @property
    def url(self) -> str:
        """Where a client finds it."""
        return str(self) if self.path else f"http://{self}"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"unix://{self.path}" if self.path else f"{host}:{self.port}"


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
        """As it is written: what :func:`origin` reads."""
        if self.scheme == "unix":
            return f"unix://{self.socket}" + (f":{self.base}" if self.base else "")
        return f"{self.scheme}://{self.authority.decode()}{self.base}"

    @property
    def authority(self) -> bytes:
        """The Host header's value: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (host if self.scheme == "unix" or self.port == _PORTS[self.scheme] else f"{host}:{self.port}").encode("ascii")

    @property
    def sent_in_plain_text(self) -> bool:
        """Whether what is sent crosses a network in plain text."""
        return self.scheme == "http" and not addresses.loopback(self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisConfig(Server):
    """``variable`` of the environment holds the password. ``timeout`` in seconds. ``share`` is by how much each node divides every rate
    while the server is lost; ``None`` refuses calls then.
    """

    variable: str = field(default="", compare=False)
    prefix: str = "killcord"
    timeout: float = 0.1
    share: int | None = None


def address(value: object) -> Address:
    """``127.0.0.1:8090``, ``[::1]:8090`` or ``unix:///run/killcord.sock``; port 0 lets the system choose one.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, str) and value.startswith("unix:///"):
        return Address(path=value.removeprefix("unix://"))
    found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found[2]) > 65_535:
        raise ValueError(f"{shown(value)} is not an address; write 127.0.0.1:8090, [::1]:8090 or unix:///path")
    return Address(found[1].strip("[]"), int(found[2]))


def origin(url: object) -> Origin:
    """``http://erp.internal:8080/v1``, ``https://...``, ``unix:///run/erp.sock`` or ``unix:///run/erp.sock:/v1``.

    Raises:
        ValueError: it is none of these.
    """
    text = _text(url)
    if found := _ORIGIN_SOCKET.fullmatch(text):
        return Origin("unix", "localhost", 0, found[1], _base(found[2] or ""))
    if "@" in text.split("://", 1)[-1].split("/", 1)[0]:
        raise ValueError("contains a user or password; move them to credential")
    found = _ORIGIN.fullmatch(text)
    port = int(found[3]) if found and found[3] else 0
    if found is None or port > 65_535 or (found[3] and not port):
        raise ValueError("not a base URL; write http://host:port/path, https://host/path or unix:///path")
    return Origin(found[1], found[2].strip("[]").lower(), port or _PORTS[found[1]], "", _base(found[4] or ""))


def redis_url(url: object) -> RedisConfig:
    """``redis://host:port/0``, ``rediss://user:${NAME}@host:port/0`` or ``unix:///path:0``.

    Raises:
        ValueError: it is none of these.
    """
    text = _text(url)
    if found := _REDIS_SOCKET.fullmatch(text):
        at = RedisConfig(socket=found[3], database=int(found[4] or 0))
    elif found := _REDIS.fullmatch(text):
        at = RedisConfig(host=found[4].strip("[]"), port=_port(found[5] or "6379"), tls=found[1] == "rediss", database=int(found[6] or 0))
    elif "@" in text and "${" not in text:
        raise ValueError("contains a password; move it to an environment variable and write redis://user:${NAME}@host:port/0")
    else:
        raise ValueError("not the URL of a server; write redis://host:port/0, rediss://user:${NAME}@host:port/0 or unix:///path:0")
    return replace(at, user=found["user"] or None, variable=found["variable"] or "")


def webhook_host(url: str) -> str:
    """The host of a webhook's URL, whose variables have been replaced.

    Raises:
        ValueError: the URL cannot be used.
    """
    found = _WEBHOOK.fullmatch(url)
    if found is None:
        raise ValueError("not the URL of a webhook; write https://host/path, without user or fragment, a secret in it as ${NAME}")
    _port(found[2] or "443")
    host = found[1].strip("[]").lower()
    if (":" in host or host.replace(".", "").isdigit()) and not addresses.allowed(host):
        raise ValueError(f"{host} is an address that the gateway never calls")
    return host


def _text(url: object) -> str:
    if not isinstance(url, str):
        raise PydanticKnownError("string_type")
    return url


def _port(text: str) -> int:
    if not 0 < int(text) <= 65_535:
        raise ValueError("invalid port; ports go from 1 to 65535")
    return int(text)


def _base(path: str) -> str:
    if not _ORIGIN_PATH.fullmatch(path) or {".", ".."}.intersection(path.split("/")):
        if "?" in path:
            raise ValueError(
                "the path has a query; write a fixed query key under the tool's query:, such as query: {api-version: '2024-01'}"
            )
        raise ValueError("the path must be plain: no dots, escapes, empty segments, query or fragment")
    return path.rstrip("/")


Listen = Annotated[Address, BeforeValidator(address)]
OriginUrl = Annotated[Origin, BeforeValidator(origin)]
RedisServer = Annotated[RedisConfig, BeforeValidator(redis_url)]
