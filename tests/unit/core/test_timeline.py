from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from gateway.core.codec import record
from gateway.core.incident import postmortem, timeline
from gateway.core.journal import summary
from gateway.core.rollback import affected, plan_objects
from gateway.model.call import Compensation, Remedy, Reversibility, Target
from gateway.model.effect import State, Write
from gateway.model.entry import Kind, Position
from gateway.model.rollback import Checkpoint, NodeAction
from gateway.model.run import Mode, Order
from gateway.model.trigger import Incident
from tests.support import journaling
from tests.support.incidents import INCIDENT
from tests.support.journaling import typed
from tests.support.rolled import UNDOS

Entry = dict[str, Any]

WAY = Compensation(reversibility=Reversibility.REVERSIBLE, remedy=Remedy.RESTORE_PREVIOUS_VERSION, automatic=True, allowed_until=100.0)
HOSTILE = "x` | <b> [y](http://e) @ops\n# z \u202e"
HEAD = {
    "stream": "st",
    "seq": 9,
    "hash": "ab" * 32,
    "ts": journaling.STAMP,
    "checkpoint": "killcord/st\n9\nq80=\nts x\n\n\N{EM DASH} k s\n",
}


def write(seq: int, id_: str = "inv_1", state: State = State.STANDING, **more: Any) -> Write:
    return Write(
        key=journaling.key(str(seq)),
        attempt=1,
        wire_key=journaling.wire_key(str(seq)),
        state=state,
        run_id="run_1",
        generation=1,
        step_id="s",
        tool="erp",
        action="invoice.update",
        target=Target("erp", "invoice", id_, "acme"),
        **{"compensation": WAY, "intent": Position("st", seq), "existed": True, "snapshot_ref": "sha256:x", **more},
    )


def at(seq: int, kind: str, **more: object) -> Entry:
    return {**journaling.entry(kind, **more), "stream": "st", "seq": seq, "hash": f"{seq:064x}"}


def trigger(seq: int, evidence: list[str], **more: object) -> Entry:
    fired = {"name": "anomaly.loop", "layer": "behaviour", "at": 1, "count": 10, "threshold": 10, "evidence": evidence, "facts": {}}
    return at(seq, "trigger", trigger=fired, **more)


def order_of(seq: int, order: Order) -> Entry:
    return at(seq, "order", order=record.ORDER.journal(order), change="made", by="trigger:anomaly.loop", reason="loop")


def told(*entries: Entry, incident: Incident = INCIDENT, now: float = 50.0, **more: Any) -> dict[str, Any]:
    found = timeline.view(
        timeline.Sources(incident=incident, entries=tuple(map(typed, entries)), now=now, **{"writes": (), "undos": UNDOS, **more})
    )
    hashes = {f"{entry['stream']}/{entry['seq']}": entry["hash"] for entry in entries}
    return found | {"hashes": {name: hashes[name] for name in timeline.cited(found) if name in hashes}}


def test_effects_gather_by_object_and_the_worst_state_is_the_objects() -> None:
    found = affected.affected_objects(
        [write(1), write(2, "inv_2"), write(3, state=State.UNKNOWN), write(4, "inv_3", State.COMPENSATED)], {}, UNDOS
    )
    assert [(one.target.id, one.state, len(one.writes)) for one in found] == [
        ("inv_1", State.UNKNOWN, 2),
        ("inv_2", State.STANDING, 1),
        ("inv_3", State.COMPENSATED, 1),
    ]


def test_what_was_not_applied_and_what_the_gateway_undid_itself_is_not_the_runs_doing() -> None:
    assert affected.affected_objects([write(1, state=State.FAILED), write(2, rollback_id="rb_1")], {}, UNDOS) == []


def test_a_create_is_known_by_what_it_made() -> None:
    made = Target("erp", "invoice", "inv_7", "acme")
    first, second = affected.affected_objects([write(1, ""), write(2, "inv_7"), write(3, "")], {"st/1": made}, UNDOS)
    assert (first.target, len(first.writes)) == (made, 2)
    assert second.target.id == "", "what a second create made is not known; it is another object all the same"


def changed(seq: int, id_: str = "inv_1", **more: Any) -> Write:
    """A change from one version to the next, by its number."""
    return write(seq, id_, before_version=f"v{seq}", after_version=f"v{seq + 1}", outcome=Position("st", seq), **more)


def test_what_only_a_person_can_undo_comes_before_what_goes_automatically() -> None:
    by_hand = replace(WAY, remedy=Remedy.MANUAL_REVIEW)
    found = affected.affected_objects([changed(1), changed(2, "inv_2", compensation=by_hand)], {}, UNDOS)
    assert [one.target.id for one in found] == ["inv_2", "inv_1"]


def test_a_deadline_that_has_passed_is_reported() -> None:
    (row,) = told(writes=[changed(1)], now=101.0)["affected"]
    assert (row["can_undo"], row["why_not"]) == (False, "its deadline was 1970-01-01T00:01:40.000000Z")
    (row,) = told(writes=[changed(1)], now=99.0)["affected"]
    assert row["can_undo"] is True


def test_an_object_can_be_undone_where_its_plan_has_a_call_for_all_of_it_and_else_the_plans_reason_is_reported() -> None:
    gone = {("erp", "invoice.update"): replace(UNDOS["erp", "invoice.update"], by=None)}
    for reason, writes, undos in (
        (None, [changed(1), changed(2)], UNDOS),
        ("somebody else changed the object since, or its version is unknown", [changed(1), changed(3)], UNDOS),
        ("its adapter no longer declares the action", [changed(1)], {}),
        ("its adapter now declares another compensation", [changed(1)], gone),
        ("the state before it was not stored", [replace(changed(1), snapshot_ref=None)], UNDOS),
        ("the version it left is unknown", [replace(changed(1), after_version=None)], UNDOS),
    ):
        (row,) = told(writes=writes, undos=undos, now=99.0)["affected"]
        assert (row["can_undo"], row.get("why_not")) == (reason is None, reason)
        drafts = plan_objects.draft_nodes(writes, undos, frozenset(), 99.0)
        assert row["can_undo"] is all(one.node.way in (NodeAction.CALL, NodeAction.NOTHING) for one in drafts)


def test_an_entry_is_reported_once_and_in_order_of_time() -> None:
    seen = at(3, "refusal", code="policy-denied", status=403)
    late = {**at(2, "finding", finding="f", finding_id="fnd_1", severity="low"), "ts": "2027-01-01T00:00:00.000000Z"}
    lines = told(late, seen, seen, incident=replace(INCIDENT, evidence=("st/3",)))["timeline"]
    assert [one["entry"] for one in lines] == ["st/3", "st/2"]


def test_routine_of_the_run_is_no_part_of_the_story() -> None:
    run = record.RUN.journal(journaling.RUN)
    entries = [at(seq, "run", run=run, change=change) for seq, change in enumerate(("opened", "renewed", "closed"), start=1)]
    assert [one["what"] for one in told(*entries, incident=replace(INCIDENT, evidence=()))["timeline"]] == ["run closed"]


def test_a_checkpoint_is_reported_by_its_name() -> None:
    taken = record.CHECKPOINT.journal(Checkpoint(checkpoint_id="chk_1", run_id="run_1", generation=1, at=None))
    assert summary.describe_entry(typed(at(1, "checkpoint", checkpoint=taken))) == "checkpoint"
    assert set(timeline.KINDS) <= set(Kind)


def test_a_story_of_very_many_entries_and_objects_keeps_the_ends_and_says_what_it_left_out() -> None:
    entries = [at(seq, "finding", finding=f"f{seq}", finding_id="x", severity="low") for seq in range(1, 1001)]
    writes = [write(seq, f"inv_{seq}") for seq in range(1, 10_001)]
    found = told(*entries, writes=writes, incident=replace(INCIDENT, evidence=()))
    assert (len(found["timeline"]), len(found["affected"])) == (timeline.BOUND, timeline.BOUND)
    assert found["omitted"] == {"timeline": 800, "affected": 9_800}
    assert (found["timeline"][0]["entry"], found["timeline"][-1]["entry"]) == ("st/1", "st/1000")
    assert found["effects"]["standing"] == 10_000


def test_very_many_unsettled_effects_are_counted() -> None:
    opened = told(writes=[write(seq, state=State.UNKNOWN) for seq in range(1, 301)])["open"]
    assert len(opened) == timeline.BOUND + 1
    assert opened[-1] == {"what": "more-effects", "count": 100, "text": "100 more effects are undecided"}


def test_no_word_of_a_call_itself_is_reported() -> None:
    secret = "canary-4711"
    entries = [
        at(1, "read", action="a", target=journaling.target(), requested={"method": "GET", "path": f"/x?token={secret}"}, status=200),
        at(2, "refusal", action="a", code="policy-denied", status=403, detail=secret, requested={"method": "GET", "path": secret}),
        at(3, "finding", finding="f", finding_id="x", severity="low", evidence_ref=secret),
        trigger(4, ["st/1"]) | {"incident_id": "inc_1"},
    ]
    assert secret not in str(told(*entries, incident=replace(INCIDENT, evidence=("st/1", "st/2", "st/3"))))


def test_without_an_order_nothing_is_said_to_have_been_stopped() -> None:
    found = told(trigger(1, []) | {"incident_id": "inc_1"})
    assert found["stopped"] is None
    assert "No order was made" in postmortem.markdown(found, [], "k")


# --- the post-mortem -------------------------------------------------------------------------------------------------


INCIDENT_JSON = record.INCIDENT.journal(INCIDENT)


def contained() -> dict[str, Any]:
    order = replace(journaling.order(Mode.READ_ONLY, run="run_1"), order_id="ord_1")
    answer = at(4, "response", action="read_only", verdict="containment", why="w", incident=INCIDENT_JSON, trigger="st/2")
    made = {**order_of(3, order), "ts": "2026-11-24T20:08:03.124000Z"}
    evidence = at(1, "outcome", action="invoice.update", target=journaling.target(), result="failed", verification="none")
    incident = replace(INCIDENT, evidence=("st/1",))
    return told(evidence, trigger(2, ["st/1"]), made, answer, incident=incident, writes=[write(1)], orders=[order], holding=[order])


def test_the_post_mortem_says_how_fast_it_was() -> None:
    text = postmortem.markdown(contained(), [HEAD], "k+1+2")
    assert "Order `ord_1` was made 0.544 ms after the first trigger (`st/2` to `st/3`)." in text
    assert "| `erp:invoice:inv_1` | 1 | standing |" in text
    assert f"| `st/3` | `{3:064x}` |" in text
    assert "killcord journal verify --key 'k+1+2' --heads inc_1.heads" in text
    for title in ("Summary", "Timeline", "What was stopped", "Affected objects", "What was undone", "Open items", "Evidence"):
        assert f"\n## {title}" in text


def test_a_report_does_not_change_while_nothing_happens() -> None:
    sources: dict[str, Any] = {"incident": replace(INCIDENT, evidence=()), "writes": [write(1), write(2, "inv_2")]}
    early, late = (postmortem.markdown(told(now=now, **sources), [HEAD], "k") for now in (50.0, 5000.0))
    assert early == late


def test_foreign_texts_cannot_leave_their_place() -> None:
    hostile = replace(INCIDENT, why=HOSTILE, agent_id=HOSTILE, cause=HOSTILE, evidence=())
    entry = at(1, "finding", finding=HOSTILE, finding_id="x", severity="low", by=HOSTILE)
    text = postmortem.markdown(told(entry, incident=hostile, writes=[write(1, HOSTILE)]), [HEAD], "k")
    assert "\u202e" not in text
    assert "\n# z" not in text
    for line in text.split("```sh")[0].split("\n"):
        outside = "".join(line.split("`")[::2])
        assert "<b>" not in outside
        assert "@ops" not in outside
        assert "http" not in outside
        assert line.count("`") % 2 == 0
    rows = [line for line in text.split("\n") if line.startswith("| 2026")]
    assert [line.count("|") for line in rows] == [5]
