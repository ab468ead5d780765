from __future__ import annotations

import json
import random
import re

import pytest

from gateway.core.codec import record
from gateway.core.rollback import plan as planning
from gateway.core.rollback import plan_views
from gateway.model.effect import State
from gateway.model.entry import Position
from gateway.model.rollback import NodeState, Plan
from tests.support.planning import UNDOS, write

HOSTILE = "</text><script>alert(1)</script>\u202e\x00\ud800\"'&<!--]]>"
BOX = re.compile(r'  n\d+\["(?:[\w .,:/()-]|#\d+;|<br/>)+"\]:::[a-z]+_way')


def some(*, count: int = 40) -> Plan:
    chance = random.Random(3)
    actions = ["update", "status", "adjust", "delete", "create", "upsert", "ship", "fix"]
    states = [State.STANDING] * 5 + [State.UNKNOWN]
    effects = [
        write(
            seq, chance.choice(actions), f"o{chance.randrange(count)}", "v1", "v2", state=chance.choice(states), parent_step=f"s{seq // 2}"
        )
        for seq in range(1, count + 1)
    ]
    return planning.plan(effects, UNDOS, parents={}, now=0.0)


def joined() -> Plan:
    above = [write(seq, id_=f"a{seq}", step="above") for seq in range(1, 21)]
    below = [write(seq, id_=f"b{seq}", step="below", parent_step="above") for seq in range(21, 41)]
    return planning.plan([*above, *below], UNDOS, parents={}, now=0.0)


@pytest.mark.parametrize("plan", [some(), joined(), Plan(())])
def test_a_plan_comes_back_from_json_as_it_was(plan: Plan) -> None:
    assert record.plan_of(json.loads(json.dumps(record.plan_json(plan)))) == plan


def test_what_is_no_plan_is_none() -> None:
    with pytest.raises((KeyError, ValueError, TypeError)):
        record.plan_of({"nodes": [{"node_id": "st-1"}], "joins": {}, "irreversible": False})


def test_a_table_tells_each_node_in_the_order_of_the_plan() -> None:
    found = planning.plan([write(1), write(2, "delete", before="v2", after=None), write(3, "ship", id_="o2")], UNDOS, parents={}, now=0.0)
    assert plan_views.rows(found)[1] == (
        "1",
        "erp:thing:o1",
        "2",
        "make again",
        "remake",
        "absent",
        "",
        "Creates the removed object again, as it was before the first of 2 changes, if it is still absent.",
    )
    assert plan_views.summary(found) == "3 effects on 2 objects: 1 call, 1 review."


def test_a_long_list_of_what_comes_before_is_cut() -> None:
    assert plan_views.rows(joined())[-1][6] == "21, 22, 23, +17"


def test_nodes_of_several_streams_go_by_their_whole_names() -> None:
    effects = [
        write(1),
        write(2, "adjust", before="v2", after="v3"),
        write(3, "adjust", before="v3", after="v4", intent=Position("other", 3)),
    ]
    rows = plan_views.rows(planning.plan(effects, UNDOS, parents={}, now=0.0))
    assert [(row[0], row[5], row[6]) for row in rows] == [
        ("other-3", "v4", ""),
        ("st-2", "as other-3 left it", "other-3"),
        ("st-1", "as st-2 left it", "st-2"),
    ]


def test_nothing_to_undo_is_said() -> None:
    assert plan_views.summary(Plan(())) == "There is nothing to undo."
    assert plan_views.rows(Plan(())) == []


@pytest.mark.parametrize("plan", [some(), joined(), Plan(())])
def test_a_flowchart_has_a_box_for_each_node_and_arrows_between_them(plan: Plan) -> None:
    lines = plan_views.mermaid(plan, {node.node_id: NodeState.DONE for node in plan.nodes[:5]}).splitlines()
    boxes = [line for line in lines if BOX.fullmatch(line)]
    arrows = [line for line in lines if " --> " in line]
    members = [line for line in lines if " --- " in line]
    assert lines[:2] == ["flowchart TD", f"  %% {plan_views.summary(plan)}"]
    assert len(boxes) == len(plan.nodes)
    assert sum(" - done" in box for box in boxes) == min(5, len(plan.nodes))
    assert len(arrows) == sum(len(node.after) for node in plan.nodes)
    assert len(members) == sum(map(len, plan.joins.values()))
    assert len(arrows) + len(members) <= 500


def test_a_node_says_what_is_done_by_what_and_in_which_way() -> None:
    plan = planning.plan([write(1), write(2, "delete", before="v2", after=None), write(3, "ship", id_="o2")], UNDOS, parents={}, now=0.0)
    assert plan_views.mermaid(plan, {"st-3": NodeState.TASK}).splitlines()[2:4] == [
        '  n0["erp:thing:o2<br/>review<br/>1 effect - task"]:::review_way',
        '  n1["erp:thing:o1<br/>make again by remake<br/>2 effects"]:::call_way',
    ]


def test_a_large_plan_is_drawn_in_part_and_the_rest_is_counted() -> None:
    plan = planning.plan([write(seq, id_=f"o{seq}") for seq in range(1, 1001)], UNDOS, parents={}, now=0.0)
    drawn = plan_views.mermaid(plan)
    assert sum(BOX.fullmatch(line) is not None for line in drawn.splitlines()) == plan_views.MOST
    assert '  rest["and 800 more, not drawn: 800 call"]' in drawn.splitlines()
    assert len(drawn) < 50_000


def test_a_hostile_id_is_text_in_the_flowchart() -> None:
    plan = planning.plan(
        [write(1, id_=HOSTILE, parent_step=HOSTILE), write(2, id_="a`b`\nend; click n0 %%{init")], UNDOS, parents={}, now=0.0
    )
    drawn = plan_views.mermaid(plan)
    boxes = [line for line in drawn.splitlines() if BOX.fullmatch(line)]
    assert len(boxes) == len(plan.nodes)
    assert "script#62;alert(1)" in drawn
    assert not {*"`&\u202e\x00'{"} & {*drawn}
    drawn.encode()
