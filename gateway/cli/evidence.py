"""The journal as evidence: exports, and what verifies them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import chain as chained
from pathlib import Path
from typing import BinaryIO

import orjson
from msgspec.structs import asdict

from gateway.cli import client, output
from gateway.cli.output import EXPECTED, accessing, wrong_use
from gateway.core.journal import chain, signed_note
from gateway.core.journal.chain import ChainFinding, Verifier
from gateway.errors import Misconfigured
from gateway.model.entry import Head
from gateway.sdk.messages import TOKEN, URL, Json, Problem, Request, path
from gateway.sdk.sync import Killcord

PARTIAL = "A token narrowed to tenants or task classes exports a journal with gaps; use a token without limits."

PAGE = 1000
"""Entries requested at a time."""

KEY_TIMEOUT = 3.0
"""Seconds to wait for a gateway's verifying key while checking a file, which may be another gateway's."""

INSPECTION_TIMEOUT = 3600.0
"""Seconds to wait while a gateway compares its tables with all entries."""

LINES = "application/x-ndjson"


Page = tuple[list[bytes], str | None]
"""Journal lines, each with its newline, and the cursor of the next page; ``None`` after the last."""


def export(gateway: Killcord, out: Path, *, run: str | None, tenant: str | None) -> tuple[Json, ChainFinding | None]:
    """Write the journal up to a head signed now, then the heads. A part of it (by run or tenant) contains no heads.

    Returns what was written, for programs, and the first defect.

    Raises:
        Problem, Lost, Failure: the gateway refused or cannot be reached, or the file cannot be written; an earlier file is unchanged.
    """
    whole = run is None and tenant is None
    if whole:
        lines, heads, key = _whole(gateway)
    else:
        lines, heads, key = (line for lines, _ in pages(gateway, run=run, tenant=tenant) for line in lines), 0, None
    verifier, count = Verifier(keys=[key] if key else []), 0
    with _replacing(out) as file:
        for line in lines:
            file.write(line)
            verifier.feed(line)
            count += 1
    finding = verifier.finding if whole else None
    value = {"file": str(out), "entries": count - heads, "heads": heads, "whole": whole, "finding": finding and asdict(finding)}
    return value, finding


def verify(file: Path | None, heads: Path | None, key: str | None) -> tuple[Json, ChainFinding | str | None]:
    """Check an export, a ``data_dir``, or the running gateway's journal. Returns the result for programs, and the first defect.

    Of a ``data_dir`` also the projections and the blobs that entries name are checked.

    Raises:
        Problem, Lost, Failure: the gateway refused or cannot be reached, or a file, the key or a head cannot be read.
    """
    warnings: list[str] = []
    keys = _keys(file, key, warnings)
    stored, anchored = _inspected(warnings) if file is None else ([], [])
    verifier = Verifier(keys=keys, anchors=[*anchored, *_anchors(heads, warnings)])
    try:
        for line in _file(file) if file is not None else _whole(client.connect())[0]:
            if verifier.feed(line) is not None:
                break
        verifier.finish()
    except ValueError as wrong:
        raise wrong_use(f"--key: {wrong}") from wrong
    stored += _stored_problems(file) if verifier.finding is None else []
    if verifier.excused:
        lowest = min(head.seq for head in verifier.excused)
        warnings.append(
            f"an older journal was accepted: {len(verifier.excused)} signed head(s) from seq {lowest} on do not match and are excused by it"
        )
    if verifier.finding is None:
        uncovered = "no signed head covers the newest {} entries of {}: if they were removed, this check would not find it"
        warnings += [uncovered.format(left, stream) for stream, left in verifier.uncovered.items() if left]
        warnings += [] if verifier.entries else ["there are no entries"]
    value = {
        "intact": verifier.finding is None and not stored,
        "entries": verifier.entries,
        "heads": verifier.heads,
        "streams": dict(verifier.streams),
        "signatures_checked": bool(keys),
        "finding": verifier.finding and asdict(verifier.finding),
        "stored_problems": stored,
        "warnings": warnings,
    }
    return value, verifier.finding or (stored[0] if stored else None)


def _inspected(warnings: list[str]) -> tuple[list[str], list[str]]:
    """What a running gateway finds in its own tables and blobs, and the newest heads of its anchor."""
    try:
        found = client.connect(timeout=INSPECTION_TIMEOUT).ask("POST", path("journal", "inspection"), {})
    except Problem as refused:
        if refused.status != 403:
            raise
        warnings.append(f"tables, blobs and the anchor were not checked: {refused}")
        return [], []
    return list(found["problems"]), list(found["anchored"])


def _stored_problems(file: Path | None) -> list[str]:
    from gateway.app import data_dir, journal_inspection

    if file is None or not data_dir.is_journal(file):
        return []
    try:
        return journal_inspection.problems(file)
    except Misconfigured as wrong:
        raise wrong_use(f"--file {file}: {wrong}") from wrong


def notes(text: str) -> list[str]:
    """The signed notes in a text: notes one after the other, or the ``checkpoint`` lines of an export."""
    if text.lstrip().startswith("{"):
        return [fields["checkpoint"] for line in text.splitlines() if line and chain.is_head(fields := orjson.loads(line))]
    return signed_note.notes(text)


def _keys(file: Path | None, key: str | None, warnings: list[str]) -> list[str]:
    """The keys to check signatures with; empty, with a warning, if none is known."""
    if key is not None:
        return [key]
    if file is None:
        return [client.get(path("journal", "heads"))["verifier_key"]]
    # A file may be another gateway's: only a gateway that the environment names is asked for its key.
    if os.environ.get(URL) or os.environ.get(TOKEN):
        with suppress(*EXPECTED):
            return [client.connect(timeout=KEY_TIMEOUT).ask("GET", path("journal", "heads"))["verifier_key"]]
    warnings.append(
        "no verifying key: the signatures were not checked, so this proves only that the file agrees with itself; "
        f"give --key, or name the gateway in {URL} and {TOKEN}"
    )
    return []


def _anchors(heads: Path | None, warnings: list[str]) -> list[str]:
    """The notes of ``--heads``. One that was cut off while it was written proves nothing, and is a warning."""
    if heads is None:
        return []
    try:
        files = sorted(one for one in heads.iterdir() if one.is_file()) if heads.is_dir() else [heads]
        found = [text for one in files for text in notes(one.read_text())]
    except (OSError, ValueError) as error:
        raise wrong_use(f"--heads {heads}: cannot read the file: {error}") from error
    if not found:
        raise wrong_use(f"--heads {heads}: contains no signed heads")
    whole = [note for note in found if _is_head(note)]
    if len(whole) < len(found):
        warnings.append(f"{len(found) - len(whole)} head(s) of {heads} cannot be read: cut off while they were written, or changed since")
    return whole


def _is_head(note: str) -> bool:
    try:
        signed_note.read(note)
    except signed_note.NotTrusted:
        return False
    return True


def _file(file: Path) -> Iterator[bytes]:
    # Verifying an export must not wait for the stores to load.
    from gateway.app import data_dir

    if data_dir.is_journal(file):
        try:
            yield from data_dir.journal_lines(file)
        except Misconfigured as wrong:
            raise wrong_use(f"--file {file}: {wrong}") from wrong
        return
    with accessing("--file", file, "read"), file.open("rb") as lines, output.progress("verifying", file.stat().st_size) as bar:
        for number, line in enumerate(lines):
            if number == 0 and not line.startswith(b"{"):
                raise wrong_use(
                    f"--file {file}: is neither an export nor a journal; name a file of 'killcord journal export' or a data_dir"
                )
            yield line
            bar.advance(bar.task_ids[0], len(line))


def _whole(gateway: Killcord) -> tuple[Iterator[bytes], int, str | None]:
    """Entries up to heads that are signed now, then the heads; the number of heads, and their verifying key."""
    signed = signed_heads(gateway)
    heads = [Head(one["stream"], one["seq"], one["hash"], one["ts"], one["checkpoint"]) for one in signed["items"]]
    return chained(_until(gateway, heads), (chain.head_line(head) + b"\n" for head in heads)), len(heads), signed["verifier_key"]


def signed_heads(gateway: Killcord) -> Json:
    """Heads over the newest entries; those that the gateway signed last, at most a minute ago, if the token may not have it sign."""
    try:
        return gateway.ask("POST", path("journal", "heads"), {})
    except Problem as refused:
        if refused.code != "forbidden":
            raise
        signed = gateway.ask("GET", path("journal", "heads"))
        if not signed["items"]:
            raise
        return signed


def _until(gateway: Killcord, heads: list[Head]) -> Iterator[bytes]:
    """Entries up to the heads: they do not cover newer ones."""
    ends = {head.stream: head.seq for head in heads}
    with output.progress("entries", sum(ends.values())) as bar:
        for lines, following in pages(gateway):
            before = _lies_before(following, ends)
            covered = lines if before else [line for line in lines if _covered(line, ends)]
            yield from covered
            bar.advance(bar.task_ids[0], len(covered))
            if before is False:
                return


def pages(gateway: Killcord, after: str | None = None, **wanted: str | None) -> Iterator[Page]:
    """The journal as it is stored, page by page; while the caller reads one, the next is requested."""

    def request(after: str | None) -> Page:
        answer = gateway.fetch(Request("GET", path("journal"), query={**wanted, "after": after, "limit": PAGE}, accept=LINES))
        return answer.raw.splitlines(keepends=True), answer.headers.get("killcord-next")

    with ThreadPoolExecutor(1, "killcord-pages") as ahead:
        page = request(after)
        while page[1] is not None:
            following = ahead.submit(request, page[1])
            yield page
            page = following.result()
        yield page


def _covered(line: bytes, ends: Mapping[str, int]) -> bool:
    fields = orjson.loads(line)
    return bool(fields["seq"] <= ends.get(fields["stream"], 0))


def _lies_before(cursor: str | None, ends: Mapping[str, int]) -> bool | None:
    """Whether entries up to the end follow this cursor; ``None`` if it cannot be known, as with several streams."""
    stream, _, seq = (cursor or "").rpartition("/")
    return int(seq) < ends[stream] if list(ends) == [stream] else None


@contextmanager
def _replacing(out: Path) -> Iterator[BinaryIO]:
    """A file that replaces ``out`` when it is complete, and is removed otherwise."""
    part = out.with_name(f".{out.name}.part")
    try:
        with accessing("--out", out, "write"):
            part.unlink(missing_ok=True)
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(out)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
