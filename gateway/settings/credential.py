"""A tool's secret: where it comes from, and the header it goes into. Never shown, not even by ``repr``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*(?:\{tenant\}[A-Za-z0-9_]*)*)\}")
_TENANT = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_VALUE = re.compile(r"[\x20-\x7e]{1,8192}", re.ASCII)
_NOT_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect", "idempotency-key"}
)
_SPOKEN_FOR = _NOT_OURS | {"content-type", "content-encoding", "if-match", "if-none-match", "keep-alive", "origin", "traceparent"}

MAX_SECRET = 16_384
"""Bytes read of a secret's file."""


class Credential:
    """The header that carries a tool's secret.

    ``value`` is its text with ``${ENV}``, ``{file}`` (the file's content) and ``{tenant}`` in it; ``file`` is a path, also
    with ``{tenant}``. A file is read again when it changed, so that a secret can be rotated in place.
    """

    __slots__ = ("_environ", "_file", "_fixed", "_read", "_value", "header_name")

    def __init__(self, header: str, value: str, file: str | None, environ: Mapping[str, str]) -> None:
        self.header_name = header.encode("ascii")
        self._value = value
        self._file = file
        self._environ = environ
        self._read: dict[str, tuple[tuple[int, int, int], str]] = {}
        self._fixed: tuple[bytes, bytes] | None = None

    def __repr__(self) -> str:
        return f"Credential({self.header_name.decode()}: ***)"

    def header(self, tenant: str) -> tuple[bytes, bytes]:
        """The header line for calls of a tenant.

        Raises:
            KeyError: there is no usable secret for it; the message names where it was looked for, never what was found.
        """
        if self._fixed is not None:
            return self._fixed
        if self.per_tenant and not _TENANT.fullmatch(tenant):
            raise KeyError("a tenant's name must be letters, digits, _ and - to have a secret of its own")
        text = _VARIABLE.sub(lambda found: self._variable(found[1].replace("{tenant}", tenant)), self._value)
        if self._file is not None:
            text = text.replace("{file}", self._content(self._file.replace("{tenant}", tenant)))
        if not _VALUE.fullmatch(text):
            raise KeyError(f"the secret for {self.header_name.decode()} is empty or holds what no header can")
        line = (self.header_name, text.encode("ascii"))
        if not self.per_tenant and self._file is None:  # nothing that it is made of can change any more
            self._fixed = line
        return line

    @property
    def per_tenant(self) -> bool:
        """Whether each tenant has a secret of its own."""
        return "{tenant}" in self._value or (self._file is not None and "{tenant}" in self._file)

    @property
    def inline(self) -> bool:
        """Whether the secret itself stands in the configuration."""
        return self._file is None and not _VARIABLE.search(self._value)

    @property
    def file(self) -> Path | None:
        """The one file it is read from, where there is one."""
        return None if self._file is None or "{tenant}" in self._file else Path(self._file)

    def _variable(self, name: str) -> str:
        try:
            return self._environ[name]
        except KeyError:
            raise KeyError(f"the environment variable {name} is not set") from None

    def _content(self, path: str) -> str:
        try:
            state = os.stat(path)
            stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
            known = self._read.get(path)
            if known is None or known[0] != stamp:
                with open(path, encoding="ascii") as secret:
                    known = self._read[path] = (stamp, secret.read(MAX_SECRET).strip())
        except (OSError, UnicodeDecodeError):
            # Nothing of the error is kept as its cause: a decoding error holds the bytes.
            raise KeyError(f"the secret's file {path} cannot be read") from None
        return known[1]


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
