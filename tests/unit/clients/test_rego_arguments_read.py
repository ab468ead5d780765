"""What a bundle reads of a call's arguments and query, so that another spelling of it is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.clients import policy_bundle
from gateway.clients.rego import loading
from tests.support.policies import ALLOWED, ruled


@pytest.mark.parametrize(
    ("rules", "read"),
    [
        (f"{ALLOWED} if input.args.amount > 1", {("args", "amount")}),
        (f'{ALLOWED} if input.args["refund"].amount > 1', {("args", "refund", "amount")}),
        (f'{ALLOWED} if input.http.query.tenant == "x"', {("http", "query", "tenant")}),
        (f"import input.args\n{ALLOWED} if args.amount > 1", {("args", "amount")}),
        (f"{ALLOWED} if {{\n\ta := input.args\n\ta.amount > 1\n}}", {("args", "amount")}),
        (f"{ALLOWED} if {{\n\ta := input.args\n\tb := a.refund\n\tb.amount > 1\n}}", {("args", "amount")}),
        (
            f"{ALLOWED} if {{\n\tsome x in input.args.items\n\tx.price > 1\n}}",
            {("args", "items", "price"), ("args", "items", "*", "price")},
        ),
        (f"{ALLOWED} if input.args.items[_].price > 1", {("args", "items", "price")}),
        (f'{ALLOWED} if object.get(input.args, "amount", 0) > 1', {("args", "amount")}),
        (f'{ALLOWED} if object.get(input.args, ["refund", "amount"], 0) > 1', {("args", "refund", "amount")}),
        (f"{ALLOWED} if f(input.args)\nf(x) if x.amount > 1", {("args", "amount")}),
        (f"{ALLOWED} if not large\nlarge if input.args.amount > 1", {("args", "amount")}),
    ],
)
def test_what_rules_read_of_a_call_is_known(tmp_path: Path, rules: str, read: set[tuple[str, ...]]) -> None:
    found = loading.examine(policy_bundle.read(ruled(tmp_path, rules)))
    assert found.problems == ()
    assert read <= set(found.arguments)


@pytest.mark.parametrize("rules", [ALLOWED, f"{ALLOWED} if input.args", f"{ALLOWED} if count(input.args) > 1"])
def test_rules_that_name_no_member_read_none(tmp_path: Path, rules: str) -> None:
    assert loading.examine(policy_bundle.read(ruled(tmp_path, rules))).arguments == ()
