"""What Prometheus is told of calls."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from gateway.observe.metrics import Observer, gauges


def test_calls_are_counted_by_decision_and_stages_timed_from_the_one_before() -> None:
    registry, logged = CollectorRegistry(), []
    observer = Observer(lambda: 10.5, lambda event, **members: logged.append((event, members)))
    registry.register(observer)
    observer.passed("erp", "invoice.read", "read", 200, 10.0, [("authenticate", 10.0002), ("decide", 10.0202)])
    observer.passed("erp", "invoice.read", "read", 200, 10.0, [("authenticate", 30.0)])
    observer.refused("erp", "invoice.update", "write", "run-read-only", 10.0, [])
    observer.refused("whatever-the-agent-wrote", "", "", "tool-unknown", 10.0, [])
    text = generate_latest(registry).decode()
    assert 'killcord_calls_total{action="invoice.read",decision="allow",tool="erp"} 2.0' in text
    assert 'killcord_calls_total{action="invoice.update",decision="run-read-only",tool="erp"} 1.0' in text
    assert "whatever-the-agent-wrote" not in text
    assert 'killcord_stage_seconds_bucket{le="0.00025",stage="authenticate"} 1.0' in text
    assert 'killcord_stage_seconds_bucket{le="+Inf",stage="authenticate"} 2.0' in text
    assert 'killcord_stage_seconds_count{stage="authenticate"} 2.0' in text
    assert 'killcord_stage_seconds_bucket{le="0.01",stage="decide"} 0.0' in text
    assert 'killcord_stage_seconds_bucket{le="0.025",stage="decide"} 1.0' in text
    assert 'killcord_call_seconds_bucket{effect="read",le="0.5"} 2.0' in text
    assert 'killcord_call_seconds_count{effect="write"} 1.0' in text
    assert text.count("killcord_call_seconds_count") == 2, "a call that was not classified has no effect"
    assert [event for event, _ in logged] == ["call", "call", "refusal", "refusal"]


def test_a_gauge_is_read_when_it_is_asked_for() -> None:
    registry, value = CollectorRegistry(), [1.0]
    gauges(registry, {"killcord_order_epoch": ("The epoch.", lambda: value[0])})
    value[0] = 7.0
    assert "killcord_order_epoch 7.0" in generate_latest(registry).decode()
