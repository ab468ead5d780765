"""What can be wrong with an ERP, or the way to it, that its clients cannot see."""

from __future__ import annotations

from dataclasses import replace

from killcord_demo.relay import Ask, Asked, Relayed


def does_nothing(asked: Asked, ask: Ask) -> Relayed | None:
    """A change is answered as if it had been made, with the record as it was; nothing is changed."""
    if asked.method != "PATCH":
        return ask(asked)
    return ask(Asked("GET", asked.path, tuple(one for one in asked.headers if one[0].lower() == "authorization"), b""))


def loses_answers(asked: Asked, ask: Ask) -> Relayed | None:
    """A change is made, and the connection breaks before the reply."""
    answer = ask(asked)
    return None if asked.method == "PATCH" else answer


def merged(asked: Asked, ask: Ask) -> Relayed | None:
    """Somebody merged two records: the one's name gives the other."""
    return ask(replace(asked, path=asked.path.replace("/inv-1001", "/inv-1002")))
