"""Path templates that adapters declare, compiled once.

One such as ``/buckets/{tenant}/records/{id}`` is matched against decoded segments and filled into one path.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from urllib.parse import quote

from gateway.core.request import canonical
from gateway.errors import MalformedRequest

_CAPTURE = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_VARIABLE = re.compile(r"\{vars\.([A-Za-z0-9_]+)\}")
_PLAIN = "!$&'()*+,=:@"
"""Characters that stand in a segment as they are, beside the unreserved ones (RFC 3986 3.3)."""


@dataclass(frozen=True, slots=True)
class Template:
    """``literals`` and ``captures`` are (position, text) and (position, name), together one per segment.

    What follows from them is set with them: ``names`` of the captures and ``texts`` of the literals, in path order, which segments are
    ``fixed`` and which ``varying``, and as ``pattern`` the path with encoded literals, and ``%s`` for each capture.
    """

    text: str
    length: int
    literals: tuple[tuple[int, str], ...]
    captures: tuple[tuple[int, str], ...]
    names: tuple[str, ...] = field(init=False, compare=False, repr=False)
    texts: tuple[str, ...] = field(init=False, compare=False, repr=False)
    fixed: tuple[bool, ...] = field(init=False, compare=False, repr=False)
    varying: tuple[bool, ...] = field(init=False, compare=False, repr=False)
    pattern: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        literals = dict(self.literals)
        fixed = tuple(position in literals for position in range(self.length))
        texts = [encode(text).replace("%", "%%") if text else "" for text in literals.values()]
        encoded = dict(zip(literals, texts, strict=True))
        derived = {
            "names": tuple(name for _, name in self.captures),
            "texts": tuple(literals.values()),
            "fixed": fixed,
            "varying": tuple(not one for one in fixed),
            "pattern": "".join(f"/{encoded.get(position, '%s')}" for position in range(self.length)),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)  # frozen for everyone else

    def match(self, segments: Sequence[str]) -> dict[str, str] | None:
        """What the captures hold, or ``None``. Case and a trailing slash matter; a capture never holds an empty segment."""
        if len(segments) != self.length or tuple(compress(segments, self.fixed)) != self.texts:
            return None
        captured = dict(zip(self.names, compress(segments, self.varying), strict=True))
        return captured if all(captured.values()) else None

    def fill(self, captures: Mapping[str, object]) -> str:
        """The path with every value as one percent-encoded segment.

        Raises:
            KeyError: a capture is not given.
            ValueError: a value could be read as more, or other, than one segment.
        """
        return self.pattern % tuple([encode(captures[name]) for _, name in self.captures])

    def overlaps(self, other: Template) -> bool:
        """Whether some path is matched by both."""
        theirs = dict(other.literals)
        return self.length == other.length and all(theirs.get(position, text) == text for position, text in self.literals)

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
    if "?" in filled:
        raise ValueError(
            f"the path {text!r} has a query; a path has none: declare query: {{KEY: EXPRESSION}}, or the tool's query for a fixed one"
        )
    parts = filled[1:].split("/")
    literals, captures = [], []
    for position, part in enumerate(parts):
        if found := _CAPTURE.fullmatch(part):
            captures.append((position, found[1]))
        else:
            literals.append((position, _literal(part, text, last=position == len(parts) - 1)))
    names = [name for _, name in captures]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"the path {text!r} captures {{{twice}}} twice; rename one")
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
        raise ValueError("a text that is not valid Unicode cannot be a path segment") from None
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
        raise ValueError(f"vars.{name} is missing; add it to the tool's vars")
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
        raise ValueError(f"the path {text!r} cannot occur in a call: {error}") from error
    return part
