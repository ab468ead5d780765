"""Receivers of events, from killcord.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.model.webhook import Topic, Webhook
from gateway.settings.document import Context
from gateway.settings.sections import WebhookSection
from tests.support.settings import problems_of

ENVIRON = {
    "HOOK_SECRET": "a-secret-canary-of-more-than-24-characters",
    "STANDARD": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "SHORT": "canary",
    "TOKEN": "t0ken-canary",
    "CROOKED": "can ary",
}
URL = "https://hooks.example.com/killcord"
WHOLE: dict[str, Any] = {"url": URL, "secret": "${HOOK_SECRET}"}


def read(folder: Path, **declared: Any) -> tuple[Webhook | None, list[tuple[str, str]]]:
    found = problems_of(WebhookSection, declared, folder, ENVIRON)
    return (None if found else WebhookSection.model_validate(declared).webhook("ops", Context(folder, ENVIRON))), found


def test_a_url_and_a_secret_are_enough(tmp_path: Path) -> None:
    found, problems = read(tmp_path, **WHOLE)
    assert problems == []
    key = ENVIRON["HOOK_SECRET"].encode()
    assert found == Webhook(name="ops", host="hooks.example.com", url=URL, key=key, topics=frozenset(Topic), timeout=5.0, attempts=8)


def test_all_that_can_be_said_is_taken(tmp_path: Path) -> None:
    (tmp_path / "hook.secret").write_text(ENVIRON["STANDARD"] + "\n")
    (tmp_path / "ca.pem").write_text("")
    found, problems = read(
        tmp_path,
        url="http://[::1]:8088/in?token=${TOKEN}&x=1",
        secret={"file": "hook.secret"},
        events=["incident"],
        timeout="500ms",
        attempts=20,
        tenants=["acme"],
        ca="ca.pem",
    )
    assert problems == []
    assert found is not None
    assert (found.host, found.url) == ("::1", "http://[::1]:8088/in?token=t0ken-canary&x=1")
    assert (len(found.key), found.topics, found.tenants) == (24, frozenset({Topic.INCIDENT}), frozenset({"acme"}))
    assert (found.timeout, found.attempts, found.ca) == (0.5, 20, tmp_path / "ca.pem")
    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        ({"url": "hooks.example.com"}, "url", "not the URL of a webhook"),
        ({"url": "ftp://hooks.example.com/"}, "url", "not the URL of a webhook"),
        ({"url": "https://ann:canary@hooks.example.com/"}, "url", "not the URL of a webhook"),
        ({"url": "https://hooks.example.com/#canary"}, "url", "not the URL of a webhook"),
        ({"url": "https://hooks.example.com/a b"}, "url", "not the URL of a webhook"),
        ({"url": "https://hooks.example.com/${CROOKED}"}, "url", "not the URL of a webhook"),
        ({"url": "https://hooks.example.com/${MISSING}"}, "url", "the environment variable MISSING is not set"),
        ({"url": "https://hooks.example.com:70000/"}, "url", "invalid port"),
        ({"url": "http://169.254.169.254/latest"}, "url", "is an address that the gateway never calls"),
        ({"url": "http://[::ffff:169.254.169.254]/"}, "url", "is an address that the gateway never calls"),
        ({"url": "http://2852039166/"}, "url", "is an address that the gateway never calls"),
        ({"secret": None}, "secret", "is missing"),
        ({"secret": "canary-canary-canary-canary-canary"}, "secret", "is missing"),
        ({"secret": {"file": "none"}}, "secret", "there is no file"),
        ({"secret": {"file": 3}}, "secret", "is missing"),
        ({"secret": "${MISSING}"}, "secret", "the environment variable MISSING is not set"),
        ({"secret": "${SHORT}"}, "secret", "is too short"),
        ({"events": []}, "events", "is empty; name one or more of order, trigger, incident"),
        ({"tenants": []}, "tenants", "is empty"),
        ({"timeout": "2m"}, "timeout", "must be at most 60 s"),
        ({"attempts": 0}, "attempts", "must be from 1 to 1000"),
        ({"ca": "no.pem"}, "ca", "there is no file"),
    ],
)
def test_what_cannot_be_used_is_reported_by_its_key_and_no_secret_is_repeated(
    tmp_path: Path, change: dict[str, Any], key: str, message: str
) -> None:
    found, problems = read(tmp_path, **{**WHOLE, **change})
    assert found is None
    assert [(where, message in said) for where, said in problems] == [(key, True)], problems
    assert "canary" not in str(problems)


@pytest.mark.parametrize(
    ("url", "readable"),
    [
        (URL, False),
        ("http://hooks.internal/in", True),
        ("http://localhost:9000/in", False),
        ("http://127.0.0.1/in", False),
        ("http://127.example.com/in", True),
    ],
)
def test_plain_http_beyond_this_machine_can_be_read_on_the_way(tmp_path: Path, url: str, readable: bool) -> None:
    found, _ = read(tmp_path, secret="${HOOK_SECRET}", url=url)
    assert found is not None
    assert found.sent_in_plain_text is readable
