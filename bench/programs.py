"""Programs of others that take part where they are here: OPA, and the small ext_authz server around OPA's library."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from bench import children
from bench.children import Broken

TOOLS = children.ROOT / ".tools"
_SOURCE = Path(__file__).resolve().parent / "authz"
_AUTHZ = TOOLS / "killcord-bench-authz"


def opa() -> Path | None:
    """OPA, from PATH or from ``.tools`` (``make tools`` builds it there)."""
    found = shutil.which("opa", path=f"{os.environ.get('PATH', '')}:{TOOLS}")
    return Path(found) if found else None


def authz() -> Path | None:
    """The ext_authz server, rebuilt when its source is newer; ``None`` without it and without Go.

    Raises:
        Broken: it does not build.
    """
    newest = max(file.stat().st_mtime for file in _SOURCE.iterdir())
    if _AUTHZ.exists() and _AUTHZ.stat().st_mtime >= newest:
        return _AUTHZ
    go = shutil.which("go")
    if go is None:
        return _AUTHZ if _AUTHZ.exists() else None
    print("building the ext_authz server around OPA's library (first time: some minutes)", flush=True)
    built = subprocess.run([go, "build", "-o", str(_AUTHZ), "."], cwd=_SOURCE, capture_output=True, text=True, check=False)
    if built.returncode:
        raise Broken(f"bench/authz does not build:\n{built.stderr}")
    return _AUTHZ


def said(*command: str) -> str:
    """The first line that a program says of itself; empty where it says nothing."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return next((line.strip() for line in (ended.stdout + ended.stderr).splitlines() if line.strip()), "")
