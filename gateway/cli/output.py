"""What commands print, and how they fail.

Tables are for people, plain columns for pipes, JSON for programs. Texts of agents are never interpreted as markup or escapes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from gateway.errors import Misconfigured
from gateway.sdk.messages import DEFAULT_URL, TOKEN, URL, Json, Lost, Problem

REFUSED = 1
WRONG_USE = 2


class Failure(Exception):
    """``text`` says what is wrong and what to do next; ``value`` is the same for ``--json``."""

    def __init__(self, text: str, *, code: int = REFUSED, value: Mapping[str, object] | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.value = value if value is not None else {"error": text}


EXPECTED = (Failure, Problem, Lost, Misconfigured)
"""What a command may raise; anything else is a defect."""


def failure(error: Failure | Problem | Lost | Misconfigured) -> Failure:
    """The text, value and exit code of an error that a command may raise."""
    match error:
        case Problem():
            return _refused(error)
        case Lost():
            hint = f"Is `killcord serve` running there? Set {URL} to its control API, such as {DEFAULT_URL}."
            return Failure(f"The gateway cannot be reached: {error}.\n  {hint}")
        case Misconfigured():
            return problems(error.problems)
        case Failure():
            return error


def problems(found: list[str], *, code: int = REFUSED) -> Failure:
    """A line for each problem."""
    return Failure("\n".join(found), code=code, value={"problems": found})


def wrong_use(text: str) -> Failure:
    return Failure(text, code=WRONG_USE)


@contextmanager
def accessing(option: str, path: Path, verb: str) -> Iterator[None]:
    """Work on a file that the command line names; ``verb`` is ``read`` or ``write``.

    Raises:
        Failure: the operating system refused, with its reason.
    """
    try:
        yield
    except OSError as error:
        raise wrong_use(f"{option} {path}: cannot {verb} the file: {error.strerror or error}") from error


def _refused(problem: Problem) -> Failure:
    """The gateway refused: its problem document, with the hint in it."""
    if "code" not in problem.document:
        return Failure(f"The server answered {problem.status}, and not as a Killcord gateway does; check {URL}.")
    lines = [f"{problem.code}: {problem.detail}"]
    lines += [f"  {problem.hint}"] if problem.hint else []
    lines += [f"  Put the token into {TOKEN}."] if problem.code == "unauthenticated" else []
    return Failure("\n".join(lines), code=WRONG_USE if problem.code == "bad-request" else REFUSED, value=problem.document)


Columns = Mapping[str, Callable[[Any], object]]
"""Heading to value, as a function of an item."""

NARROWEST = 30
"""Width that a cell of several words needs on a terminal: below that, each row is printed line by line."""


@dataclass(frozen=True, slots=True)
class Output:
    """``as_json``: standard output holds nothing but the command's value."""

    as_json: bool = False

    def value(self, value: object, lines: Iterable[str]) -> None:
        """One result: the value for programs, the lines for people. A line break inside a line is replaced by a space."""
        if self.as_json:
            typer.echo(json.dumps(value))
        else:
            for line in lines:
                typer.echo(clean(line).replace("\n", " "))

    def table(self, value: object, columns: Columns, items: Iterable[Any]) -> None:
        """A list: the value for programs, a table of ``items`` for people."""
        if self.as_json:
            typer.echo(json.dumps(value))
            return
        rows = [[cell(find(one)) for find in columns.values()] for one in items]
        (_rich if sys.stdout.isatty() else _plain)(list(columns), rows)

    def line(self, line: str) -> None:
        """One line that is JSON already; unchanged for programs."""
        typer.echo(line if self.as_json else clean(line))

    def note(self, text: str) -> None:
        """Something beside the result, on standard error."""
        typer.echo(clean(text), err=True)

    def hint(self, text: str) -> None:
        """A note for people only."""
        if not self.as_json:
            self.note(text)

    def failed(self, failure: Failure) -> None:
        if self.as_json:
            typer.echo(json.dumps(failure.value))
        else:
            self.note(failure.text)


def columns(words: str, **computed: Callable[[Any], object]) -> Columns:
    """A list of columns: ``HEADING=member``, or ``HEADING`` for the member of that name or the ``computed`` value.

    ``_`` in a heading prints as a space.
    """
    pairs = [(heading, member or heading.lower()) for heading, _, member in (word.partition("=") for word in words.split())]
    return {heading.replace("_", " "): computed.get(heading, itemgetter(member)) for heading, member in pairs}


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


def named(thing: Json) -> str:
    """An object of a tool, as ``SYSTEM:TYPE:ID``, with the tool in front if that is not called as its system is."""
    tool = thing.get("tool")
    called = "" if tool in (None, thing["system"]) else f"{tool}/"
    return f"{called}{thing['system']}:{thing['type']}:{thing['id'] or '(new)'}"


def target(one: Json) -> str:
    """The object that an effect, approval, task or node is about."""
    return named(one["target"])


@contextmanager
def progress(what: str, total: int) -> Iterator[Progress]:
    """A bar on standard error for long work; nothing if that is not a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        bar.add_task(what, total=total or None)
        yield bar


def _rich(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table if it fits, else each row line by line: a single word may be an id, and nobody can copy an id that is broken."""
    console = Console(highlight=False)
    widest = [max(map(len, texts), default=0) for texts in zip(columns, *rows, strict=True)]
    whole = [not any(" " in row[place] for row in rows) for place in range(len(columns))]
    least = [width if one else min(width, NARROWEST) for width, one in zip(widest, whole, strict=True)]
    if sum(least) + 2 * (len(columns) - 1) > console.width:
        _one_by_one(columns, rows)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column, width, one in zip(columns, least, whole, strict=True):
        table.add_column(column, overflow="fold", no_wrap=one, min_width=width)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _one_by_one(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Each row as lines of its own, without empty cells."""
    wide = max(map(len, columns))
    for number, row in enumerate(rows):
        if number:
            typer.echo("")
        for column, text in zip(columns, row, strict=True):
            if text != "-":
                typer.echo(f"{column.lower().ljust(wide)}  {text}")


def _plain(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, texts)) for texts in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        typer.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
