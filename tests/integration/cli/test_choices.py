"""Options that take one of a few values: a wrong one is answered with the right ones, which are the API's own."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest

from gateway.cli import options
from gateway.http.server.operators import Role
from gateway.http.server.request import Serving
from tests.support import described
from tests.support.command_line import Cli

WRONG = [
    (("contain", "--run", "r", "--mode", "WRONG", "--reason", "x"), options.OrderMode),
    (("resume", "r", "--mode", "WRONG", "--reason", "x"), options.Mode),
    (("recover", "i", "--mode", "WRONG", "--reason", "x"), options.Mode),
    (("runs", "list", "--mode", "WRONG"), options.Mode),
    (("runs", "open", "--tenant", "t", "--agent", "a", "--scope", "*", "--mode", "WRONG"), options.Mode),
    (("serve", "--role", "WRONG"), options.Serving),
    (("operators", "add", "alice", "--role", "WRONG"), options.Role),
    (("tasks", "list", "--kind", "WRONG"), options.TaskKind),
    (("tasks", "resolve", "t", "WRONG", "--note", "x"), options.Resolution),
    (("approvals", "list", "--status", "WRONG"), options.ApprovalStatus),
    (("rollbacks", "list", "--state", "WRONG"), options.RollbackState),
    (("incidents", "list", "--state", "WRONG"), options.IncidentState),
]


@pytest.mark.parametrize(("arguments", "choices"), WRONG, ids=lambda one: " ".join(one) if isinstance(one, tuple) else "")
def test_a_wrong_value_is_wrong_use_and_the_right_ones_are_listed(killcord: Cli, arguments: tuple[str, ...], choices: Any) -> None:
    said = killcord(*arguments)
    assert (said.code, said.out) == (2, "")
    assert re.findall(r"'([a-z_-]+)'", said.err.partition("is not one of")[2]) == list(get_args(choices))


def test_the_choices_are_those_of_the_api() -> None:
    assert set(get_args(options.Mode)) == declared("/v1/runs", "mode")
    assert set(get_args(options.OrderMode)) == declared("Contain", "mode") - {"active"}
    assert set(get_args(options.TaskKind)) == declared("/v1/tasks", "kind")
    assert set(get_args(options.Resolution)) == declared("ResolveTask", "resolution")
    assert set(get_args(options.ApprovalStatus)) == declared("/v1/approvals", "status")
    assert set(get_args(options.RollbackState)) == declared("/v1/rollbacks", "state")
    assert set(get_args(options.IncidentState)) == declared("/v1/incidents", "state")
    assert get_args(options.Role) == tuple(Role)
    assert get_args(options.Serving) == get_args(Serving)


def declared(where: str, name: str) -> set[str]:
    """The values of a query's parameter, or of a body's member."""
    found = described.description()
    if where.startswith("/"):
        (schema,) = [one["schema"] for one in found["paths"][where]["get"]["parameters"] if one["name"] == name]
    else:
        schema = found["components"]["schemas"][where]["properties"][name]
    kinds = [
        found["components"]["schemas"][one["$ref"].rpartition("/")[2]] if "$ref" in one else one for one in schema.get("anyOf", [schema])
    ]
    return {value for one in kinds for value in one.get("enum", ())}
