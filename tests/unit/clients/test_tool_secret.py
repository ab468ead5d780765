"""Secrets: brought per tenant, rotated in place, and never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.clients.keys.tool_secret import ToolSecret
from gateway.settings.document import Context
from gateway.settings.secrets import CredentialSection

HERE = Path(".")


def made(value: str | None, file: str | None = None, folder: Path = HERE, **environ: str) -> ToolSecret:
    section, context = CredentialSection(header="Authorization", value=value, file=file), Context(folder, environ)
    assert list(section.problems(context)) == []
    declared = section.credential(context)
    return ToolSecret(declared.header, declared.value, declared.file, declared.environ)


def test_a_secret_comes_from_the_environment() -> None:
    assert made("Basic ${ERP}", ERP="czNjcjN0").header("acme") == (b"Authorization", b"Basic czNjcjN0")


def test_only_a_secret_that_every_call_carries_is_constant(tmp_path: Path) -> None:
    (tmp_path / "erp").write_text("one")
    assert made("Basic ${ERP}", ERP="czNjcjN0").constant == (b"Authorization", b"Basic czNjcjN0")
    assert made("Basic ${ERP}", ERP="a\nInjected: b").constant is None
    assert made(None, "erp", tmp_path).constant is None


def test_each_tenant_can_have_a_secret_of_its_own() -> None:
    mine = made("Bearer ${ERP_{tenant}_KEY}", ERP_acme_KEY="one", ERP_beta_KEY="two")
    assert mine.constant is None
    assert mine.header("acme")[1] == b"Bearer one"
    assert mine.header("beta")[1] == b"Bearer two"
    with pytest.raises(KeyError, match="ERP_other_KEY is not set"):
        mine.header("other")


@pytest.mark.parametrize("tenant", ["../acme", "a/b", "", "a b", "acme\n", "${ERP}", "é", "a" * 200])
def test_a_tenant_whose_name_could_lead_elsewhere_has_no_secret(tenant: str, tmp_path: Path) -> None:
    (tmp_path / "acme").write_text("one")
    with pytest.raises(KeyError, match="of letters"):
        made(None, "{tenant}", tmp_path).header(tenant)


def test_a_secret_in_a_file_is_read_again_when_it_changed(tmp_path: Path) -> None:
    secret = tmp_path / "erp"
    secret.write_text("first\n")
    mine = made("Bearer {file}", "erp", tmp_path)
    assert mine.header("acme")[1] == b"Bearer first"
    (tmp_path / "next").write_text("second\n")
    os.replace(tmp_path / "next", secret)
    assert mine.header("acme")[1] == b"Bearer second"


def test_a_file_of_each_tenant_is_found_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "acme.key").write_text("one")
    mine = made(None, "{tenant}.key", tmp_path)
    assert mine.header("acme") == (b"Authorization", b"one")
    with pytest.raises(KeyError, match="cannot be read"):
        mine.header("beta")


@pytest.mark.parametrize("content", ["", "a\nInjected: b", "\x00", "é"])
def test_a_secret_that_no_header_can_hold_is_no_secret(content: str, tmp_path: Path) -> None:
    (tmp_path / "erp").write_text(content, encoding="utf-8")
    with pytest.raises(KeyError) as caught:
        made(None, "erp", tmp_path).header("acme")
    assert "Injected" not in str(caught.value)


def test_a_secret_is_never_shown() -> None:
    mine = made("Basic ${ERP}", ERP="hunter2")
    assert "hunter2" not in f"{mine} {mine!r}"
