from __future__ import annotations

import json
import random
from xml.etree import ElementTree

import pytest

from gateway.core.codec import plan as codec_plan
from gateway.core.rollback import plan as planning
from gateway.core.rollback import plan_svg, plan_table
from gateway.model.effect import State
from gateway.model.entry import Position
from gateway.model.plan import NodeState, Plan
from tests.support.planning import UNDOS, write

HOSTILE = "</text><script>alert(1)</script>\u202e\x00\ud800\"'&<!--]]>"
SVG = "{http://www.w3.org/2000/svg}"


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
    assert codec_plan.read(json.loads(json.dumps(codec_plan.written(plan)))) == plan


def test_what_is_no_plan_is_none() -> None:
    with pytest.raises((KeyError, ValueError, TypeError)):
        codec_plan.read({"nodes": [{"node_id": "st-1"}], "joins": {}, "irreversible": False})


def test_a_table_tells_each_node_in_the_order_of_the_plan() -> None:
    found = planning.plan([write(1), write(2, "delete", before="v2", after=None), write(3, "ship", id_="o2")], UNDOS, parents={}, now=0.0)
    assert plan_table.rows(found)[1] == (
        "1",
        "erp:thing:o1",
        "2",
        "make again",
        "remake",
        "absent",
        "",
        "Makes the removed object again as it was before the first of 2 changes, if nobody else did.",
    )
    assert plan_table.summary(found) == "3 effects on 2 objects: 1 call, 1 review."
    assert [row[-1] for row in plan_table.rows(found, {"st-1": NodeState.DONE})] == ["pending", "done"]
    assert len(plan_table.columns({})) == len(plan_table.rows(found, {})[0])


def test_a_long_list_of_what_comes_before_is_cut() -> None:
    assert plan_table.rows(joined())[-1][6] == "21, 22, 23, +17"


def test_nodes_of_several_streams_go_by_their_whole_names() -> None:
    effects = [
        write(1),
        write(2, "adjust", before="v2", after="v3"),
        write(3, "adjust", before="v3", after="v4", intent=Position("other", 3)),
    ]
    rows = plan_table.rows(planning.plan(effects, UNDOS, parents={}, now=0.0))
    assert [(row[0], row[5], row[6]) for row in rows] == [
        ("other-3", "v4", ""),
        ("st-2", "as other-3 left it", "other-3"),
        ("st-1", "as st-2 left it", "st-2"),
    ]


def test_nothing_to_undo_is_said() -> None:
    assert plan_table.summary(Plan(())) == "There is nothing to undo."
    assert plan_table.rows(Plan(())) == []


@pytest.mark.parametrize("plan", [some(), joined(), Plan(())])
def test_a_picture_has_a_box_for_each_node_and_arrows_between_them(plan: Plan) -> None:
    root = ElementTree.fromstring(plan_svg.drawn(plan, {node.node_id: NodeState.DONE for node in plan.nodes[:5]}))
    assert len(root.findall(f"{SVG}g")) == len(plan.nodes)
    arrows = [path for path in root.findall(f"{SVG}path") if path.get("marker-end")]
    assert len(arrows) == sum(len(node.after) for node in plan.nodes)


def test_a_large_plan_is_drawn_in_part_and_the_rest_is_counted() -> None:
    plan = planning.plan([write(seq, id_=f"o{seq}") for seq in range(1, 1001)], UNDOS, parents={}, now=0.0)
    drawn = plan_svg.drawn(plan)
    assert len(ElementTree.fromstring(drawn).findall(f"{SVG}g")) == plan_svg.MOST
    assert "and 800 more, not drawn: 800 call" in drawn
    assert len(drawn) < 400_000


def test_a_hostile_id_is_text_in_the_picture() -> None:
    plan = planning.plan([write(1, id_=HOSTILE, parent_step=HOSTILE)], UNDOS, parents={}, now=0.0)
    drawn = plan_svg.drawn(plan)
    tags = {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(drawn).iter()}
    assert tags == {"svg", "title", "defs", "marker", "path", "rect", "text", "g"}
    assert "\u202e" not in drawn
    drawn.encode()
