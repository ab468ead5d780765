"""Links between documents lead somewhere, and the index lists every page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from checks import words

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in ROOT.rglob("*.md")
    if not {".venv", ".tools", ".pytest_cache", "node_modules"} & set(path.relative_to(ROOT).parts)
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*?) *$", re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The anchors of the headings of a page, as hosting platforms make them."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in HEADING.findall(plain)}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    broken = []
    for link in LINK.findall(words.prose(path.read_text(), ".md")):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if re.match(r"https?:", link):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    assert broken == []


def test_the_index_lists_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"({page})" not in index} == set()


def test_the_architecture_page_names_every_package_and_no_file_that_is_gone() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    packages = {path.parent.relative_to(ROOT / "gateway") for path in (ROOT / "gateway").rglob("*.py")} - {Path()}
    tree = page[page.index("## Packages") :]
    assert sorted(one.as_posix() for one in packages if not re.search(rf"(?<![\w/]){one.name}/", tree)) == []
    named = re.findall(r"`((?:gateway/)?[a-z_]+(?:/[a-z_]+)+\.py)`", page)
    assert [name for name in named if not (ROOT / "gateway" / name.removeprefix("gateway/")).exists()] == []
