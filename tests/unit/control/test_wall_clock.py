from typing import Any

from gateway.control.upkeep import WallClock


class Wall:
    """A wall clock that the test sets, and what is logged about it."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.logged: list[tuple[str, dict[str, Any]]] = []
        self.watched = WallClock(lambda: self.ahead, 60.0, lambda event, **fields: self.logged.append((event, fields)))

    async def set(self, ahead: float, *, times: int = 3) -> list[tuple[str, int]]:
        """What is logged while the clock is that far ahead."""
        self.ahead, self.logged[:] = ahead, []
        for _ in range(times):
            await self.watched.tick()
        return [(event, fields["seconds"]) for event, fields in self.logged]


async def test_each_jump_is_logged_once_and_so_is_the_correction() -> None:
    wall = Wall()
    assert await wall.set(30.0) == []
    assert await wall.set(3600.0) == [("clock-jumped", 3600)]
    assert await wall.set(3630.0) == []
    assert await wall.set(-120.0) == [("clock-jumped", -3720)]
    assert await wall.set(5.0) == [("clock-corrected", 120)]
    assert await wall.set(5.0) == []


async def test_the_part_is_not_ok_until_the_difference_is_gone() -> None:
    wall = Wall()
    assert wall.watched.health() == (True, "the wall clock agrees")
    await wall.set(-3600.0)
    ok, detail = wall.watched.health()
    assert not ok
    assert detail.startswith("the wall clock is 3600 s behind the process's time; ")
    await wall.set(0.0)
    assert wall.watched.health() == (True, "the wall clock agrees")


def test_a_start_before_the_newest_entry_is_logged() -> None:
    wall = Wall()
    wall.watched.started(1000.0, 1060.0)
    assert wall.logged == []
    wall.watched.started(1000.0, 4600.0)
    assert [(event, fields["seconds"]) for event, fields in wall.logged] == [("clock-behind-journal", 3600)]
