"""A tool's secret as it is declared: where it comes from, and the header it goes into. Never shown, not even by ``repr``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*(?:\{tenant\}[A-Za-z0-9_]*)*)\}")
_NAME = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_NOT_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect", "idempotency-key"}
)
_SPOKEN_FOR = _NOT_OURS | {"content-type", "content-encoding", "if-match", "if-none-match", "keep-alive", "origin", "traceparent"}


@dataclass(frozen=True, slots=True)
class Credential:
    """A declared secret: the name of the header that carries it, and where its text comes from.

    ``value`` is the header's text with ``${ENV}``, ``{file}`` (the file's content) and ``{tenant}`` in it; ``file`` is an absolute path,
    also with ``{tenant}``.
    """

    header: str
    value: str = field(repr=False)
    file: str | None
    environ: Mapping[str, str] = field(repr=False)

    @property
    def inline(self) -> bool:
        """Whether the secret itself is written in the configuration."""
        return self.file is None and not _VARIABLE.search(self.value)

    @property
    def one_file(self) -> Path | None:
        """The file it is read from, where all tenants share one."""
        return None if self.file is None or "{tenant}" in self.file else Path(self.file)


def problems(header: str | None, value: object, file: str | None, folder: Path, environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """What is wrong with a declared credential, as (key, message); secrets of single tenants are looked for at call time only."""
    found: list[tuple[str, str]] = []
    if header is None or not _NAME.fullmatch(header) or header.lower() in _NOT_OURS:
        found.append(("header", "must name the header that carries the secret, such as Authorization or X-API-Key"))
    if value is None and file is None:
        found.append(("", "needs value (with ${ENV} in it), or file"))
    if value is not None and (not isinstance(value, str) or not value):
        found.append(("value", 'must be text, such as "Bearer ${ERP_TOKEN}"'))
    elif isinstance(value, str):
        found += [("value", message) for message in _value_problems(value, file, environ)]
    if file is not None and "{tenant}" not in file and not (folder / file).is_file():
        found.append(("file", f"there is no file {folder / file}; make it, readable for this process alone"))
    return found


def can_carry(header: str) -> bool:
    """Whether a client's key, which is a lease then, can stand in this header: not in one that the door reads itself."""
    return header.lower() not in _SPOKEN_FOR and not header.lower().startswith(("killcord-", "proxy-"))


def credential(header: str, value: str | None, file: str | None, folder: Path, environ: Mapping[str, str]) -> Credential:
    """A credential of which :func:`problems` found nothing. ``folder`` is where relative paths begin."""
    path = None if file is None else str(folder / file)
    return Credential(header, value if value is not None else "{file}", path, environ)


def _value_problems(value: str, file: str | None, environ: Mapping[str, str]) -> list[str]:
    names = [found[1] for found in _VARIABLE.finditer(value)]
    found = [
        f"the environment variable {name} is not set; set it before starting"
        for name in names
        if "{tenant}" not in name and not environ.get(name)
    ]
    if "${" in _VARIABLE.sub("", value):
        found.append("a variable is written ${NAME} or ${NAME_{tenant}}")
    if ("{file}" in value) != (file is not None):
        found.append("{file} in value and the key file belong together: give both, or neither")
    return found
