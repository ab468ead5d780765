"""Regular expressions that mean the same on both engines.

Go's RE2 (OPA) and Rust's regex (embedded) read one language with two sets of extras: ``\\d`` is ASCII in Go and any
script's digits in Rust, ``[a&&b]`` is a set of three characters or an intersection. Only what both read alike passes.
"""

from __future__ import annotations

import re

_LARGEST_REPEAT = 1000
_INSTEAD = {
    "d": "write [0-9]",
    "D": "write [^0-9]",
    "w": "write [0-9A-Za-z_]",
    "W": "write [^0-9A-Za-z_]",
    "s": "write [\\t\\n\\f\\r ]",
    "S": "write [^\\t\\n\\f\\r ]",
    "b": "say what may stand there",
    "B": "say what may stand there",
    "p": "write the characters out",
    "P": "write the characters out",
}
_TOKEN = re.compile(
    r"""
      (?P<escape>\\(?:[-\\.+*?()|\[\]{}^$/&~"#]|[tnrf]|x[0-9A-Fa-f]{2}))
    | (?P<edge>\^|\$|\\A|\\z)
    | (?P<flags>\(\?[ims]+\))
    | (?P<open>\((?:\?(?:[ims]*:|P<[A-Za-z_][A-Za-z0-9_]*>)|(?!\?)))
    | (?P<close>\))
    | (?P<or>\|)
    | (?P<times>(?:[*+?]|\{(?P<least>[0-9]{1,4})(?:,(?P<most>[0-9]{0,4}))?\})\??)
    | (?P<class>\[\^?+(?:\[:\^?[a-z]+:\]|\\(?:[-\\.+*?()|\[\]{}^$/&~"#]|[tnrf]|x[0-9A-Fa-f]{2})|[^\[\]\\])+\])
    | (?P<plain>[^\\\[\]{}()|*+?^$])
    """,
    re.VERBOSE | re.DOTALL,
)
_DOUBLED = re.compile(r"&&|~~|--")
_RANGE = re.compile(r"(\\?.)-(\\?.)", re.DOTALL)


def regex_fault(pattern: str) -> str | None:
    """What keeps a regular expression from meaning the same everywhere."""
    at, depth, repeats, repeatable = 0, 0, 1, False
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        if token is None:
            return _unknown(pattern[at:])
        kind = token.lastgroup if token.lastgroup not in ("least", "most") else "times"
        if kind == "times":
            repeats *= int(token["most"] or token["least"] or 1)
            if not repeatable or repeats > _LARGEST_REPEAT:
                return f"{token[0]} repeats nothing, a repetition, or more than {_LARGEST_REPEAT} times"
        if kind == "class" and (fault := _class_fault(token[0])):
            return fault
        depth += {"open": 1, "close": -1}.get(kind or "", 0)
        if depth < 0:
            break
        repeatable = kind in ("escape", "close", "class", "plain")
        at = token.end()
    return "its parentheses do not pair" if depth else None


def _unknown(rest: str) -> str:
    what = rest[:2] if rest[0] == "\\" else rest[:4]
    instead = _INSTEAD.get(rest[1:2], "write it otherwise") if rest[0] == "\\" else "write it otherwise"
    return f"engines differ in {what}; {instead}"


def _class_fault(text: str) -> str | None:
    inside = re.sub(r"\[:\^?[a-z]+:\]", "", text[1:-1].removeprefix("^"))
    if _DOUBLED.search(inside):
        return f"engines differ in {text}; write a backslash before & ~ and -"
    if any(low[-1] > high[-1] for low, high in _RANGE.findall(inside)):
        return f"{text} has a range that runs backwards"
    return None
