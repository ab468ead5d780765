"""``killcord checkpoint``: safe boundaries to take a run up again from."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gateway.cli import api, output

Json = dict[str, Any]

_COLUMNS = ("CHECKPOINT", "AT", "LABEL", "STATE", "TAKEN", "BY")

RunId = Annotated[str, typer.Argument(help="The run's id.", show_default=False)]


class _ByRun(TyperGroup):
    """A word that is no command is the run to take one of: ``killcord checkpoint run_1 --state-ref ...``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["take", *args])


app = typer.Typer(help="Checkpoints: with a run's id, take one.", cls=_ByRun, no_args_is_help=True)


@app.command("take")
def take(
    context: typer.Context,
    run: RunId,
    state_ref: Annotated[str, typer.Option("--state-ref", help="Where the workflow's state of now is kept.", show_default=False)],
    label: Annotated[str | None, typer.Option(help="A word for people.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why, for the journal.")] = None,
) -> None:
    """Take a checkpoint of a run; refused while something that it did is not known and verified."""
    body = api.given(state_ref=state_ref, label=label, reason=reason)
    taken = api.of_environment().post(f"/v1/runs/{api.part(run)}/checkpoints", body)
    output.of(context).value(taken, [f"Checkpoint {taken['checkpoint_id']} stands at {taken['at']}."])


@app.command("list")
def list_checkpoints(context: typer.Context, run: RunId) -> None:
    """List the checkpoints of a run, the newest automatic one behind them, and say where recovery would begin."""
    client, path = api.of_environment(), f"/v1/runs/{api.part(run)}/checkpoints"
    taken = list(client.all(path))
    rest = client.get(path, limit=1)
    automatic, recovery = rest["automatic"], rest["recovery"]
    out = output.of(context)
    listed = [*taken, *([automatic] if automatic is not None else [])]
    out.table({"items": taken, "automatic": automatic, "recovery": recovery}, _COLUMNS, (_row(one) for one in listed))
    caution = f" {recovery['why']}" if recovery["why"] is not None else ""
    out.tell(f"Recovery would begin at {recovery['checkpoint_id']}.{caution}" if recovery["ready"] else f"Not ready for recovery:{caution}")


def _row(one: Json) -> tuple[object, ...]:
    label = "(automatic)" if one["automatic"] else one["label"]
    return (one["checkpoint_id"], one["at"], label, one["state_ref"], one["taken_at"], one["by"])
