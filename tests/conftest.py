"""What every test leaves behind: nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import policies


@pytest.fixture(autouse=True)
def _engines_are_let_go() -> Iterator[None]:
    """Regorus wants an engine dropped on its own thread; a garbage collection on another one is an error that any test could meet."""
    yield
    while policies.MADE:
        policies.MADE.pop().let_go()
