"""Where the engines are known to part, of which docs/policies.md tells; a row that no longer does is to be struck there and here."""

from __future__ import annotations

from tests.support.policies import call

DENIES = 'decision := {"allow": count(denials) == 0, "reasons": sort(denials), "obligations": {}}\n\n'

ONLY_EMBEDDED_FAILS: list[tuple[str, str, dict[str, object]]] = [
    (
        "OPA leaves out rules by their literals before it looks at types",
        'denials contains {"code": "x", "message": "x"} if startswith(input.args.name, "x")',
        call(args={"name": 1}),
    ),
    (
        "OPA leaves out rules by what comes later in them",
        'denials contains {"code": "x", "message": "x"} if {\n\tcontains(input.args.name, "x")\n\tinput.tool == "crm"\n}',
        call(args={"name": 1}),
    ),
    (
        "OPA stops at the first definition that holds",
        'denials contains {"code": "x", "message": "x"} if not fine\n\n'
        'fine if input.tool == "erp"\n\nfine if contains(input.args.name, "x")',
        call(args={"name": 1}),
    ),
    (
        "OPA has numbers of any size",
        'denials contains {"code": "x", "message": "x"} if input.counters.steps % 2 == 1',
        call(counters={"steps": 1e16}),
    ),
]
"""Of these calls the embedded engine denies each, as one that a rule cannot be applied to."""

BOTH_DECIDE: list[tuple[str, str, dict[str, object]]] = [
    (
        "fractions of more than fifteen digits",
        'denials contains {"code": "x", "message": "x"} if input.args.amount > 100',
        call(args={"amount": 100.00000000000001}),
    ),
    (
        "how a message shows fractions from a million on",
        'denials contains {"code": "x", "message": sprintf("%v is too much.", [input.args.amount])}',
        call(args={"amount": 1234567.5}),
    ),
    (
        "how a message shows fractions inside a list",
        'denials contains {"code": "x", "message": sprintf("%v is too much.", [input.args.amounts])}',
        call(args={"amounts": [1.0]}),
    ),
    (
        "whether a set or an object is the greater",
        'denials contains {"code": "x", "message": "x"} if {each | some each in input.args.a} < input.args.b',
        call(args={"a": [1], "b": {"a": 1}}),
    ),
    (
        "whole numbers beyond 63 bits beside fractions",
        'denials contains {"code": "x", "message": "x"} if input.args.a == input.args.b',
        call(args={"a": 2**63, "b": 9.223372036854776e18}),
    ),
]
"""Of these both decide, each in its way."""
