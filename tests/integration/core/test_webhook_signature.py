"""Signatures that receivers of Standard Webhooks verify with their own libraries."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.core.webhook import delivery

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_a_signature_is_the_one_that_the_libraries_of_standard_webhooks_are_tested_with() -> None:
    made = delivery.headers(delivery.key(KEY), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_openssl_makes_the_same_signature_under_a_secret_that_is_text() -> None:
    secret = "a secret of more than 24 characters"
    made = delivery.headers(delivery.key(secret), "st_1/7", 1_800_000_000, b'{"a":1}')
    asked = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"key:{secret}", "-binary"]
    digest = subprocess.run(asked, input=b'st_1/7.1800000000.{"a":1}', stdout=subprocess.PIPE, check=True).stdout
    shown = subprocess.run(["openssl", "base64", "-A"], input=digest, stdout=subprocess.PIPE, check=True).stdout.decode()
    assert made["webhook-signature"] == f"v1,{shown}"


@pytest.mark.parametrize("secret", [KEY, "a secret of more than 24 characters"])
def test_the_documented_lines_verify_what_is_sent_and_nothing_else(secret: str) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "webhooks.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    documented: dict[str, Any] = {}
    exec(code, documented)
    verified, now = documented["verified"], int(time.time())
    headers = delivery.headers(delivery.key(secret), "st_1/7", now, b"{}")
    assert verified(headers, b"{}", secret)
    assert not verified(headers, b"{ }", secret)
    assert not verified(headers, b"{}", secret + "BBBB")
    assert not verified({**headers, "webhook-id": "st_1/8"}, b"{}", secret)
    assert not verified(delivery.headers(delivery.key(secret), "st_1/7", now - 600, b"{}"), b"{}", secret)


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("short", "is too short"),
        ("", "is too short"),
        ("whsec_c2hvcnQ=", "is too short"),
        ("whsec_not/base64!and-never-was-anything-else", "is not base64"),
    ],
)
def test_a_secret_that_protects_nothing_is_refused_and_not_repeated(secret: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        delivery.key(secret)
    assert not secret or secret.removeprefix("whsec_") not in str(refused.value).replace("is too short", "")
