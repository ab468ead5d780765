from __future__ import annotations

from pathlib import Path

from gateway.http.app import ROUTES
from gateway.http.server.operators import Role
from gateway.http.server.problem import Problem

TEXT = (Path(__file__).parents[3] / "docs" / "api.md").read_text()


def test_every_call_is_reported_of() -> None:
    missing = [route.path for route in ROUTES if f"`{route.method} {route.path}`" not in TEXT]
    assert missing == []


def test_every_role_and_every_code_is_reported_of() -> None:
    codes = [kind.code for kind in Problem.__subclasses__()]
    assert [word for word in [*Role, *codes] if f"`{word}`" not in TEXT] == []
