"""Path templates of adapters: ``/buckets/{tenant}/records/{id}``, matched against decoded segments and filled into one path."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from gateway.core.request import canonical
from gateway.errors import MalformedRequest

_CAPTURE = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_VARIABLE = re.compile(r"\{vars\.([A-Za-z0-9_]+)\}")
_PLAIN = "!$&'()*+,=:@"
"""Characters that stand in a segment as they are, beside the unreserved ones (RFC 3986 3.3)."""


@dataclass(frozen=True, slots=True)
class Template:
    """``literals`` and ``captures`` are (position, text) and (position, name), together one per segment."""

    text: str
    length: int
    literals: tuple[tuple[int, str], ...]
    captures: tuple[tuple[int, str], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the captures, in path order."""
        return tuple(name for _, name in self.captures)

    def match(self, segments: Sequence[str]) -> dict[str, str] | None:
        """What the captures hold, or ``None``. Case and a trailing slash matter; a capture never holds an empty segment."""
        if len(segments) != self.length:
            return None
        for position, text in self.literals:
            if segments[position] != text:
                return None
        captured = {name: segments[position] for position, name in self.captures}
        return captured if all(captured.values()) else None

    def fill(self, captures: Mapping[str, object]) -> str:
        """The path with every value as one percent-encoded segment.

        Raises:
            KeyError: a capture is not given.
            ValueError: a value could be read as more, or other, than one segment.
        """
        parts = {position: encode(text) if text else "" for position, text in self.literals}
        parts |= {position: encode(captures[name]) for position, name in self.captures}
        return "/" + "/".join(parts[position] for position in range(self.length))

    def covers(self, other: Template) -> bool:
        """Whether every path that ``other`` matches is matched by this one too."""
        mine, theirs = dict(self.literals), dict(other.literals)
        return self.length == other.length and all(theirs.get(position) == text for position, text in mine.items())


def parse(text: str, variables: Mapping[str, object]) -> Template:
    """A template with the tool's variables (``{vars.name}``) put in. Literals are written decoded.

    Raises:
        ValueError: the text is no template, or a variable is missing or no single segment.
    """
    filled = _VARIABLE.sub(lambda found: _variable(found[1], variables), text)
    if not filled.startswith("/"):
        raise ValueError(f"the path {text!r} must begin with /")
    parts = filled[1:].split("/")
    literals, captures = [], []
    for position, part in enumerate(parts):
        if found := _CAPTURE.fullmatch(part):
            captures.append((position, found[1]))
        else:
            literals.append((position, _literal(part, text, last=position == len(parts) - 1)))
    names = [name for _, name in captures]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"the path {text!r} captures {{{twice}}} twice; give each its own name")
    return Template(text, len(parts), tuple(literals), tuple(captures))


def encode(value: object) -> str:
    """A value as one path segment, percent-encoded; judged by the data API's own rules, so that no path is filled that it would refuse.

    Raises:
        ValueError: no text or whole number, empty, dots, or what some tool could read as more, or other, than one segment.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError(f"a {type(value).__name__} cannot be a path segment; only a text or a whole number can")
    if value == "":
        raise ValueError("an empty text cannot be a path segment")
    try:
        encoded = _segment(str(value))
    except UnicodeEncodeError:
        raise ValueError("a text that is no Unicode cannot be a path segment") from None
    except MalformedRequest as refused:
        raise ValueError(refused.detail) from refused
    return encoded


@functools.lru_cache(1024)
def _segment(text: str) -> str:
    """The same ids come again and again: read before, written, read back."""
    encoded = quote(text, safe=_PLAIN)
    canonical.decode(encoded)
    return encoded


def _variable(name: str, variables: Mapping[str, object]) -> str:
    if name not in variables:
        raise ValueError(f"the tool gives no vars.{name}; add it under the tool's vars")
    try:
        encode(variables[name])
    except ValueError as error:
        raise ValueError(f"vars.{name}: {error}") from error
    return str(variables[name])


def _literal(part: str, text: str, *, last: bool) -> str:
    if part == "" and last:  # "/" alone, or a trailing slash: both matter to a tool
        return part
    if "{" in part or "}" in part:
        raise ValueError(f"in the path {text!r}, {part!r} must be a literal or one whole {{name}} (lower case letters, digits, _)")
    if "%" in part:
        raise ValueError(f"in the path {text!r}, write {part!r} decoded")
    try:
        encode(part)
    except ValueError as error:
        raise ValueError(f"the path {text!r} is not one that a call can have: {error}") from error
    return part
