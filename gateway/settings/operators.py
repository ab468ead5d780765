"""The tokens file: who may use the control API. It holds hashes only; a token is shown once, when it is made."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field

from gateway import errors
from gateway.http.server.operators import Operator, Role
from gateway.settings import document
from gateway.settings.document import Located, Section

PREFIX = "kcop_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)


class _Entry(Section):
    name: str
    role: Annotated[Role, Field(strict=False)]
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    tenants: list[str] = Field(default_factory=lambda: ["*"])
    classes: list[str] = Field(default_factory=lambda: ["*"])


def digest(token: str) -> str:
    """Hex SHA-256. Tokens carry 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def load(path: Path) -> dict[str, Operator]:
    """The operators of a tokens file by the digest of their token, in file order; none if there is no file yet.

    Raises:
        Misconfigured: the file cannot be used, one line per problem.
    """
    if not path.exists():
        return {}
    found, problems = document.read(path)
    entries = [] if problems else _entries(found, problems)
    if path.stat().st_mode & 0o022:
        problems.append(f"{path}: others can change this file; run: chmod 600 {path}")
    if problems:
        raise errors.Misconfigured(problems)
    return {one.hash: Operator(one.name, one.role, tuple(one.tenants), tuple(one.classes)) for one in entries}


def add(path: Path, name: str, role: Role, *, tenants: Sequence[str] = ("*",), classes: Sequence[str] = ("*",)) -> str:
    """Make a token, keep its hash (file 0600, replaced whole), and return it: it cannot be shown again.

    Raises:
        Misconfigured: the file cannot be used, or the name is taken or no name.
    """
    known = load(path)
    if not _NAME.fullmatch(name):
        raise errors.Misconfigured([f"{name!r} is not an operator's name; use letters, digits and . _ @ -"])
    if any(one.name == name for one in known.values()):
        raise errors.Misconfigured([f"{path}: there is an operator {name} already; choose another name, or remove that entry"])
    token = PREFIX + secrets.token_urlsafe(32)
    known[digest(token)] = Operator(name, role, tuple(tenants), tuple(classes))
    _replace(path, [_row(key, one) for key, one in known.items()])
    return token


def _entries(found: Located, problems: list[str]) -> list[_Entry]:
    rows = found.value if found.value is not None else []
    if not isinstance(rows, list):
        problems.append(found.problem((), "must be a list of {name, role, hash, tenants, classes}; killcord operators add creates entries"))
        return []
    entries: list[_Entry] = []
    for place in range(len(rows)):
        entry, wrong = document.validate(found, _Entry, (place,))
        problems += wrong
        entries += [entry] if entry else []
    for place, entry in enumerate(entries):
        if any(entry.name == other.name or entry.hash == other.hash for other in entries[:place]):
            problems.append(found.problem((place, "name"), f"{entry.name} or its hash is a duplicate; keep one entry"))
    return entries


def _row(key: str, one: Operator) -> dict[str, object]:
    return {"name": one.name, "role": str(one.role), "hash": key, "tenants": list(one.tenants), "classes": list(one.classes)}


def _replace(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    fresh = path.with_name(f".{path.name}.new")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        yaml.safe_dump(list(rows), file, sort_keys=False, allow_unicode=True)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
