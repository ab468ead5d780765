"""The mailer's adapter: messages, and sequences that continue to send."""

from __future__ import annotations

from gateway.core.adapter import matching, resolve
from gateway.core.adapter.catalog import Tool
from gateway.model.call import Remedy, Reversibility
from tests.support import samples


def test_a_recorded_write_means_what_is_written_beside_it(tool: Tool, sample: samples.Sample) -> None:
    assert samples.meaning(tool, sample) == sample["means"]


def test_a_message_is_irreversible_and_costs_a_record_for_each_who_gets_it(tool: Tool) -> None:
    asked = samples.call("POST", "/tenants/acme/messages", {"to": ["a@example.org", "b@example.org"]})
    matched = samples.matched(tool, asked)
    document = matching.document(tool, asked, matched.captures)
    assert resolve.class_of(matched.action, document) is Reversibility.IRREVERSIBLE
    assert resolve.cost_of(matched.action, document).records == 2
    assert matched.action.undo is not None
    assert matched.action.undo.remedy is Remedy.MANUAL_REVIEW


def test_what_continues_sending_automatically_is_fanout(tool: Tool) -> None:
    assert [action.name for action in tool.actions.values() if action.fanout] == ["sequence.start"]
