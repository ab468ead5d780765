"""The word check: what it reads of a file, what it finds, and that every entry of the list finds its own examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks import commit_message, words

RULES = words.load()


@pytest.mark.parametrize(
    ("word", "example"),
    [(word, example) for word in (*RULES.words, *RULES.names) for example in word.examples],
    ids=lambda value: str(value)[:40],
)
def test_an_entry_finds_its_examples(word: words.Word, example: str) -> None:
    assert word.find.search(example)


def test_an_entry_does_not_suggest_a_banned_phrase() -> None:
    assert [word.say for word in RULES.words for other in RULES.words if other.find.search(word.say)] == []


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.md", "One line.\nThe port cannot\nbe had.\n", 2),
        ("a.py", '"""Fine."""\n\nraise ValueError(f"port {port} cannot "\n  "be had")\n', 3),
        ("a.py", "x = 1  # the port\n# cannot\n# be had\n", 2),
        ("a.rego", '# a port that cannot be had\n"message": "no"\n', 1),
    ],
)
def test_a_phrase_is_found_across_line_ends(name: str, text: str, line: int) -> None:
    (found,) = words.findings(text, Path(name), RULES)
    assert (found.line, found.phrase) == (line, "cannot be had")
    assert "cannot bind" in str(found)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.md", "```\ncannot be had\n```\n"),
        ("a.md", "`cannot be had` in a code span\n"),
        ("a.md", "<!-- words: off -->\ncannot be had\n<!-- words: on -->\n"),
        ("a.py", "cannot = be.had\n"),
        ("a.py", "anyone who = rooms\n"),
    ],
)
def test_code_and_exempt_parts_are_not_read(name: str, text: str) -> None:
    assert list(words.findings(text, Path(name), RULES)) == []


@pytest.mark.parametrize("name", ["untold", "_untold", "UNTOLD", "Untold"])
def test_a_banned_name_is_found_however_it_is_written(name: str) -> None:
    (found,) = words.findings(f"def f() -> None:\n    {name} = 'told'\n", Path("a.py"), RULES)
    assert (found.line, found.phrase) == (2, name)


def test_a_banned_name_within_a_longer_one_is_not_found() -> None:
    assert list(words.findings("outdoors = way_back_up = 1\n", Path("a.py"), RULES)) == []


def test_the_files_come_from_the_list_without_exempt_ones(tmp_path: Path) -> None:
    for name in ("a.md", "b.md", "c.txt"):
        (tmp_path / name).write_text("")
    rules = words.Rules((), (), ("*.md",), ("b.md",))
    assert words.files(rules, tmp_path) == [Path("a.md")]


def test_a_file_that_is_not_there_is_wrong_use() -> None:
    assert words.main(["no-such-file.md"]) == 2


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("", "empty"),
        ("x" * 73, "73 characters"),
        ("add a check\n", "capital"),
        ("Add a check.\n", "full stop"),
        ("Add a check\nat once\n", "second line"),
        ("Tell why a port cannot be had\n", "cannot bind"),
    ],
)
def test_a_commit_message_is_checked(message: str, problem: str) -> None:
    assert any(problem in found for found in commit_message.problems(message))


def test_a_good_commit_message_passes(tmp_path: Path) -> None:
    path = tmp_path / "message"
    path.write_text("Check the words of documents\n\nA list in data is easier to extend.\n# Git's own: the doors\n")
    assert commit_message.main(str(path)) == 0
