"""Journals of earlier versions verify, give the tables they had, and can be continued."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import orjson
import pytest
from msgspec.structs import replace

from gateway.core.codec import entry as codec
from gateway.core.codec.record import with_tool
from gateway.core.journal import chain
from gateway.model.entries import RefusalEntry
from gateway.model.entry import Kind
from gateway.model.run import Mode, Scope
from gateway.stores.sqlite.database import Database
from gateway.stores.sqlite.rebuilding import PROJECTIONS, rebuild
from tests.support import driven, earlier
from tests.support.rig import until_async


@pytest.fixture(params=earlier.NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def tables(data_dir: Path) -> dict[str, list[tuple[object, ...]]]:
    """The projections, row by row; documents as what they hold, since their members stand in no order."""
    connection = sqlite3.connect(data_dir / "journal.sqlite")
    try:
        return {
            table: sorted((tuple(map(_cell, row)) for row in connection.execute(f"SELECT * FROM {table}")), key=lambda row: repr(row[:4]))
            for table in PROJECTIONS
        }
    finally:
        connection.close()


def _cell(value: object) -> object:
    return with_tool(orjson.loads(value)) if isinstance(value, bytes) else value


def test_every_kind_of_entry_is_among_them() -> None:
    kinds = {orjson.loads(line)["kind"] for name in earlier.NAMES for line in earlier.entries(name)}
    assert kinds == set(Kind) - {Kind.STORE}, "no earlier version wrote entries about the store itself"
    assert any(b'"untold"' in line for line in earlier.entries("failures"))


def test_it_verifies_byte_for_byte(name: str) -> None:
    found = chain.verify(earlier.export(name), keys=[earlier.verifier_key(name)])
    assert found.finding is None
    assert (found.entries, found.heads) == (len(earlier.entries(name)), 1)


def renamed(line: bytes) -> bytes:
    """A line as it would be written today: two members have another name, or form, and a target names its tool since."""
    document = dict(with_tool(orjson.loads(line)))
    if "approval" in document:
        document["approval"] = with_tool(document["approval"])
    if "untold" in document:
        document["missing_amount"] = document.pop("untold")
    if "wire_key" in document.get("task", {}):
        document["task"]["wire_keys"] = [document["task"].pop("wire_key")]
    return chain.canonical(document)


def test_every_entry_is_read_and_written_again_to_the_same_bytes(name: str) -> None:
    for line in earlier.entries(name):
        entry = codec.decode(line)
        assert codec.encode(entry) == renamed(line)
        assert entry.position == codec.position_in(line)
        assert entry.prev_hash is not None
        drafted = codec.draft(entry, entry.position).link(entry.prev_hash)
        assert (drafted.line == line) is (renamed(line) == line), "the hash of what is written today covers the same bytes"


def test_a_missing_amount_is_read_under_its_earlier_name() -> None:
    refusals = [entry for line in earlier.entries("failures") if isinstance(entry := codec.decode(line), RefusalEntry)]
    assert [one.missing_amount for one in refusals if one.missing_amount is not None] == ["amount:refund"]


def test_members_of_later_versions_are_covered_by_the_hash_and_passed_over_by_readers(name: str) -> None:
    tip, lines = chain.GENESIS, []
    for line in earlier.entries(name):
        document = orjson.loads(line)
        del document["hash"], document["prev_hash"]
        linked = chain.draft({**document, "later": {"what": ["else"]}}).link(tip)
        lines.append(linked.line)
        tip = linked.hash
        assert replace(codec.decode(linked.line), hash=None, prev_hash=None) == replace(codec.decode(line), hash=None, prev_hash=None)
    assert chain.verify(lines).finding is None
    lines[3] = lines[3].replace(b'"else"', b'"elsa"')
    finding = chain.verify(lines).finding
    assert finding is not None
    assert finding.seq == 4


def test_one_changed_byte_is_found(name: str) -> None:
    lines = earlier.export(name)
    lines[5] = lines[5].replace(b'"tenant":"acme"', b'"tenant":"acmf"', 1)
    finding = chain.verify(lines, keys=[earlier.verifier_key(name)]).finding
    assert finding is not None
    assert finding.seq == 6


def test_it_gives_the_tables_that_it_had(name: str, tmp_path: Path) -> None:
    data_dir = earlier.copy(name, tmp_path)
    Database(data_dir, stream="").close()  # migrates it
    before = tables(data_dir)
    assert rebuild(data_dir) == len(earlier.entries(name))
    assert tables(data_dir) == before


def test_names_of_objects_hold_their_tool(name: str, tmp_path: Path) -> None:
    data_dir = earlier.copy(name, tmp_path)
    Database(data_dir, stream="").close()
    found = tables(data_dir)
    names = {str(row[1]) for row in found["sightings"]}
    assert names
    assert all(name.split("/")[1] == "ledger" for name in names)


async def test_a_run_of_an_earlier_version_is_rolled_back(tmp_path: Path) -> None:
    earlier.copy("incident", tmp_path)
    ledger = earlier.tool("incident")
    async with driven.come_up(tmp_path, ledger) as at:
        gateway = at.gateway
        (run,) = [one for one in await gateway.resources.store.registry.runs() if one.agent_id == "later"]
        await gateway.control.containment.make(Scope(run=run.run_id), Mode.QUARANTINED, reason="test", by="test")
        begun = await gateway.recovery.rollbacks.start(run.run_id, subtree=False, to="start", reason="test", by="ops")
        await until_async(lambda: driven.rolled(at, run.run_id, "clean", "residue"))
        states = (await gateway.recovery.rollbacks.view(begun.rollback_id)).states
        assert sorted(state.value for state in states.values()) == ["done", "done", "done", "task"]
    assert {name: ledger.get("acme", "invoices", name)["status"] for name in ("inv_3", "inv_4")} == {"inv_3": "open", "inv_4": "open"}
