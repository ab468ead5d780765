"""The house rules that no linter knows: the line is one screen, evidence has one maker, files hold one noun."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from pathlib import Path

from gateway import errors
from gateway.core import problem

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "gateway").rglob("*.py"))
WITH_THE_DEMO = [*SOURCES, *sorted((ROOT / "demo").rglob("*.py"))]


def calls(name: str) -> set[str]:
    """The files in which something of this name is called."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Name | ast.Attribute) and (called.id if isinstance(called, ast.Name) else called.attr) == name:
                found.add(path.relative_to(ROOT / "gateway").as_posix())
    return found


def test_only_intend_makes_an_intent_and_only_policy_a_permit() -> None:
    assert calls("Intent") == {"pipeline/effect.py"}
    assert calls("Permitted") == {"pipeline/stages/decide.py", "pipeline/compensation/line.py"}
    assert calls("SendWrite") == {"app/line.py"}
    assert calls("Known") == {"pipeline/stages/authenticate.py", "pipeline/compensation/line.py"}


def test_a_tool_is_written_to_from_one_place_and_read_from_one() -> None:
    senders = {path.relative_to(ROOT / "gateway").as_posix() for path in SOURCES if "upstream.send(" in path.read_text()}
    assert senders == {"pipeline/effect.py", "pipeline/tool.py"}


def test_the_line_fits_on_one_screen() -> None:
    tree = ast.parse((ROOT / "gateway/pipeline/line.py").read_text())
    handle = next(node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef) and node.name == "handle")
    assert handle.end_lineno is not None
    assert handle.end_lineno - handle.lineno < 40


def test_a_file_holds_one_noun() -> None:
    assert [path.relative_to(ROOT).as_posix() for path in WITH_THE_DEMO if len(path.read_text().splitlines()) > 350] == []


def test_a_folder_holds_few_modules() -> None:
    folders = Counter(path.parent.relative_to(ROOT).as_posix() for path in WITH_THE_DEMO)
    assert {folder: count for folder, count in folders.items() if count > 25} == {}


SMALL = {
    "core/policy/numbers.py": "both engines show numbers by it, and the vetting of rules counts digits by it",
    "__main__.py": "the command's entry point",
    "core/backoff.py": "one formula, shared by rooms that know nothing of each other",
    "core/timestamps.py": "one format, shared by entries and the API",
    "ports": "one port a file: who implements it and who asks it import nothing else",
    "sdk/shipped.py": "finds the adapters and policies that a wheel brings; the SDK's users may import it alone",
}
"""Modules of fewer than 25 lines of code, or folders of such, each with its reason."""


def test_a_small_module_has_a_reason() -> None:
    small = {path.relative_to(ROOT / "gateway") for path in SOURCES if path.name != "__init__.py" and lines_of_code(path) < 25}
    assert sorted(path.as_posix() for path in small if not SMALL.keys() & {path.as_posix(), path.parent.as_posix()}) == []


def lines_of_code(path: Path) -> int:
    """Lines that hold code: no blank lines, no comments, no docstrings."""
    source = path.read_text()
    texts = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    silent = {number for text in texts if isinstance(text.value, str) for number in range(text.lineno, (text.end_lineno or 0) + 1)}
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type not in skipped]
    return len({number for token in tokens for number in range(token.start[0], token.end[0] + 1)} - silent)


ENTRIES = ("gateway.model.entries", "gateway.core.codec", "gateway.core.journal")


def string_reads(path: Path) -> int:
    """How often a module that handles entries reads a member by its name as a string: ``x["..."]`` or ``x.get("...")``.

    A module handles entries if it imports their types, their codec or the journal's core, or is part of the latter two. Constants in
    capitals (``READING["entry"]``, ``ROUTES.get("/v1/runs")``) are tables of the program, no data.
    """
    tree = ast.parse(path.read_text())
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module is not None]
    names = {f"{node.module}.{alias.name}" for node in imported for alias in node.names}
    own = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    if not any(name.startswith(ENTRIES) for name in (*names, own)):
        return 0
    reads = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            owner, key = node.value, node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args:
            owner, key = node.func.value, node.args[0]
        else:
            continue
        table = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
        reads += not table.isupper() and isinstance(key, ast.Constant) and isinstance(key.value, str)
    return reads


def test_entries_are_values_and_not_dictionaries() -> None:
    # The command line shows documents of the API, which are no entries.
    found = {path: string_reads(path) for path in SOURCES if "cli" not in path.relative_to(ROOT).parts}
    assert sum(found.values()) <= 40, {path.name: count for path, count in found.items() if count}


def test_every_room_says_what_it_is() -> None:
    silent = [path for path in WITH_THE_DEMO if path.name != "__init__.py" and not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


CODES = {
    400: ("malformed-request",),
    401: ("lease-missing", "lease-invalid", "lease-expired"),
    403: (
        "lease-revoked",
        "run-quarantined",
        "run-read-only",
        "fanout-blocked",
        "policy-denied",
        "tenant-boundary",
        "tenant-unknown",
        "action-unknown",
        "approval-required",
        "approval-denied",
        "blast-radius",
    ),
    404: ("tool-unknown",),
    408: ("body-timeout",),
    409: ("in-flight", "outcome-unknown", "reply-not-kept"),
    412: ("precondition-changed",),
    413: ("body-too-large",),
    422: ("key-reused",),
    429: ("rate-limited",),
    502: ("tool-unreachable",),
    503: ("run-paused", "policy-unavailable", "journal-unavailable", "containment-stale", "overloaded", "draining"),
    504: ("tool-timeout",),
}
"""The codes that agents may rely on, by their status."""


def test_every_refusal_has_a_status_a_message_and_a_hint() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.Refusal) and kind is not errors.Refusal
    ]
    assert {kind.code: kind.status for kind in kinds} == {code: status for status, codes in CODES.items() for code in codes}
    for kind in kinds:
        shown = problem.document(kind())
        assert shown["type"] == f"urn:killcord:problem:{kind.code}"
        assert re.fullmatch(r"[A-Z].+\.", str(shown["title"]))
        assert kind.hint != errors.Refusal.hint


def test_no_file_names_a_machine_path_or_a_registry() -> None:
    texts = [
        path for path in ROOT.rglob("*") if path.suffix in {".md", ".txt", ".in", ".toml", ".yaml", ".yml"} and ".venv" not in path.parts
    ]
    forbidden = re.compile(r"://[a-z0-9.-]*(pypi|npm|hosted|golang)[a-z0-9.-]*/|--index-url|--find-links")
    assert [
        path for path in texts if path.is_file() and ".tools" not in path.parts and forbidden.search(path.read_text(errors="replace"))
    ] == []


def test_unit_tests_assemble_no_gateway_and_open_no_server() -> None:
    modules = r"gateway\.app|aiohttp\.test_utils|tests\.support\.(?:rig|gateway|control_api|kinto)"
    servers = re.compile(rf"^\s*(?:from|import) (?:{modules})\b", re.MULTILINE)
    units = (ROOT / "tests" / "unit").rglob("*.py")
    assert sorted(path.relative_to(ROOT).as_posix() for path in units if servers.search(path.read_text())) == []
