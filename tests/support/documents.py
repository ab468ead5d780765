"""What the documents show: code blocks, command lines, and the README's configuration."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "adapters").glob("*/README.md")))

_FENCE = re.compile(r"^\s*```(\w*)")
_COMMAND = re.compile(r"^(?:\$ )?(?:\w+=\S+ )*(killcord .*)")
_SPAN = re.compile(r"`(killcord [^`\[|]+ --?[a-z][^`\[|]*)`")


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """The language and the text of each fenced block."""
    language, lines = None, list[str]()
    for line in page.read_text().splitlines():
        fence = _FENCE.match(line)
        if fence is None:
            lines.append(line)
        elif language is None:
            language, lines = fence[1], []
        else:
            yield language, "\n".join(lines) + "\n"
            language = None


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of each command line of ``killcord`` in a block."""
    inside = [text for language, text in blocks(page) if language in ("", "sh")]
    lines = [line for text in inside for line in text.replace("\\\n", " ").splitlines()]
    found = [match[1] for line in lines if (match := _COMMAND.match(line.strip()))]
    yield from (shlex.split(line, comments=True)[1:] for line in found)


def mentions(page: Path) -> Iterator[list[str]]:
    """The arguments of each command with options in the text; what matters there alone is named."""
    for line in _SPAN.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)):
        yield shlex.split(line)[1:]


def configuration() -> str:
    """The ``killcord.yaml`` of the README, as it is written there."""
    (found,) = re.findall(r"<<'YAML'\n(.*?)^YAML$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    return str(found)
