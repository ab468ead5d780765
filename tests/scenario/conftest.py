"""A real Kinto for all scenarios, a tenant of its own for each, and gateways in front of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from killcord_demo.relay import Relay
from tests.support import between, gateway, kinto, onlooker
from tests.support.between import Between
from tests.support.erp import Erp
from tests.support.gateway import Gateway

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def kinto_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with kinto.serving(tmp_path_factory.mktemp("kinto")) as port:
        yield port


@pytest.fixture
def erp(kinto_port: int) -> Erp:
    """A tenant with two open invoices that no other test touches."""
    made = Erp(kinto_port, f"tenant-{next(_numbers)}")
    made.seed()
    return made


@pytest.fixture(scope="session")
def shared(kinto_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway for tests that leave it as they found it."""
    made = Gateway(tmp_path_factory.mktemp("gateway"), gateway.settings(f"http://127.0.0.1:{kinto_port}/v1"))
    with gateway.serving(made):
        yield made


@pytest.fixture(scope="module")
def watched(kinto_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Relay]]:
    """A gateway whose way to Kinto can go wrong, for all tests of a module."""
    with onlooker.serving(tmp_path_factory.mktemp("watched"), kinto_port) as made:
        yield made


@pytest.fixture(name="gateway")
def watched_gateway(watched: tuple[Gateway, Relay]) -> Gateway:
    return watched[0]


@pytest.fixture(name="between")
def watched_between(watched: tuple[Gateway, Relay]) -> Relay:
    return watched[1]


@pytest.fixture
def relay(kinto_port: int) -> Iterator[Between]:
    """What stands between a gateway and Kinto, and can hold or lose what passes."""
    with between.relaying(kinto_port) as made:
        yield made


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Callable[[str], Gateway]]:
    """Makes a gateway in front of a URL, not started yet; ended with the test."""
    with ExitStack() as ends:

        def make(url: str) -> Gateway:
            folder = tmp_path / f"gateway-{next(_numbers)}"
            folder.mkdir()
            made = Gateway(folder, gateway.settings(url))
            ends.callback(made.stop)
            return made

        yield make
