"""A tool's secret as the header that carries it: made from the environment, or from a file that is read again when it changed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*(?:\{tenant\}[A-Za-z0-9_]*)*)\}")
_TENANT = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_VALUE = re.compile(r"[\x20-\x7e]{1,8192}", re.ASCII)

MAX_SECRET = 16_384
"""Bytes read of a secret's file."""


class ToolSecret:
    """The header line of one tool's secret; never shown, not even by ``repr``.

    ``value`` is its text with ``${ENV}``, ``{file}`` (the file's content) and ``{tenant}`` in it; ``file`` is a path, also
    with ``{tenant}``. A file is read again when it changed, so that a secret can be rotated in place.
    """

    __slots__ = ("_environ", "_file", "_known", "_name", "_per_tenant", "_read", "_value")

    def __init__(self, name: str, value: str, file: str | None, environ: Mapping[str, str]) -> None:
        self._name = name.encode("ascii")
        self._value = value
        self._file = file
        self._environ = environ
        self._per_tenant = "{tenant}" in value or (file is not None and "{tenant}" in file)
        self._known: dict[str, tuple[bytes, bytes]] = {}
        self._read: dict[str, tuple[tuple[int, int, int], str]] = {}

    def __repr__(self) -> str:
        return f"ToolSecret({self._name.decode()}: ***)"

    @property
    def constant(self) -> tuple[bytes, bytes] | None:
        """The header line if every call carries the same; ``None`` if it depends on the tenant or a file, or cannot be made."""
        if self._per_tenant or self._file is not None:
            return None
        try:
            return self.header("")
        except KeyError:
            return None

    def header(self, tenant: str) -> tuple[bytes, bytes]:
        """The header line for calls of a tenant.

        Raises:
            KeyError: there is no usable secret for it; the message names where it was looked for, never what was found.
        """
        if (known := self._known.get(tenant)) is not None:
            return known
        if self._per_tenant and not _TENANT.fullmatch(tenant):
            raise KeyError("a tenant with its own secret must have a name of letters, digits, _ and -")
        text = _VARIABLE.sub(lambda found: self._variable(found[1].replace("{tenant}", tenant)), self._value)
        if self._file is not None:
            text = text.replace("{file}", self._content(self._file.replace("{tenant}", tenant)))
        if not _VALUE.fullmatch(text):
            raise KeyError(f"the secret for {self._name.decode()} is empty or contains characters that no header can carry")
        line = (self._name, text.encode("ascii"))
        if self._file is None and self._per_tenant:  # the environment does not change, and holds a bounded number of names
            self._known[tenant] = line
        return line

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
