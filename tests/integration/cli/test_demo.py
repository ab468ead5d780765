"""``killcord demo`` is played by another package, which need not be installed."""

from __future__ import annotations

from importlib import metadata
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from tests.support.command_line import Cli


def installed(monkeypatch: pytest.MonkeyPatch, *found: EntryPoint) -> None:
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: EntryPoints(found).select(group=group))


def test_where_it_is_not_installed_the_command_says_how(killcord: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    said = killcord("demo", "--exit")
    assert (said.code, said.out) == (2, "")
    assert "pip install 'killcord[demo]'" in said.err


def test_its_options_are_its_own(killcord: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, EntryPoint("demo", "killcord_demo.show:main", "killcord.demo"))
    said = killcord("demo", "--help")
    assert said.code == 0
    assert "killcord demo [OPTIONS]" in said.out
    assert [option for option in ("--exit", "--keep", "--story", "--incident") if option not in said.out] == []
    assert killcord("demo", "--incident", "list").out.startswith("policy.tenant-boundary")
    assert killcord("demo", "--incident", "no-such").code == 2
