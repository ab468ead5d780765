"""Which connection is evicted for a new one."""

from __future__ import annotations

from gateway.core.connection_table import ConnectionTable, Waiting


class Client:
    def __init__(self) -> None:
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


def table(total: int, per_peer: int | None = None) -> ConnectionTable[Client]:
    return ConnectionTable(total, per_peer or total)


def admitted(held: ConnectionTable[Client], count: int, peer: str | None = None) -> list[Client]:
    clients = [Client() for _ in range(count)]
    assert all(held.admit(client, peer) for client in clients)
    return clients


def ended(clients: list[Client]) -> list[bool]:
    return [client.aborted for client in clients]


def test_the_connection_that_was_silent_longest_is_evicted_for_a_new_one() -> None:
    held = table(3)
    clients = admitted(held, 3)
    admitted(held, 1)
    assert ended(clients) == [True, False, False]
    assert (len(held), held.evicted, held.refused) == (3, 1, 0)


def test_silent_connections_are_evicted_before_idle_ones_and_these_before_unfinished_bodies() -> None:
    held = table(3)
    body, idle, _ = clients = admitted(held, 3)
    held.waits(body, Waiting.SILENT, Waiting.BODY)
    held.waits(idle, Waiting.SILENT, Waiting.IDLE)
    for expected in ([False, False, True], [False, True, True], [True, True, True]):
        (fresh,) = admitted(held, 1)
        held.waits(fresh, Waiting.SILENT, None)
        assert ended(clients) == expected


def test_a_connection_with_a_call_under_way_is_never_evicted() -> None:
    held = table(2)
    clients = admitted(held, 2)
    for client in clients:
        held.waits(client, Waiting.SILENT, None)
    assert not held.admit(Client(), None)
    assert (ended(clients), held.refused) == ([False, False], 1)


def test_a_connection_waits_again_after_its_call_behind_those_that_wait_already() -> None:
    held = table(2)
    first, second = clients = admitted(held, 2)
    held.waits(first, Waiting.SILENT, None)
    held.waits(second, Waiting.SILENT, Waiting.IDLE)
    held.waits(first, None, Waiting.IDLE)
    admitted(held, 1)
    assert ended(clients) == [False, True]


def test_a_peer_at_its_bound_gives_way_among_its_own_connections() -> None:
    held = table(10, per_peer=2)
    others = admitted(held, 2, "192.0.2.1")
    crowd = admitted(held, 2, "192.0.2.2")
    admitted(held, 1, "192.0.2.2")
    assert (ended(others), ended(crowd)) == ([False, False], [True, False])


def test_a_peer_whose_calls_are_all_under_way_is_refused_and_others_are_not() -> None:
    held = table(10, per_peer=1)
    (busy,) = admitted(held, 1, "192.0.2.1")
    held.waits(busy, Waiting.SILENT, None)
    assert not held.admit(Client(), "192.0.2.1")
    assert held.admit(Client(), "192.0.2.2")
    held.forget(busy)
    assert held.admit(Client(), "192.0.2.1")


def test_clients_that_share_an_address_have_only_the_bound_over_all() -> None:
    held = table(10, per_peer=2)
    assert not any(ended(admitted(held, 10)))


def test_an_evicted_connection_that_ends_later_is_not_counted_twice() -> None:
    held = table(1)
    (gone,) = admitted(held, 1)
    admitted(held, 1)
    held.waits(gone, Waiting.SILENT, Waiting.IDLE)
    held.forget(gone)
    assert len(held) == 1
    assert held.admit(Client(), None)
