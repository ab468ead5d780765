"""Whatever stands in a file, the answer is a configuration or lines that name a place: never a crash."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings import compilation, document
from gateway.settings import config as configuration

ADAPTERS = Path(__file__).parents[2] / "adapters"
ADAPTER = yaml.safe_load((ADAPTERS / "rest" / "adapter.yaml").read_text())
CONFIG = {
    "listen": {"data": "127.0.0.1:8090", "control": "127.0.0.1:8091"},
    "policy": {"engine": "embedded", "path": str(ADAPTERS), "timeout": "200ms"},
    "adapters": [str(ADAPTERS)],
    "tools": {
        "erp": {
            "adapter": "rest",
            "base_url": "http://x",
            "credential": {"header": "X-Key", "value": "${K}"},
            "lease_in": {"header": "X-L"},
        }
    },
    "task_classes": {
        "default": {"tenants": ["*"], "scopes": ["*"], "limits": {"rate": "5/s", "amount": {"refund": 5}}, "total": {"writes": 5}}
    },
    "tenants": {"*": {"rate": "500/s"}},
    "triggers": {"anomaly.loop": {"count": 3, "within": "1m"}, "anomaly.step-count": {"share": 1}, "uncertain.identity": False},
    "http": {"body_cap": "1MiB", "allowed_hosts": ["localhost"]},
    "anchor": {"file": "./heads"},
    "ambient_run": {"tenant": "a", "agent_id": "b", "task_class": "default", "scopes": ["*"]},
}
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    10**30,
    1.5,
    "",
    "a",
    "request.path.x",
    "../..",
    "{x}",
    "/{a}/{b}",
    "${X}",
    "*",
    [],
    {},
    [[]],
    [None],
    {"a": {}},
    {"when": []},
]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*at, key))


@st.composite
def changed(draw: st.DrawFn, document: Any) -> str:
    made = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.sampled_from([place for place in places(made) if place]))
        inner = made
        for step in at[:-1]:
            inner = inner[step]
        if draw(st.booleans()):
            inner[at[-1]] = copy.deepcopy(draw(st.sampled_from(ODD)))
        else:
            del inner[at[-1]]
        if not made:
            break
    return yaml.safe_dump(made)


@given(changed(ADAPTER))
def test_any_adapter_loads_or_is_reported_by_line(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "schemas").symlink_to(ADAPTERS / "rest" / "schemas")
        Path(folder, "adapter.yaml").write_text(text)
        tool, problems = compilation.load(Path(folder), "erp", {}, shown="adapter.yaml")
    assert (tool is None) == bool(problems)
    assert all(line.startswith("adapter.yaml:") for line in problems)


@given(changed(CONFIG))
def test_any_configuration_loads_or_is_reported_by_line(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "killcord.yaml")
        path.write_text(text)
        config, problems = configuration.read(path, {"K": "secret"})
    assert config is not None or problems
    assert all(line.startswith(f"{path}:") for line in problems)


@given(st.binary(max_size=200) | st.text(alphabet="ab:-{}[]&*!<>|?#'\"\n ,%@`~1.", max_size=80).map(str.encode))
def test_any_bytes_are_a_document_or_problems(raw: bytes) -> None:
    _, problems = document.parse(raw, "x.yaml")
    assert all(line.startswith("x.yaml:") for line in problems)
