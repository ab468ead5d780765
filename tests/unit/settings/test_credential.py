"""A declared secret: each mistake says what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.settings.document import Context
from gateway.settings.secrets import CredentialSection
from tests.support.settings import problems_of

HERE = Path(".")


@pytest.mark.parametrize(
    ("header", "value", "file", "key", "message"),
    [
        ("Authorization", "Basic ${NONE}", None, "value", "the environment variable NONE is not set"),
        ("Authorization", "Basic ${EMPTY}", None, "value", "the environment variable EMPTY is not set"),
        ("Authorization", "Basic ${1X}", None, "value", "a variable is written ${NAME}"),
        ("Authorization", 17, None, "value", "must be text"),
        ("Authorization", None, None, "", "needs value (with ${ENV}), or file"),
        ("Authorization", None, "none", "file", "there is no file none"),
        ("Authorization", "Bearer x", "none", "value", "{file} in value and the key file belong together"),
        ("Authorization", "Bearer {file}", None, "value", "{file} in value and the key file belong together"),
        ("Host", "${SET}", None, "header", "must name the header that carries the secret"),
        ("X Key", "${SET}", None, "header", "must name the header that carries the secret"),
        (None, "${SET}", None, "header", "is missing: the name of the header that carries the secret"),
    ],
)
def test_a_wrong_credential_says_what_would_be_right(header: str | None, value: object, file: str | None, key: str, message: str) -> None:
    declared = {name: given for name, given in (("header", header), ("value", value), ("file", file)) if given is not None}
    found = problems_of(CredentialSection, declared, HERE, {"SET": "x", "EMPTY": ""})
    assert any(place == key and message in text for place, text in found), found


def test_a_declared_secret_is_never_shown() -> None:
    section = CredentialSection(header="Authorization", value="Basic ${ERP} hunter1")
    mine = section.credential(Context(HERE, {"ERP": "hunter2"}))
    assert "hunter" not in f"{mine} {mine!r}"
