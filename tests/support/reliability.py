"""The table in docs/reliability.md, written by the run of the tests that it tells of.

A test says what it stands for with ``@pytest.mark.reliability(fault="...", case="...")``, and may add what it measured with
``record_property("measured", "in force after 3 ms")``. Tests with the same fault and case share a row.
"""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

MARK = "reliability"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
_ORDER = ("failed", "skipped", "passed")


@dataclass(slots=True)
class Row:
    """The results of the tests of one case."""

    outcomes: list[str] = field(default_factory=list)
    measured: list[str] = field(default_factory=list)

    @property
    def result(self) -> str:
        """The worst outcome, and of how many tests."""
        worst = next(name for name in _ORDER if name in self.outcomes)
        return worst if len(self.outcomes) == 1 else f"{worst} ({self.outcomes.count(worst)} of {len(self.outcomes)})"


class Results:
    """A pytest plugin that gathers the rows, in the process that reports, and writes them at the end."""

    def __init__(self, document: Path) -> None:
        self._document = document
        self._rows: defaultdict[tuple[str, str], Row] = defaultdict(Row)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.outcome == "passed":
            return
        properties = dict(report.user_properties)
        if MARK in properties:
            fault, _, case = str(properties[MARK]).partition("\t")
            row = self._rows[fault, case]
            row.outcomes.append(report.outcome)
            if "measured" in properties:
                row.measured.append(str(properties["measured"]))

    def pytest_sessionfinish(self) -> None:
        if self._rows:
            before, _, rest = self._document.read_text(encoding="utf-8").partition(BEGIN)
            after = rest.partition(END)[2]
            told = f"Run on {datetime.now(UTC):%Y-%m-%d}, Linux {platform.machine()}, Python {platform.python_version()}."
            text = "\n".join([before + BEGIN, "", told, "", *table(self._rows), "", END + after])
            self._document.write_text(text, encoding="utf-8")


def table(rows: Mapping[tuple[str, str], Row]) -> Iterable[str]:
    """The rows as Markdown, by fault."""
    yield "| fault | case | result | measured |"
    yield "|---|---|---|---|"
    for (fault, case), row in sorted(rows.items()):
        yield f"| {fault} | {case} | {row.result} | {'; '.join(dict.fromkeys(row.measured))} |"


def mark(items: Iterable[pytest.Item]) -> None:
    """Note the case of each marked test where every report of it is, whichever process runs it."""
    for item in items:
        if (marked := item.get_closest_marker(MARK)) is not None:
            item.user_properties.append((MARK, "{fault}\t{case}".format_map(marked.kwargs)))
