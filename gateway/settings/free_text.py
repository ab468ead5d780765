"""Matches and classes that rest on a part of a text: a text that says two things would pass as one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gateway.core.adapter import members
from gateway.core.adapter.catalog import ActionType, Tool
from gateway.core.adapter.expression import Expression
from gateway.core.adapter.members import Path
from gateway.model.call import Effect
from gateway.settings.adapter import Site

_BATCH: Mapping[str, object] = {"request": {"body": [{}]}}
_PLACES = (("request", "body"), ("request", "query"))
_DOCUMENT = frozenset({"query", "sha256Hash"})
_NAME = "operationName"

_INSTEAD = (
    "a text can say that and something else (a GraphQL document holds reads and writes), so that a write would pass as a read, under "
    "read_only too. "
    "Compare a whole member with a literal (request.body.method == 'tools/list'), or declare one write for all calls of this path"
)

_KEYS = "list the keys of this read in match.query ([] for none), so that a write cannot pass as a read"
_DRY = (
    "a text can say that and something else (a GraphQL document holds reads and writes), so that a write would pass as a dry run: "
    "not charged, and undone by nobody. Name a whole member or query key (request.query.dry_run == 'true')"
)
_BATCHED = (
    "has the same method and path: a write in it would pass as a read, under read_only too. Let the read name its calls by a whole "
    "member (contains(['tools/list', 'ping'], request.body.method)), and declare the write after it, for all other calls"
)


def check(site: Site, tool: Tool, actions: Mapping[int, ActionType]) -> None:
    """Report reads that only a part of a text tells from writes, or that take what a write beside them does not match."""
    for place, action in actions.items():
        if action.dry_run is not None and (fault := _part(action.dry_run.when) or _open(action.dry_run.when)):
            site.report(f"{fault}; {_DRY}", "actions", place, "dry_run", "if")
        if action.effect is not Effect.READ:
            continue
        beside = {
            index: one
            for index, one in actions.items()
            if one.effect is Effect.WRITE and one.method == action.method and one.template.overlaps(action.template)
        }
        if action.method == "GET" and not beside:
            continue
        for key, expression in (("body", action.match_body), ("headers", action.match_headers)):
            if expression is not None and (fault := _fault(expression)):
                others = f" and {next(iter(beside.values())).name} has the same method and path;" if beside else ""
                site.report(f"{fault};{others} {_INSTEAD}", "actions", place, "match", key)
                break
        else:
            _check_rest(site, place, action, beside)


def _check_rest(site: Site, place: int, read: ActionType, beside: Mapping[int, ActionType]) -> None:
    """Report a read that is whatever a write is not: another query, a text that the write's match does not expect, or a batch of calls."""
    if read.match_headers is not None:
        return
    for index, write in beside.items():
        if write.match_body is not None and not _compares_member(read.match_body) and (fault := _fault(write.match_body)):
            site.report(f"{fault}; what it does not match passes as {read.name}; {_INSTEAD}", "actions", index, "match", "body")
            return
        ahead = index < place and write.match_body is not None and write.template.covers(read.template)
        if read.match_body.holds(_BATCH) if read.match_body is not None else ahead:
            site.report(f"{read.name} also takes a list (a batch of calls), and {write.name} {_BATCHED}", "actions", place, "match", "body")
            return
    if fault := _open(read.match_body):
        site.report(f"{fault}; {_INSTEAD}", "actions", place, "match", "body")
        return
    name = next((one.name for index, one in beside.items() if index < place), None)
    if name is not None and read.match_query is None and read.match_body is None:
        report = f"takes the calls of {name} as well, if they have a query key that {name} does not accept; {_KEYS}"
        site.report(report, "actions", place, "match")


def _compares_member(expression: Expression | None) -> bool:
    """Whether it takes a whole member that equals a literal, or one of several, for it to be true."""
    return expression is not None and _needs_comparison(expression.tree)


def _needs_comparison(node: Mapping[str, Any]) -> bool:
    children = node["children"]
    match node["type"], node.get("value"):
        case "and_expression", _:
            return any(map(_needs_comparison, children))
        case "or_expression", _:
            return all(map(_needs_comparison, children))
        case "comparator", "eq":
            return any(child["type"] == "literal" and child["value"] is not None for child in children)
        case "function_expression", "contains":
            listed = children[0]["children"] if children[0]["type"] == "multi_select_list" else children[:1]
            return all(child["type"] == "literal" for child in listed)
        case _:
            return False


def warnings(tool: Tool) -> Iterator[str]:
    """What loads and may not be meant: classes that rest on a part of a text, and reads of GraphQL as a whole."""
    for action in tool.actions.values():
        for rule in action.classes:
            if rule.when is not None and (parts := _parts(rule.when)):
                yield (
                    f"{action.name}: its class depends on a part of the text of {_dotted(parts[0])}; a text that says two things gets the "
                    "class of one: give all of them the strictest class"
                )
        graphql = action.template.literals and action.template.literals[-1][1].lower() == "graphql"
        if action.effect is Effect.READ and action.method != "GET" and graphql and not _names_document(action.match_body):
            yield (
                f"{action.name}: it is a read, and a GraphQL document can hold a mutation: declare one write for all, or compare the whole "
                "request.body.query with a literal"
            )


def _fault(expression: Expression) -> str | None:
    if part := _part(expression):
        return part
    paths = members.of((expression,))
    if any(path[-1] == _NAME for path in paths) and not _names_document(expression):
        return f"it depends on {_NAME}, which the agent gives to any document"
    return None


def _part(expression: Expression) -> str | None:
    if parts := _parts(expression):
        return f"it depends on a part of the text of {_dotted(parts[0])}"
    if some := _within(members.lists_of(expression)):
        return f"it depends on some members of the list {_dotted(some[0])}, and others may stand beside them"
    return None


def _open(expression: Expression | None) -> str | None:
    if expression is None or not (excluded := _within(members.excluded_by(expression))):
        return None
    return f"it takes whatever {_dotted(excluded[0])} may be but for the texts that it names"


def _parts(expression: Expression) -> list[Path]:
    return _within(members.texts_of(expression))


def _within(paths: Iterable[Path]) -> list[Path]:
    """Those that lie in the body or the query."""
    return sorted(path for path in paths if path[:2] in _PLACES)


def _names_document(expression: Expression | None) -> bool:
    return expression is not None and any(path[-1] in _DOCUMENT for path in members.of((expression,)) if path[:2] in _PLACES)


def _dotted(path: Path) -> str:
    return ".".join(path)
