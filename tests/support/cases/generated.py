"""Inputs made by hypothesis: from the JSON Schema of policies/schemas/input.json, and ordinary calls with odd parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from hypothesis import strategies as st

from tests.support.policies import POLICIES, call

SCHEMA: dict[str, Any] = orjson.loads((POLICIES / "schemas" / "input.json").read_bytes())

_WORDS = [
    "acme",
    "globex",
    "erp",
    "crm",
    "erp:*",
    "erp:invoice.*",
    "*",
    "invoice.update",
    "unlisted.write",
    "refund.create",
    "ticket.close",
]
_NAMES = ["data", "status", "amount", "items", "price", "id", "to", "name", "fields", "labels", "ticket", "quantity", "secret", "known"]
_LETTERS = st.characters(exclude_categories=["Cs"])

texts = st.sampled_from(_WORDS) | st.text(_LETTERS, max_size=12) | st.text("aA:*.é\u0301ßİΣ𝒳\u202e \n-1", max_size=8)
names = st.sampled_from([*_NAMES, "amount:refund", "steps"]) | st.text(_LETTERS, max_size=6)
integers = st.integers(-3, 1200) | st.integers(-(2**63), 2**64 - 1)
# Of what has more digits the embedded engine reads the first fifteen, which docs/policies.md says.
fractions = st.floats(allow_nan=False, allow_infinity=False).map(lambda number: float(f"{number:.14g}")) | st.integers(-200, 200_000).map(
    lambda cents: cents / 100
)
values = st.recursive(
    st.none() | st.booleans() | integers | fractions | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def of(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Whatever a schema of ours allows."""
    match schema.get("type"):
        case "object":
            return _objects(schema)
        case "array":
            return st.lists(of(schema["items"]), max_size=4)
        case "string":
            return st.sampled_from(schema["enum"]) if "enum" in schema else texts
        case "integer":
            return integers
        case "boolean":
            return st.booleans()
    return values


def _objects(schema: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    members = {name: of(part) for name, part in schema.get("properties", {}).items()}
    required = {name: member for name, member in members.items() if name in schema.get("required", ())}
    named = st.fixed_dictionaries(required, optional={name: member for name, member in members.items() if name not in required})
    more = schema.get("additionalProperties")
    return named if not isinstance(more, Mapping) else st.dictionaries(names, of(more), max_size=4)


@st.composite
def altered(draw: st.DrawFn) -> dict[str, Any]:
    """An ordinary call with a few of its parts made otherwise, to the schema or against it, or left out."""
    document: dict[str, Any] = call(lease__scopes=["*"])
    for _ in range(draw(st.integers(1, 3))):
        part = draw(st.sampled_from(["args", *SCHEMA["properties"]]))
        schema, inside = SCHEMA["properties"][part], document.get(part)
        if isinstance(inside, dict) and inside and draw(st.booleans()):
            member = draw(st.sampled_from(sorted(schema.get("properties", inside))))
            inside[member] = draw(of(schema.get("properties", {}).get(member, {})) | values)
        elif draw(st.integers(0, 9)):
            document[part] = draw(of(schema) | values)
        else:
            document.pop(part, None)
    return document


documents: st.SearchStrategy[dict[str, Any]] = of(SCHEMA) | altered()

_ATOMS = [
    "a",
    "b",
    "é",
    "𝒳",
    ".",
    "[ab]",
    "[^a]",
    "[a-c]",
    "[[:digit:]]",
    "(",
    ")",
    "(?:",
    "(?i)",
    "(?P<n>",
    "|",
    "^",
    "$",
    "\\.",
    "\\-",
    "\\n",
    "\\x41",
    "-",
    " ",
    "{",
    "}",
]
_TIMES = ["", "", "", "*", "+", "?", "{2}", "{1,}", "{0,3}", "*?", "+?", "{,2}", "{1001}"]
patterns = st.lists(st.tuples(st.sampled_from(_ATOMS), st.sampled_from(_TIMES)), max_size=6).map(
    lambda pairs: "".join(map("".join, pairs))
) | st.text("ab()[]{}|*+?^$\\.-&~:dwsbpPzAQ01,é", max_size=8)
"""Regular expressions, many of them none."""
