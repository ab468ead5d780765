"""What an adapter may say of outcomes: what promises more than it can hold does not load."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.settings.test_own_requests import ADAPTER, load

MAIL = "  - name: mail.send\n    match: {method: POST, path: /mails}\n"


def mail(*lines: str, query: str = "", body: str = "") -> str:
    match = "    match: {method: POST, path: /mails" + (f", query: [{query}]" if query else "") + "}\n"
    return ADAPTER.replace(MAIL, f"  - name: mail.send\n{match}" + "".join(f"    {line}\n" for line in lines)) + body


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (mail("dry_run: request.query.dry_run == 'true'"), "dry_run is not under match.query"),
        (mail('dry_run: "request.headers.\\"x-dry-run\\" == \'true\'"'), "must look at a declared query key"),
        (mail('dry_run: "length(request.query) > `0`"', query="dry_run"), "must look at a declared query key"),
        (mail('dry_run: "`true`"'), "must look at the call"),
        (mail('dry_run: "request.body == `null`"'), "must look at the call"),
        (mail("dry_run: vars.dry"), "must look at the call"),
        (mail("dry_run: reply.status"), "reply is unknown here"),
        (mail("dry_run: {if: request.body.dry, confirmed: object.body}"), "object is unknown here"),
        (mail("dry_run: {confirmed: reply.body.dry}"), "if"),
        (mail("failed: object.body.error"), "object is unknown here"),
        (mail("pending: {within: 2s}"), "done"),
        (mail("pending: {done: request.body.done}"), "must look at reply (of the job) or at object"),
        (mail("pending: {done: reply.body.a == object.body.a}"), "must look at reply (of the job) or at object"),
        (mail("pending: {done: reply.body.done, failed: object.body.failed}"), "must look at the same as done"),
        (mail("pending: {done: object.body.done}"), "the action needs an object"),
        (mail("pending: {done: object.body.done, job: reply.body.job}"), "done looks at object, so remove it"),
    ],
)
def test_what_cannot_be_decided_by_it_does_not_load(tmp_path: Path, text: str, said: str) -> None:
    found, problems = load(tmp_path, text)
    assert found is None
    assert any(said in one for one in problems), problems
    assert all(one.startswith("adapter.yaml:") for one in problems)


@pytest.mark.parametrize("word", ["dry_run: request.body.dry", "failed: reply.body.error", "pending: {done: reply.body.done}"])
def test_a_read_has_no_such_word(tmp_path: Path, word: str) -> None:
    text = ADAPTER.replace("    object: invoice\n    effect: read\n", f"    object: invoice\n    effect: read\n    {word}\n")
    assert any("only a write may have this" in one for one in load(tmp_path, text)[1])


@pytest.mark.parametrize(
    "text",
    [
        mail("dry_run: request.query.dry_run == 'true'", query="dry_run"),
        mail('dry_run: "request.body.dry_run == `true`"', 'failed: "reply.body.ok == `false`"'),
        mail('dry_run: {if: "request.body.options.dry == `true`", confirmed: reply.body.dry}'),
    ],
)
def test_what_can_be_decided_loads(tmp_path: Path, text: str) -> None:
    found, problems = load(tmp_path, text)
    assert problems == []
    assert found is not None
    assert found.actions["mail.send"].dry_run is not None
