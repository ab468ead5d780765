from gateway.model.effect import Sighting
from gateway.model.entry import Position
from gateway.stores.sqlite.log.journal import PendingEntries, Sight
from gateway.stores.sqlite.log.writer import prepare
from tests.support import journaling as make
from tests.support.journaling import typed

RUN, OBJECT = "run:run_1", "acme/erp/erp:invoice:inv_"


def nowhere(_: Sight) -> Sighting | None:
    return None


def ahead(count: int, *, bound: int) -> PendingEntries:
    taken = PendingEntries(bound=bound)
    for seq in range(1, count + 1):
        taken.take(prepare(typed(make.read(f"inv_{seq}", f'"v{seq}"')), Position("st", seq)))
    return taken


def seen(taken: PendingEntries, seq: int) -> bool:
    return taken.sighting((RUN, f"{OBJECT}{seq}"), nowhere) is not None


def test_a_sighting_that_is_not_on_disk_is_never_dropped_for_room() -> None:
    taken = ahead(100, bound=10)
    assert all(seen(taken, seq) for seq in range(1, 101))


def test_durable_sightings_make_room_oldest_first() -> None:
    taken = ahead(100, bound=10)
    taken.settle(100)
    taken.take(prepare(typed(make.read("inv_101")), Position("st", 101)))
    assert not seen(taken, 50)
    assert seen(taken, 101)


def test_a_sighting_found_in_the_table_is_remembered() -> None:
    taken = PendingEntries()
    assert taken.sighting((RUN, "x"), lambda _: Sighting("v", 3)) == Sighting("v", 3)
    assert taken.sighting((RUN, "x"), nowhere) == Sighting("v", 3)


def test_what_fell_back_never_was() -> None:
    taken = ahead(10, bound=100)
    taken.settle(4)
    taken.fall_back(4)
    assert [seq for seq in range(1, 11) if seen(taken, seq)] == [1, 2, 3, 4]
    assert taken.steps(RUN, above=0) == 0


def test_steps_are_counted_above_what_a_reader_has_seen() -> None:
    taken = ahead(10, bound=100)
    assert taken.steps(RUN, above=0) == 10
    assert taken.steps(RUN, above=7) == 3
    taken.settle(8)
    assert taken.steps(RUN, above=0) == 2
    assert taken.steps("run:other", above=0) == 0
