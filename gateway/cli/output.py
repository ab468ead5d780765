"""What commands print: tables for people, plain columns for pipes, JSON for programs. Agents' texts are never markup or escapes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from gateway.cli.failure import Failure


@dataclass(frozen=True, slots=True)
class Output:
    """``as_json``: standard output holds nothing but the command's value."""

    as_json: bool = False

    def value(self, value: object, lines: Iterable[str]) -> None:
        """One result: the value for programs, the lines for people, each one line whatever others wrote into it."""
        if self.as_json:
            typer.echo(json.dumps(value))
        else:
            for line in lines:
                typer.echo(clean(line).replace("\n", " "))

    def table(self, value: object, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A list: the value for programs, a table for people."""
        if self.as_json:
            typer.echo(json.dumps(value))
        elif sys.stdout.isatty():
            _rich(columns, rows)
        else:
            _plain(columns, rows)

    def line(self, line: str) -> None:
        """One line that is JSON by itself: as it is for programs."""
        typer.echo(line if self.as_json else clean(line))

    def tell(self, text: str) -> None:
        """Something beside the result: on standard error."""
        typer.echo(clean(text), err=True)

    def failed(self, failure: Failure) -> None:
        if self.as_json:
            typer.echo(json.dumps(failure.value))
        else:
            self.tell(failure.text)


def of(context: typer.Context) -> Output:
    """The output that this command line asked for."""
    found: Output = context.obj or Output()
    return found


def clean(text: object) -> str:
    """A text without anything that a terminal would act on."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in str(text))


def cell(value: object) -> str:
    """A value in a column."""
    if value is None or value == "":
        return "-"
    if isinstance(value, Mapping):
        return " ".join(f"{name}={cell(one)}" for name, one in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ",".join(cell(one) for one in value) or "-"
    return clean({True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value).replace("\n", " ")


@contextmanager
def progress(what: str, total: int) -> Iterator[Progress]:
    """A bar on standard error for long work; nothing where that is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        bar.add_task(what, total=total or None)
        yield bar


NARROWEST = 30
"""Columns of the terminal that a cell of several words needs: below that, a table is told line by line."""


def _rich(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table where it fits, else each row line by line: what is one word may be an id, and an id that was broken cannot be copied."""
    console, listed = Console(highlight=False), [[cell(value) for value in row] for row in rows]
    widest = [max(map(len, texts), default=0) for texts in zip(columns, *listed, strict=True)]
    whole = [not any(" " in row[place] for row in listed) for place in range(len(columns))]
    needed = sum(width if one else min(width, NARROWEST) for width, one in zip(widest, whole, strict=True))
    if needed + 2 * (len(columns) - 1) > console.width:
        _one_by_one(columns, listed)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column, width, one in zip(columns, widest, whole, strict=True):
        table.add_column(column, overflow="fold", no_wrap=one, min_width=width if one else min(width, NARROWEST))
    for row in listed:
        table.add_row(*map(Text, row))
    console.print(table)


def _one_by_one(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Each row as lines of their own, without what is empty."""
    wide = max(map(len, columns))
    for number, row in enumerate(rows):
        if number:
            typer.echo("")
        for column, text in zip(columns, row, strict=True):
            if text != "-":
                typer.echo(f"{column.lower().ljust(wide)}  {text}")


def _plain(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    listed = [list(columns), *([cell(value) for value in row] for row in rows)]
    widths = [max(len(row[place]) for row in listed) for place in range(len(columns))]
    for row in listed:
        typer.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
