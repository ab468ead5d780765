"""The plays of ``--incident``: told in a list, or played one after the other on one ERP and one gateway."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import typer

from killcord_demo import children, erp, relay, site
from killcord_demo.incidents import declared
from killcord_demo.incidents.play import Play
from killcord_demo.incidents.repertoire import PLAYS
from killcord_demo.incidents.stage import Stage
from killcord_demo.screen import Screen
from killcord_demo.site import Site
from killcord_demo.surprise import expect

ALL, LIST = "all", "list"
_PAUSES = {True: 0.1, False: 0.0}
"""Seconds that the agent pauses after each call: for a person who follows, and else."""


def listed(screen: Screen) -> None:
    """Say which plays there are."""
    widest = max(map(len, PLAYS))
    screen.plain("\n".join(f"{play.trigger:<{widest}}  {play.title}" for play in PLAYS.values()))


def chosen(name: str) -> tuple[Play, ...]:
    """The plays of a name.

    Raises:
        BadParameter: there is none.
    """
    if name == ALL:
        return tuple(PLAYS.values())
    if name not in PLAYS:
        raise typer.BadParameter(f"no play is called {name!r}; `--incident {LIST}` says which there are", param_hint="--incident")
    return (PLAYS[name],)


def played(screen: Screen, folder: Path, plays: Sequence[Play]) -> None:
    """Play them; everything runs in processes of its own and is ended afterwards.

    Raises:
        Surprise: a step failed.
    """
    tool, data, control = (children.port(0) for _ in range(3))
    with ExitStack() as stack:
        screen.act("Killcord demo: an ERP, a gateway in front of it, and an agent that nobody watches")
        kinto = stack.enter_context(erp.serving(folder, tool))
        between = stack.enter_context(relay.relaying(kinto.url))
        gateway = stack.enter_context(site.serving(folder, between.url, data=data, control=control, adapters=declared.adapters(folder)))
        screen.line("ERP", f"a real Kinto answers at {kinto.url}", f"after {kinto.started_in:.1f} s")
        screen.line("gateway", f"answers agents at {gateway.data}, operators at {gateway.control}", f"after {gateway.started_in:.1f} s")
        stage = Stage(screen, kinto, between, gateway, _PAUSES[screen.paced])
        stories = [stage.play(play) for play in plays]
        _afterwards(screen, gateway, [story["incident_id"] for story in stories])
        screen.act("All as expected.")


def _afterwards(screen: Screen, gateway: Site, incidents: Sequence[str]) -> None:
    """What an operator finds the next morning: of one play its story and its report, of several the list."""
    screen.act("The next morning")
    _command(screen, gateway, incidents, "incidents")
    if len(incidents) == 1:
        _command(screen, gateway, incidents, "incidents", *incidents)
        _command(screen, gateway, incidents, "report", *incidents)


def _command(screen: Screen, gateway: Site, incidents: Sequence[str], *words: str) -> None:
    code, said = gateway.killcord(*words)
    expect(code == 0 and all(one in said for one in incidents), f"killcord {' '.join(words)} to list {', '.join(incidents)}", said)
    screen.line("operator", f"killcord {' '.join(words)}")
    screen.plain(said + "\n")
