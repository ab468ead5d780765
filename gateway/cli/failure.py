"""How a command fails: a text for people, a value for programs, an exit code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import Misconfigured
from gateway.sdk.values import DEFAULT_URL, TOKEN, URL, Lost, Problem

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


def of(error: Exception) -> Failure:
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
        case _:
            raise error


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
