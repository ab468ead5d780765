"""Tables on a terminal: as wide as they need where that fits, else line by line, and never an id in two pieces."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from operator import itemgetter

import pytest

from gateway.cli.output import Columns, Output

ID = "task_rb_01M8MKG9GZ1G9ZM2X45V4M8G7G_st_01M8MKG3Y9FRFHRNGTDHVTZ38K-24"
COLUMNS = ("TASK", "KIND", "RESOLUTION", "SUMMARY")
WHY = "The object is at another version than the run left it at, and somebody has to compare the two."
BOLD = re.compile("\x1b\\[[0-9;]*m")
ROW = (ID, "correction", None, WHY)


class Terminal:
    """Standard output as a terminal."""

    def __init__(self, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capsys = patch, capsys

    def __call__(self, wide: int, *rows: Sequence[object]) -> list[str]:
        self._patch.setenv("COLUMNS", str(wide))
        self._patch.setattr(sys.stdout, "isatty", lambda: True)
        Output().table([], Columns({name: itemgetter(at) for at, name in enumerate(COLUMNS)}), rows)
        return [BOLD.sub("", line).rstrip() for line in self._capsys.readouterr().out.splitlines()]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capsys)


@pytest.mark.parametrize("wide", [40, 80, 120, 140, 200, 300])
def test_an_id_can_be_copied_whatever_the_width(terminal: Terminal, wide: int) -> None:
    assert "\n".join(terminal(wide, ROW, ROW)).count(ID) == 2


def test_a_table_that_fits_is_one_and_wraps_what_is_reported_in_words(terminal: Terminal) -> None:
    lines = terminal(140, ROW)
    assert lines[0].split() == list(COLUMNS)
    assert (len(lines) > 2, max(map(len, lines)) <= 140) == (True, True)


def test_one_that_does_not_is_reported_line_by_line_without_what_is_empty(terminal: Terminal) -> None:
    assert terminal(70, ROW, ("short", "review", "done", "told")) == [
        f"task        {ID}",
        "kind        correction",
        f"summary     {WHY}",
        "",
        "task        short",
        "kind        review",
        "resolution  done",
        "summary     told",
    ]


def test_a_list_of_nothing_shows_its_columns(terminal: Terminal) -> None:
    assert terminal(80)[0].split() == list(COLUMNS)
