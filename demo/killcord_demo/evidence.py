"""The journal taken out, verified, and verified again after someone changed one number in a copy of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from killcord_demo.screen import Screen
from killcord_demo.site import Site
from killcord_demo.surprise import Surprise, expect


def shown(screen: Screen, site: Site, folder: Path) -> None:
    """Export, verify, tamper, and see it found.

    Raises:
        Surprise: an untouched export does not verify, or a changed one does.
    """
    screen.act("The record")
    export, forged = folder / "journal.ndjson", folder / "forged.ndjson"
    code, said = site.killcord("journal", "export", "--out", str(export))
    expect(code == 0 and export.is_file(), "killcord journal export to write the export (exit 0)", f"exit {code}: {said}")
    screen.line("operator", f"killcord journal export --out {export.name}", f"{len(export.read_bytes().splitlines())} lines")
    code, said = site.killcord("journal", "verify", "--file", str(export))
    expect(code == 0, "killcord journal verify to find nothing wrong (exit 0)", f"exit {code}: {said}")
    screen.line("operator", f"killcord journal verify --file {export.name}", f"exit 0: {_last(said)}")
    place = forge(export, forged)
    screen.line("forger", f"makes the refund smaller in a copy, entry {place}: one number, nothing else")
    code, said = site.killcord("journal", "verify", "--file", str(forged))
    expect(code == 1 and place in said, f"killcord journal verify to name {place} (exit 1)", f"exit {code}: {said}")
    found = next(line for line in said.splitlines() if place in line)
    screen.line("operator", f"killcord journal verify --file {forged.name}", f"exit 1: {found}", well=False)


def forge(export: Path, forged: Path) -> str:
    """Write a copy of an export with one charged amount changed; gives the place (``stream/seq``) of the entry.

    Raises:
        Surprise: no entry of the export charges an amount.
    """
    lines = export.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        entry: dict[str, Any] = json.loads(line)
        amounts = [charge for charge in entry.get("charges", ()) if charge["name"].startswith("amount:")]
        if amounts:
            amounts[0]["amount"] //= 10
            lines[number] = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            forged.write_text("\n".join(lines) + "\n", encoding="utf-8")
            return f"{entry['stream']}/{entry['seq']}"
    raise Surprise("an entry that charges an amount", "none in the export")


def _last(text: str) -> str:
    return text.splitlines()[-1] if text else ""
