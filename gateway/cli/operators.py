"""``killcord operators``: who may come in at the operators' door. Works on the tokens file, without a gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import output
from gateway.cli.configuration import Config, loaded
from gateway.cli.failure import Failure, wrong_use

app = typer.Typer(help="Operators and their tokens.", no_args_is_help=True)

File = Annotated[Path | None, typer.Option(help="The tokens file itself, in place of the configuration's.")]


@app.command("add")
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Who; it stands in the journal.", show_default=False)],
    role: Annotated[str, typer.Option(help="viewer, operator, approver, verifier, orchestrator or admin.", show_default=False)],
    tenant: Annotated[list[str] | None, typer.Option(help="Only this tenant; repeat for more.")] = None,
    task_class: Annotated[list[str] | None, typer.Option("--task-class", help="Only this task class; repeat for more.")] = None,
    config: Config = Path("killcord.yaml"),
    file: File = None,
) -> None:
    """Make a token and print it, once; its hash is kept. A running gateway reads the file when it starts."""
    from gateway import errors
    from gateway.http.server.operators import Role
    from gateway.settings import operators

    if role not in {one.value for one in Role}:
        raise wrong_use(f"--role {role!r}: it is one of {', '.join(one.value for one in Role)}")
    path = file or _tokens_file(config)
    try:
        token = operators.add(path, name, Role(role), tenants=tenant or ("*",), classes=task_class or ("*",))
    except errors.Misconfigured as wrong:
        raise Failure("\n".join(wrong.problems), value={"problems": wrong.problems}) from wrong
    out = output.of(context)
    out.value({"name": name, "role": role, "token": token, "file": str(path)}, [token])
    if not out.as_json:
        out.tell(f"This is {name}'s token, shown only now; {path} keeps its hash.")


@app.command("list")
def list_operators(context: typer.Context, config: Config = Path("killcord.yaml"), file: File = None) -> None:
    """List operators; tokens cannot be shown again."""
    from gateway import errors
    from gateway.settings import operators

    try:
        rows = [one for _, one in operators.load(file or _tokens_file(config)).rows()]
    except errors.Misconfigured as wrong:
        raise Failure("\n".join(wrong.problems), value={"problems": wrong.problems}) from wrong
    found = [{"name": one.name, "role": one.role.value, "tenants": list(one.tenants), "classes": list(one.classes)} for one in rows]
    output.of(context).table(found, ("NAME", "ROLE", "TENANTS", "CLASSES"), (tuple(one.values()) for one in found))


def _tokens_file(config: Path) -> Path:
    path = loaded(config).tokens_file
    if path is None:
        raise wrong_use(f"{config}: names no tokens file; add: operators: {{tokens_file: ./operators.yaml}}")
    return path
