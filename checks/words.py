"""``python -m checks.words [PATH ...]``: find phrases and names that docs/words.toml bans, and print what to write instead.

Without paths it checks the files that the list itself names. Exit code 0: nothing found; 1: something found;
2: a path or the list is wrong.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "docs" / "words.toml"

_MARKDOWN_CODE = re.compile(r"^ *(```+|~~~+).*?^ *\1|(`+)[^`].*?\2", re.DOTALL | re.MULTILINE)
_MARKDOWN_OFF = re.compile(r"<!-- words: off -->.*?<!-- words: on -->", re.DOTALL)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_QUOTED_CODE = re.compile(r"``[^`]+``|\bNone\b")
_PYTHON_TEXT = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}


@dataclass(frozen=True)
class Word:
    """One entry of the list. A space in ``find`` matches any white space, so that a phrase is found across line ends.

    In a list of names, ``find`` is matched against the words of a whole identifier (``put_off``, ``PutOff`` and ``PUT_OFF``: ``put off``).
    """

    find: re.Pattern[str]
    say: str
    why: str
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Match:
    path: Path
    line: int
    phrase: str
    word: Word

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: '{self.phrase}': {self.word.why} Write: {self.word.say}"


@dataclass(frozen=True)
class Rules:
    """``words`` are searched for in prose, ``names`` in the identifiers of Python files."""

    words: tuple[Word, ...]
    names: tuple[Word, ...]
    paths: tuple[str, ...]
    exempt: tuple[str, ...]


def load(path: Path = LIST) -> Rules:
    """The list at ``path``. Raises ``tomllib.TOMLDecodeError``, ``KeyError`` or ``re.error`` if it is malformed."""
    document = tomllib.loads(path.read_text())
    words, names = (
        tuple(
            Word(re.compile(entry["find"].replace(" ", r"\s+"), re.IGNORECASE), entry["say"], entry["why"], tuple(entry["examples"]))
            for entry in document[kind]
        )
        for kind in ("word", "name")
    )
    return Rules(words, names, tuple(document["paths"]), tuple(document.get("exempt", ())))


def prose(text: str, suffix: str) -> str:
    """What people read in a file's ``text``, at its original line numbers: everything else is replaced by spaces.

    Python (``.py``): comments, docstrings and other string literals that contain a space, without
    code in backquotes. Markdown (``.md``): everything but code, and except what is between
    ``<!-- words: off -->`` and ``<!-- words: on -->``. Other files: all of it.
    """
    if suffix == ".py":
        return _python_prose(text)
    if suffix == ".md":
        return _MARKDOWN_CODE.sub(_blank, _MARKDOWN_OFF.sub(_blank, text))
    return text.replace("#", " ")


def findings(text: str, path: Path, rules: Rules) -> Iterator[Match]:
    """Every banned phrase and name in the ``text`` of the file at ``path``; the path is only reported, never read."""
    yield from _phrases(text, path, rules.words)
    if path.suffix == ".py":
        yield from _names(text, path, rules.names)


def _phrases(text: str, path: Path, words: Iterable[Word]) -> Iterator[Match]:
    read = prose(text, path.suffix)
    for word in words:
        for found in word.find.finditer(read):
            yield Match(path, read.count("\n", 0, found.start()) + 1, " ".join(found[0].split()), word)


def _names(text: str, path: Path, names: Sequence[Word]) -> Iterator[Match]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME:
            split = _CAMEL.sub(" ", token.string).replace("_", " ").strip()
            for name in names:
                if name.find.fullmatch(split):
                    yield Match(path, token.start[0], token.string, name)


def files(rules: Rules, root: Path = ROOT) -> list[Path]:
    """The files that the list names, sorted, relative to ``root``."""
    exempt = {path for pattern in rules.exempt for path in root.glob(pattern)}
    named = {path for pattern in rules.paths for path in root.glob(pattern)} - exempt
    return sorted(path.relative_to(root) for path in named if path.is_file())


def main(arguments: Sequence[str]) -> int:
    try:
        rules = load()
        paths = [Path(argument) for argument in arguments] or files(rules)
        found = [finding for path in paths for finding in findings((ROOT / path).read_text(), path, rules)]
    except (OSError, KeyError, re.error, tomllib.TOMLDecodeError, tokenize.TokenError) as problem:
        print(f"words: {problem}", file=sys.stderr)
        return 2
    for finding in sorted(found, key=lambda one: (one.path, one.line)):
        print(finding)
    if found:
        print(
            f"{len(found)} banned phrase(s) or name(s). docs/style.md explains the style, docs/words.toml holds the list.", file=sys.stderr
        )
    return 1 if found else 0


def _python_prose(text: str) -> str:
    lines = [[" "] * len(line) for line in text.splitlines()]
    source = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _PYTHON_TEXT or " " not in token.string.strip():
            continue
        (first, start), (last, end) = token.start, token.end
        for number in range(first, last + 1):
            begin, stop = start if number == first else 0, end if number == last else len(source[number - 1])
            lines[number - 1][begin:stop] = re.sub(r"[\"'#]", " ", source[number - 1][begin:stop])
    return _QUOTED_CODE.sub(_blank, "\n".join("".join(line) for line in lines))


def _blank(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", found[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
