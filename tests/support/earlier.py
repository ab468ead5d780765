"""Journals that were written before entries had types, kept in ``tests/fixtures/journals`` with what it takes to continue them.

``journal.ndjson`` is the export (entries, then signed heads), ``verifier.key`` verifies the heads, ``journal.sqlite.gz`` and ``keys`` are
the data folder, and ``tool.json`` is what the tool held when the gateway stopped.
"""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import orjson

from tests.support.ledger import Ledger

NAMES = ("incident", "failures")
FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "journals"


def export(name: str) -> list[bytes]:
    """The lines of the export, heads included."""
    return (FOLDER / name / "journal.ndjson").read_bytes().splitlines()


def entries(name: str) -> list[bytes]:
    """The lines of the export that are entries."""
    return [line for line in export(name) if b'"prev_hash"' in line]


def verifier_key(name: str) -> str:
    return (FOLDER / name / "verifier.key").read_text().strip()


def copy(name: str, folder: Path) -> Path:
    """Copy the data folder to ``folder/var``, as a gateway left it; gives its path."""
    data = folder / "var"
    shutil.copytree(FOLDER / name / "keys", data / "keys")
    (data / "journal.sqlite").write_bytes(gzip.decompress((FOLDER / name / "journal.sqlite.gz").read_bytes()))
    for path in (data, *data.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return data


def tool(name: str) -> Ledger:
    """The tool as it was when the gateway stopped."""
    held = orjson.loads((FOLDER / name / "tool.json").read_bytes())
    ledger = Ledger(counter=held["counter"])
    for path, (version, data) in held["objects"].items():
        tenant, kind, key = path.split("/")
        ledger.objects[tenant, kind, key] = (version, data)
    return ledger
