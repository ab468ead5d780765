"""Arguments and options that several commands share, and groups of commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from gateway.cli import completion

# The values of options are as /openapi.json has them; a test compares the two. To import them from there would load the whole API.
Mode = Literal["active", "read_only", "paused", "quarantined", "revoked"]
OrderMode = Literal["read_only", "paused", "quarantined", "revoked", "no_fanout"]
Role = Literal["viewer", "operator", "approver", "verifier", "orchestrator", "admin"]
Serving = Literal["all", "sidecar", "control"]
TaskKind = Literal["outcome-unknown", "correction", "review"]
Resolution = Literal["applied", "not_applied", "done", "not_needed", "accepted"]
ApprovalStatus = Literal["pending", "granted", "denied", "used", "void", "expired"]
RollbackState = Literal["running", "needs_operator", "clean", "residue", "stopped"]
IncidentState = Literal["open", "closed"]

Config = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")]
CONFIG = Path("killcord.yaml")

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.", autocompletion=completion.runs)]
IncidentId = Annotated[str, typer.Argument(metavar="INCIDENT", help="The incident's id.", autocompletion=completion.incidents)]


def _readable(text: str | None) -> str | None:
    """A terminal with another encoding must not keep an order from being made: what is no text is marked as such."""
    return None if text is None else text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


Reason = Annotated[str, typer.Option(help="The reason; the journal records it.", callback=_readable)]
MaybeReason = Annotated[str | None, typer.Option(help="The reason; the journal records it.", callback=_readable)]

OfRun = Annotated[str | None, typer.Option("--run", help="Only of this run.", autocompletion=completion.runs)]
OfTenant = Annotated[str | None, typer.Option("--tenant", help="Only of this tenant.")]
OfTool = Annotated[str | None, typer.Option("--tool", help="Only of this tool.")]
Ttl = Annotated[str | None, typer.Option(help="How long the lease is valid, such as 15m.")]
Limits = Annotated[
    list[str] | None,
    typer.Option("--limit", help="A tighter limit, such as writes=10, rate=5/s or amount.refund=100; can be repeated."),
]


Declared = TypeVar("Declared", bound=Callable[..., Any])


class Command(TyperCommand):
    """A command that takes an option with one value once: the last of two would win, and an order would hold less than it was meant to."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        for one, count in Counter(one for one in given if isinstance(one, TyperOption)).items():
            if count > 1 and not (one.multiple or one.is_flag or ctx.resilient_parsing):
                ctx.fail(f"{one.opts[0]} is given {count} times, and takes one value; repeat the command for each")
        return super().parse_args(ctx, args)


class _App(typer.Typer):
    def command(self, name: str | None = None, **more: Any) -> Callable[[Declared], Declared]:
        return super().command(name, **{"cls": Command, **more})


class _Group(TyperGroup):
    default: str | None = None
    for_id: str | None = None
    former: Mapping[str, Sequence[str]] = {}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        if first in self.former:
            args = [*self.former[first], *args[1:]]
        elif first not in self.commands and first not in ctx.help_option_names:
            implied = self.for_id if first and not first.startswith("-") else self.default
            args = [implied, *args] if implied else args
        return super().parse_args(ctx, args)


def group(
    help: str, *, default: str | None = None, for_id: str | None = None, former: Mapping[str, Sequence[str]] | None = None, **more: Any
) -> typer.Typer:
    """A group of commands.

    ``default`` is the command that runs if none is named, with the options that follow; ``for_id`` is the one that runs if the first
    argument names no command, such as an id. ``former`` maps earlier names, which keep working and are not listed, to the commands of
    today.
    """
    members = {"default": default, "for_id": for_id, "former": former or {}}
    return _App(help=help, cls=type("Group", (_Group,), members), no_args_is_help=default is None, **more)
