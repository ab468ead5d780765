"""How a command fails: a text for people, a value for programs, an exit code."""

from __future__ import annotations

from collections.abc import Mapping

REFUSED = 1
WRONG_USE = 2


class Failure(Exception):
    """``text`` says what is wrong and what to do; ``value`` is the same for ``--json``."""

    def __init__(self, text: str, *, code: int = REFUSED, value: Mapping[str, object] | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.value = value if value is not None else {"error": text}


def refused(problem: Mapping[str, object]) -> Failure:
    """The gateway said no: its problem document, with the advice in it."""
    lines = [f"{problem.get('code', 'refused')}: {problem.get('detail', 'the gateway refused')}"]
    if hint := problem.get("hint"):
        lines.append(f"  {hint}")
    if problem.get("code") == "unauthenticated":
        lines.append("  Put the token in KILLCORD_TOKEN.")
    # What the gateway cannot make sense of was wrong on the command line.
    return Failure("\n".join(lines), code=WRONG_USE if problem.get("code") == "bad-request" else REFUSED, value=problem)


def wrong_use(text: str) -> Failure:
    return Failure(text, code=WRONG_USE)
