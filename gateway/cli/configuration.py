"""``killcord check``, ``keys``, ``operators`` and ``adapters``: what works on files, without a gateway.

Parsers and stores are imported inside the functions: ``killcord contain`` must not wait for what it does not need.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import options, output
from gateway.cli.options import CONFIG, Config, OfTool, group
from gateway.cli.output import WRONG_USE, Failure, columns, wrong_use
from gateway.errors import Misconfigured

if TYPE_CHECKING:
    from gateway.settings.check import Report
    from gateway.settings.config import Config as Configuration

keys = group("Signing and sealing keys.")
operators = group("Operators and their tokens.")
adapters = group("Adapters: what calls mean and how to undo them.")

File = Annotated[Path | None, typer.Option(help="The tokens file, instead of the configuration's.")]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*", re.ASCII)
_VARIABLE = re.compile(r"\bvars\.([A-Za-z_][A-Za-z0-9_]*)")

_CHECKED = columns("TOOL=name ADAPTER AT=base_url READS WRITES UNDONE_BY_HAND=by_hand")
_OPERATORS = columns("NAME ROLE TENANTS CLASSES")
_ACTIONS = columns("TOOL ADAPTER ACTION EFFECT METHOD UNDONE_BY AUTO")

OperatorName = Annotated[str, typer.Argument(help="The operator's name; the journal records it.")]
OperatorRole = Annotated[options.Role, typer.Option(help="What the operator may do.")]
Tenants = Annotated[list[str] | None, typer.Option(help="Only this tenant; can be repeated.")]
Classes = Annotated[list[str] | None, typer.Option(help="Only this task class; can be repeated.")]
Folder = Annotated[Path | None, typer.Argument(help="The folder of one adapter.")]
SystemName = Annotated[str, typer.Argument(help="The system's name, which is also the folder's.")]
Into = Annotated[Path, typer.Option(help="The folder of the adapters.")]


def check(context: typer.Context, config: Config = CONFIG) -> None:
    """Check the configuration; start nothing.

    Reads everything that it names: adapters, operators, policies. Prints each problem on a line, with exit code 2.
    """
    report, out = _report(config), output.of(context)
    for warning in report.warnings:
        out.note(f"warning: {warning}")
    out.table(asdict(report), _CHECKED, asdict(report)["tools"])
    out.hint(f"{config} is valid.")


def load(config: Path) -> Configuration:
    """The configuration, for a command that talks to no tool: it needs none of their secrets, and has no webhooks.

    Raises:
        Failure: it has problems; each is a line.
    """
    from gateway.settings import config as settings

    try:
        return settings.load(config, secrets=False)
    except Misconfigured as wrong:
        raise output.problems(wrong.problems, code=WRONG_USE) from wrong


def _report(config: Path) -> Report:
    """What the configuration opens up, or a Failure with a line for each problem."""
    from gateway.app import policies
    from gateway.settings import check as checking

    report = checking.check(config, extra=policies.problems)
    if report.problems:
        raise Failure("\n".join(report.problems), code=WRONG_USE, value=asdict(report))
    return report


@keys.command("init")
def create_keys(context: typer.Context, config: Config = CONFIG) -> None:
    """Create missing keys. A first start does the same."""
    from gateway.app import data_dir

    folder = data_dir.init(load(config).data_dir)
    output.of(context).value({"folder": str(folder)}, [str(folder)])


@keys.command("rotate")
def rotate_key(context: typer.Context, config: Config = CONFIG) -> None:
    """Create a new lease key. It signs from the next start on; leases signed before stay valid until they expire."""
    from gateway.app import data_dir

    key = data_dir.rotate(load(config).data_dir)
    output.of(context).value({"key": str(key)}, [f"{key} signs from the next start on; restart the gateway when convenient."])


@operators.command("add")
def add_operator(
    context: typer.Context,
    name: OperatorName,
    role: OperatorRole,
    tenant: Tenants = None,
    task_class: Classes = None,
    config: Config = CONFIG,
    file: File = None,
) -> None:
    """Create a token and print it once. The file keeps its hash; a running gateway reads the file when it starts."""
    from gateway.http.server.operators import Role
    from gateway.settings import operators as tokens

    path, out = file or _tokens_file(config), output.of(context)
    token = tokens.add(path, name, Role(role), tenants=tenant or ("*",), classes=task_class or ("*",))
    out.value({"name": name, "role": role, "token": token, "file": str(path)}, [token])
    out.hint(f"This is {name}'s token, printed only now; {path} keeps its hash.")


@operators.command("list")
def list_operators(context: typer.Context, config: Config = CONFIG, file: File = None) -> None:
    """List operators. Their tokens cannot be shown again."""
    from gateway.settings import operators as tokens

    found = [asdict(one) for one in tokens.load(file or _tokens_file(config)).values()]
    output.of(context).table(found, _OPERATORS, found)


@adapters.command("list")
def list_actions(context: typer.Context, tool: OfTool = None, config: Config = CONFIG) -> None:
    """List every tool's actions and what undoes them."""
    found = [
        {
            "tool": name,
            "adapter": one.section.adapter,
            "action": kind.name,
            "effect": kind.effect.value,
            "method": kind.method,
            "undone_by": kind.undo and kind.undo.remedy.value,
            "auto": kind.undo and kind.undo.automatic,
        }
        for name, one in load(config).tools.items()
        if tool in (None, name)
        for kind in one.catalog.actions.values()
    ]
    output.of(context).table(found, _ACTIONS, found)


@adapters.command("check")
def check_adapters(context: typer.Context, folder: Folder = None, config: Config = CONFIG) -> None:
    """Check one adapter's folder, or all adapters. Without a folder: all that the configuration names. Prints each problem on a line."""
    out = output.of(context)
    if folder is None:
        names = sorted({one.adapter for one in _report(config).tools})
        out.value({"problems": [], "adapters": names}, [f"{', '.join(names)}: valid."])
        return
    variables = _check_folder(folder)
    needs = f" A tool that uses it must give vars: {', '.join(variables)}." if variables else ""
    out.value({"problems": [], "vars": variables}, [f"{folder} is valid.{needs}"])


@adapters.command("scaffold")
def scaffold(context: typer.Context, name: SystemName, into: Into = Path("adapters")) -> None:
    """Create an adapter for your own API. It is a copy that loads unchanged; its comments say what to edit."""
    from gateway.sdk import shipped

    if not _NAME.fullmatch(name):
        raise wrong_use(f"{name!r} is not a system's name: use letters, digits, - and _")
    made = into / name
    if made.exists():
        raise Failure(f"{made} exists; choose another name, or edit that adapter")
    try:
        template = shipped.adapters() / "rest"
    except FileNotFoundError as missing:
        raise Failure(str(missing)) from missing
    for part in (template / "README.md", template / "adapter.yaml", *template.glob("schemas/*")):
        copy = made / part.relative_to(template)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(re.sub(r"(?m)^system: .*$", f"system: {name}", part.read_text(encoding="utf-8")), encoding="utf-8")
    lines = [f"{made} is created. Edit {made / 'adapter.yaml'}, then run: killcord adapters check {made}"]
    output.of(context).value({"folder": str(made)}, lines)


def _check_folder(folder: Path) -> list[str]:
    """The variables that the adapter uses. Their values are up to each tool, so the check gives it all of them.

    Raises:
        Failure: it has problems; each is a line.
    """
    from gateway.settings import compilation

    found: list[str] = []
    with suppress(OSError, UnicodeDecodeError):
        found = sorted(set(_VARIABLE.findall((folder / compilation.FILE).read_text(encoding="utf-8"))))
    _, problems = compilation.load(folder, folder.name, {name: name for name in found})
    if problems:
        raise output.problems(problems)
    return found


def _tokens_file(config: Path) -> Path:
    path = load(config).tokens_file
    if path is None:
        raise wrong_use(f"{config}: no tokens file is set; add: operators: {{tokens_file: ./operators.yaml}}")
    return path
