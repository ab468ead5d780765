"""The CRM's adapter against a recorded write: its expressions, and the request of its compensation."""

from __future__ import annotations

from gateway.core.adapter.catalog import Tool
from gateway.model.call import Remedy
from tests.support import samples


def test_a_recorded_write_means_what_is_written_beside_it(tool: Tool, sample: samples.Sample) -> None:
    assert samples.meaning(tool, sample) == sample["means"]


def test_a_status_is_set_back_and_nothing_else_of_the_contact_is_written(tool: Tool) -> None:
    undo = tool.actions["contact.status.update"].undo
    assert undo is not None
    assert undo.body is not None
    assert undo.body.search({"snapshot": {"id": "c-1", "name": "Dubois", "status": "lead"}}) == {"status": "lead"}


def test_a_note_is_a_persons_to_strike_through(tool: Tool) -> None:
    undo = tool.actions["contact.note.add"].undo
    assert undo is not None
    assert (undo.remedy, undo.by) == (Remedy.CORRECTION_TASK, None)
