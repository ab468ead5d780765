"""The examples in the documents load, and their tables name every key."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.settings import adapter, compilation, sections
from gateway.settings import config as settings
from gateway.settings.document import Section
from tests.support import documents

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
        adapter.PendingDocument,
    ],
)
def test_every_key_of_an_adapter_is_documented(model: type[Section]) -> None:
    missing = [key for key in keys(model) if not re.search(rf"[`{{ .]{key}\b", ADAPTERS)]
    assert missing == []


EXAMPLE = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)
START, *PARTS = [
    pytest.param(yaml.safe_load(found[1]), id=f"{page}:{number}")
    for page in ("adapters.md", "adapters-calls.md", "adapters-writes.md", "adapters-outcomes.md")
    for number, found in enumerate(EXAMPLE.finditer((ROOT / "docs" / page).read_text()), 1)
]


def with_part(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """An adapter with what a part adds, or has in place of keys of the same name."""
    actions = {one["name"]: one for one in whole["actions"]}
    changed = {one["name"]: {**actions.get(one["name"], {}), **one} for one in part.get("actions", [])}
    objects = {name: {**whole["objects"].get(name, {}), **one} for name, one in part.get("objects", {}).items()}
    return {**whole, **part, "objects": {**whole["objects"], **objects}, "actions": list({**actions, **changed}.values())}


@pytest.mark.parametrize("part", [START, *PARTS])
def test_every_example_of_an_adapter_loads(part: dict[str, Any], tmp_path: Path) -> None:
    (start,) = START.values
    assert isinstance(start, dict)
    (tmp_path / "adapter.yaml").write_text(yaml.safe_dump(with_part(start, part), sort_keys=False))
    assert compilation.load(tmp_path, "shop", {})[1] == []


SNIPPETS = [
    pytest.param(snippet, id=f"{page.name}:{number}")
    for page in documents.PAGES
    for number, (language, text) in enumerate(documents.blocks(page), 1)
    if language == "yaml" and isinstance(snippet := yaml.safe_load(text), dict) and set(snippet) <= set(keys(sections.KillcordDocument))
]


@pytest.mark.parametrize("snippet", [{}, *SNIPPETS])
def test_every_example_of_a_configuration_loads_beside_that_of_the_readme(snippet: dict[str, Any], tmp_path: Path) -> None:
    """As a reader takes it over: its keys in place of those of the same name, its tools and classes beside the others."""
    for name in ("adapters", "policies"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (tmp_path / "adapters" / "rest").rename(tmp_path / "adapters" / "shop")
    readme = yaml.safe_load(documents.configuration())
    merged = {name: {**readme.get(name, {}), **part} if name in ("tools", "task_classes") else part for name, part in snippet.items()}
    (tmp_path / "killcord.yaml").write_text(yaml.safe_dump(readme | merged, sort_keys=False))
    for secret in re.findall(r"'file': '(\./secrets/[^']+)'", str(merged)):
        (tmp_path / secret).parent.mkdir(exist_ok=True)
        (tmp_path / secret).touch(mode=0o600)
        (tmp_path / secret).write_text("x" * 40)
    environ = {name: "http://127.0.0.1:9" if name.endswith("URL") else "x" * 40 for name in VARIABLE.findall(str(readme | merged))}
    assert settings.load(tmp_path / "killcord.yaml", environ).tools["shop"].catalog.actions


VARIABLE = re.compile(r"\$\{(\w+)\}")
