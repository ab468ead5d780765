import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.core.codec import record
from gateway.model.call import Target
from gateway.model.review import Evidence, Resolution, Task, TaskKind
from gateway.model.run import Limits, Mode, Order, Rate, Run, Scope

TIMES = st.integers(min_value=0, max_value=4_000_000_000_000_000).map(lambda micros: micros / 1_000_000)
NAMES = st.text(min_size=1, max_size=8)
COUNTS = st.none() | st.integers(min_value=0, max_value=2**40)
LIMITS = st.builds(
    Limits,
    rate=st.none() | st.builds(Rate, st.integers(min_value=1, max_value=10_000), st.sampled_from([1.0, 60.0, 3600.0, 90.0])),
    steps=COUNTS,
    writes=COUNTS,
    records=COUNTS,
    tenants=COUNTS,
    systems=COUNTS,
    amount=st.dictionaries(NAMES, st.integers(min_value=0, max_value=2**50), max_size=3),
)
RUNS = st.builds(
    Run,
    run_id=NAMES,
    workflow_id=NAMES,
    tenant=NAMES,
    agent_id=NAMES,
    task_class=NAMES,
    parent_run=st.none() | NAMES,
    ancestors=st.lists(NAMES, max_size=2).map(tuple),
    scopes=st.lists(NAMES, max_size=2).map(tuple),
    tools=st.none() | st.lists(NAMES, max_size=2).map(tuple),
    mode=st.sampled_from(Mode),
    generation=st.integers(min_value=1, max_value=9),
    revoked=st.integers(min_value=0, max_value=9),
    limits=LIMITS,
    opened_at=TIMES,
    opened_under=st.integers(min_value=0, max_value=9),
    expires_at=TIMES,
    closed_at=st.none() | TIMES,
)


@given(RUNS)
def test_a_run_comes_out_of_its_entry_as_it_went_in(run: Run) -> None:
    assert record.RUN.read(record.RUN.journal(run)) == run


@given(st.sampled_from(Mode), st.booleans(), TIMES, st.none() | TIMES)
def test_an_order_comes_out_of_its_entry_as_it_went_in(mode: Mode, no_fanout: bool, made: float, released: float | None) -> None:
    order = Order(
        order_id="ord_1",
        epoch=4,
        scope=Scope(run="run_1", subtree=True, tool="erp"),
        mode=mode,
        reason="why",
        by="ops",
        no_fanout=no_fanout,
        created_at=made,
        released_at=released,
        released_by=None if released is None else "ops",
    )
    assert record.ORDER.read(record.ORDER.journal(order)) == order
    everything = replace(order, scope=Scope(everything=True))
    assert record.ORDER.read(record.ORDER.journal(everything)) == everything


def test_a_task_comes_out_of_its_entry_as_it_went_in() -> None:
    task = Task(task_id="tk_1", kind=TaskKind.OUTCOME_UNKNOWN, run_id="r", tenant="t", wire_keys=("kc",), summary="look", opened_at=5.25)
    assert record.TASK.read(record.TASK.journal(task)) == task
    done = replace(task, resolution=Resolution.APPLIED, resolved_by="ops", note="seen", resolved_at=9.5)
    assert record.TASK.read(record.TASK.journal(done)) == done
    handed = replace(
        task,
        kind=TaskKind.CORRECTION,
        wire_keys=("kc-1", "kc-2"),
        target=Target("erp", "invoice", "inv_1", None),
        evidence=Evidence(before="absent", after=None, now='"v3"', entries=("st/1", "st/2"), why="it was changed since"),
        rollback_id="rb_1",
        node_id="n1",
    )
    assert record.TASK.read(record.TASK.journal(handed)) == handed


def test_a_task_of_an_older_entry_names_its_one_write() -> None:
    held = {"task_id": "t", "kind": "outcome-unknown", "run_id": "r", "tenant": "a", "wire_key": "kc", "summary": "look", "opened_at": 1}
    found = record.TASK.read({**held, "resolution": "applied", "resolved_by": "ops", "note": "seen", "resolved_at": 2})
    assert (found.wire_keys, found.target, found.evidence, found.resolution) == (("kc",), None, None, Resolution.APPLIED)


def test_a_rate_that_is_invalid_is_refused() -> None:
    for word in ("", "50", "x/s", "50/fortnight"):
        with pytest.raises(ValueError):
            record.rate(word)
