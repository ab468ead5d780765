"""``killcord check``, and the configuration as other commands read it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import output
from gateway.cli.failure import WRONG_USE, Failure

if TYPE_CHECKING:
    from gateway.settings.check import Report
    from gateway.settings.config import Config as Configuration

Config = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")]


def check(context: typer.Context, config: Config = Path("killcord.yaml")) -> None:
    """Read the configuration and all that it names, start nothing; exit 2 and a line for each problem."""
    report = reported(config)
    out = output.of(context)
    for warning in report.warnings:
        out.tell(f"warning: {warning}")
    rows = [(one.name, one.adapter, one.base_url, one.reads, one.writes, one.by_hand) for one in report.tools]
    out.table(_value(report), ("TOOL", "ADAPTER", "AT", "READS", "WRITES", "UNDONE BY HAND"), rows)
    if not out.as_json:
        out.tell(f"{config} is good.")


def reported(config: Path) -> Report:
    """What the configuration would open up.

    Raises:
        Failure: it has problems; each is a line.
    """
    # Here and not above: `killcord contain` must not wait for parsers it does not need.
    from gateway.app import policies
    from gateway.settings import check as checking

    report = checking.check(config, further=policies.problems)
    if report.problems:
        raise Failure("\n".join(report.problems), code=WRONG_USE, value=_value(report))
    return report


def loaded(config: Path) -> Configuration:
    """The configuration.

    Raises:
        Failure: it has problems; each is a line.
    """
    from gateway import errors
    from gateway.settings import loading

    try:
        return loading.load(config)
    except errors.Misconfigured as wrong:
        raise Failure("\n".join(wrong.problems), code=WRONG_USE, value={"problems": wrong.problems}) from wrong


def _value(report: Report) -> dict[str, object]:
    return asdict(report)
