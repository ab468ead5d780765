from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import errors
from gateway.cli import client, evidence
from gateway.cli.output import Failure
from gateway.clients.clock import SystemClock
from gateway.core.journal import chain, signed_note
from gateway.core.journal.chain import ChainFinding
from gateway.stores.sqlite import open_store
from gateway.stores.sqlite.log.opening import Expected
from tests.support.command_line import Cli, Gateway
from tests.support.journaling import typed

OPEN = ("runs", "open", "--tenant", "acme", "--agent", "billing", "--scope", "erp:*", "--run")
PATIENCE = 20.0


@pytest.fixture
def export(gateway: Gateway, killcord: Cli, tmp_path: Path) -> Path:
    """The whole journal of six entries, taken along."""
    for name in ("r1", "r2", "r3"):
        killcord(*OPEN, name)
        killcord("runs", "close", name, "--reason", "Zoë, \U0001f512")
    path = tmp_path / "journal.ndjson"
    said = killcord("journal", "export", "--out", str(path))
    assert (said.code, said.out) == (0, f"6 entries and 1 signed head(s) are in {path}.\n")
    return path


def test_an_export_holds_the_entries_and_then_the_head_and_verifies(gateway: Gateway, killcord: Cli, export: Path) -> None:
    lines = [json.loads(line) for line in export.read_bytes().splitlines()]
    assert [line.get("seq") for line in lines] == [1, 2, 3, 4, 5, 6, 6]
    assert "checkpoint" in lines[-1]
    said = killcord("journal", "verify", "--file", str(export))
    assert said.code == 0, said
    assert said.out.startswith("Intact: 6 entries")
    assert said.err == ""
    checked = killcord.json("journal", "verify", "--file", str(export))
    assert (checked["intact"], checked["signatures_checked"], checked["finding"]) == (True, True, None)


def test_a_viewer_exports_up_to_the_head_that_was_signed_last(
    gateway: Gateway, killcord: Cli, export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killcord(*OPEN, "r4")
    monkeypatch.setenv("KILLCORD_TOKEN", "viewer-token")
    said = killcord("journal", "export", "--out", str(tmp_path / "viewed.ndjson"))
    assert (said.code, said.out.partition(" are in")[0]) == (0, "6 entries and 1 signed head(s)")
    assert (tmp_path / "viewed.ndjson").read_bytes() == export.read_bytes()
    assert killcord("journal", "verify", "--file", str(tmp_path / "viewed.ndjson")).code == 0


async def test_a_kept_journal_is_verified_where_it_lies_also_one_that_no_gateway_starts_on(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    store = await open_store(folder, SystemClock(), Expected(key=b"k" * 32))
    for _ in range(5):
        await store.journal.append(typed({"ts": "2026-11-24T20:08:03.123456Z", "kind": "finding", "reason": "as it was"}))
    stream = store.journal.stream
    await store.close()
    for place in (folder, folder / "journal.sqlite"):
        value, finding = evidence.verify(place, None, None)
        assert (finding, value["entries"], value["streams"]) == (None, 5, {stream: 5})
    with closing(sqlite3.connect(folder / "journal.sqlite")) as forged:
        forged.execute("UPDATE entries SET line = replace(CAST(line AS TEXT), 'as it was', 'as it is!') WHERE seq = 3")
        forged.commit()
    with pytest.raises(errors.Misconfigured, match=f"{stream}/3.*killcord journal verify --file {folder / 'journal.sqlite'}"):
        await open_store(folder, SystemClock(), Expected(key=b"k" * 32))
    _, finding = evidence.verify(folder / "journal.sqlite", None, None)
    assert finding is not None
    assert isinstance(finding, ChainFinding)
    assert (finding.stream, finding.seq) == (stream, 3)
    (folder / "journal.sqlite").write_bytes(b"no database at all, by far not, and long enough to be looked at")
    with pytest.raises(Failure, match="cannot be read") as broken:
        evidence.verify(folder, None, None)
    assert broken.value.code == 2


def test_a_journal_with_a_checkpoint_in_it_verifies_and_its_export_gives_heads(gateway: Gateway, killcord: Cli, tmp_path: Path) -> None:
    killcord(*OPEN, "r1")
    assert killcord("checkpoints", "r1", "--state-ref", "wf@3").code == 0
    path = tmp_path / "journal.ndjson"
    assert killcord("journal", "export", "--out", str(path)).code == 0
    assert "checkpoint" in [json.loads(line).get("kind") for line in path.read_bytes().splitlines()]
    for checked in (("--file", str(path)), ("--file", str(path), "--heads", str(path)), ()):
        said = killcord("journal", "verify", *checked)
        assert said.code == 0, said


def test_an_export_of_many_pages_verifies(gateway: Gateway, killcord: Cli, tmp_path: Path) -> None:
    async def many() -> None:
        for number in range(2500):
            gateway.parts.store.journal.post(typed({"ts": "2026-11-24T20:08:03.123456Z", "kind": "finding", "number": number}))
        await gateway.parts.store.journal.append(typed({"ts": "2026-11-24T20:08:03.123456Z", "kind": "finding"}))

    gateway.do(many())
    path = tmp_path / "journal.ndjson"
    assert killcord.json("journal", "export", "--out", str(path))["entries"] == 2501
    assert killcord("journal", "verify", "--file", str(path)).code == 0
    assert killcord("journal", "verify").code == 0


def test_a_cut_tail_is_found_by_the_head_at_the_end(killcord: Cli, export: Path) -> None:
    lines = export.read_bytes().splitlines(keepends=True)
    export.write_bytes(b"".join(lines[:4] + lines[6:]))
    said = killcord("journal", "verify", "--file", str(export))
    assert said.code == 1
    stream = json.loads(lines[0])["stream"]
    assert f"{stream}/5: " in said.err
    assert "its end was removed" in said.err


def test_a_changed_entry_is_named(killcord: Cli, export: Path) -> None:
    lines = export.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"admin"', b'"nobody"')
    export.write_bytes(b"".join(lines))
    said = killcord("journal", "verify", "--file", str(export), "--json")
    assert (said.code, said.value["finding"]["seq"], said.value["intact"]) == (1, 3, False)


def test_an_anchored_head_shows_that_heads_and_tail_were_cut(gateway: Gateway, killcord: Cli, export: Path, tmp_path: Path) -> None:
    lines = export.read_bytes().splitlines(keepends=True)
    export.write_bytes(b"".join(lines[:4]))
    said = killcord("journal", "verify", "--file", str(export))
    assert said.code == 0
    assert "this check would not find it" in said.err
    anchors = tmp_path / "heads"
    anchors.mkdir()
    (anchors / "st.heads").write_text("".join(head.note + "\n" for head in gateway.parts.anchored))
    said = killcord("journal", "verify", "--file", str(export), "--heads", str(anchors))
    assert said.code == 1
    assert "its end was removed" in said.err


def test_a_foreign_key_is_not_trusted(killcord: Cli, export: Path) -> None:
    foreign = signed_note.verifier_key("killcord", Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    said = killcord("journal", "verify", "--file", str(export), "--key", foreign)
    assert (said.code, "no trusted key signed it" in said.err) == (1, True)
    said = killcord("journal", "verify", "--file", str(export), "--key", "nonsense")
    assert said.code == 2


def test_without_a_key_only_agreement_is_proved_and_it_reports_it(killcord: Cli, export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KILLCORD_URL")
    monkeypatch.delenv("KILLCORD_TOKEN")
    said = killcord("journal", "verify", "--file", str(export))
    assert said.code == 0
    assert "signatures were not checked" in said.err


def test_a_part_of_the_journal_says_that_it_is_one(gateway: Gateway, killcord: Cli, export: Path) -> None:
    said = killcord("journal", "export", "--out", str(export), "--run", "r2")
    assert said.code == 0
    assert "cannot be verified as a whole" in said.err
    lines = [json.loads(line) for line in export.read_bytes().splitlines()]
    assert [line["run_id"] for line in lines] == ["r2", "r2"]
    assert killcord("journal", "verify", "--file", str(export)).code == 1


def test_a_token_that_sees_a_part_only_cannot_export_the_whole(
    gateway: Gateway, killcord: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, tenant in (("r1", "globex"), ("r2", "acme")):
        killcord("runs", "open", "--tenant", tenant, "--agent", "a", "--scope", "erp:*", "--run", name)
    monkeypatch.setenv("KILLCORD_TOKEN", "acme-verifier")
    said = killcord("journal", "export", "--out", str(tmp_path / "x"))
    assert said.code == 1
    assert "A token narrowed to tenants" in said.err


def test_a_failed_export_leaves_what_was_there(killcord: Cli, gateway: Gateway, export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = export.read_bytes()
    monkeypatch.setenv("KILLCORD_TOKEN", "nope")
    assert killcord("journal", "export", "--out", str(export)).code == 1
    assert export.read_bytes() == before
    assert sorted(one.name for one in export.parent.iterdir()) == ["journal.ndjson", "var"]
    monkeypatch.setenv("KILLCORD_TOKEN", "admin-token")
    assert killcord("journal", "export", "--out", str(export / "below")).code == 2


def test_nothing_to_read_is_wrong_use(killcord: Cli, tmp_path: Path) -> None:
    assert killcord("journal", "verify", "--file", str(tmp_path / "none")).code == 2
    (tmp_path / "empty").write_text("no heads here")
    (tmp_path / "file").write_text("")
    said = killcord("journal", "verify", "--file", str(tmp_path / "file"), "--heads", str(tmp_path / "empty"))
    assert (said.code, "contains no signed heads" in said.err) == (2, True)


def test_the_tail_shows_the_newest_and_an_entry_shows_whole(killcord: Cli, export: Path) -> None:
    lines = killcord("journal", "tail", "-n", "2", "--json").out.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [5, 6]
    assert lines == export.read_text().splitlines()[4:6]
    assert len(killcord("journal", "tail", "-n", "1", "--run", "r1", "--json").out.splitlines()) == 1
    people = killcord("journal", "tail").out.splitlines()
    assert len(people) == 6
    assert "closed" in people[-1]
    where = f"{json.loads(lines[0])['stream']}/5"
    assert killcord.json("journal", "show", where)["seq"] == 5
    assert killcord("journal", "show", "st_nowhere/5").code == 1
    assert killcord("journal", "heads").err.startswith("verifying key: killcord+")


@pytest.mark.parametrize("entry", ["nope", "st_1", "st_1/", "/3", "st_1/three"])
def test_what_names_no_entry_is_wrong_use(killcord: Cli, gateway: Gateway, entry: str) -> None:
    said = killcord("journal", "show", entry)
    assert (said.code, "write STREAM/SEQ" in said.err) == (2, True)


def test_a_follower_on_the_command_line_sees_what_comes(gateway: Gateway, killcord: Cli) -> None:
    seen: list[str] = []
    came = threading.Event()

    def follow() -> None:
        for line in client.connect().follow("/v1/journal/follow", kind="run"):
            seen.append(json.loads(line)["run_id"])
            came.set()
            return

    follower = threading.Thread(target=follow)
    follower.start()
    number = 0
    while not came.wait(0.2) and number < PATIENCE / 0.2:
        number += 1
        killcord(*OPEN, f"r{number}")
    follower.join(PATIENCE)
    assert seen


def test_notes_are_found_one_behind_the_other(gateway: Gateway, killcord: Cli, export: Path) -> None:
    (head,) = gateway.parts.anchored
    assert evidence.notes(head.note + "\n" + head.note) == [head.note, head.note]
    assert evidence.notes(chain.head_line(head).decode()) == [head.note]
