"""Secrets as they are declared: where they come from, and what is wrong with that. Never shown, not even by ``repr``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from gateway.settings.document import Context, Problem, Section, must

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_PER_TENANT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*(?:\{tenant\}[A-Za-z0-9_]*)*)\}")
_NAME = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_FORBIDDEN = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect", "idempotency-key"}
)
_RESERVED = _FORBIDDEN | {"content-type", "content-encoding", "if-match", "if-none-match", "keep-alive", "origin", "traceparent"}

MAX_SECRET = 16_384
"""Characters read of a secret's file."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A tool's secret: the name of the header that carries it, and where its text comes from.

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
        return self.file is None and not _PER_TENANT.search(self.value)

    @property
    def one_file(self) -> Path | None:
        """The file it is read from, where all tenants share one."""
        return None if self.file is None or "{tenant}" in self.file else Path(self.file)


def _text(value: object) -> object:
    """Checked here, so that a secret in the wrong shape is not repeated by a message."""
    if value is not None and (not isinstance(value, str) or not value):
        raise ValueError('must be text, such as "Bearer ${ERP_TOKEN}"')
    return value


class CredentialSection(Section):
    header: Annotated[
        str,
        must(
            lambda name: _NAME.fullmatch(name) and name.lower() not in _FORBIDDEN,
            "must name the header that carries the secret, such as Authorization or X-API-Key",
        ),
    ] = Field(description="the name of the header that carries the secret, such as Authorization or X-API-Key")
    value: Annotated[str | None, BeforeValidator(_text)] = Field(default=None, repr=False)
    file: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _file_as_value(cls, given: Any) -> Any:
        """``value: {file: PATH}`` is another way to write ``file: PATH``."""
        value = given.get("value") if isinstance(given, dict) else None
        if isinstance(value, dict) and value.keys() == {"file"} and "file" not in given:
            return {**{key: one for key, one in given.items() if key != "value"}, **value}
        return given

    def problems(self, context: Context) -> Iterator[Problem]:
        """Secrets of single tenants are looked for at call time only."""
        value = self.value or ""
        if self.value is None and self.file is None:
            yield (), "needs value (with ${ENV}), or file"
        for name in _PER_TENANT.findall(value):
            if "{tenant}" not in name:
                yield from ((("value",), problem) for problem in context.variable(name))
        if "${" in _PER_TENANT.sub("", value):
            yield ("value",), "a variable is written ${NAME} or ${NAME_{tenant}}"
        if self.value is not None and ("{file}" in value) != (self.file is not None):
            yield ("value",), "{file} in value and the key file belong together: set both, or neither"
        if context.secrets and self.file is not None and "{tenant}" not in self.file and not (context.folder / self.file).is_file():
            yield ("file",), f"there is no file {context.folder / self.file}; create it, readable for this process alone"

    def credential(self, context: Context) -> Credential:
        path = None if self.file is None else str(context.folder / self.file)
        return Credential(self.header, self.value if self.value is not None else "{file}", path, context.environ)


def can_carry_lease(header: str) -> bool:
    """Whether a client's key, which is a lease then, can stand in this header: not in one that the gateway reads itself."""
    return header.lower() not in _RESERVED and not header.lower().startswith(("killcord-", "proxy-"))


def read(secret: Any, context: Context) -> str:
    """The text of a secret that is declared as ``"${NAME}"`` or ``{file: PATH}``.

    Raises:
        ValueError: it is declared in another way, or the variable or the file is missing.
    """
    if isinstance(secret, Mapping) and secret.keys() == {"file"} and isinstance(secret["file"], str):
        path = context.folder / secret["file"]
        try:
            with path.open(encoding="ascii") as file:
                return file.read(MAX_SECRET).strip()
        except (OSError, UnicodeDecodeError):
            raise ValueError(f"there is no file {path} that can be read as text") from None
    if not isinstance(secret, str) or not _VARIABLE.fullmatch(secret):
        raise ValueError('is missing; write "${NAME}" (the environment) or {file: PATH}, not the secret')
    return expanded(secret, context).strip()


def expanded(text: str, context: Context) -> str:
    """A text with the environment's values for its variables.

    Raises:
        ValueError: a variable is not set.
    """
    for name in _VARIABLE.findall(text):
        for problem in context.variable(name):
            raise ValueError(problem)
    return _VARIABLE.sub(lambda found: context.environ[found[1]], text)
