"""Where events are told, as killcord.yaml says it. Secrets come from the environment or a file, and are never shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.core import addresses
from gateway.core.webhook import delivery
from gateway.model.webhook import Topic, Webhook
from gateway.settings.sections import WebhookSection

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_URL = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?(?:[/?][!$-;=?-\[\]_a-z~]*)?", re.ASCII)

LONGEST = 60.0
"""Seconds that one attempt may take."""
MOST = 1_000
"""Attempts."""
MAX_SECRET = 16_384
"""Characters read of a secret's file."""

Problem = tuple[str, str]
"""(key, message)"""


def problems(section: WebhookSection, folder: Path, environ: Mapping[str, str]) -> list[Problem]:
    """What is wrong with a declared webhook; neither its url nor its secret is repeated."""
    found = [("url", message) for message in _url_problems(section.url, environ)]
    found += [("secret", message) for message in _secret_problems(section.secret, folder, environ)]
    if not section.events:
        found.append(("events", f"is empty; name some of {', '.join(Topic)}, or leave it out for all of them"))
    if section.tenants is not None and not section.tenants:
        found.append(("tenants", "is empty, so that nothing would be sent; name tenants, or leave it out for everything"))
    if section.timeout > LONGEST:
        found.append(("timeout", f"must be at most {LONGEST:g} s"))
    if not 1 <= section.attempts <= MOST:
        found.append(("attempts", f"must be from 1 to {MOST}"))
    if section.ca is not None and not (folder / section.ca).is_file():
        found.append(("ca", f"there is no file {folder / section.ca}"))
    return found


def webhook(name: str, section: WebhookSection, folder: Path, environ: Mapping[str, str]) -> Webhook:
    """A webhook of which :func:`problems` found nothing."""
    url = _expanded(section.url, environ)
    return Webhook(
        name=name,
        host=_host(url),
        url=url,
        key=delivery.key(_secret(section.secret, folder, environ)),
        topics=frozenset(Topic(one) for one in section.events),
        timeout=section.timeout,
        attempts=section.attempts,
        tenants=None if section.tenants is None else frozenset(section.tenants),
        ca=None if section.ca is None else folder / section.ca,
    )


def _url_problems(url: str, environ: Mapping[str, str]) -> Iterator[str]:
    try:
        expanded = _expanded(url, environ)
    except KeyError as missing:
        yield f"the environment variable {missing.args[0]} is not set; set it before starting"
        return
    found = _URL.fullmatch(expanded)
    if found is None:
        yield "is no URL of a webhook; write https://host/path, without user or fragment, a secret in it as ${NAME}"
    elif found[2] and not 0 < int(found[2]) <= 65_535:
        yield "has a port that is none; ports go from 1 to 65535"
    elif _is_address(host := _host(expanded)) and not addresses.allowed(host):
        yield f"{host} is an address that is never dialled"


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _host(url: str) -> str:
    found = _URL.fullmatch(url)
    return found[1].strip("[]").lower() if found else ""


def _secret_problems(secret: Any, folder: Path, environ: Mapping[str, str]) -> Iterator[str]:
    try:
        delivery.key(_secret(secret, folder, environ))
    except (KeyError, ValueError) as wrong:
        yield str(wrong.args[0])


def _secret(secret: Any, folder: Path, environ: Mapping[str, str]) -> str:
    """The text of a secret.

    Raises:
        ValueError: it is not given in one of the two ways, or cannot be had.
    """
    if isinstance(secret, Mapping) and secret.keys() == {"file"} and isinstance(secret["file"], str):
        path = folder / secret["file"]
        try:
            with path.open(encoding="ascii") as file:
                return file.read(MAX_SECRET).strip()
        except (OSError, UnicodeDecodeError):
            raise ValueError(f"there is no file {path} that can be read as text") from None
    found = _VARIABLE.fullmatch(secret) if isinstance(secret, str) else None
    if found is None:
        raise ValueError('is needed, as "${NAME}" (the environment) or {file: PATH}; a secret itself does not stand here')
    if not environ.get(found[1]):
        raise ValueError(f"the environment variable {found[1]} is not set; set it before starting")
    return environ[found[1]].strip()


def _expanded(url: str, environ: Mapping[str, str]) -> str:
    """The URL with the environment's values in it.

    Raises:
        KeyError: a variable is not set.
    """

    def value(found: re.Match[str]) -> str:
        if not environ.get(found[1]):
            raise KeyError(found[1])
        return environ[found[1]]

    return _VARIABLE.sub(value, url)
