"""Where rates are metered: a Redis or Valkey server's url, taken apart once, its password from the environment alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.settings.sections import RatesSection

_URL = re.compile(
    r"(rediss?)://(?:([A-Za-z0-9_.-]*):\$\{([A-Za-z_][A-Za-z0-9_]*)\}@)?"
    r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?(?:/(\d{1,5}))?/?",
    re.ASCII,
)
_UNIX = re.compile(r"unix://(?:([A-Za-z0-9_.-]*):\$\{([A-Za-z_][A-Za-z0-9_]*)\}@)?(/[^:?]+)(?::(\d{1,5}))?", re.ASCII)
_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)

LONGEST = 10.0
"""Seconds for which a call may be made to wait for its meters."""

Problem = tuple[str, str]
"""(key, message)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisConfig:
    """``socket`` is a path and stands in place of ``host`` and ``port``.

    ``share`` is by how much each node divides every rate while the server is lost; ``None`` refuses calls then. ``timeout`` in seconds.
    """

    host: str = ""
    port: int = 6379
    socket: str = ""
    tls: bool = False
    ca: Path | None = None
    database: int = 0
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    prefix: str = "killcord"
    timeout: float = 0.1
    share: int | None = None


def problems(section: RatesSection, folder: Path, environ: Mapping[str, str]) -> list[Problem]:
    """What is wrong with a declared rate store; what stands in its url is not repeated, since it could hold a secret."""
    if section.store == "memory":
        return [("url", "belongs to store: redis; rates in memory need none")] if section.url is not None else []
    found = [("url", message) for message in _url_problems(section.url, environ)]
    found += _loss_problems(section)
    if not _PREFIX.fullmatch(section.prefix):
        found.append(("prefix", "must be 1 to 64 letters, digits, _ . : and -"))
    if section.timeout > LONGEST:
        found.append(("timeout", f"must be at most {LONGEST:g} s: every call waits for it"))
    if section.ca is not None and not (folder / section.ca).is_file():
        found.append(("ca", f"there is no file {folder / section.ca}"))
    return found


def rates(section: RatesSection, folder: Path, environ: Mapping[str, str]) -> RedisConfig | None:
    """A rate store of which :func:`problems` found nothing; ``None`` is memory."""
    if section.store == "memory" or section.url is None:
        return None
    ca = folder / section.ca if section.ca is not None else None
    share = section.share if section.on_loss == "share" else None
    user, variable, place = _parts(section.url)
    password = environ[variable] if variable else None
    more = {"prefix": section.prefix, "timeout": section.timeout, "share": share, "ca": ca}
    return RedisConfig(user=user or None, password=password, **place, **more)  # type: ignore[arg-type]


def _url_problems(url: str | None, environ: Mapping[str, str]) -> Iterator[str]:
    if url is None:
        yield "is needed by store: redis, such as redis://127.0.0.1:6379/0"
        return
    try:
        _, variable, place = _parts(url)
    except ValueError as error:
        yield str(error)
        return
    if not 0 < int(str(place.get("port", 1))) <= 65_535:
        yield "has a port that is none; ports go from 1 to 65535"
    if variable and not environ.get(variable):
        yield f"the environment variable {variable} is not set; set it before starting"


def _parts(url: str) -> tuple[str, str, dict[str, object]]:
    """User, the variable of the password, and the place."""
    if found := _UNIX.fullmatch(url):
        return found[1] or "", found[2] or "", {"socket": found[3], "database": int(found[4] or 0)}
    if found := _URL.fullmatch(url):
        place = {"host": found[4].strip("[]"), "port": int(found[5] or 6379), "database": int(found[6] or 0), "tls": found[1] == "rediss"}
        return found[2] or "", found[3] or "", place
    if "@" in url and "${" not in url:
        raise ValueError("holds a password; put it into an environment variable and write redis://user:${NAME}@host:port/0")
    raise ValueError("is no url of a server; write redis://host:port/0, rediss://user:${NAME}@host:port/0 or unix:///path:0")


def _loss_problems(section: RatesSection) -> Iterator[Problem]:
    if section.on_loss == "share" and section.share is None:
        yield "share", "is needed by on_loss: share: the number of nodes, so that each takes its part of every rate"
    if section.on_loss == "deny" and section.share is not None:
        yield "share", "belongs to on_loss: share"
    if section.share is not None and not 1 <= section.share <= 1_000:
        yield "share", "must be from 1 to 1000"
