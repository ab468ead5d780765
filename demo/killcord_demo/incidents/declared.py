"""The shipped adapter of the ERP, with the form of its replies declared as well: what drifts has to have been something before."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from gateway.sdk import shipped

ACTIONS = frozenset({"invoice.read", "invoice.status.update", "invoice.update"})
"""Those that answer with one invoice."""

_INVOICE = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "data": {
            "type": "object",
            "required": ["id", "last_modified"],
            "properties": {"status": {"type": "string"}, "amount": {"type": "number"}},
        }
    },
}


def adapters(folder: Path) -> Path:
    """Write the adapter into a folder of adapters beneath this one; gives that folder."""
    made = folder / "adapters"
    schemas = made / "kinto" / "schemas"
    schemas.mkdir(parents=True)
    (schemas / "invoice.json").write_text(json.dumps(_INVOICE))
    declared = yaml.safe_load((shipped.adapters() / "kinto" / "adapter.yaml").read_text())
    for action in declared["actions"]:
        if action["name"] in ACTIONS:
            action["reply_schema"] = "schemas/invoice.json"
    (made / "kinto" / "adapter.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    return made
