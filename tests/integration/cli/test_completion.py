"""Shell completion, asked for as a shell asks: a process of its own, by the protocol of its completion script."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping

import pytest

from gateway.cli import completion
from tests.support.command_line import Cli, Gateway

SHELLS = ["bash", "zsh", "fish"]
OPEN = ("runs", "open", "--tenant", "acme", "--agent", "billing", "--scope", "erp:*", "--run")


def offered(shell: str, line: str) -> set[str]:
    """The words that are offered for the last word of a line. Nothing may be on standard error."""
    protocol: Mapping[str, Mapping[str, str]] = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }
    environ = {**os.environ, "_KILLCORD_COMPLETE": f"complete_{shell}", **protocol[shell]}
    ran = subprocess.run([sys.executable, "-m", "gateway"], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert ran.stderr == ""
    # zsh gets each word in quotes, with its help behind a colon; fish gets the help behind a tabulator.
    return set(
        re.findall(r'^(?:_arguments .*\(\()?"([^":]+)', ran.stdout, re.MULTILINE)
        if shell == "zsh"
        else re.findall(r"^[^\t\n]+", ran.stdout, re.MULTILINE)
    )


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_options_and_values_are_offered(shell: str) -> None:
    assert offered(shell, "killcord cont") == {"contain"}
    assert offered(shell, "killcord contain --mo") == {"--mode"}
    assert offered(shell, "killcord contain --mode ") == {"read_only", "paused", "quarantined", "revoked", "no_fanout"}


@pytest.mark.parametrize("shell", SHELLS)
def test_ids_are_offered_from_the_gateway(gateway: Gateway, killcord: Cli, shell: str) -> None:
    for name in ("run_1", "run_2", "other"):
        killcord(*OPEN, name)
    order = killcord.json("contain", "--run", "run_1", "--mode", "paused", "--reason", "look")["order_id"]
    assert offered(shell, "killcord runs show run_") == {"run_1", "run_2"}
    assert offered(shell, "killcord resume ") == {"run_1", "run_2", "other"}
    assert offered(shell, "killcord contain --run o") == {"other"}
    assert offered(shell, "killcord release ord_") == {order}


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense"])
def test_a_gateway_that_is_not_there_is_no_error(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("KILLCORD_URL", url)
    assert offered("bash", "killcord runs show run_") == set()


def test_a_token_that_may_not_is_no_error(gateway: Gateway, killcord: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    killcord(*OPEN, "run_1")
    monkeypatch.setenv("KILLCORD_TOKEN", "nope")
    assert offered("bash", "killcord runs show run_") == set()


def test_a_gateway_that_never_answers_is_waited_for_no_longer_than_a_person_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("KILLCORD_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        assert completion.runs("run_") == []
        assert time.monotonic() - began < 10 * completion.PATIENCE
        assert offered("bash", "killcord runs show run_") == set()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_each_shell_is_shown(shell: str, killcord: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")  # the tests' own shell may be any
    said = killcord("--show-completion", shell)
    assert (said.code, "_KILLCORD_COMPLETE" in said.out, f"complete_{shell}" in said.out) == (0, True, True)
