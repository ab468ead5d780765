"""``killcord`` run in this process, and a gateway in a thread for it to talk to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from gateway.__main__ import main
from tests.support.control_api import Parts

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway behind a real port, in a loop and thread of its own."""

    url: str
    parts: Parts
    loop: asyncio.AbstractEventLoop

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the gateway's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        return json.loads(self.out)


class Cli:
    """Runs ``killcord`` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Said:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main(arguments)
        printed = self._capsys.readouterr()
        code = exited.value.code
        return Said(code if isinstance(code, int) else 0, printed.out, printed.err)

    def json(self, *arguments: str) -> Any:
        said = self(*arguments, "--json")
        assert said.code == 0, said
        return said.value
