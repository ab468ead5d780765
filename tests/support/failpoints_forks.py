"""Gateways as processes that are there at once: forked from one that has read all the code.

Run as ``python -m tests.support.failpoints_forks CONFIG``. Each line on the input starts one; its id is said on the output, and
``ended`` once it is gone. The policies are examined once for all of them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gateway.cli.serve import serve
from gateway.clients import policy_bundle
from gateway.clients.rego import loading as rego_loading
from gateway.settings import config as settings


def main(config: Path) -> None:
    folder = settings.load(config).policy.path
    found = rego_loading.examine(policy_bundle.read(folder))
    setattr(rego_loading, "examine", lambda _: found)  # noqa: B010
    for _ in sys.stdin:
        process = os.fork()
        if process == 0:
            with open(os.devnull, "r+b", buffering=0) as nothing, open(config.parent / "said", "ab", buffering=0) as said:
                os.dup2(nothing.fileno(), 0)
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
            try:
                serve(config, "all")
            finally:
                os._exit(0)
        print(process, flush=True)
        os.waitpid(process, 0)
        print("ended", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
