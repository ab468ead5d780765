"""What every test leaves behind: nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from gateway.clients.policy_bundle import Bundle
from gateway.clients.rego import loading
from tests.support import policies, reliability

# A busy machine must fail no test: Hypothesis gives each example 200 ms otherwise.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


APART = (
    "tests/property/test_invariants.py::",
    "tests/property/test_rollback.py::",
)
"""Long tests without a server of their own, which may run on another worker than the rest of their file."""


class _ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist is not typed
    """Keeps the tests of a file on one worker, since they share its servers, but for those that run ``APART``.

    Markers cannot say it: pytest 9.2 does not read the ``_nodeid`` by which pytest-xdist 3.8 notes a test's group.
    """

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(APART) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _ByFile:
    return _ByFile(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reliability-report", type=Path, help="write the results of tests marked 'reliability' into this document")


def pytest_configure(config: pytest.Config) -> None:
    document = config.getoption("--reliability-report")
    if document is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(reliability.Results(document), "reliability-results")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reliability.mark(items)


@pytest.fixture(autouse=True, scope="session")
def _each_bundle_is_examined_once() -> Iterator[None]:
    """Examining and trying a bundle is pure, takes most of a gateway's start, and most tests start one with the same policies."""
    examine, load, known = loading.examine, loading.load, dict[tuple[object, ...], loading.Examined]()

    def remembered(bundle: Bundle, make: Callable[[], loading.Examined], *kind: object) -> loading.Examined:
        key = (bundle.revision, tuple(bundle.modules.items()), *kind)
        if key not in known:
            known[key] = make()
        return known[key]

    def examined(bundle: Bundle, *, tests: bool = False) -> loading.Examined:
        return remembered(bundle, lambda: examine(bundle, tests=tests), tuple(bundle.tests.items()) if tests else None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "examine", examined)
        patch.setattr(loading, "load", lambda bundle: remembered(bundle, lambda: load(bundle), "tried"))
        yield


@pytest.fixture(autouse=True)
def _engines_are_let_go() -> Iterator[None]:
    """Regorus wants an engine dropped on its own thread; a garbage collection on another one is an error that any test could meet."""
    yield
    while policies.MADE:
        policies.MADE.pop().release()
