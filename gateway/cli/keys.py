"""``killcord keys``: the keys of a data_dir. Works on the files, without a gateway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer

from gateway.cli import output
from gateway.cli.configuration import Config, loaded
from gateway.cli.failure import Failure

app = typer.Typer(help="Signing and sealing keys.", no_args_is_help=True)


@app.command("init")
def init(context: typer.Context, config: Config = Path("killcord.yaml")) -> None:
    """Make the keys that are not there yet; a first start does the same."""
    from gateway.app import store

    folder = _made(store.init, config)
    output.of(context).value({"folder": str(folder)}, [str(folder)])


@app.command("rotate")
def rotate(context: typer.Context, config: Config = Path("killcord.yaml")) -> None:
    """Make the lease key that signs from the next start on; leases signed before stay good until they end."""
    from gateway.app import store

    path = _made(store.rotate, config)
    output.of(context).value({"key": str(path)}, [f"{path} signs from the next start on; restart the gateway when it suits."])


def _made(make: Callable[[Path], Path], config: Path) -> Path:
    from gateway import errors

    try:
        return make(loaded(config).data_dir)
    except errors.Misconfigured as wrong:
        raise Failure("\n".join(wrong.problems), value={"problems": wrong.problems}) from wrong
