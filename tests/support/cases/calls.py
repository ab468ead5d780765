"""Calls to decide on by the starter bundle: an ordinary write, with one thing after the other odd about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.core.policy import rules
from tests.support.decisions import DECISIONS
from tests.support.policies import call

Case = tuple[str, dict[str, object]]

WRAPPED: object = "x"
for _ in range(50):
    WRAPPED = [WRAPPED]

ODD: list[object] = [
    *(None, True, False, 0, 1, -1, 1.5, "", "x", "erp", [], ["erp"], [[]], {}, {"erp": True}, WRAPPED),
    *(2**53 - 1, 2**53 + 1, 2**63, 2**64 - 1, 1e308, -0.0, 0.1 + 0.2, 1.0),
]
TEXTS: list[str] = [
    *("é", "e\u0301", "𝒳", "👩‍👩‍👧", "\u202eemca", "acme\u200b", "ACME", "ａｃｍｅ", "аcme", "İ", "ß", "ſ", "ΑΣ"),
    *("acme ", " acme", "acme\n", "\u0000acme", "\ufeffacme", "a\u2028", "a" * 100_000, "<&>", '"', "\\"),
    *("*", "**", "a*b*c", "erp:*", "[a]", "(?i)acme", "a.b", "$0", "%s"),
]


def starter() -> Iterator[Case]:
    """What the starter bundle looks at, present and absent, of its type and of every other."""
    yield from ((name, document) for name, document, _ in DECISIONS)
    for path in _fields():
        if _is_there(path):
            yield f"without {path}", call(**{path: ...})
        for value in ODD:
            yield f"{path} is {value!r}"[:80], call(**{path: value})
    for text in TEXTS:
        yield f"tenants that are {text!r}"[:80], call(run__tenant=text, target__tenant=text)
        yield f"the target's tenant is {text!r}"[:80], call(target__tenant=text)
        yield f"the scope is {text!r}"[:80], call(lease__scopes=[text])
        yield f"the scope is of {text!r}"[:80], call(lease__scopes=[f"erp:{text}*"], action__name=f"{text}.update")
        yield f"the tool is {text!r}"[:80], call(tool=text, lease__scopes=[f"{text}:*"], lease__tools=[text])
    yield "ten thousand scopes", call(lease__scopes=[f"crm:{at}.*" for at in range(10_000)] + ["erp:*"])
    yield "ten thousand scopes, none of which matches", call(lease__scopes=[f"crm:{at}.*" for at in range(10_000)])
    yield "as deep as a body may be", call(args=WRAPPED)
    yield "a lone surrogate", call(args="\ud800")
    yield "a lone surrogate in a name", call(args={"\udfff": 1})
    yield "an integer beyond 64 bits", call(args=2**64)


def _fields() -> Iterator[str]:
    parts: Any = rules.schemas()["killcord", "authz"]["properties"]
    assert isinstance(parts, dict)
    for name, part in parts.items():
        if name not in ("args", "approval"):
            yield name
            yield from (f"{name}__{field}" for field in part.get("properties", {}))


def _is_there(path: str) -> bool:
    part, _, member = path.partition("__")
    inside = call()[part]
    return not member or (isinstance(inside, dict) and member in inside)
