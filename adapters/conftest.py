"""What the adapters' tests share: each adapter's catalog, and its recorded samples."""

from __future__ import annotations

import pytest

from gateway.core.adapter.catalog import Tool
from tests.support import samples


@pytest.fixture(scope="module")
def tool(request: pytest.FixtureRequest) -> Tool:
    """The catalog of the adapter beside the test."""
    return samples.load(request.path.parent, {})


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes a ``sample`` runs for each one that is recorded beside it."""
    if "sample" in metafunc.fixturenames:
        folder = metafunc.definition.path.parent
        metafunc.parametrize("sample", samples.read(folder), ids=lambda sample: sample["action"])
