"""How a refusal reads: everything that it speaks of is in it, and what to do next."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cli import output
from gateway.sdk.messages import Answer, Lost, Problem

STANDARD = {"type": "urn:killcord:problem:x", "title": "It is wrong.", "status": 400, "retryable": False, "hint": "Correct it."}


def said(**members: Any) -> list[str]:
    return output.failure(Problem(400, {**STANDARD, **members})).text.split("\n")


def test_several_problems_are_a_line_each() -> None:
    problems = ["scope: is missing", "mode: must be one of paused, revoked", "reason: is missing"]
    lines = said(code="bad-request", detail="; ".join(problems), problems=problems)
    assert lines == ["bad-request: It is wrong.", *(f"  {one}" for one in problems), "  Correct it."]


def test_one_problem_is_said_once() -> None:
    assert said(code="bad-request", detail="reason: is missing", problems=["reason: is missing"]) == [
        "bad-request: reason: is missing",
        "  Correct it.",
    ]


def test_what_is_too_wide_is_a_line_each() -> None:
    excess = ["scope erp:*", "tool mail"]
    assert said(code="too-wide", detail="; ".join(excess), excess=excess)[1:3] == ["  scope erp:*", "  tool mail"]


def test_effects_and_tasks_that_a_refusal_mentions_are_in_it() -> None:
    target = {"system": "erp", "type": "invoice", "id": "inv_1", "tenant": "acme", "tool": "erp"}
    effects = [{"entry": "st_1/4", "action": "invoice.update", "target": target, "state": "unknown"}]
    lines = said(code="not-verified", detail="1 effect is not known.", effects=effects, tasks=["task_1", "task_2"])
    assert lines[1:-1] == [
        "  effects: entry=st_1/4 action=invoice.update target=erp:invoice:inv_1 state=unknown",
        "  tasks: task_1",
        "  tasks: task_2",
    ]


def test_the_id_of_an_error_that_its_hint_names_is_in_it() -> None:
    assert "  error id: err_1" in said(code="internal", detail="Something failed.", error_id="err_1")


@pytest.mark.parametrize(("token", "line"), [("", "KILLCORD_TOKEN is not set."), ("nope", "KILLCORD_TOKEN contains a token that")])
def test_a_missing_token_and_an_unknown_one_read_differently(monkeypatch: pytest.MonkeyPatch, token: str, line: str) -> None:
    monkeypatch.setenv("KILLCORD_TOKEN", token)
    assert line in said(code="unauthenticated", detail="The token is unknown.")[-1]
    assert "KILLCORD_TOKEN" not in " ".join(said(code="forbidden", detail="viewer may not contain."))


@pytest.mark.parametrize("raw", [b"<html>\n<h1>502 Bad Gateway</h1>\x1b[2J", b'{"error": "no route"}', b'["x"]', b"\xff\xfe", b""])
def test_an_answer_of_another_server_names_the_url_and_what_it_said(monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    monkeypatch.setenv("KILLCORD_URL", "http://proxy:80")
    for status in (200, 502):
        with pytest.raises(Problem) as refused:
            Answer(status, {}, raw if status == 502 else b"[1]").read()
        text = output.failure(refused.value).text
        assert text.startswith(f"http://proxy:80 answered {status}, and not as a Killcord gateway does")
        assert "KILLCORD_URL" in text
    assert ("502 Bad Gateway" in text) is (b"502" in raw)


def test_a_connection_that_is_refused_names_the_url_and_the_variable() -> None:
    text = output.failure(Lost("http://127.0.0.1:1 gave no answer: Connection refused")).text
    assert "http://127.0.0.1:1" in text
    assert "Set KILLCORD_URL to its control API, such as http://127.0.0.1:8091." in text
