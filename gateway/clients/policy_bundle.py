"""A policy bundle: what a folder of policies says, read once and named by its content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import orjson
import yaml

from gateway import errors

TEST_SUFFIX = "_test.rego"
_DATA = ("data.json", "data.yaml", "data.yml")
_DATA_SUFFIXES = (".json", ".yaml", ".yml")

Fingerprint = tuple[tuple[str, int, int, int, int], ...]
"""Of every file of a bundle: name, inode, size, and when content and inode changed last (ns). Cheap to take, changes when a file does."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """``modules`` and ``tests`` map file names (the folder's own name in front, as an editor shows them) to Rego.

    ``data`` is what lies under ``data``. ``revision`` is the first 12 hex digits of SHA-256 over names and contents of
    modules and data, so that a change of tests alone makes no new revision. ``placed`` says under which path each data file stands, and
    ``unread`` names files with the suffix of data that are not read, because of their name.
    """

    modules: Mapping[str, str]
    tests: Mapping[str, str]
    data: Mapping[str, object]
    revision: str
    placed: Mapping[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


def fingerprint(folder: Path) -> Fingerprint:
    """Raises:
    OSError: the folder cannot be read.
    """
    stats = ((name, path.stat()) for name, path in _files(folder))
    return tuple((name, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in stats)


def read(folder: Path) -> Bundle:
    """Read every ``*.rego`` and every data file, the latter placed under ``data`` by its folder's path, as OPA does.

    Raises:
        Misconfigured: the folder or a file cannot be read, or two data files say different things about one path.
    """
    modules: dict[str, str] = {}
    tests: dict[str, str] = {}
    data: dict[str, object] = {}
    digest = hashlib.sha256()
    problems: list[str] = []
    placed: dict[str, str] = {}
    unread: list[str] = []
    at = folder
    try:
        for name, path in _files(folder, unread):
            at = path
            if not path.is_file() and path.exists():
                raise errors.Misconfigured([f"{path}: is no regular file; remove it, or give it another name"])
            content = path.read_bytes()
            shown = f"{folder.resolve().name}/{name}"
            if name.endswith(TEST_SUFFIX):
                tests[shown] = content.decode()
                continue
            digest.update(b"%d:%s%d:" % (len(name.encode()), name.encode(), len(content)) + content)
            if name.endswith(".rego"):
                modules[shown] = content.decode()
                continue
            placed[shown] = ".".join(("data", *PurePosixPath(name).parent.parts))
            if problem := _graft(data, PurePosixPath(name), content):
                problems.append(f"{shown}: {problem}")
    except OSError as error:
        raise errors.Misconfigured([unreadable(folder, error)]) from error
    except UnicodeDecodeError as error:
        raise errors.Misconfigured([f"{at}: is not UTF-8 text ({error.reason} at byte {error.start})"]) from error
    if problems:
        raise errors.Misconfigured(problems)
    return Bundle(modules, tests, data, digest.hexdigest()[:12], placed, tuple(f"{folder.resolve().name}/{name}" for name in unread))


def unreadable(folder: Path, error: OSError) -> str:
    """What cannot be read of a folder of policies."""
    return f"{error.filename or folder}: policies cannot be read: {error.strerror}"


def _files(folder: Path, unread: list[str] | None = None) -> Iterator[tuple[str, Path]]:
    """Every file that counts, sorted by its name relative to the folder; ``unread`` gets the names of other files of data.

    Hidden folders are passed over: a mounted ConfigMap keeps its older revisions in some.
    """

    def stop(error: OSError) -> None:
        raise error

    found: list[tuple[str, Path]] = []
    for parent, folders, names in os.walk(folder, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        wanted = (Path(parent, name) for name in names if name in _DATA or (name.endswith(".rego") and not name.startswith(".")))
        found += [(path.relative_to(folder).as_posix(), path) for path in wanted]
        if unread is not None:
            others = (name for name in names if name not in _DATA and name.endswith(_DATA_SUFFIXES) and not name.startswith("."))
            unread += sorted(Path(parent, name).relative_to(folder).as_posix() for name in others)
    yield from sorted(found)


def _graft(data: dict[str, object], name: PurePosixPath, content: bytes) -> str | None:
    """Put a data file's content in its place; returns what prevents it."""
    try:
        # Through JSON, so that YAML's dates and the like are found here and not by a rule that misreads them.
        document = orjson.loads(content if name.suffix == ".json" else orjson.dumps(yaml.safe_load(content)))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, yaml.YAMLError) as error:
        return f"cannot be used as data: {' '.join(str(error).split())}"
    for part in reversed(name.parent.parts):
        document = {part: document}
    if not isinstance(document, dict):
        return "data at the top of the folder must be an object"
    return _merge(data, document, "data")


def _merge(into: dict[str, object], new: Mapping[str, object], at: str) -> str | None:
    for key, value in new.items():
        present = into.setdefault(key, value)
        if present is value:
            continue
        if not (isinstance(present, dict) and isinstance(value, dict)):
            return f"{at}.{key} is defined by another data file as well"
        if problem := _merge(present, value, f"{at}.{key}"):
            return problem
    return None
