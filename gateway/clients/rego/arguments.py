"""What built-ins may be given: arguments on which engines differ are refused when the bundle loads."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.clients.rego import patterns
from gateway.clients.rego.builtins import Kind
from gateway.clients.rego.type_inference import Terms

Node = Mapping[str, Any]
Demand = Callable[[Sequence[Node], Terms], str | None]
"""Takes the arguments of an invocation and what is known of them; returns what is wrong with them."""

_VERB = re.compile(r"%(.?)", re.DOTALL)
_PLAIN_VERBS = {"%", "s", "v"}


def fault(name: str, arguments: Sequence[Node], terms: Terms) -> str | None:
    demand = _DEMANDS.get(name)
    return demand(arguments, terms) if demand else None


def _integers(*places: int) -> Demand:
    def demand(arguments: Sequence[Node], terms: Terms) -> str | None:
        given = [arguments[place] for place in places if place < len(arguments)]
        if all(terms.kind(each) is Kind.INTEGER for each in given):
            return None
        return "engines differ in fractions here; give it plain numbers, counts or integers of the input"

    return demand


def _text_of(place: int, looks: str, shown: str) -> Demand:
    """The argument has to be written out, and to look like ``looks``."""
    wanted = re.compile(looks)

    def demand(arguments: Sequence[Node], terms: Terms) -> str | None:
        text = terms.literal(arguments[place]) if place < len(arguments) else ""
        if text is None:
            return f"engines differ in what they forgive; write it out, like {shown}"
        return None if wanted.fullmatch(text) or place >= len(arguments) else f"engines differ in {text!r}; write it like {shown}"

    return demand


def _some_text(place: int) -> Demand:
    def demand(arguments: Sequence[Node], terms: Terms) -> str | None:
        if place >= len(arguments) or terms.literal(arguments[place]):
            return None
        return "engines differ in what an empty text is in another; write the text that is looked for out"

    return demand


def _pattern(place: int, also: Demand | None = None) -> Demand:
    def demand(arguments: Sequence[Node], terms: Terms) -> str | None:
        pattern = terms.literal(arguments[place]) if place < len(arguments) else ""
        if pattern is None:
            return "a pattern that comes about on a call cannot be checked; write it out, or use data.killcord.lib.wildcard.matches"
        return patterns.regex_fault(pattern) or (also(arguments, terms) if also else None)

    return demand


def _format(arguments: Sequence[Node], terms: Terms) -> str | None:
    if len(arguments) < 2:
        return None
    text, values = terms.literal(arguments[0]), arguments[1].get("Array")
    if text is None or values is None:
        return 'write the format and the list of values out: sprintf("... %v", [x])'
    verbs = _VERB.findall(text)
    if unknown := sorted(set(verbs) - _PLAIN_VERBS):
        return f"engines differ in %{unknown[0]}; use %v"
    used = [verb for verb in verbs if verb != "%"]
    if len(used) != len(values["items"]):
        return f"its format takes {len(used)}, not {len(values['items'])} values"
    if any(verb == "s" and terms.kind(each) is not Kind.TEXT for verb, each in zip(used, values["items"], strict=True)):
        return "engines differ in %s for what may be no text; use %v"
    if any(terms.kind(each) is Kind.SET for each in values["items"]):
        return "engines print an empty set otherwise; print it as a list, by sort(...)"
    return None


def _zone(arguments: Sequence[Node], terms: Terms) -> str | None:
    named = arguments[0]["Array"]["items"][1:2] if arguments and "Array" in arguments[0] else []
    if any(terms.literal(each) == "Local" for each in named):
        return "Local is another time zone on every machine; name one, like Europe/Berlin"
    return None


_DEMANDS: Mapping[str, Demand] = {
    "array.slice": _integers(1, 2),
    "indexof": _some_text(1),
    "indexof_n": _some_text(1),
    "regex.find_all_string_submatch_n": _pattern(0, _integers(2)),
    "regex.find_n": _pattern(0, _integers(2)),
    "regex.match": _pattern(0),
    "regex.replace": _pattern(1),
    "replace": _some_text(1),
    "sprintf": _format,
    "substring": _integers(1, 2),
    "time.clock": _zone,
    "time.date": _zone,
    "time.parse_duration_ns": _text_of(0, r"(?:[0-9]{1,9}(?:h|m|s|ms|us|ns))+", '"1h30m"'),
    "time.parse_rfc3339_ns": _text_of(
        0,
        r"(?:19[7-9][0-9]|2[01][0-9]{2})-[01][0-9]-[0-3][0-9]T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:Z|[+-][01][0-9]:[0-5][0-9])",
        '"2026-12-24T00:00:00Z"',
    ),
    "time.weekday": _zone,
    "units.parse": _text_of(0, r"[0-9]{1,6}(?:[KMGT]i?)?", '"10M" or "10Mi"'),
    "units.parse_bytes": _text_of(0, r"[0-9]{1,6}(?:[KMGT]i?B?)?", '"10MB" or "10MiB"'),
}
