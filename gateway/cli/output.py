"""What commands print, and how they fail.

Tables are for people, plain columns for pipes, JSON for programs. Texts of agents are never interpreted as markup or escapes.
"""

from __future__ import annotations

import json
import os
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

from gateway.cli import table as tables
from gateway.errors import Misconfigured
from gateway.sdk.messages import DEFAULT_URL, TOKEN, URL, Json, Lost, Problem, Unanswered, Unsendable

REFUSED = 1
WRONG_USE = 2


class Failure(Exception):
    """``text`` says what is wrong and what to do next; ``value`` is the same for ``--json``."""

    def __init__(self, text: str, *, code: int = REFUSED, value: Mapping[str, object] | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.value = value if value is not None else {"error": text}


EXPECTED = (Failure, Problem, Lost, Misconfigured, Unsendable)
"""What a command may raise; anything else is a defect."""


def failure(error: Failure | Problem | Lost | Misconfigured | Unsendable) -> Failure:
    """The text, value and exit code of an error that a command may raise."""
    match error:
        case Problem():
            return _refused(error)
        case Unanswered():
            return Failure(
                f"{error}. What was asked for may still be carried out: look before you repeat it, such as with `killcord status`."
            )
        case Lost():
            hint = f"Is `killcord serve` running there? Set {URL} to its control API, such as {DEFAULT_URL}."
            return Failure(f"The gateway cannot be reached: {error}.\n  {hint}")
        case Unsendable():
            return wrong_use(str(error))
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
    """The gateway refused: its problem document, with all that it lists, and the hint in it."""
    if not isinstance(problem.document.get("code"), str):
        said = f": {problem.text}" if problem.text else ""
        url = os.environ.get(URL) or DEFAULT_URL
        hint = f"Set {URL} to the control API, such as {DEFAULT_URL}."
        return Failure(f"{url} answered {problem.status}, and not as a Killcord gateway does{said}\n  {hint}")
    if problem.code in _OF_THE_DATA_API:
        url = os.environ.get(URL) or DEFAULT_URL
        hint = f"Set {URL} to its control API ('listen.control'), such as {DEFAULT_URL}."
        return Failure(f"{url} is a gateway's data API, for agents.\n  {hint}")
    lines = [*_listed(problem), *([f"  {problem.hint}"] if problem.hint else [])]
    if problem.code == "unauthenticated":
        lines.append(f"  {TOKEN} contains a token that this gateway does not know." if os.environ.get(TOKEN) else f"  {TOKEN} is not set.")
    return Failure("\n".join(lines), code=WRONG_USE if problem.code == "bad-request" else REFUSED, value=problem.document)


_OF_THE_DATA_API = frozenset({"tool-unknown", "lease-missing"})
"""Codes of refusals that the control API does not have."""
_STANDARD = frozenset({"type", "title", "status", "detail", "code", "retryable", "hint"})


def _listed(problem: Problem) -> Iterator[str]:
    """What went wrong, then each member of the document's own, one item a line; what the detail has already is not repeated."""
    own = {name: value for name, value in problem.document.items() if name not in _STANDARD and value not in (None, [], {})}
    joined = [name for name, value in own.items() if isinstance(value, list) and "; ".join(map(str, value)) == problem.detail]
    several = any(len(own[name]) > 1 for name in joined)
    yield f"{problem.code}: {problem.document.get('title', '') if several else problem.detail}"
    for name, value in own.items():
        items = value if isinstance(value, list) else [value]
        if name in joined:
            yield from (f"  {cell(one)}" for one in (items if several else ()))
        else:
            yield from (f"  {name.replace('_', ' ')}: {_item(one)}" for one in items)


def _item(value: object) -> str:
    """A value of a problem document in one line; an object of a tool by its name."""
    if isinstance(value, Mapping):
        return " ".join(f"{name}={named(one) if name == 'target' and isinstance(one, dict) else cell(one)}" for name, one in value.items())
    return cell(value)


@dataclass(frozen=True, slots=True)
class Columns:
    """``values`` maps a heading to the value, as a function of an item. On a terminal that is too narrow, ``optional`` are left out, in
    this order; no command needs what they show.
    """

    values: Mapping[str, Callable[[Any], object]]
    optional: Sequence[str] = ()


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
        rows = [[cell(find(one)) for find in columns.values.values()] for one in items]
        if not sys.stdout.isatty():
            _print(tables.plain(list(columns.values), rows))
            return
        console = Console(highlight=False)
        fitted = tables.fit(list(columns.values), rows, columns.optional, console.width)
        if fitted is None:
            _print(tables.one_by_one(list(columns.values), rows))
            return
        console.print(tables.drawn(fitted))
        if fitted.left_out:
            self.note(f"Not shown at this width: {', '.join(fitted.left_out)}. A wider terminal, a pipe and --json show all.")

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


def columns(words: str, optional: str = "", **computed: Callable[[Any], object]) -> Columns:
    """A list of columns: ``HEADING=member``, or ``HEADING`` for the member of that name or the ``computed`` value.

    ``_`` in a heading prints as a space. ``optional`` are headings too.
    """
    pairs = [(heading, member or heading.lower()) for heading, _, member in (word.partition("=") for word in words.split())]
    values = {heading.replace("_", " "): computed.get(heading, itemgetter(member)) for heading, member in pairs}
    return Columns(values, tuple(heading.replace("_", " ") for heading in optional.split()))


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)


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
