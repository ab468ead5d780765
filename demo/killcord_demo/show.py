"""The demo from its curtain up to its curtain down, whatever happens in between."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from gateway.sdk import Lost, Problem
from killcord_demo import account, children, erp, evidence, site, worker
from killcord_demo.acts import CUT, Scene
from killcord_demo.erp import Erp
from killcord_demo.incidents import company
from killcord_demo.screen import Screen
from killcord_demo.site import Site
from killcord_demo.story import play as whole
from killcord_demo.surprise import Surprise
from killcord_demo.way_back import WayBack

_PAUSES = {True: 0.3, False: 0.02}
"""Seconds that the agent pauses after each call: for a person who follows, and else (below the run's rate)."""

_WIDTH = 160
"""Columns where nobody says how many there are."""


def main(arguments: Sequence[str]) -> NoReturn:
    """Run ``killcord demo`` with these arguments and exit: 0 every step held, 1 one did not, 2 wrong use."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(_command_line)
    app(args=list(arguments), prog_name="killcord demo")
    sys.exit(0)


def _command_line(
    exit_: Annotated[bool, typer.Option("--exit", help="End after the last act, without pauses: a check for CI.")] = False,
    keep: Annotated[Path | None, typer.Option(help="Keep configuration, journal and logs in this new or empty folder.")] = None,
    story: Annotated[bool, typer.Option("--story", help="Play the whole story: gone rogue across two systems, and back at work.")] = False,
    incident: Annotated[str | None, typer.Option(help="Play how a trigger stops a run: its name, `list`, or `all`.")] = None,
) -> None:
    """Show on a real ERP what the gateway does. Exits with code 1 if a step fails."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    screen = Screen(console, paced=console.is_terminal and not exit_)
    signal.signal(signal.SIGTERM, _terminated)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what it puts into the background deaf to it
    if incident == company.LIST:
        company.listed(screen)
        return
    plays = () if incident is None else company.chosen(incident)
    if keep is not None and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise typer.BadParameter(f"{keep} is not an empty folder; name one that is, or does not exist yet", param_hint="--keep")
    try:
        with _folder(keep) as folder:
            if story:
                whole.played(screen, folder)
            elif plays:
                company.played(screen, folder, plays)
            else:
                _play(screen, folder, stay=not exit_)
    except (Problem, Lost) as refused:
        screen.plain(f"\nThe demo did not go as expected: the gateway gave an operator no such answer.\n  found:    {refused}")
        raise typer.Exit(1) from refused
    except Surprise as surprise:
        screen.plain(f"\nThe demo did not go as expected.\n  expected: {surprise.expected}\n  found:    {surprise.found}")
        raise typer.Exit(1) from surprise


def _play(screen: Screen, folder: Path, *, stay: bool) -> None:
    # The default ports if the user continues by hand; otherwise any, so that demos can run in parallel.
    tool, data, control = (children.port(usual if stay else 0) for usual in (8888, 8090, 8091))
    with ExitStack() as stack:
        screen.act("Killcord demo: an ERP, a gateway in front of it, and an agent; each a process of its own")
        kinto = stack.enter_context(erp.serving(folder, tool))
        screen.line("ERP", f"a real Kinto answers at {kinto.url}", f"after {kinto.started_in:.1f} s")
        gateway = stack.enter_context(site.serving(folder, kinto.url, data=data, control=control))
        screen.line("gateway", f"answers agents at {gateway.data}, operators at {gateway.control}", f"after {gateway.started_in:.1f} s")
        _acts(screen, kinto, gateway)
        evidence.shown(screen, gateway, folder)
        screen.act("All as expected.")
        if stay:
            screen.plain(_how_to_go_on(kinto, gateway, folder))
            _until_interrupted()


def _acts(screen: Screen, kinto: Erp, gateway: Site) -> None:
    before = kinto.state()
    run = gateway.open_run()
    run_id = run.run_id
    screen.line("operator", f"opens run {run_id} for billing-agent in tenant {erp.TENANT}")
    with worker.working(f"{gateway.data}/erp", run.lease(), pause=_PAUSES[screen.paced]) as agent:
        screen.line("agent", "starts with a base URL and a token; the ERP's password it never gets")
        scene = Scene(screen, kinto, gateway, agent, run_id)
        for act in (scene.honest_work, scene.drift, scene.loop, scene.read_only, scene.cut):
            act()
    screen.act("The timeline, from the journal")
    screen.shown(account.table(gateway.entries(run_id, kind="order", reason=CUT), gateway.effects(run_id)))
    WayBack(screen, kinto, gateway, run_id, before).played()


def _how_to_go_on(kinto: Erp, gateway: Site, folder: Path) -> str:
    return f"""
The gateway and the ERP stay up until Ctrl-C. In another terminal:

  export KILLCORD_URL={gateway.control} KILLCORD_TOKEN={gateway.token}

  # open a run, and be its agent
  LEASE=$(curl -s -H "Authorization: Bearer $KILLCORD_TOKEN" $KILLCORD_URL/v1/runs -d \\
    '{{"tenant": "{erp.TENANT}", "agent_id": "me", "task_class": "billing", "scopes": ["erp:*"], "run_id": "mine"}}' \\
    -H 'Content-Type: application/json' | python3 -c 'import json, sys; print(json.load(sys.stdin)["lease"])')
  curl -i -H "Authorization: Bearer $LEASE" {gateway.data}/erp/buckets/{erp.TENANT}/collections/invoices/records/inv-1002
  curl -i -H "Authorization: Bearer $LEASE" -X PATCH -H 'Content-Type: application/json' -d '{{"data": {{"status": "paid"}}}}' \\
    {gateway.data}/erp/buckets/{erp.TENANT}/collections/invoices/records/inv-1002

  # contain it, and see what it did
  {_command()} contain --run mine --mode read_only --reason "trying it out"
  {_command()} runs effects mine
  {_command()} journal tail --run mine

The ERP itself: {kinto.url} (curl -H "Authorization: Basic {erp.BASIC}"). Configuration, journal and logs: {folder}
"""


def _command() -> str:
    """The command as it can be typed: by its name where that is on the PATH, else as it was started."""
    started = Path(sys.argv[0])
    return "killcord" if shutil.which("killcord") or started.name != "killcord" else str(started.resolve())


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Where everything is kept: the folder asked for, else one that is gone afterwards."""
    if keep is not None:
        keep.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield keep.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="killcord-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _until_interrupted() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        return


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
