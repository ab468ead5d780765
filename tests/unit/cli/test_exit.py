"""A process ends although one of its threads hangs."""

from __future__ import annotations

import subprocess
import sys

HANGING = """
import threading
from gateway.cli import serve
serve.LAST = 0.1
threading.Thread(target=threading.Event().wait).start()
serve.exit_at_last(3)
"""


def test_a_thread_that_hangs_does_not_keep_the_process() -> None:
    assert subprocess.run([sys.executable, "-c", HANGING], timeout=60, check=False).returncode == 3
