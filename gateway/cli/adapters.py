"""``killcord adapters``: what the tools' adapters declare. Works on the configuration, without a gateway."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import output
from gateway.cli.configuration import Config, loaded, reported
from gateway.cli.failure import Failure, wrong_use

if TYPE_CHECKING:
    from gateway.core.adapter.catalog import ActionType

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*", re.ASCII)
_VARIABLE = re.compile(r"\bvars\.([A-Za-z_][A-Za-z0-9_]*)")

app = typer.Typer(help="Adapters: what each tool's calls mean and how they are undone.", no_args_is_help=True)


@app.command("list")
def list_actions(
    context: typer.Context,
    tool: Annotated[str | None, typer.Option(help="Only this tool's.")] = None,
    config: Config = Path("killcord.yaml"),
) -> None:
    """List every action of every tool, and what would undo it."""
    tools = loaded(config).tools
    found = [
        _shown(one.name, one.adapter, kind) for one in tools.values() if tool in (None, one.name) for kind in one.catalog.actions.values()
    ]
    columns = ("TOOL", "ADAPTER", "ACTION", "EFFECT", "METHOD", "UNDONE BY", "AUTO")
    output.of(context).table(found, columns, (tuple(one.values()) for one in found))


@app.command("check")
def check(
    context: typer.Context,
    folder: Annotated[Path | None, typer.Argument(help="One adapter's folder, checked by itself.", show_default=False)] = None,
    config: Config = Path("killcord.yaml"),
) -> None:
    """Check one adapter's folder, else all that the configuration names; a line for each problem."""
    out = output.of(context)
    if folder is not None:
        variables = _check_folder(folder)
        needs = f" A tool that uses it has to give vars: {', '.join(variables)}." if variables else ""
        out.value({"problems": [], "vars": variables}, [f"{folder} is good.{needs}"])
        return
    report = reported(config)
    names = sorted({one.adapter for one in report.tools})
    out.value({"problems": [], "adapters": names}, [f"{', '.join(names)}: good."])


@app.command("scaffold")
def scaffold(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The system's name; the folder is called so, too.", show_default=False)],
    into: Annotated[Path, typer.Option("--into", help="The folder of the adapters.")] = Path("adapters"),
) -> None:
    """Begin an adapter for an API of your own: a copy of one that loads as it is and explains itself, to be gone down."""
    from gateway.sdk import shipped

    if not _NAME.fullmatch(name):
        raise wrong_use(f"{name!r} is no name of a system; write letters, digits, - and _")
    made = into / name
    if made.exists():
        raise Failure(f"{made} is there already; choose another name, or edit that one")
    try:
        template = shipped.adapters() / "rest"
    except FileNotFoundError as missing:
        raise Failure(str(missing)) from missing
    for part in (template / "README.md", template / "adapter.yaml", *template.glob("schemas/*")):
        copy = made / part.relative_to(template)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(re.sub(r"(?m)^system: .*$", f"system: {name}", part.read_text(encoding="utf-8")), encoding="utf-8")
    lines = [f"{made} loads as it is; go down {made / 'adapter.yaml'}, then: killcord adapters check {made}"]
    output.of(context).value({"folder": str(made)}, lines)


def _check_folder(folder: Path) -> list[str]:
    """The variables that the adapter speaks of. What they are is up to each tool, so by itself it is taken to be given all of them.

    Raises:
        Failure: it has problems; each is a line.
    """
    from gateway.settings import compilation

    found: list[str] = []
    with suppress(OSError, UnicodeDecodeError):
        found = sorted(set(_VARIABLE.findall((folder / compilation.FILE).read_text(encoding="utf-8"))))
    _, problems = compilation.load(folder, folder.name, {name: name for name in found})
    if problems:
        raise Failure("\n".join(problems), value={"problems": problems})
    return found


def _shown(tool: str, adapter: str, kind: ActionType) -> dict[str, object]:
    undo = kind.undo
    return {
        "tool": tool,
        "adapter": adapter,
        "action": kind.name,
        "effect": kind.effect.value,
        "method": kind.method,
        "undone_by": None if undo is None else undo.remedy.value,
        "auto": None if undo is None else undo.automatic,
    }
