"""What is wrong with a bundle before it is ever asked: names that nothing answers to, functions the gateway does not run.

Rego takes most misspelt names for "undefined", which silently switches a rule off. Here each is a problem with file and
line, and a guess at what was meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gateway.clients import rego_syntax
from gateway.clients.rego_syntax import Invocation, Module, Path, Rule

ROOT = ("data", "killcord")
DECISION = ("data", "killcord", "authz", "decision")

REFUSED = {
    "http.send": "the gateway makes no calls while it decides; put what the rule needs into a data file",
    "opa.runtime": "it answers differently on each engine; put what the rule needs into a data file",
    "rand.intn": "a decision has to come out the same when it is replayed",
    "strings.replace_n": "engines differ in whether a replacement is replaced again; use replace or regex.replace",
    "time.now_ns": "a decision has to come out the same when it is replayed; use input.now",
    "uuid.rfc4122": "a decision has to come out the same when it is replayed",
}
"""Built-ins that the embedded engine has and a policy may not use, each with the reason."""

_ALWAYS = {"print"}  # known to the engine's grammar, not to its list

Definitions = Mapping[tuple[str, ...], list[tuple[Module, Rule]]]


@dataclass(frozen=True, slots=True)
class Names:
    """All that a reference of a bundle can mean. ``definitions`` by full path (``data`` first), ``schemas`` by package."""

    definitions: Definitions
    data: Mapping[str, object]
    builtins: frozenset[str]
    schemas: Mapping[tuple[str, ...], Mapping[str, object]]


def names(
    modules: Iterable[Module],
    *,
    data: Mapping[str, object],
    builtins: Iterable[str],
    schemas: Mapping[tuple[str, ...], Mapping[str, object]],
) -> Names:
    definitions: dict[tuple[str, ...], list[tuple[Module, Rule]]] = {}
    for module in modules:
        for rule in module.rules:
            definitions.setdefault(("data", *module.package, *rule.name), []).append((module, rule))
    usable = frozenset(name for name in builtins if not name.startswith("__")) | _ALWAYS
    return Names(definitions, data, usable - REFUSED.keys(), schemas)


def problems(modules: Iterable[Module], known: Names) -> list[str]:
    """One line each, ``policies/x.rego:12: what is wrong``; none for a bundle that can be used."""
    found = [f"{module.file}:{line}: {problem}" for module in modules for line, problem in _of_module(module, known)]
    if not any(_begins(path, DECISION) for path in known.definitions):
        found.append(f"there is no rule {'.'.join(DECISION)}; without it every call would be denied")
    return sorted(set(found), key=_by_place)


def _by_place(problem: str) -> tuple[str, int, str]:
    file, _, rest = problem.partition(":")
    line = rest.partition(":")[0]
    return file, int(line) if line.isdigit() else 0, problem


def _of_module(module: Module, known: Names) -> Iterator[tuple[int, str]]:
    if not _begins(("data", *module.package), ROOT):
        yield 1, f"package {'.'.join(module.package)} has to lie under killcord"
    for imported in module.imports:
        for problem in _path_problems(imported.path, module, known):
            yield imported.line, problem
    for rule in module.rules:
        for invocation in rule.invocations:
            for problem in _invocation_problems(invocation, module, rule, known):
                yield invocation.function.line, problem
        for reference in rule.references:
            path = resolve(reference.path, module, rule, known.definitions)
            for problem in _path_problems(path, module, known) if path else ():
                yield reference.line, problem
        for reference in rule.negated:
            if reference.path not in rule.asserted and _may_be_absent(reference.path, module, rule, known):
                yield reference.line, f"not: {_dotted(reference.path)} may be absent, where engines differ; {_NEGATE}"
        if cycle := _cycle(module, rule, known):
            yield rule.line, f"{'.'.join(rule.name)} refers to itself ({' -> '.join(cycle)}); Rego has no recursion"


def resolve(path: Path, module: Module, rule: Rule, definitions: Definitions) -> Path | None:
    """A reference with its first step made absolute (``data`` or ``input``); ``None`` for a rule's own variables."""
    root = path[0]
    assert root is not None
    if root in ("data", "input"):
        return path
    if root in rule.bound:
        behind = rule.aliases.get(root)
        # Only one step back: an alias of an alias stays unresolved, which checks less and never wrongly.
        return (*behind, *path[1:]) if behind and behind[0] in ("data", "input") else None
    for imported in module.imports:
        if imported.alias == root:
            return (*imported.path, *path[1:])
    local = ("data", *module.package, root)
    return (*local, *path[1:]) if any(_begins(defined, local) for defined in definitions) else None


_NEGATE = "make the condition a rule of its own and write `not` before that rule's name"


def _may_be_absent(path: Path, module: Module, rule: Rule, known: Names) -> bool:
    """Whether a reference leads to a part of the input that not every call has."""
    found = resolve(path, module, rule, known.definitions)
    schemas = [schema for package, schema in known.schemas.items() if _begins(module.package, package)]
    return bool(found and found[0] == "input" and schemas and not _is_required(found[1:], schemas[0]))


def _is_required(path: Path, schema: Mapping[str, object]) -> bool:
    for step in path:
        required = schema.get("required")
        if not isinstance(required, list) or step not in required:
            return False
        schema = _part(_part(schema, "properties"), step)
    return True


# --- functions -------------------------------------------------------------------------------------------------------


def _invocation_problems(invocation: Invocation, module: Module, rule: Rule, known: Names) -> Iterator[str]:
    name = ".".join(step or "_" for step in invocation.function.path)
    function = resolve(invocation.function.path, module, rule, known.definitions)
    defined = known.definitions.get(tuple(step or "" for step in function)) if function else None
    if defined:
        arity = defined[0][1].arity
        if arity is not None and len(invocation.arguments) not in (arity, arity + 1):
            yield f"{name} takes {arity}, not {len(invocation.arguments)} arguments"
    elif name in REFUSED:
        yield f"{name} may not be used: {REFUSED[name]}"
    elif function or name not in known.builtins:
        yield f"there is no function {name}{_guess(name, [*known.builtins, *_functions(known)])}"
    if name == "object.get" and len(invocation.arguments) == 3:
        yield from _lookup_problems(invocation, module, rule, known)


def _functions(known: Names) -> Iterator[str]:
    for path, defined in known.definitions.items():
        if defined[0][1].arity is not None:
            yield from (path[-1], ".".join(path[-2:]), ".".join(path))


def _lookup_problems(invocation: Invocation, module: Module, rule: Rule, known: Names) -> Iterator[str]:
    """``object.get(input.run, "tennant", "")`` misses as silently as a reference does."""
    base, key = rego_syntax.chain(invocation.arguments[0]), invocation.arguments[1]
    keys = key["Array"]["items"] if "Array" in key else [key]
    path = resolve(base.path, module, rule, known.definitions) if base else None
    if path:
        yield from _path_problems((*path, *(rego_syntax.text(each) for each in keys)), module, known)


# --- names -----------------------------------------------------------------------------------------------------------


def _path_problems(path: Path, module: Module, known: Names) -> Iterator[str]:
    if path[0] == "input":
        for package, schema in known.schemas.items():
            if _begins(module.package, package):
                yield from _field_problems(path, schema)
    elif path[0] == "data" and not _is_known(path, known):
        shown = _dotted(path)
        yield f"there is no {shown}{_guess(shown, ['.'.join(defined) for defined in known.definitions])}"


def _is_known(path: Path, known: Names) -> bool:
    settled = rego_syntax.settled(path)
    if any(_begins(defined, settled) or _begins(settled, defined) for defined in known.definitions):
        return True
    node: object = known.data
    for step in settled[1:]:
        if not isinstance(node, Mapping):
            break
        if step not in node:
            return False
        node = node[step]
    return True


def _field_problems(path: Path, schema: Mapping[str, object]) -> Iterator[str]:
    """Follow a reference through the schema until it leaves what is ours, or is lost."""
    for at, step in enumerate(path[1:], start=1):
        here = _dotted(path[:at])
        if schema.get("type") == "array":
            if step is not None:
                yield f"{here} is a list, it has no field {step}"
                return
            schema = _part(schema, "items")
        elif schema.get("type") == "object":
            fields = _part(schema, "properties")
            if step in fields:
                schema = _part(fields, step)
            elif isinstance(schema.get("additionalProperties"), Mapping):
                schema = _part(schema, "additionalProperties")
            else:
                if step is not None:
                    yield f"there is no {here}.{step}{_guess(step, fields)}"
                return
        else:
            if "type" in schema:
                yield f"{here} is a {schema['type']}, it has no fields"
            return


def _part(schema: Mapping[str, object], name: str | None) -> Mapping[str, object]:
    part = schema.get(name or "")
    return part if isinstance(part, Mapping) else {}


def _guess(name: str, candidates: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, sorted(set(candidates)), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _dotted(path: Path) -> str:
    return ".".join(step if step is not None else "_" for step in path)


def _begins(path: tuple[str | None, ...], prefix: tuple[str | None, ...]) -> bool:
    return path[: len(prefix)] == prefix


# --- recursion -------------------------------------------------------------------------------------------------------


def _cycle(module: Module, rule: Rule, known: Names) -> list[str] | None:
    """The way from a rule back to itself.

    Checked here because the embedded engine follows a recursive function until the process dies of it.
    """
    start = ("data", *module.package, *rule.name)
    came_from: dict[tuple[str, ...], tuple[str, ...]] = {}
    waiting = [start]
    while waiting:
        at = waiting.pop()
        for used in _uses(at, known):
            if used == start:
                return [".".join(path) for path in _way(came_from, start, at)] + [".".join(start)]
            if used not in came_from:
                came_from[used] = at
                waiting.append(used)
    return None


def _way(came_from: Mapping[tuple[str, ...], tuple[str, ...]], start: tuple[str, ...], end: tuple[str, ...]) -> list[tuple[str, ...]]:
    way = [end]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return way[::-1]


def _uses(path: tuple[str, ...], known: Names) -> Iterator[tuple[str, ...]]:
    for module, rule in known.definitions[path]:
        mentioned = [reference.path for reference in rule.references] + [invocation.function.path for invocation in rule.invocations]
        for each in mentioned:
            used = resolve(each, module, rule, known.definitions)
            if used and used[0] == "data":
                settled = rego_syntax.settled(used)
                yield from (defined for defined in known.definitions if _begins(defined, settled) or _begins(settled, defined))
