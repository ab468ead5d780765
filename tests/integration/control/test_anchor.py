"""The anchor: what cannot be written is reported and written later, and a note that was cut off swallows no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import errors
from gateway.app.anchor import Anchor
from gateway.clients.clock import SystemClock
from gateway.clients.keys.signing import open_head_key
from gateway.control.upkeep import Heads
from gateway.model.entry import Head
from gateway.stores.sqlite.log.opening import Expected
from gateway.stores.sqlite.store import open_store
from tests.support import journaling as make
from tests.support.journaling import typed


class Warnings(list[tuple[str, dict[str, object]]]):
    def __call__(self, event: str, **members: object) -> None:
        self.append((event, members))

    @property
    def events(self) -> list[str]:
        return [event for event, _ in self]


@pytest.fixture
def warnings() -> Warnings:
    return Warnings()


def head(folder: Path, seq: int, stream: str = "st_1") -> Head:
    digest, ts = f"{seq:064x}", "2026-12-01T00:00:00.000000Z"
    return Head(stream, seq, digest, ts, open_head_key(folder / "keys").sign(stream, seq, digest, ts))


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_note_that_was_cut_off_swallows_no_other(tmp_path: Path, warnings: Warnings, cut: int) -> None:
    anchor = Anchor(tmp_path / "heads", warnings)
    for seq in (1, 2):
        assert anchor.append(head(tmp_path, seq))
    file = tmp_path / "heads" / "st_1.heads"
    file.write_bytes(file.read_bytes()[:-cut])
    whole = cut <= 2  # only the blank line behind it is gone
    for seq in (3, 4):
        assert anchor.append(head(tmp_path, seq))
    assert [one.seq for one in anchor.heads("st_1")] == ([1, 2, 3, 4] if whole else [1, 3, 4])
    assert warnings.events == ([] if whole else ["anchor-unread"])


async def test_what_the_anchor_could_not_take_is_reported_once_and_written_later(tmp_path: Path, warnings: Warnings) -> None:
    anchor, clock = Anchor(tmp_path / "heads", warnings), SystemClock()
    store = await open_store(tmp_path / "var", clock, Expected(key=b"k" * 32))
    heads = Heads(store.history, open_head_key(tmp_path / "keys"), clock, anchor.append)
    (tmp_path / "heads").write_text("in its place")
    for name in ("inv_1", "inv_2"):
        await store.journal.append(typed(make.read(name)))
        await heads.tick()
    assert (warnings.events, anchor.health()[0]) == (["anchor-failed"], False)
    assert "cannot write" in anchor.health()[1]
    (tmp_path / "heads").unlink()
    assert await heads.tick() is None, "nothing new is signed"
    (kept,) = anchor.heads(store.journal.stream)
    assert kept.seq == 2
    assert (warnings.events, anchor.health()[0]) == (["anchor-failed", "anchor-written"], True)
    await store.close()


def test_heads_of_another_node_need_not_be_readable_and_ones_own_must_be(tmp_path: Path, warnings: Warnings) -> None:
    anchor = Anchor(tmp_path / "heads", warnings)
    anchor.append(head(tmp_path, 5, "st_2"))
    (tmp_path / "heads" / "st_3.heads").mkdir()
    assert [(one.stream, one.seq) for one in anchor.elsewhere("st_1")] == [("st_2", 5)]
    assert warnings.events == ["anchor-unread"]
    with pytest.raises(errors.Misconfigured, match="the anchored heads cannot be read"):
        anchor.heads("st_3")


def test_without_a_folder_there_is_nothing_to_write_or_read(tmp_path: Path, warnings: Warnings) -> None:
    anchor = Anchor(None, warnings)
    assert anchor.append(head(tmp_path, 1))
    assert (list(anchor.heads("st_1")), list(anchor.elsewhere("st_1")), anchor.health()) == ([], [], (True, "no anchor is configured"))
