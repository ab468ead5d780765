"""Every command, under its group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

import gateway
from gateway.cli import configuration, containment, incidents, journal, policy, rollbacks, runs, status, tasks
from gateway.cli.options import CONFIG, Config, Serving, group
from gateway.cli.output import wrong_use

_FORMER = {"run": ["runs"], "rollback": ["rollbacks"], "checkpoint": ["checkpoints"], "verify": ["journal", "verify"]}

app = group(
    "Stop, contain and undo what AI agents do in production.",
    former=_FORMER,
    name="killcord",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"killcord {gateway.__version__}")
        raise typer.Exit


@app.callback()
def killcord(
    _json: Annotated[bool, typer.Option("--json", help="Print values for programs; may stand anywhere on the command line.")] = False,
    _version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version.", callback=_print_version)] = False,
) -> None:
    """Stop, contain and undo what AI agents do in production.

    Commands about a running gateway use KILLCORD_URL and KILLCORD_TOKEN. Exit codes: 0 done, 1 refused or something was found, 2 wrong use.
    """


@app.command("serve")
def serve(
    config: Config = CONFIG,
    role: Annotated[Serving, typer.Option(help="What the process serves.")] = "all",
    accept_older_journal: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Start on a journal older than its signed heads: revoke every lease, journal the reason."),
    ] = None,
) -> None:
    """Run a gateway until SIGTERM."""
    # The whole gateway is loaded only here: a containment must not wait for it.
    from gateway.cli import serve as serving

    serving.serve(config, role, accept_older_journal)


# The options of the demo belong to the package that plays it.
@app.command("demo", add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def demo(context: typer.Context) -> None:
    """Show on a real ERP what the gateway does. `killcord demo --help` lists the options. Needs the package killcord-demo."""
    from importlib.metadata import entry_points

    found = next(iter(entry_points(group="killcord.demo")), None)
    if found is None:
        raise wrong_use("The demo is not installed. Run: pip install 'killcord[demo]' (in a checkout: make setup).")
    play: Callable[[Sequence[str]], None] = found.load()
    play(context.args)


app.command("check")(configuration.check)
app.command("status")(status.status)
app.add_typer(runs.app, name="runs")
app.command("contain")(containment.contain)
app.command("release")(containment.release)
app.add_typer(containment.app, name="orders")
app.add_typer(incidents.app, name="incidents")
app.command("report")(incidents.report)
app.add_typer(journal.app, name="journal")
app.add_typer(rollbacks.app, name="rollbacks")
app.add_typer(runs.checkpoints, name="checkpoints")
app.command("resume")(runs.resume)
app.command("recover")(incidents.recover)
app.add_typer(tasks.app, name="tasks")
app.add_typer(tasks.approvals, name="approvals")
app.add_typer(configuration.operators, name="operators")
app.add_typer(policy.app, name="policy")
app.add_typer(configuration.adapters, name="adapters")
app.add_typer(configuration.keys, name="keys")
