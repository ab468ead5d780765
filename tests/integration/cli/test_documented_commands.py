"""Every command line in the documents is one that the command takes: its name, its arguments, its options and their values."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
import typer
import typer.main
from typer._click import exceptions  # typer brings a click of its own, and offers no other name for these

from gateway.cli import commands
from tests.support import documents

SHOWN, MENTIONED = (
    [pytest.param(one, id=f"{page.name}: {' '.join(one)}") for page in documents.PAGES for one in found(page)]
    for found in (documents.commands, documents.mentions)
)
STANDS_FOR = {"--role": "viewer", "--mode": "paused", "--kind": "review", "--status": "pending", "--state": "open"}
"""What a placeholder in capitals, or the dots, stands for behind an option that takes one of a few values."""


def test_the_documents_show_commands() -> None:
    assert len(SHOWN) > 20
    assert len(MENTIONED) > 20


@pytest.mark.parametrize("arguments", SHOWN)
def test_a_command_of_the_documents_is_taken(arguments: list[str]) -> None:
    parse(arguments)


@pytest.mark.parametrize("arguments", MENTIONED)
def test_what_the_text_says_of_a_command_is_so(arguments: list[str]) -> None:
    """A mention may leave out what is not its subject, never name what there is not."""
    with suppress(typer.Exit, exceptions.MissingParameter, exceptions.BadOptionUsage):
        parse([{"COMMAND": "contain", "RESOLUTION": "done"}.get(one, one) for one in arguments])


def parse(arguments: list[str]) -> None:
    """Parse a command line down to its command, which is not run. Wrong use raises what the command line would print."""
    words = [value(*pair) for pair in zip(["", *arguments], arguments, strict=False)]
    _parse(typer.main.get_command(commands.app), "killcord", [one for one in words if one != "--json"], None)


def value(option: str, word: str) -> str:
    return STANDS_FOR[option] if option in STANDS_FOR and re.fullmatch(r"[A-Z]+|\.\.\.", word) else word


def _parse(command: Any, name: str, arguments: list[str], parent: Any) -> None:
    context = command.make_context(name, arguments, parent=parent)
    if hasattr(command, "commands"):
        below, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        _parse(found, below, rest, context)
