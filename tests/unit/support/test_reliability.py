"""The table of docs/reliability.md is what a run found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import reliability


def _report(outcome: str, fault: str, case: str, measured: str | None = None, when: str = "call") -> pytest.TestReport:
    properties: list[tuple[str, object]] = [(reliability.MARK, f"{fault}\t{case}")]
    if measured is not None:
        properties.append(("measured", measured))
    return pytest.TestReport("test", ("file", 1, "test"), {}, outcome, None, when, user_properties=properties)  # type: ignore[arg-type]


def test_a_row_tells_the_worst_result_of_its_tests_and_what_they_measured(tmp_path: Path) -> None:
    document = tmp_path / "reliability.md"
    document.write_text(f"Intro\n{reliability.BEGIN}\nstale\n{reliability.END}\nend\n")
    results = reliability.Results(document)
    results.pytest_runtest_logreport(_report("passed", "A crowd", "an order holds", "3 ms"))
    results.pytest_runtest_logreport(_report("passed", "A crowd", "an order holds", when="setup"))
    results.pytest_runtest_logreport(_report("failed", "A crowd", "an order holds", "90 ms"))
    results.pytest_runtest_logreport(_report("skipped", "A clock jumps", "a lease lives", when="setup"))
    results.pytest_sessionfinish()
    text = document.read_text()
    assert "| A crowd | an order holds | failed (1 of 2) | 3 ms; 90 ms |\n" in text
    assert "| A clock jumps | a lease lives | skipped |  |\n" in text
    assert text.startswith("Intro\n")
    assert text.endswith("end\n")
    assert "stale" not in text


def test_a_run_without_marked_tests_leaves_the_document_alone(tmp_path: Path) -> None:
    document = tmp_path / "reliability.md"
    document.write_text("as it was")
    reliability.Results(document).pytest_sessionfinish()
    assert document.read_text() == "as it was"
