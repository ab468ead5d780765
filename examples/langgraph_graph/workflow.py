"""A LangGraph graph with LangGraph's own checkpoints in SQLite: killed at any moment, it continues after a restart and does nothing twice.

Each checkpoint of the graph is named by a checkpoint of the run, so that a rollback leads to a state of the graph.
"""

from __future__ import annotations

import asyncio
import operator
import sys
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypedDict

import aiohttp
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from examples.refund_case import Started, Step, started, stopped
from gateway.sdk import Lost, Problem, Superseded, refusal
from gateway.sdk.aio import Killcord, Run


class State(TypedDict):
    """The graph's state. ``generation`` is the run's when it was made: a resume makes another."""

    generation: int
    done: Annotated[list[str], operator.add]


Graph = CompiledStateGraph[State, None, State, State]


class Node(Protocol):
    async def __call__(self, state: State) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Hands:
    """What the nodes use; it is not part of the graph's state."""

    session: aiohttp.ClientSession
    run: Run
    given: Started

    def node(self, step: Step) -> Node:
        async def carry_out(state: State) -> dict[str, Any]:
            await self.call(step)
            await asyncio.to_thread(self.given.time_to_kill)
            return {"done": [step.name]}

        return carry_out

    async def call(self, step: Step) -> None:
        """One step.

        Raises:
            Problem: the gateway refused it.
            aiohttp.ClientError: the tool did, or there was no answer.
        """
        headers = await self.run.step(step.name)
        async with self.session.request(step.method, self.given.tool + step.path, json=step.body, headers=headers) as answer:
            if refused := refusal(answer.status, answer.headers, await answer.read()):
                raise refused
            answer.raise_for_status()


def built(hands: Hands, kept: BaseCheckpointSaver[str]) -> Graph:
    graph = StateGraph(State)
    before = START
    for step in hands.given.case.steps:
        graph.add_node(step.name, hands.node(step))
        graph.add_edge(before, step.name)
        before = step.name
    graph.add_edge(before, END)
    return graph.compile(checkpointer=kept)


async def work(graph: Graph, run: Run) -> None:
    thread: RunnableConfig = {"configurable": {"thread_id": run.run_id}}
    begin = await place(graph, thread, run)
    async for update in graph.astream(begin, thread, stream_mode="updates", durability="sync"):
        state = await graph.aget_state(thread)
        (name,) = update
        await run.checkpoint(state.config["configurable"]["checkpoint_id"], name)
        print(f"{name}: done", flush=True)
    await run.close("the case is done")


async def place(graph: Graph, thread: RunnableConfig, run: Run) -> State | None:
    """The graph's input: nothing if it continues from its newest checkpoint, a new state if it begins."""
    latest = await graph.aget_state(thread)
    if latest.values.get("generation") == run.generation:
        return None
    resumed = await run.resumption()
    if resumed is None or resumed.state_ref is None:
        return {"generation": run.generation, "done": []}
    # LangGraph's way to return: a state written on top of an older checkpoint becomes the newest of the thread.
    back: RunnableConfig = {"configurable": {**thread["configurable"], "checkpoint_ns": "", "checkpoint_id": resumed.state_ref}}
    await graph.aupdate_state(back, {"generation": run.generation})
    return None


async def main(given: Started) -> int:
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
            AsyncSqliteSaver.from_conn_string(str(given.folder / "graphs.db")) as kept,
            Killcord.of_environment() as killcord,
        ):
            run = await killcord.open(**given.case.run)
            await work(built(Hands(session, run, given), kept), run)
    except (Problem, Lost, Superseded, aiohttp.ClientConnectionError) as why:
        return stopped(why)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(started(__doc__))))
