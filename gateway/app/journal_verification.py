"""What ``killcord journal verify`` checks of a stored journal beyond its chain: projections and blobs against entries."""

from __future__ import annotations

import asyncio
import hashlib
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from gateway import errors
from gateway.clients.keys.signing import open_head_key
from gateway.settings.config import Config
from gateway.stores.sqlite.database import FILE
from gateway.stores.sqlite.reprojection import differences
from gateway.stores.sqlite.store import reading

_PROGRAM = "import pathlib, sys; from gateway.app import journal_verification; journal_verification.report(pathlib.Path(sys.argv[1]))"

_REF = re.compile(rb'_ref":"(sha256:[0-9a-f]{64})"')


def problems(data_dir: Path) -> list[str]:
    """What is wrong, one line each. Reads one state of the journal, also while a gateway writes it; takes minutes where it is long.

    Raises:
        Misconfigured: the journal cannot be read.
    """
    try:
        with closing(sqlite3.connect(f"{(data_dir / FILE).absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            tables = [f"projection {found}" for found in differences(connection)]
            return tables + list(_blobs(connection))
    except sqlite3.Error as broken:
        raise errors.Misconfigured([f"{data_dir / FILE}: the journal cannot be read ({broken})"]) from broken


def report(data_dir: Path) -> None:
    """Print what is wrong as a JSON list: what :class:`StoreVerifier` runs."""
    sys.stdout.buffer.write(orjson.dumps(problems(data_dir)))


@dataclass(slots=True)
class StoreVerifier:
    """Verifies a running gateway's stored journal in another process, since it would delay the calls. One verification at a time."""

    data_dir: Path
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __call__(self) -> list[str]:
        """What is wrong, one line each.

        Raises:
            JournalUnavailable: the journal cannot be read.
        """
        async with self._alone:
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", _PROGRAM, str(self.data_dir), stdout=pipe, stderr=pipe)
            try:
                printed, said = await process.communicate()
            except asyncio.CancelledError:
                process.kill()
                raise
        if process.returncode != 0:
            last = said.decode(errors="replace").strip().rpartition("\n")[2]
            raise errors.JournalUnavailable(f"The stored journal cannot be verified: {last}")
        found: list[str] = orjson.loads(printed)
        return found


def evidence_of(config: Config) -> tuple[Path, Path | None, str]:
    """What a verification of a configured journal uses: its folder, its anchored heads if there are any, and its verifying key.

    Raises:
        Misconfigured: there is no journal, or a key cannot be used.
    """
    with reading(config.data_dir) as journal:
        stream = journal.stream
    path = None if config.anchor is None else config.anchor / f"{stream}.heads"
    return config.data_dir, path if path is not None and path.exists() else None, open_head_key(config.data_dir / "keys").verifier_key


def _blobs(connection: sqlite3.Connection) -> Iterator[str]:
    """Blobs that are missing or are not what their name says. Those of a forgotten tenant stay, sealed permanently."""
    for seq, line in connection.execute("SELECT seq, line FROM entries ORDER BY seq"):
        for ref in _REF.findall(line):
            row = connection.execute("SELECT data FROM blobs WHERE ref = ?", (ref.decode(),)).fetchone()
            if row is None:
                yield f"entry {seq} names the blob {ref.decode()}, which is missing"
            elif hashlib.sha256(row[0]).hexdigest() != ref.decode().partition(":")[2]:
                yield f"entry {seq} names the blob {ref.decode()}, whose content was changed"
