"""No secret in a log, whatever was put in."""

from __future__ import annotations

import pytest

from gateway.observe import logs


@pytest.mark.parametrize(
    "event",
    [
        {"authorization": "anything"},
        {"lease": "anything"},
        {"headers": {"X-API-Key": "anything"}},
        {"detail": "sent Bearer anything-at-all here"},
        {"detail": "Basic YW55dGhpbmc6YW55dGhpbmc="},
        {"detail": ["eyJhbGciOiJFZDI1NTE5In0.eyJhbnl0aGluZyI6MX0.anything-signature"]},
        {"detail": "kcop_anythinganything"},
    ],
)
def test_what_looks_like_a_secret_is_struck_out(event: dict[str, object]) -> None:
    shown = str(dict(logs.redact(None, "info", dict(event))))
    assert "anything" not in shown.replace("sent ", "").replace(" here", "")
    assert "YW55" not in shown
    assert "eyJ" not in shown


def test_what_is_no_secret_stays() -> None:
    event = {"event": "call", "tool": "erp", "status": 200, "detail": "the basic plan"}
    assert dict(logs.redact(None, "info", dict(event))) == event
