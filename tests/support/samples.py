"""Recorded requests and replies of an adapter, and what its expressions have to make of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.core.adapter import matching, resolve
from gateway.core.adapter.catalog import Tool
from gateway.core.adapter.matching import Matched, Unmatched
from gateway.core.request import canonical
from gateway.model.call import Call
from gateway.settings import compilation

Sample = Mapping[str, Any]


def load(folder: Path, variables: Mapping[str, object]) -> Tool:
    """An adapter's catalog; its problems fail the test that asked for it."""
    tool, problems = compilation.load(folder, "erp", variables)
    assert tool is not None, "\n".join(problems)
    return tool


def read(folder: Path) -> list[Sample]:
    """Every sample of an adapter."""
    return [json.loads(path.read_bytes()) for path in sorted((folder / "samples").glob("*.json"))]


def call(method: str, target: str, body: object = None, headers: Mapping[str, str] | None = None) -> Call:
    """A call as the data API would make it; ``target`` is the tool's own path and query."""
    split = canonical.split("/erp" + target)
    raw = b"" if body is None else json.dumps(body).encode()
    lines = tuple((name.encode(), value.encode()) for name, value in (headers or {}).items())
    return Call(
        tool=split.tool,
        method=method,
        path=split.path,
        segments=split.segments,
        raw_query=split.raw_query,
        query=split.query,
        headers=lines,
        body=raw,
        args=body,
    )


def matched(tool: Tool, asked: Call) -> Matched:
    found = matching.match(tool, asked)
    assert not isinstance(found, Unmatched), found.reason
    return found


def meaning(tool: Tool, sample: Sample) -> dict[str, object]:
    """What the expressions make of a recorded write; the keys are those of ``means``."""
    request = sample["request"]
    asked = call(request["method"], request["path"], request["body"], request["headers"])
    found = matched(tool, asked)
    action = found.action
    document = {**matching.document(tool, asked, found.captures), "reply": sample["reply"]}
    target, created = resolve.target_of(tool, found, document), resolve.created_id(tool, action, found.captures, document)
    kind = tool.objects[action.object_type or ""]
    cost = resolve.cost_of(action, document)
    version = resolve.version_of(kind, {**document, "reply": sample["read_back"]})
    if sample["read_back"]["status"] == 200:
        assert resolve.same_object(kind, {**document, "reply": sample["read_back"]}, created or target.id)
    seen = {**document, "object": {"version": version, "body": sample["read_back"]["body"]}}
    assert action.name == sample["action"]
    assert action.undo is not None
    assert not cost.unpriced
    made: dict[str, object] = {"created": created} if created else {"id": target.id}
    if action.verify is not None:
        made["verified"] = action.verify.expect.holds(seen)
    if action.undo.by is not None:
        path = resolve.undo_path(tool, action, action.undo.by, found.captures, created or target.id)
        made["undo"] = f"{tool.actions[action.undo.by].method} {path}"
    return made | {
        "tenant": target.tenant,
        "class": str(resolve.class_of(action, document)),
        "records": cost.records,
        "amounts": dict(cost.amounts),
        "version": version,
    }
