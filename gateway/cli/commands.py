"""Every command, under its noun."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

import gateway
from gateway.cli import (
    adapters,
    approvals,
    checkpoint,
    configuration,
    containment,
    incidents,
    journal,
    keys,
    operators,
    policy,
    recover,
    report,
    resume,
    rollback,
    runs,
    tasks,
)
from gateway.cli.failure import wrong_use

app = typer.Typer(
    name="killcord",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def killcord(
    _json: Annotated[bool, typer.Option("--json", help="Print values for programs; works anywhere on the line.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, help="Print the version.", callback=lambda asked: _tell_version(asked))
    ] = False,
) -> None:
    """Stop, contain and undo what AI agents do in production.

    Commands about a running gateway use KILLCORD_URL and KILLCORD_TOKEN. Exit codes: 0 done, 1 refused or found something, 2 wrong use.
    """


def serve(
    config: configuration.Config = Path("killcord.yaml"),
    role: Annotated[str, typer.Option(help="all, sidecar or control.")] = "all",
) -> None:
    """Run a gateway until SIGTERM."""
    # The whole gateway is loaded here only: pulling the cord must not wait for it.
    from gateway.cli import serve as serving

    serving.serve(config, role)


def demo(context: typer.Context) -> None:
    """Show on a real ERP what the gateway does; `killcord demo --help` lists the options. Needs the package killcord-demo."""
    found = next(iter(entry_points(group="killcord.demo")), None)
    if found is None:
        raise wrong_use("The demo is not installed. Run: pip install 'killcord[demo]' (in a checkout: make setup).")
    play: Callable[[Sequence[str]], None] = found.load()
    play(context.args)


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"killcord {gateway.__version__}")
        raise typer.Exit


app.command("serve")(serve)
# Its options belong to the package that plays it.
app.command("demo", add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(demo)
app.command("check")(configuration.check)
app.add_typer(runs.app, name="runs")
app.command("contain")(containment.contain)
app.command("release")(containment.release)
app.add_typer(containment.app, name="orders")
app.add_typer(incidents.app, name="incidents")
app.command("report")(report.report)
app.add_typer(journal.app, name="journal")
app.add_typer(rollback.app, name="rollback")
app.add_typer(checkpoint.app, name="checkpoint")
app.command("resume")(resume.resume)
app.command("recover")(recover.recover)
app.add_typer(tasks.app, name="tasks")
app.add_typer(approvals.app, name="approvals")
app.add_typer(operators.app, name="operators")
app.add_typer(policy.app, name="policy")
app.add_typer(adapters.app, name="adapters")
app.add_typer(keys.app, name="keys")

# Aliases: names before 0.2.0, and the short form that auditors try first.
app.add_typer(runs.app, name="run", hidden=True)
app.command("verify", hidden=True)(journal.verify)
