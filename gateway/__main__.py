"""The command ``killcord``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from gateway.cli import commands, output
from gateway.cli.output import Output


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command line and exit: 0 done, 1 refused or something was found, 2 wrong use."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # --json works for every command and anywhere on the line, so it is removed before groups and options are parsed.
    out = Output(as_json="--json" in given)
    try:
        commands.app(args=[one for one in given if one != "--json"], prog_name="killcord", obj=out)
    except output.EXPECTED as error:
        failed = output.failure(error)
        out.failed(failed)
        sys.exit(failed.code)
    sys.exit(0)


if __name__ == "__main__":
    main()
