"""A process whose wall clock a test sets while its monotonic clocks stay real, by libfaketime."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.policies import ROOT

NAME = "libfaketimeMT.so.1"
ENVIRON = "KILLCORD_TEST_LIBFAKETIME"
"""Names the library where it is not installed in one of the usual places."""
_UNPACKED = f"{ROOT}/.tools/faketime/usr/lib/*/faketime"
"""Where ``make tools`` puts it."""
_PLACES = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/local/lib/faketime", "/usr/lib64/faketime")


def library() -> Path:
    """The library; without it the test is skipped."""
    if named := os.environ.get(ENVIRON):
        return Path(named)
    found = [path for place in (_UNPACKED, *_PLACES) for path in Path("/").glob(f"{place[1:]}/{NAME}")]
    if not found and os.environ.get("CI"):
        pytest.fail(f"CI requires {NAME}: run `make tools`, which unpacks it into .tools")
    if not found:
        pytest.skip(f"{NAME} is not here: run `make tools`, install the package faketime, or name the file in {ENVIRON}")
    return found[0]


@dataclass(frozen=True)
class WallClock:
    """The wall clock of processes that are started with ``environ``."""

    file: Path

    @property
    def environ(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
        }

    def set(self, ahead: float) -> None:
        """Let it be that many seconds ahead of the machine's; in one step, since the process reads the file at any time."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{ahead:+.0f}s\n")
        new.replace(self.file)
