"""The command ``killcord``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from gateway.cli import commands
from gateway.cli.failure import Failure
from gateway.cli.output import Output


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command line and exit: 0 done, 1 refused or found something, 2 wrong use."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # One switch for every command, wherever it stands: it is taken off here, before nouns and their options are told apart.
    out = Output(as_json="--json" in given)
    try:
        commands.app(args=[one for one in given if one != "--json"], prog_name="killcord", obj=out)
    except Failure as failure:
        out.failed(failure)
        sys.exit(failure.code)
    sys.exit(0)


if __name__ == "__main__":
    main()
