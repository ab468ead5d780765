"""The examples in the documents load, and their tables name every key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.settings import adapter, sections
from gateway.settings import config as settings
from gateway.settings.document import Section

ROOT = Path(__file__).parents[3]
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
ADAPTERS = (ROOT / "docs" / "adapters.md").read_text()


def test_the_whole_configuration_that_is_shown_loads(tmp_path: Path) -> None:
    shown = re.search(r"## Complete example\n\n```yaml\n(.*?)```", CONFIGURATION, re.DOTALL)
    assert shown is not None
    path = tmp_path / "killcord.yaml"
    path.write_text(shown[1].replace("./adapters", str(ROOT / "adapters")).replace("./policies", str(ROOT / "policies")))
    config = settings.load(path, {"ERP_BASIC": "x"})
    assert config.task_classes["default"].limits.amount == {"refund": 1_000_000_000}


def keys(model: type[Section]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


@pytest.mark.parametrize("key", keys(sections.KillcordDocument) + keys(sections.ToolSection) + keys(sections.TaskClassSection))
def test_every_key_of_the_configuration_is_documented(key: str) -> None:
    assert re.search(rf"`{key}[.`:]", CONFIGURATION)


@pytest.mark.parametrize(
    "model",
    [
        adapter.AdapterDocument,
        adapter.ObjectDocument,
        adapter.ActionDocument,
        adapter.IdempotencyDocument,
        adapter.ProbeDocument,
        adapter.ListingDocument,
        adapter.CompensationDocument,
        adapter.InsteadDocument,
    ],
)
def test_every_key_of_an_adapter_is_documented(model: type[Section]) -> None:
    missing = [key for key in keys(model) if not re.search(rf"[`{{ .]{key}\b", ADAPTERS)]
    assert missing == []
