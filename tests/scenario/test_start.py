"""A start does not forget: what an older, a rewritten or an edited journal does to a gateway that starts on it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from gateway.core.journal import chain
from tests.support.erp import Erp
from tests.support.gateway import Gateway

Site = Callable[[str], Gateway]
APPROVE = {"data": {"status": "approved"}}


@pytest.fixture
def gateway(site: Site, erp: Erp) -> Gateway:
    made = site(erp.url)
    made.settings["anchor"] = {"file": "./heads"}
    return made


def killed(gateway: Gateway, erp: Erp) -> tuple[str, str]:
    """A gateway with one write and a revoked run, stopped; the run's id and its dead lease."""
    gateway.start()
    run_id, lease = gateway.open_run(erp.tenant)
    assert gateway.call("PATCH", erp.path("invoices", "inv-1"), APPROVE, lease=lease).status == 200
    assert gateway.ask("POST", "/v1/orders", {"scope": {"run": run_id}, "mode": "revoked", "reason": "test"}).status == 201
    assert gateway.terminate() == 0
    return run_id, lease


def refused(gateway: Gateway, *named: str, options: tuple[str, ...] = ()) -> None:
    """A start ends with exit code 2 and one message that names all of this."""
    gateway.lines.clear()
    gateway.spawn(*options)
    assert gateway.ended() == 2, gateway.said
    for one in named:
        assert one in gateway.said


def edit(gateway: Gateway, *statements: str) -> None:
    with closing(sqlite3.connect(gateway.folder / "var" / "journal.sqlite")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.reliability(fault="A backup is restored", case="the start is refused; after an acceptance, every lease is revoked")
def test_a_restored_backup_is_refused_and_accepted_only_with_every_lease_revoked(gateway: Gateway, erp: Erp) -> None:
    gateway.start()
    _, old = gateway.open_run(erp.tenant)
    assert gateway.terminate() == 0
    backup = gateway.folder / "backup"
    shutil.copytree(gateway.folder / "var", backup)
    gateway.start()
    run_id, unknown = gateway.open_run(erp.tenant)
    gateway.contain("read_only", all=True)
    assert gateway.terminate() == 0
    shutil.rmtree(gateway.folder / "var")
    shutil.copytree(backup, gateway.folder / "var")
    refused(gateway, "a head was signed at seq", "--accept-older-journal")
    refused(gateway, "write why", options=("--accept-older-journal", " "))
    gateway.start("--accept-older-journal", "the disk was lost")
    assert "can be made twice" in gateway.said
    for lease in (old, unknown):
        assert gateway.call("GET", erp.path("invoices", "inv-1"), lease=lease).status in (401, 403)
    opened, lease = gateway.open_run(erp.tenant, run_id=run_id)  # the journal does not know it: at generation 1, as before
    assert opened == run_id
    for other, status in ((lease, 200), (unknown, 401)):
        assert gateway.call("GET", erp.path("invoices", "inv-1"), lease=other).status == status
    assert gateway.terminate() == 0
    gateway.start()  # the acceptance stands: it need not be given again
    assert gateway.terminate() == 0
    assert gateway.command("journal", "verify") == 0, gateway.said
    assert "an older journal was accepted" in gateway.said


@pytest.mark.reliability(fault="The history is rewritten", case="entries that were chained again without a key stop the start")
def test_a_history_that_was_chained_anew_stops_the_start(gateway: Gateway, erp: Erp) -> None:
    killed(gateway, erp)
    chain_anew(gateway.folder / "var" / "journal.sqlite")
    refused(gateway, "history up to it was rewritten")


def chain_anew(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        tip = chain.GENESIS
        for seq, line in connection.execute("SELECT seq, line FROM entries ORDER BY seq").fetchall():
            fields = orjson.loads(line)
            del fields["hash"], fields["prev_hash"]
            if seq == 1:
                fields["reason"] = "another"
            linked = chain.draft(fields).link(tip)
            tip = linked.hash
            connection.execute("UPDATE entries SET line = ? WHERE seq = ?", (linked.line, seq))


@pytest.mark.reliability(fault="Anchor emptied", case="the start logs that the anchor lacks what the journal signed")
def test_an_anchor_that_lacks_the_newest_head_is_logged(gateway: Gateway, erp: Erp) -> None:
    killed(gateway, erp)
    gateway.start()
    assert gateway.terminate() == 0
    assert "anchor-behind" not in gateway.said
    shutil.rmtree(gateway.folder / "heads")
    gateway.start()
    assert gateway.terminate() == 0
    assert gateway.said.count("anchor-behind") == 1
    gateway.start()
    assert gateway.terminate() == 0
    assert gateway.said.count("anchor-behind") == 1


@pytest.mark.reliability(fault="Anchor cannot be written", case="it is logged and shown; orders, exports and a clean stop work")
def test_an_anchor_that_breaks_while_the_gateway_runs_is_shown_and_stops_nothing(gateway: Gateway, erp: Erp) -> None:
    gateway.start()
    run_id, _ = gateway.open_run(erp.tenant)
    (gateway.folder / "heads").rename(gateway.folder / "away")
    (gateway.folder / "heads").write_text("")
    assert gateway.command("journal", "export", "--out", "out.ndjson", live=True) == 0, gateway.said
    ready = gateway.ask("GET", "/readyz")
    assert (ready.status, ready.body["anchor"]["ok"]) == (200, False)
    assert "cannot write" in ready.body["anchor"]["detail"]
    gateway.contain("read_only", run=run_id)
    assert gateway.terminate() == 0
    assert gateway.said.count("anchor-failed") == 1
    assert "Traceback" not in gateway.said


@pytest.mark.reliability(fault="A head cut off in the anchor", case="heads behind it find a restored backup; journal verify warns")
def test_a_head_that_was_cut_off_hides_no_other(gateway: Gateway, erp: Erp) -> None:
    killed(gateway, erp)
    backup = gateway.folder / "backup"
    shutil.copytree(gateway.folder / "var", backup)
    (file,) = (gateway.folder / "heads").iterdir()
    file.write_bytes(file.read_bytes()[:-40])
    killed(gateway, erp)
    assert gateway.command("journal", "verify") == 0, gateway.said
    assert "1 head(s) of" in gateway.said
    shutil.rmtree(gateway.folder / "var")
    shutil.copytree(backup, gateway.folder / "var")
    refused(gateway, "a head was signed at seq", "--accept-older-journal")


def test_a_backup_is_verified_whatever_its_name_and_what_is_no_journal_is_said_to_be_none(gateway: Gateway, erp: Erp) -> None:
    killed(gateway, erp)
    files = gateway.folder / "var" / "journal.sqlite", gateway.folder / "b.sqlite"
    with closing(sqlite3.connect(files[0])) as journal, closing(sqlite3.connect(files[1])) as copy:
        journal.backup(copy)
    assert gateway.command("journal", "verify", "--file", "b.sqlite", live=True) == 0, gateway.said
    assert gateway.command("journal", "verify", "--file", "killcord.yaml", live=True) == 2
    assert "is neither an export nor a journal" in gateway.said


@pytest.mark.reliability(fault="Blobs deleted", case="journal verify names the first entry whose blob is missing")
def test_deleted_blobs_are_found_by_a_verification(gateway: Gateway, erp: Erp) -> None:
    killed(gateway, erp)
    assert gateway.command("journal", "verify") == 0, gateway.said
    edit(gateway, "DELETE FROM blobs")
    assert gateway.command("journal", "verify") == 1
    assert "which is missing" in gateway.said


def test_an_edited_table_is_named_by_a_verification(gateway: Gateway, erp: Erp) -> None:
    killed(gateway, erp)
    edit(gateway, "UPDATE runs SET revoked = 0")
    assert gateway.command("journal", "verify") == 1
    assert "projection runs" in gateway.said


@pytest.mark.reliability(fault="Projections edited", case="`killcord journal verify` asks the running gateway, which names the table")
def test_a_running_gateway_inspects_its_own_tables_and_uses_its_anchor(gateway: Gateway, erp: Erp) -> None:
    gateway.start()
    gateway.open_run(erp.tenant)
    assert gateway.command("journal", "verify", live=True) == 0, gateway.said
    edit(gateway, "UPDATE runs SET tenant = 'globex'")
    assert gateway.command("journal", "verify", live=True) == 1
    assert "projection runs" in gateway.said
