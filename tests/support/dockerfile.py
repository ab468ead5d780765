"""The Dockerfile, read as Docker reads it as far as ours goes: comments, continued lines, stages, and words in JSON."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Instruction:
    """``value`` is what follows the keyword, on one line."""

    keyword: str
    value: str

    @property
    def words(self) -> list[str]:
        """The value's words, of either form."""
        if self.value.startswith("["):
            words: list[str] = json.loads(self.value)
            return words
        return shlex.split(self.value)


@dataclass(frozen=True, slots=True)
class Stage:
    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, keyword: str) -> list[Instruction]:
        return [one for one in self.instructions if one.keyword == keyword]

    def last(self, keyword: str) -> Instruction:
        """The one that counts where an instruction overrides those before it."""
        return self.all(keyword)[-1]


def read(path: Path = ROOT / "Dockerfile") -> list[Stage]:
    """Its stages, in order."""
    stages: list[Stage] = []
    for instruction in _instructions(path.read_text()):
        if instruction.keyword == "FROM":
            base, *named = instruction.words
            stages.append(Stage(base, named[1] if named else ""))
        else:
            stages[-1].instructions.append(instruction)
    return stages


def _instructions(text: str) -> list[Instruction]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [Instruction(keyword.upper(), value.strip()) for keyword, _, value in (line.partition(" ") for line in joined.splitlines())]
