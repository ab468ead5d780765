"""``python -m checks.policies``: type-check the shipped policies with a real OPA, strictly and against the schemas of their input.

``opa check`` finds here what a misspelt field or a forbidden built-in would do only on a call: the capabilities file allows the
built-ins that Killcord allows, and no others. ``--write`` generates that file again from the installed OPA and from Killcord's table.
Exit code 0: nothing found, or no OPA is installed (which is said loudly, and is an error where ``CI`` is set); 1: something is wrong.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from gateway.clients.rego import builtins, evaluation

ROOT = Path(__file__).resolve().parents[1]
POLICIES = ROOT / "policies" / "killcord"
SCHEMAS = ROOT / "policies" / "schemas"
CAPABILITIES = ROOT / "policies" / "opa" / "capabilities.json"

FEATURES = frozenset({"keywords_in_refs", "rego_v1"})
"""What of OPA's language the embedded engine reads as well."""

_INPUTS = {
    "authz": "input.json",
    "response": "response/input.json",
    "recovery": "recovery/input.json",
    "invariants": "invariants/input.json",
}
"""The schema of each package's input. ``lib`` has no input of its own, and is checked with each of them."""


def find_opa() -> Path | None:
    """The OPA that ``make tools`` builds, else the one on PATH."""
    built = ROOT / ".tools" / "opa"
    found = shutil.which("opa")
    return built if built.exists() else Path(found) if found else None


def capabilities(opa: Path) -> str:
    """The capabilities file: this OPA's own capabilities without what the embedded engine lacks or Killcord forbids."""
    current = json.loads(_run(opa, "capabilities", "--current").stdout)
    usable = (evaluation.engine_builtins() - builtins.REFUSED.keys()) | builtins.IN_THE_GRAMMAR
    kept = [one for one in current["builtins"] if one["name"] in usable or one["name"].partition(".")[0] in builtins.RESERVED]
    features = [name for name in current["features"] if name in FEATURES]
    allowed = {"builtins": _undescribed(kept), "future_keywords": [], "features": features, "allow_net": []}
    return json.dumps(allowed, indent=1, sort_keys=True) + "\n"


def problems(opa: Path, policies: Path = POLICIES) -> list[str]:
    """What ``opa check`` says of each package of a bundle. Tests are left out: they may use any built-in."""
    found: list[str] = []
    for package, schema in _INPUTS.items():
        flags = ["--strict", "--capabilities", str(CAPABILITIES), "--schema", str(SCHEMAS / schema), "--ignore", "*_test.rego"]
        done = _run(opa, "check", *flags, str(policies / package), str(policies / "lib"))
        if done.returncode:
            found.append(done.stdout + done.stderr)
    return found


def _undescribed(value: object) -> object:
    """Without the descriptions, which OPA does not need to check anything."""
    if isinstance(value, list):
        return [_undescribed(one) for one in value]
    if isinstance(value, Mapping):
        return {key: _undescribed(one) for key, one in value.items() if key not in ("description", "categories")}
    return value


def _run(opa: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([opa, *arguments], capture_output=True, text=True, timeout=120, check=False)  # noqa: S603


def main(arguments: list[str]) -> int:
    opa = find_opa()
    if opa is None:
        print("NOT CHECKED BY OPA: policies/killcord. Neither opa nor go is installed; install one of them and run 'make tools'.")
        return 1 if os.environ.get("CI") else 0
    if arguments == ["--write"]:
        CAPABILITIES.parent.mkdir(exist_ok=True)
        CAPABILITIES.write_text(capabilities(opa))
        return 0
    found = problems(opa)
    print(*found, sep="\n", end="", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
