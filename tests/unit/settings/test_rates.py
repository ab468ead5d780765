"""Where rates are metered, as killcord.yaml says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.settings.document import Context
from gateway.settings.network import RedisConfig
from gateway.settings.sections import RatesSection
from tests.support.settings import problems_of

ENVIRON = {"RATES_PASSWORD": "p@ss/w:rd%20"}


def read(folder: Path, **declared: Any) -> tuple[RedisConfig | None, list[tuple[str, str]]]:
    found = problems_of(RatesSection, declared, folder, ENVIRON)
    return (None if found else RatesSection.model_validate(declared).redis(Context(folder, ENVIRON))), found


def test_memory_is_where_rates_are_unless_told_otherwise(tmp_path: Path) -> None:
    assert read(tmp_path) == (None, [])


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://cache", RedisConfig(host="cache")),
        ("redis://cache.internal:7000/3", RedisConfig(host="cache.internal", port=7000, database=3)),
        ("redis://[::1]:6380/", RedisConfig(host="::1", port=6380)),
        ("rediss://:${RATES_PASSWORD}@cache", RedisConfig(host="cache", tls=True, password="p@ss/w:rd%20")),
        ("redis://kc:${RATES_PASSWORD}@cache:1/2", RedisConfig(host="cache", port=1, database=2, user="kc", password="p@ss/w:rd%20")),
        ("unix:///run/valkey.sock", RedisConfig(socket="/run/valkey.sock")),
        ("unix://:${RATES_PASSWORD}@/run/valkey.sock:4", RedisConfig(socket="/run/valkey.sock", database=4, password="p@ss/w:rd%20")),
    ],
)
def test_a_url_is_taken_apart(tmp_path: Path, url: str, place: RedisConfig) -> None:
    found, problems = read(tmp_path, store="redis", url=url)
    assert problems == []
    assert found == place


def test_what_holds_while_the_server_is_lost(tmp_path: Path) -> None:
    denying, _ = read(tmp_path, store="redis", url="redis://cache", timeout="50ms", prefix="kc-eu")
    sharing, _ = read(tmp_path, store="redis", url="redis://cache", on_loss="share", share=4)
    assert denying is not None
    assert (denying.share, denying.timeout, denying.prefix) == (None, 0.05, "kc-eu")
    assert sharing is not None
    assert sharing.share == 4


@pytest.mark.parametrize(
    ("declared", "key", "message"),
    [
        ({"store": "redis"}, "url", "is missing; store: redis needs it"),
        ({"url": "redis://cache"}, "url", "needs store: redis"),
        ({"store": "redis", "url": "http://cache"}, "url", "not the URL of a server"),
        ({"store": "redis", "url": "redis://cache?socket_timeout=99"}, "url", "not the URL of a server"),
        ({"store": "redis", "url": "redis://cache:0"}, "url", "invalid port"),
        ({"store": "redis", "url": "redis://:${MISSING}@cache"}, "url", "the environment variable MISSING is not set"),
        ({"store": "redis", "url": "redis://cache", "prefix": "a{b}"}, "prefix", "must be 1 to 64 letters"),
        ({"store": "redis", "url": "redis://cache", "timeout": "1m"}, "timeout", "must be at most 10 s"),
        ({"store": "redis", "url": "rediss://cache", "ca": "no.pem"}, "ca", "there is no file"),
        ({"store": "redis", "url": "redis://cache", "on_loss": "share"}, "share", "is missing; on_loss: share needs the number of nodes"),
        ({"store": "redis", "url": "redis://cache", "share": 4}, "share", "needs on_loss: share"),
        ({"store": "redis", "url": "redis://cache", "on_loss": "share", "share": 0}, "share", "must be from 1 to 1000"),
    ],
)
def test_what_cannot_be_used_is_reported_by_its_key(tmp_path: Path, declared: dict[str, Any], key: str, message: str) -> None:
    found, problems = read(tmp_path, **declared)
    assert found is None
    assert [(where, message in said) for where, said in problems] == [(key, True)], problems


def test_a_password_in_the_file_is_refused_and_none_is_ever_shown(tmp_path: Path) -> None:
    found, problems = read(tmp_path, store="redis", url="redis://kc:hunter2@cache")
    assert found is None
    assert "move it to an environment variable" in problems[0][1]
    assert "hunter2" not in str(problems)
    kept, _ = read(tmp_path, store="redis", url="redis://:${RATES_PASSWORD}@cache")
    assert "p@ss" not in repr(kept)
