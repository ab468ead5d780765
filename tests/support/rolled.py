"""A rollback of one run, as a test describes it: its writes, the nodes of its plan."""

from __future__ import annotations

from gateway.model.action import Compensation, Remedy, Reversibility, Target
from gateway.model.effect import State, Write
from gateway.model.entry import Position
from gateway.model.plan import Does, Node, Way
from gateway.model.rollback import Rollback, RollbackStatus
from tests.support import journaling

TARGET = Target("erp", "invoice", "inv_1", "acme")

ROLLBACK = Rollback(
    rollback_id="rb_1",
    run_id="run_1",
    subtree=False,
    tenant="acme",
    workflow_id="wf_1",
    generation=1,
    to="start",
    since=0,
    reason="wrong prices",
    by="ops",
    status=RollbackStatus.RUNNING,
    epoch=1,
    owner="st_1",
    owner_epoch=1,
    plan_ref="sha256:plan",
    nodes=1,
    started_at=1000.0,
    updated_at=1000.0,
)

NODE = Node(
    node_id="n1",
    effects=("kc-1",),
    run_id="run_1",
    tool="erp",
    action="invoice.update",
    target=TARGET,
    way=Way.CALL,
    remedy=Remedy.RESTORE_PREVIOUS_VERSION,
    why="puts back what was there before",
    original="kc-1",
    by="invoice.replace",
    does=Does.RESTORES,
    automatic=True,
    guard='"v2"',
)


def written(seq: int) -> Write:
    """A standing write whose intent is at ``seq`` and whose outcome follows it."""
    return Write(
        key=journaling.key(f"write-{seq}"),
        attempt=1,
        wire_key=f"kc-{seq}",
        state=State.STANDING,
        run_id="run_1",
        generation=1,
        step_id=f"s{seq}",
        tool="erp",
        action="invoice.update",
        target=TARGET,
        compensation=Compensation(reversibility=Reversibility.REVERSIBLE, remedy=Remedy.RESTORE_PREVIOUS_VERSION, automatic=True),
        intent=Position("st_1", seq),
        outcome=Position("st_1", seq + 1),
        before_version='"v1"',
        after_version='"v2"',
        method="PATCH",
    )
