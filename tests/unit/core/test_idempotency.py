"""Which calls are the same call."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gateway import errors
from gateway.core.request import idempotency
from gateway.model.call import Call, Compensation, Remedy, Reversibility, Target
from gateway.model.effect import Key, KeyKind, State, Write
from gateway.model.entry import Position

CALL = Call(tool="erp", method="POST", path="/refunds", segments=("refunds",), body=b'{"amount":5}', args={"amount": 5})


def key(call: Call = CALL, *, own: str | None = None, step: str | None = None, identity: list[object] | None = None) -> Key:
    return idempotency.key(
        call, tenant="acme", workflow_id="w", action="refund.create", own=own, step=step, identity=identity, window=900.0
    )


def write(state: State, of: Key) -> Write:
    return Write(
        key=of,
        attempt=1,
        wire_key="kc-1",
        state=state,
        run_id="r",
        generation=1,
        step_id="s",
        tool="erp",
        action="refund.create",
        target=Target("erp", "refund", "", "acme"),
        compensation=Compensation(reversibility=Reversibility.COMPENSATABLE, remedy=Remedy.DELETE_CREATED),
        intent=Position("n", 1),
        at=1000.0,
    )


def test_the_order_of_keys_in_a_body_does_not_make_another_call() -> None:
    one = replace(CALL, body=b'{"a":1,"b":2}', args={"a": 1, "b": 2})
    other = replace(CALL, body=b'{"b":2,"a":1}', args={"b": 2, "a": 1})
    assert key(one) == key(other)


@pytest.mark.parametrize("other", ["b=2&a=x+y", "a=x%20y&b=2", "a=x%20%79&b=%32&", "&a=x+y&b=2"])
def test_one_query_written_otherwise_does_not_make_another_call(other: str) -> None:
    asked = {"a": "x y", "b": "2"}
    one, same = (replace(CALL, raw_query=raw, query=asked) for raw in ("a=x+y&b=2", other))
    assert (key(one).digest, key(one).content, key(one).same) == (key(same).digest, key(same).content, key(same).same)
    assert key(one, identity=["x"]).same == key(same, identity=["x"]).same
    assert key(replace(one, query={"a": "x y", "b": "3"})).digest != key(one).digest


def test_other_content_another_path_another_tool_are_other_calls() -> None:
    others = [replace(CALL, args={"amount": 6}), replace(CALL, path="/refunds2"), replace(CALL, tool="crm"), replace(CALL, raw_query="a=1")]
    assert len({key(one).digest for one in [CALL, *others]}) == 5


def test_identity_fields_alone_make_the_key_where_the_adapter_names_them() -> None:
    assert key(CALL, identity=["inv_1"]).digest == key(replace(CALL, args={"amount": 9}), identity=["inv_1"]).digest


def test_an_own_key_is_the_same_with_and_without_quotes() -> None:
    assert idempotency.own_key('"k-1"') == idempotency.own_key("k-1") == "k-1"


def test_keys_of_two_tenants_or_workflows_never_meet() -> None:
    made = {
        idempotency.key(CALL, tenant=tenant, workflow_id=workflow, action="x", own="k", step=None, identity=None, window=1.0).digest
        for tenant, workflow in [("a", "bc"), ("ab", "c"), ("a", "b"), ("b", "a")]
    }
    assert len(made) == 4


def test_the_wire_key_never_holds_the_agents_own_text_and_changes_with_the_attempt() -> None:
    mine = key(own="customer-42-secret")
    first, second = idempotency.wire_key(mine, 1), idempotency.wire_key(mine, 2)
    assert first != second
    assert "secret" not in first
    assert len(first) == 43


@pytest.mark.parametrize(("state", "attempt"), [(State.FAILED, 2), (State.COMPENSATED, 2)])
def test_after_failed_or_compensated_comes_a_new_attempt_even_with_other_content(state: State, attempt: int) -> None:
    mine = key(own="k")
    other = key(replace(CALL, args={"amount": 7}), own="k")
    assert idempotency.consider(other, write(state, mine)) == attempt


@pytest.mark.parametrize("state", [State.IN_FLIGHT, State.STANDING, State.UNKNOWN])
@pytest.mark.parametrize("named", [{"own": "k"}, {"step": "s"}])
def test_a_named_key_refuses_other_content_while_its_effect_is_there(state: State, named: dict[str, str]) -> None:
    mine = key(**named)  # type: ignore[arg-type]
    other = key(replace(CALL, args={"amount": 7}), **named)  # type: ignore[arg-type]
    with pytest.raises(errors.KeyReused):
        idempotency.consider(other, write(state, mine))


def test_what_a_key_answers_follows_the_state_of_its_effect() -> None:
    mine = key()
    assert idempotency.consider(mine, None) == 1
    standing, unknown = write(State.STANDING, mine), write(State.UNKNOWN, mine)
    assert idempotency.consider(mine, standing) == standing
    assert idempotency.consider(mine, unknown) == unknown
    with pytest.raises(errors.InFlight) as busy:
        idempotency.consider(mine, write(State.IN_FLIGHT, mine))
    assert busy.value.retry_after == 1.0


def test_what_a_write_answers_for_lapses_with_its_window() -> None:
    assert not idempotency.lapsed_by_time(write(State.STANDING, key()), now=1900.0)
    assert idempotency.lapsed_by_time(write(State.STANDING, key()), now=1900.1)
    assert key(own="k").kind is KeyKind.OWN


def test_calls_that_do_the_same_are_known_as_such_under_whatever_keys() -> None:
    assert len({one.same for one in (key(), key(own="k-1"), key(own="k-2"), key(step="s"))}) == 1
    assert key().same == key().digest
    assert key(replace(CALL, args={"amount": 6}), own="k-1").same != key(own="k-1").same
    assert key(replace(CALL, args={"amount": 6}), own="k", identity=["i"]).same == key(own="k", identity=["i"]).same


def test_an_own_key_stands_beside_the_content_where_both_are_looked_up() -> None:
    def together(own: str) -> Key:
        return idempotency.key(
            CALL, tenant="acme", workflow_id="w", action="refund.create", own=own, step=None, identity=None, window=900.0, together=True
        )

    one, other = together("k-1"), together("k-2")
    assert (one.kind, one.digest, one.digest == other.digest, one.own == other.own) == (KeyKind.CONTENT, key().digest, True, False)
    assert one.own == key(own="k-1").digest


def test_a_form_is_the_json_of_its_texts_and_no_guess_at_numbers() -> None:
    form = replace(CALL, body=b"amount=5", args={"amount": "5"})
    text = replace(CALL, body=b'{"amount":"5"}', args={"amount": "5"})
    assert idempotency.content_of(form) == idempotency.content_of(text)
    assert idempotency.content_of(form) != idempotency.content_of(CALL)
