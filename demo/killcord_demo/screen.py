"""What the one who watches sees: a line a step, who does it in front, at a pace to follow on a terminal and at once elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

_COLOURS = {
    "agent": "cyan",
    "person": "yellow",
    "verifier": "yellow",
    "operator": "bold red",
    "forger": "bold red",
    "gateway": "green",
    "policy": "green",
    "ERP": "magenta",
    "warehouse": "magenta",
    "both": "magenta",
}
BEAT = 0.9
"""Seconds between two steps for a person who follows."""


@dataclass(frozen=True, slots=True)
class Screen:
    console: Console
    paced: bool

    def act(self, title: str) -> None:
        self.console.print()
        self.console.print(Text(title, style="bold"), soft_wrap=True)
        self.beat()

    def line(self, who: str, what: str, result: str = "", *, well: bool = True, quick: bool = False) -> None:
        """One step: who does what, and what came of it (``well`` is whether that is what the doer wanted)."""
        text = Text.assemble((f"{who:>9}  ", _COLOURS.get(who, "dim")), what)
        if result:
            text.append(f"  {result}", "green" if well else "red")
        self.console.print(text, soft_wrap=True)
        if not quick:
            self.beat()

    def shown(self, table: Table) -> None:
        self.console.print(table)

    def plain(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)

    def beat(self) -> None:
        if self.paced:
            time.sleep(BEAT)
