"""The journal taken along and checked: exports, and what verifies them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import orjson

from gateway import errors
from gateway.cli import api, output
from gateway.cli.api import Api, Lines
from gateway.cli.failure import Failure, wrong_use
from gateway.core.journal import chain, signed_note
from gateway.core.journal.chain import Finding, Verifier
from gateway.model.entry import Head

PARTIAL = "If this token sees only some tenants or task classes, its export has gaps; use one that sees all."

PAGE = 1000
"""Entries asked for at a time."""

KEY_TIMEOUT = 3.0
"""Seconds to ask a gateway for its verifying key, where a file is checked that may have come from elsewhere."""


@dataclass(frozen=True, slots=True)
class Written:
    """An export on disk. ``finding`` is what is wrong with it, where it should verify."""

    entries: int
    heads: int
    finding: Finding | None
    value: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Checked:
    entries: int
    heads: int
    streams: Mapping[str, int]
    finding: Finding | None
    warnings: tuple[str, ...]
    value: Mapping[str, object]


def export(client: Api, out: Path, *, run: str | None, tenant: str | None) -> Written:
    """Write the journal up to a head signed now, and the heads behind it. A part of it (by run or tenant) holds no heads.

    Raises:
        Failure: the gateway refused or cannot be reached, or the file cannot be written; what stood there before still does.
    """
    whole = run is None and tenant is None
    heads, key = _signed(client) if whole else ([], "")
    verifier = Verifier(keys=[key] if key else [])
    count = 0

    def fill(file: BinaryIO) -> None:
        nonlocal count
        for line in _until(client, heads) if whole else _lines(client, run, tenant):
            file.write(line)
            verifier.feed(line)
            count += 1
        for head in heads:
            file.write(chain.head_line(head) + b"\n")
            verifier.feed(chain.head_line(head))

    _replace(out, fill)
    finding = verifier.finding if whole else None
    value = {"file": str(out), "entries": count, "heads": len(heads), "whole": whole, "finding": _shown(finding)}
    return Written(count, len(heads), finding, value)


def verify(file: Path | None, heads: Path | None, key: str | None) -> Checked:
    """Check an export, a journal where it is kept, or the running gateway's, to the first finding.

    Raises:
        Failure: there is nothing to check, or the key or a head is no such thing.
    """
    warnings: list[str] = []
    keys = _keys(file, key, warnings)
    verifier = Verifier(keys=keys, anchors=_anchors(heads))
    try:
        for line in _file(file) if file is not None else _live(api.of_environment()):
            if verifier.feed(line) is not None:
                break
        verifier.finish()
    except ValueError as wrong:
        raise wrong_use(f"--key: {wrong}") from wrong
    if verifier.finding is None:
        warnings += [
            f"no signed head covers the last {left} entries of {stream}: a cut there would not show"
            for stream, left in verifier.uncovered.items()
            if left
        ]
        warnings += [] if verifier.entries else ["there are no entries"]
    value = {
        "intact": verifier.finding is None,
        "entries": verifier.entries,
        "heads": verifier.heads,
        "streams": dict(verifier.streams),
        "signatures_checked": bool(keys),
        "finding": _shown(verifier.finding),
        "warnings": warnings,
    }
    return Checked(verifier.entries, verifier.heads, verifier.streams, verifier.finding, tuple(warnings), value)


def notes(text: str) -> list[str]:
    """The signed notes of a file: one behind the other, or the ``checkpoint`` lines of an export."""
    if text.lstrip().startswith("{"):
        return [fields["checkpoint"] for line in text.splitlines() if line and chain.is_head(fields := orjson.loads(line))]
    found: list[str] = []
    for line in text.splitlines():
        if line.startswith(signed_note.ORIGIN):
            found.append("")
        if found:
            found[-1] += line + "\n"
    return [one.rstrip("\n") + "\n" for one in found]


def _keys(file: Path | None, key: str | None, warnings: list[str]) -> list[str]:
    if key is not None:
        return [key]
    if file is None:
        return [api.of_environment().get("/v1/journal/heads")["verifier_key"]]
    # A file may be any gateway's: only one that was named is asked for its key.
    if os.environ.get(api.URL) or os.environ.get(api.TOKEN):
        with suppress(Failure):
            return [api.of_environment(timeout=KEY_TIMEOUT).get("/v1/journal/heads")["verifier_key"]]
    warnings.append(
        "no verifying key: signatures were not judged, so this proves only that the file agrees with itself; "
        f"give --key, or name the gateway in {api.URL} and {api.TOKEN}"
    )
    return []


def _anchors(heads: Path | None) -> list[str]:
    if heads is None:
        return []
    try:
        files = sorted(one for one in heads.iterdir() if one.is_file()) if heads.is_dir() else [heads]
        found = [text for one in files for text in notes(one.read_text())]
    except (OSError, ValueError) as error:
        raise wrong_use(f"--heads {heads}: cannot be read: {error}") from error
    if not found:
        raise wrong_use(f"--heads {heads}: holds no signed heads")
    return found


def _file(path: Path) -> Iterator[bytes]:
    from gateway.app import store as keeping

    if keeping.is_kept(path):
        try:
            yield from keeping.kept(path)
        except errors.Misconfigured as wrong:
            raise wrong_use(f"--file {path}: {wrong}") from wrong
        return
    try:
        with path.open("rb") as file, output.progress("verifying", path.stat().st_size) as bar:
            for line in file:
                yield line
                bar.advance(bar.task_ids[0], len(line))
    except OSError as error:
        raise wrong_use(f"--file {path}: cannot be read: {error.strerror}") from error


def _live(client: Api) -> Iterator[bytes]:
    """The journal of a running gateway, then its heads, as an export would hold them."""
    heads, _ = _signed(client)
    yield from _until(client, heads)
    for head in heads:
        yield chain.head_line(head)


def _signed(client: Api) -> tuple[list[Head], str]:
    """The heads of a journal signed to its end, and their verifying key."""
    signed = client.post("/v1/journal/heads", {})
    heads = [Head(one["stream"], one["seq"], one["hash"], one["ts"], one["checkpoint"]) for one in signed["items"]]
    return heads, str(signed["verifier_key"])


def _until(client: Api, heads: list[Head]) -> Iterator[bytes]:
    """Entries up to the heads: what came since is not covered by them."""
    ends = {head.stream: head.seq for head in heads}
    with output.progress("entries", sum(ends.values())) as bar:
        for page in _pages(client, None, None):
            lines = page.lines if _within(page.next, ends) else [line for line in page.lines if _covered(line, ends)]
            yield from lines
            bar.advance(bar.task_ids[0], len(lines))
            if page.next is not None and _beyond(page.next, ends):
                return


def _lines(client: Api, run: str | None, tenant: str | None) -> Iterator[bytes]:
    for page in _pages(client, run, tenant):
        yield from page.lines


def _pages(client: Api, run: str | None, tenant: str | None) -> Iterator[Lines]:
    """Page after page; while one is looked at, the next is on its way."""
    with ThreadPoolExecutor(1, "killcord-pages") as ahead:
        asked = ahead.submit(client.lines, run=run, tenant=tenant, limit=PAGE)
        while True:
            page = asked.result()
            if page.next is None:
                yield page
                return
            asked = ahead.submit(client.lines, run=run, tenant=tenant, after=page.next, limit=PAGE)
            yield page


def _covered(line: bytes, ends: Mapping[str, int]) -> bool:
    fields = orjson.loads(line)
    return bool(fields["seq"] <= ends.get(fields["stream"], 0))


def _beyond(cursor: str, ends: Mapping[str, int]) -> bool:
    """Whether nothing is left up to the ends."""
    stream, _, seq = cursor.rpartition("/")
    return len(ends) == 1 and stream in ends and int(seq) >= ends[stream]


def _within(cursor: str | None, ends: Mapping[str, int]) -> bool:
    """Whether a page that ends at this cursor lies before the ends, so that no line of it has to be looked at."""
    return cursor is not None and len(ends) == 1 and cursor.rpartition("/")[0] in ends and not _beyond(cursor, ends)


def _replace(out: Path, fill: Callable[[BinaryIO], None]) -> None:
    """Write a file whole or not at all."""
    part = out.with_name(f".{out.name}.part")
    try:
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(out)
    except OSError as error:
        raise wrong_use(f"--out {out}: cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _shown(finding: Finding | None) -> dict[str, object] | None:
    return None if finding is None else {"stream": finding.stream, "seq": finding.seq, "problem": finding.problem}
