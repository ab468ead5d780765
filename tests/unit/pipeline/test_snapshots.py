"""A sealed snapshot: the object's bytes as they were, once, and what earlier versions sealed stays readable."""

from __future__ import annotations

import orjson
import pytest

from gateway.core.adapter.objects import Representation
from gateway.pipeline import sealed_payloads
from gateway.pipeline.evidence import Before

WHOLE = Representation("text/csv", (("x-meta-a", "caf\xe9"),), ("x-meta-*",), True, b"a\nb\x00\xff\n\n")


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        (None, WHOLE),
        ({"a": [1, None]}, Representation("application/json", (), (), True, b'{ "a": [1, null] }\n')),
        (10**30, Representation("application/json", (), (), True, b"1000000000000000000000000000000")),
        ({"b": 2}, Representation("application/json", (("cache-control", "x"),), ("cache-control",))),
    ],
)
def test_what_was_sealed_is_read_back(state: object, kept: Representation) -> None:
    before = Before(taken=True, version='"v"', state=state, exists=True, representation=kept)
    found = sealed_payloads.snapshot_from(sealed_payloads.snapshot(before))
    assert (found.exists, found.state, found.representation) == (True, state, kept)


def test_a_state_that_is_all_of_the_body_is_not_sealed_twice() -> None:
    kept = Representation("application/json", (), (), True, b'{"secret":"CANARY"}')
    sealed = sealed_payloads.snapshot(Before(taken=True, state={"secret": "CANARY"}, exists=True, representation=kept))
    assert sealed.count(b"CANARY") == 1


def test_a_coded_object_is_read_as_what_it_holds() -> None:
    packed = bytes.fromhex("1f8b0800000000000203ab564a54b232ac0500afac1b5607000000")
    kept = Representation("application/json", (("content-encoding", "gzip"),), ("content-encoding",), True, packed)
    found = sealed_payloads.snapshot_from(sealed_payloads.snapshot(Before(taken=True, exists=True, representation=kept)))
    assert found.state == {"a": 1}
    assert found.representation == kept


def test_snapshots_of_earlier_versions_stay_readable() -> None:
    found = sealed_payloads.snapshot_from(orjson.dumps({"exists": True, "version": "v", "state": {"a": 1}}))
    assert found == sealed_payloads.Snapshot(True, {"a": 1})
    assert sealed_payloads.snapshot_from(orjson.dumps({"exists": False, "version": None, "state": None})).exists is False


def test_only_what_can_be_restored_is_worth_keeping() -> None:
    assert Before(taken=True, exists=False).keeps
    assert Before(taken=True, exists=True, representation=WHOLE).keeps
    assert Before(taken=True, exists=True, state={}).keeps
    assert not Before(taken=True, exists=True, representation=Representation("text/plain")).keeps
    assert not Before(taken=False).keeps
