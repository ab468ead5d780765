"""A read that only a part of a text tells from a write does not load; a class that rests on one is warned of."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core.adapter.catalog import Tool
from gateway.settings import compilation, free_text

WRITE = "{name: change, match: {method: POST, path: /graphql}, effect: write, class: irreversible, compensation: {type: manual_review}}"


def load(folder: Path, *actions: str) -> tuple[Tool | None, list[str]]:
    listed = "".join(f"  - {action}\n" for action in actions)
    (folder / "adapter.yaml").write_text(f"system: s\ntenant: run.tenant\nactions:\n{listed}")
    return compilation.load(folder, "s", {})


@pytest.mark.parametrize(
    "match",
    [
        "starts_with(request.body.query, 'query')",
        "!starts_with(request.body.query, 'mutation')",
        "starts_with(request.body.query, 'query') || starts_with(request.body.query, '{')",
        "contains(request.body.query, 'query') && !contains(request.body.query, 'mutation')",
        "request.body.query | starts_with(@, 'query')",
        "ends_with(to_string(request.body), 'x')",
        "starts_with(reverse(request.body.query), 'yreuq')",
        "request.body.query > 'q'",
        "request.body.query < 'r' && request.body.kind == 'x'",
        "request.body[?starts_with(query, 'query')] == request.body",
        "length(request.body.calls[?!starts_with(name, 'get_')]) == `0`",
        "request.body.method == 'tools/call' && starts_with(request.body.params.name, 'get_')",
        "starts_with(request.query.q, 'SELECT')",
        "request.body.operationName == 'GetOrders'",
        'contains(`["GetOrders"]`, request.body.operationName)',
    ],
)
@pytest.mark.parametrize("beside", [(WRITE,), ()])
def test_a_read_that_a_part_of_a_text_tells_from_a_write_does_not_load(tmp_path: Path, match: str, beside: tuple[str, ...]) -> None:
    quoted = match.replace('"', '\\"')
    tool, problems = load(tmp_path, f'{{name: find, match: {{method: POST, path: /graphql, body: "{quoted}"}}, effect: read}}', *beside)
    assert tool is None
    (problem,) = problems
    assert "adapter.yaml:4: actions[0].match.body: it depends on" in problem
    assert ("change has the same method and path" in problem) is bool(beside)
    assert "declare one write for all" in problem


@pytest.mark.parametrize(
    "match",
    [
        "request.body.method == 'tools/list'",
        "request.body.Action == 'ListUsers'",
        "contains(['tools/list', 'ping'], request.body.method)",
        'contains(`[\\"tools/list\\"]`, request.body.method)',
        "request.body.method == 'tools/call' && request.body.params.name == 'get_order'",
        "keys(request.body) == `[\\\"q\\\"]` && type(request.body.q) == 'object'",
        "contains(keys(request.body), 'q')",
        "request.body.dry_run == `true`",
        "request.body.query == '{ orders { id } }'",
        "request.body.operationName == 'A' && request.body.extensions.persistedQuery.sha256Hash == 'ab12'",
        "request.body.limit < `100`",
    ],
)
def test_whole_members_and_shapes_tell_a_read_from_a_write(tmp_path: Path, match: str) -> None:
    tool, problems = load(tmp_path, f'{{name: find, match: {{method: POST, path: /graphql, body: "{match}"}}, effect: read}}', WRITE)
    assert tool is not None, problems


def test_a_header_names_an_operation_and_a_get_reads(tmp_path: Path) -> None:
    target = "starts_with(request.headers.\\\"x-amz-target\\\", 'DynamoDB_20120810.Get')"
    tool, problems = load(
        tmp_path,
        f'{{name: get, match: {{method: POST, path: /graphql, headers: "{target}"}}, effect: read}}',
        "{name: sql, match: {method: GET, path: /sql, body: \"starts_with(request.query.q, 'SELECT')\"}, effect: read}",
        WRITE,
    )
    assert tool is not None, problems


def test_a_get_that_also_writes_is_told_by_no_part_of_a_text(tmp_path: Path) -> None:
    tool, problems = load(
        tmp_path,
        "{name: sql, match: {method: GET, path: /sql, body: \"starts_with(request.query.q, 'SELECT')\"}, effect: read}",
        WRITE.replace("method: POST, path: /graphql", "method: GET, path: '/{any}', query: [q]"),
    )
    assert tool is None
    assert "request.query.q" in problems[0]


def test_a_class_that_rests_on_a_part_of_a_text_is_warned_of(tmp_path: Path) -> None:
    rules = "{when: [{if: \"starts_with(request.body.query, 'mutation set')\", then: compensatable}, {then: irreversible}]}"
    kind = "{when: [{if: \"request.body.status == 'shipped'\", then: irreversible}, {then: compensatable}]}"
    rest = "effect: write, compensation: {type: manual_review}"
    tool, problems = load(
        tmp_path,
        f"{{name: change, match: {{method: POST, path: /q}}, class: {rules}, {rest}}}",
        f"{{name: ship, match: {{method: POST, path: /ship}}, class: {kind}, {rest}}}",
        "{name: all, match: {method: POST, path: /graphql}, effect: read}",
    )
    assert tool is not None, problems
    first, second = free_text.warnings(tool)
    assert first.startswith("change: its class depends on a part of the text of request.body.query")
    assert second.startswith("all: it is a read, and a GraphQL document can hold a mutation")


MUTATION = (
    "{name: mutate, match: {method: POST, path: /graphql, body: \"starts_with(request.body.query, 'mutation')\"}, effect: write, "
    "class: irreversible, compensation: {type: manual_review}}"
)


@pytest.mark.parametrize("match", ["", ', body: "request.body.query != `null`"', ", body: \"contains(keys(request.body), 'query')\""])
def test_a_read_of_all_that_the_text_of_a_write_does_not_say_does_not_load(tmp_path: Path, match: str) -> None:
    tool, problems = load(tmp_path, MUTATION, f"{{name: find, match: {{method: POST, path: /graphql{match}}}, effect: read}}")
    assert tool is None
    (problem,) = problems
    assert "adapter.yaml:4: actions[0].match.body: it depends on a part of the text of request.body.query" in problem
    assert "what it does not match passes as find" in problem


def test_a_read_that_names_its_calls_may_stand_beside_any_write(tmp_path: Path) -> None:
    read = "{name: find, match: {method: POST, path: /graphql, body: \"request.body.query == '{ orders { id } }'\"}, effect: read}"
    assert load(tmp_path, MUTATION, read)[0] is not None


CALL = (
    "{name: call, match: {method: POST, path: /rpc, body: \"request.body.method == 'tools/call'\"}, effect: write, class: irreversible, "
    "compensation: {type: manual_review}}"
)


@pytest.mark.parametrize(
    "match",
    [
        "",
        ", body: \"request.body.method != 'tools/call'\"",
        ", body: \"!(request.body.method == 'tools/call')\"",
        ", body: \"!contains(['tools/call'], request.body.method)\"",
    ],
)
def test_a_read_of_all_but_one_method_takes_batches_too_and_does_not_load(tmp_path: Path, match: str) -> None:
    tool, problems = load(tmp_path, CALL, f"{{name: rest, match: {{method: POST, path: /rpc{match}}}, effect: read}}")
    assert tool is None
    (problem,) = problems
    assert "adapter.yaml:5: actions[1].match" in problem
    assert "rest also takes a list (a batch of calls), and call has the same method and path" in problem


def test_reads_by_their_method_and_a_write_for_all_other_calls_load(tmp_path: Path) -> None:
    read = "{name: list, match: {method: POST, path: /rpc, body: \"contains(['tools/list', 'ping'], request.body.method)\"}, effect: read}"
    rest = "{name: other, match: {method: POST, path: /rpc}, effect: write, class: irreversible, compensation: {type: manual_review}}"
    assert load(tmp_path, read, CALL, rest)[0] is not None
    literal = "{name: search, match: {method: POST, path: /items/search}, effect: read}"
    any_item = CALL.replace("/rpc", "'/items/{id}'").replace(", body: \"request.body.method == 'tools/call'\"", "")
    assert load(tmp_path, literal, any_item)[0] is not None


def test_a_dry_run_rests_on_no_part_of_a_text(tmp_path: Path) -> None:
    dry = WRITE.replace("effect: write", "effect: write, dry_run: \"starts_with(request.body.query, 'query')\"")
    tool, problems = load(tmp_path, dry)
    assert tool is None
    assert "actions[0].dry_run.if: it depends on a part of the text of request.body.query" in problems[0]


CANCEL = (
    "{name: cancel, match: {method: GET, path: '/orders/{id}/cancel'}, effect: write, class: irreversible, "
    "compensation: {type: manual_review}}"
)


def test_a_read_that_takes_a_write_with_another_query_key_does_not_load(tmp_path: Path) -> None:
    find = "{name: find, match: {method: GET, path: '/orders/{id}/{part}'}, effect: read}"
    tool, (problem,) = load(tmp_path, CANCEL, find)
    assert tool is None
    assert "adapter.yaml:5: actions[1].match: takes the calls of cancel as well" in problem
    assert "list the keys of this read in match.query" in problem
    tool, problems = load(tmp_path, CANCEL, find.replace("}'}", "}', query: []}"))
    assert (tool is not None, problems) == (True, [])


@pytest.mark.parametrize(
    "match",
    [
        "request.body[0].query == 'Q'",
        "request.body | [-1].query == 'Q'",
        "request.body.queries[0] == 'Q' && length(request.body.queries) == `1`",
        'request.body[:1] == `[{\\"query\\":\\"Q\\"}]`',
        'request.body[*].query == `[\\"Q\\"]`',
        "contains(request.body[].query, 'Q')",
        "request.body[?query=='Q'] | [0].query == 'Q'",
        "join('', request.body[].query) == 'Q'",
        "max_by(request.body, &query).query == 'Q'",
        "request.body.*.query | [0] == 'Q'",
        "keys(request.body)[0] == 'id'",
    ],
)
def test_a_read_that_some_members_of_a_batch_tell_from_a_write_does_not_load(tmp_path: Path, match: str) -> None:
    tool, (problem,) = load(tmp_path, f'{{name: find, match: {{method: POST, path: /graphql, body: "{match}"}}, effect: read}}', WRITE)
    assert tool is None
    assert "adapter.yaml:4: actions[0].match.body: it depends on some members of the list request.body" in problem


@pytest.mark.parametrize(
    "match",
    [
        "request.body.kind != 'write' && request.body.kind != `null`",
        "request.body.kind == 'call' && !(request.body.name == 'delete')",
        "request.body.kind == 'call' && !contains(['delete', 'put'], request.body.name)",
    ],
)
def test_a_read_of_all_but_named_texts_does_not_load(tmp_path: Path, match: str) -> None:
    tool, (problem,) = load(tmp_path, f'{{name: find, match: {{method: POST, path: /graphql, body: "{match}"}}, effect: read}}', WRITE)
    assert tool is None
    assert "actions[0].match.body: it takes whatever request.body." in problem


def test_a_batch_of_nothing_but_reads_is_a_read(tmp_path: Path) -> None:
    match = "type(request.body) == 'array' && length(request.body[?method != 'list']) == `0`"
    tool, problems = load(tmp_path, f'{{name: find, match: {{method: POST, path: /graphql, body: "{match}"}}, effect: read}}', WRITE)
    assert tool is not None, problems
