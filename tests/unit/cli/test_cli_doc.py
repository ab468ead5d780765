from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from gateway.cli import commands

TEXT = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()


def test_every_command_is_told_of() -> None:
    listed = list(named("killcord", typer.main.get_command(commands.app)))
    assert len(listed) > 20
    assert [name for name in listed if name not in TEXT] == []


@pytest.mark.parametrize("alias", [("run", "list"), ("verify",), ("policy", "spared")])
def test_an_old_name_still_works_and_is_hidden(alias: tuple[str, ...]) -> None:
    command: Any = typer.main.get_command(commands.app)
    hidden = []
    for name in alias:
        command = command.commands[name]
        hidden.append(command.hidden)
    assert any(hidden)


def named(prefix: str, command: object) -> Iterator[str]:
    below = getattr(command, "commands", None)
    if below is None:
        yield prefix
        return
    for name, one in below.items():
        if one.hidden:
            continue
        yield from named(f"{prefix} {name}", one)
