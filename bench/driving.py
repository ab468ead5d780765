"""From this process to the load generator's, and what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass

from bench import children
from bench.children import Broken
from bench.contenders import Contender
from bench.figures import Measured
from bench.load import SILENCE, Job


@dataclass(frozen=True, slots=True)
class Stretch:
    """How long the load lasts, in seconds, before it counts and while it does."""

    warm: float
    seconds: float


def drive(contender: Contender, call: str, connections: int, stretch: Stretch, *, warm_calls: int = 0) -> Measured:
    """Put load on a contender from the other core.

    Raises:
        Broken: an answer was not what it has to be.
    """
    job = Job(
        port=contender.port,
        call=call,
        connections=connections,
        warm=stretch.warm,
        seconds=stretch.seconds,
        prefix=contender.prefix,
        tenant=contender.tenant,
        leases=contender.leases,
        demanded=contender.demanded.get(call, {}),
        warm_calls=warm_calls,
        pids=contender.pids,
    )
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(asdict(job)),
        capture_output=True,
        text=True,
        cwd=children.ROOT,
        timeout=stretch.warm + stretch.seconds + children.PATIENCE + 4 * SILENCE,
        preexec_fn=_aside,
        check=False,
    )
    if done.returncode:
        raise Broken(f"{contender.name}, {call} at c={connections}: {done.stderr.strip()}")
    return Measured(**json.loads(done.stdout))


def _aside() -> None:
    os.sched_setaffinity(0, {children.cores()[1]})
