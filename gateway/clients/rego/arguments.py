"""What built-ins may be given: arguments on which engines differ are refused when the bundle loads.

Regular expressions have to mean the same on Go's RE2 (OPA) and on Rust's regex (embedded). Both read one language with two sets of
extras: ``\\d`` is ASCII in Go and any script's digits in Rust, ``[a&&b]`` is a set of three characters or an intersection. Only what
both read alike passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.clients.rego.builtins import Kind
from gateway.clients.rego.names import Scope

Node = Mapping[str, Any]
Check = Callable[[Node, Scope], str | None]
"""Takes one argument and the scope of its rule; returns what is wrong with it."""

_VERB = re.compile(r"%(.?)", re.DOTALL)
_PLAIN_VERBS = {"%", "s", "v"}


def fault(name: str, arguments: Sequence[Node], scope: Scope) -> str | None:
    """What is wrong with the arguments of a built-in; ``None`` if they may be given."""
    if name == "sprintf":
        return _format(arguments, scope)
    checks = (check(arguments[place], scope) for place, check in _CHECKS.get(name, ()) if place < len(arguments))
    return next((found for found in checks if found), None)


def _integer(node: Node, scope: Scope) -> str | None:
    if scope.kind(node) is Kind.INTEGER:
        return None
    return "engines differ in fractions here; use literal numbers, counts or integers of the input"


def _numeric(node: Node, scope: Scope) -> str | None:
    text = scope.literal(node)
    if (text is not None and re.fullmatch(r"-?(0|[1-9][0-9]{0,14})", text)) or scope.kind(node) in (Kind.INTEGER, Kind.WHOLE):
        return None
    return "engines read different texts, and differ from the sixteenth digit on; use data.killcord.lib.number.parse"


def _text(looks: str, example: str) -> Check:
    """The argument has to be a literal that looks like ``looks``."""
    wanted = re.compile(looks)

    def check(node: Node, scope: Scope) -> str | None:
        text = scope.literal(node)
        if text is None:
            return f"engines differ in what they accept; write it as a literal, like {example}"
        return None if wanted.fullmatch(text) else f"engines differ in {text!r}; write it like {example}"

    return check


def _some_text(node: Node, scope: Scope) -> str | None:
    if scope.literal(node):
        return None
    return "engines differ in where they find an empty text; write the search text as a literal that is not empty"


def _pattern(node: Node, scope: Scope) -> str | None:
    pattern = scope.literal(node)
    if pattern is None:
        return "a pattern that is made on a call cannot be checked; write it as a literal, or use data.killcord.lib.wildcard.matches"
    return regex_fault(pattern)


def _zone(node: Node, scope: Scope) -> str | None:
    named = node["Array"]["items"][1:2] if "Array" in node else []
    if any(scope.literal(each) == "Local" for each in named):
        return "Local depends on the machine; name a time zone, like Europe/Berlin"
    return None


def _format(arguments: Sequence[Node], scope: Scope) -> str | None:
    if len(arguments) < 2:
        return None
    text, values = scope.literal(arguments[0]), arguments[1].get("Array")
    if text is None or values is None:
        return 'write the format and the list of values as literals: sprintf("... %v", [x])'
    verbs = _VERB.findall(text)
    if unknown := sorted(set(verbs) - _PLAIN_VERBS):
        return f"engines differ in %{unknown[0]}; use %v"
    used = [verb for verb in verbs if verb != "%"]
    if len(used) != len(values["items"]):
        return f"its format takes {len(used)} values and gets {len(values['items'])}"
    kinds = [scope.kind(each) for each in values["items"]]
    if any(verb == "s" and kind is not Kind.TEXT for verb, kind in zip(used, kinds, strict=True)):
        return "engines differ in %s for a value that may be no text; use %v"
    if Kind.LARGE in kinds:
        return "engines print numbers beyond 64 bits differently; leave it out"
    return "engines print an empty set differently; print it as a list, by sort(...)" if Kind.SET in kinds else None


_DAY = "(?:19[7-9][0-9]|2[01][0-9]{2})-[01][0-9]-[0-3][0-9]"
_TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_CHECKS: Mapping[str, tuple[tuple[int, Check], ...]] = {
    "array.slice": ((1, _integer), (2, _integer)),
    "indexof": ((1, _some_text),),
    "indexof_n": ((1, _some_text),),
    "regex.find_all_string_submatch_n": ((0, _pattern), (2, _integer)),
    "regex.find_n": ((0, _pattern), (2, _integer)),
    "regex.match": ((0, _pattern),),
    "regex.replace": ((1, _pattern),),
    "replace": ((1, _some_text),),
    "substring": ((1, _integer), (2, _integer)),
    "time.clock": ((0, _zone),),
    "to_number": ((0, _numeric),),
    "time.date": ((0, _zone),),
    "time.parse_duration_ns": ((0, _text(r"(?:[0-9]{1,9}(?:h|m|s|ms|us|ns))+", '"1h30m"')),),
    "time.parse_rfc3339_ns": ((0, _text(rf"{_DAY}T{_TIME}(?:Z|[+-][01][0-9]:[0-5][0-9])", '"2026-12-24T00:00:00Z"')),),
    "time.weekday": ((0, _zone),),
    "units.parse": ((0, _text(r"[0-9]{1,6}(?:[KMGT]i?)?", '"10M" or "10Mi"')),),
    "units.parse_bytes": ((0, _text(r"[0-9]{1,6}(?:[KMGT]i?B?)?", '"10MB" or "10MiB"')),),
}
"""By built-in: the place of an argument, and what it has to be."""


# --- regular expressions ---------------------------------------------------------------------------------------------

_LARGEST_REPEAT = 1000
_INSTEAD = {
    "d": "write [0-9]",
    "D": "write [^0-9]",
    "w": "write [0-9A-Za-z_]",
    "W": "write [^0-9A-Za-z_]",
    "s": "write [\\t\\n\\f\\r ]",
    "S": "write [^\\t\\n\\f\\r ]",
    "b": "match the characters around it",
    "B": "match the characters around it",
    "p": "list the characters",
    "P": "list the characters",
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
                return f"{token[0]} repeats nothing, repeats a repetition, or repeats more than {_LARGEST_REPEAT} times"
        if kind == "class" and (fault := _class_fault(token[0])):
            return fault
        depth += {"open": 1, "close": -1}.get(kind or "", 0)
        if depth < 0:
            break
        repeatable = kind in ("escape", "close", "class", "plain")
        at = token.end()
    return "its parentheses are not balanced" if depth else None


def _unknown(rest: str) -> str:
    what = rest[:2] if rest[0] == "\\" else rest[:4]
    instead = _INSTEAD.get(rest[1:2], "write it in another way") if rest[0] == "\\" else "write it in another way"
    return f"engines differ in {what}; {instead}"


def _class_fault(text: str) -> str | None:
    inside = re.sub(r"\[:\^?[a-z]+:\]", "", text[1:-1].removeprefix("^"))
    if _DOUBLED.search(inside):
        return f"engines differ in {text}; write a backslash before & ~ and -"
    if any(low[-1] > high[-1] for low, high in _RANGE.findall(inside)):
        return f"{text} has a reversed range"
    return None
