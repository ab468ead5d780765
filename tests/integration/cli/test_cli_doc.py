from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from gateway.cli import commands
from tests.support.command_line import Cli

TEXT = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()


def test_every_command_is_reported_of() -> None:
    listed = list(named("killcord", typer.main.get_command(commands.app)))
    assert len(listed) > 20
    assert [name for name in listed if name not in TEXT] == []


@pytest.mark.parametrize(
    ("former", "today"),
    [
        (("run", "open"), ("runs", "open")),
        (("rollback", "plan"), ("rollbacks", "plan")),
        (("checkpoint", "list"), ("checkpoints", "list")),
        (("verify",), ("journal", "verify")),
        (("policy", "spared"), ("policy", "would-deny")),
    ],
)
def test_a_former_name_is_the_same_command_and_is_not_listed(killcord: Cli, former: tuple[str, ...], today: tuple[str, ...]) -> None:
    said = killcord(*former, "--help")
    assert (said.code, said.out) == (0, killcord(*today, "--help").out)
    assert f"Usage: killcord {' '.join(today)} " in said.out
    group, name = (former[:1], former[1]) if former[0] == "policy" else ((), former[0])
    assert name not in [line.split()[0] for line in killcord(*group, "--help").out.splitlines() if line.strip()]


def named(prefix: str, command: object) -> Iterator[str]:
    below = getattr(command, "commands", None)
    if below is None:
        yield prefix
        return
    for name, one in below.items():
        yield from named(f"{prefix} {name}", one)
