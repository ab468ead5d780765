"""What is wrong with a bundle before it is ever asked: names that nothing answers to, functions the gateway does not run.

Rego takes most misspelt names for "undefined", which silently switches a rule off. Here each is a problem with file and
line, and a guess at what was meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

from gateway.clients.rego import builtins, entry_points, names, portability, syntax
from gateway.clients.rego.names import Names
from gateway.clients.rego.syntax import Invocation, Module, Path, Rule

ROOT = ("data", "killcord")
DECISION = ("data", "killcord", "authz", "decision")


def problems(modules: Iterable[Module], known: Names) -> list[str]:
    """One line each, ``policies/x.rego:12: what is wrong``; none for a bundle that can be used."""
    found = [f"{module.file}:{line}: {problem}" for module in modules for line, problem in _of_module(module, known)]
    if not any(names.begins(path, DECISION) for path in known.definitions):
        found.append(f"there is no rule {'.'.join(DECISION)}; without it every call would be denied")
    found += entry_points.problems(known)
    return sorted(set(found), key=_by_place)


def _by_place(problem: str) -> tuple[str, int, str]:
    file, _, rest = problem.partition(":")
    line = rest.partition(":")[0]
    return file, int(line) if line.isdigit() else 0, problem


def _of_module(module: Module, known: Names) -> Iterator[tuple[int, str]]:
    if not names.begins(("data", *module.package), ROOT):
        yield 1, f"package {'.'.join(module.package)} has to lie under killcord"
    for imported in module.imports:
        for problem in _path_problems(imported.path, module, known):
            yield imported.line, problem
    for rule in module.rules:
        for name in sorted({*rule.name[:1], *rule.bound} & builtins.RESERVED):
            yield rule.line, f"{name} is a name of Rego's own; take another"
        for invocation in rule.invocations:
            for problem in _invocation_problems(invocation, module, rule, known):
                yield invocation.function.line, problem
        for reference in rule.references:
            path = names.resolve(reference.path, module, rule, known.definitions)
            for problem in _path_problems(path, module, known) if path else ():
                yield reference.line, problem
        for reference in rule.negated:
            if reference.path not in rule.asserted and _may_be_absent(reference.path, module, rule, known):
                yield reference.line, f"not: {_dotted(reference.path)} may be absent, where engines differ; {_NEGATE}"
        yield from portability.problems(module, rule, known)
        if cycle := _cycle(module, rule, known):
            yield rule.line, f"{'.'.join(rule.name)} refers to itself ({' -> '.join(cycle)}); Rego has no recursion"


_NEGATE = "make the condition a rule of its own and write `not` before that rule's name"


def _may_be_absent(path: Path, module: Module, rule: Rule, known: Names) -> bool:
    """Whether a reference leads to a part of the input that not every call has."""
    found = names.resolve(path, module, rule, known.definitions)
    schema = names.schema_of(module, known)
    return bool(found and found[0] == "input" and schema and not _is_required(found[1:], schema))


def _is_required(path: Path, schema: Mapping[str, object]) -> bool:
    for step in path:
        required = schema.get("required")
        if not isinstance(required, list) or step not in required:
            return False
        schema = names.part(names.part(schema, "properties"), step)
    return True


# --- functions -------------------------------------------------------------------------------------------------------


def _invocation_problems(invocation: Invocation, module: Module, rule: Rule, known: Names) -> Iterator[str]:
    name = ".".join(step or "_" for step in invocation.function.path)
    function = names.resolve(invocation.function.path, module, rule, known.definitions)
    defined = known.definitions.get(tuple(step or "" for step in function)) if function else None
    if invocation.function.root in rule.bound:
        yield f"{name} is hidden by the variable {invocation.function.root}; give that another name"
    elif defined:
        arity = defined[0][1].arity
        if arity is None:
            yield f"{name} is a rule here, no function"
        elif len(invocation.arguments) not in (arity, arity + 1):
            yield f"{name} takes {arity}, not {len(invocation.arguments)} arguments"
    elif name in builtins.REFUSED:
        yield f"{name} may not be used: {builtins.REFUSED[name]}"
    elif name in builtins.ABSENT:
        yield f"there is no {name} in the embedded engine, only on a real OPA"
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
    base, key = syntax.chain(invocation.arguments[0]), invocation.arguments[1]
    keys = key["Array"]["items"] if "Array" in key else [key]
    path = names.resolve(base.path, module, rule, known.definitions) if base else None
    if path:
        yield from _path_problems((*path, *(syntax.text(each) for each in keys)), module, known)


# --- names -----------------------------------------------------------------------------------------------------------


def _path_problems(path: Path, module: Module, known: Names) -> Iterator[str]:
    if path[0] == "input":
        if schema := names.schema_of(module, known):
            yield from _field_problems(path, schema)
    elif path[0] == "data" and not _is_known(path, known):
        shown = _dotted(path)
        yield f"there is no {shown}{_guess(shown, ['.'.join(defined) for defined in known.definitions])}"


def _is_known(path: Path, known: Names) -> bool:
    settled = syntax.settled(path)
    if any(names.begins(defined, settled) or names.begins(settled, defined) for defined in known.definitions):
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
            schema = names.part(schema, "items")
        elif schema.get("type") == "object":
            fields = names.part(schema, "properties")
            if step in fields:
                schema = names.part(fields, step)
            elif isinstance(schema.get("additionalProperties"), Mapping):
                schema = names.part(schema, "additionalProperties")
            else:
                if step is not None:
                    yield f"there is no {here}.{step}{_guess(step, fields)}"
                return
        else:
            if "type" in schema:
                yield f"{here} is a {schema['type']}, it has no fields"
            return


def _guess(name: str, candidates: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, sorted(set(candidates)), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _dotted(path: Path) -> str:
    return ".".join(step if step is not None else "_" for step in path)


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
            used = names.resolve(each, module, rule, known.definitions)
            if used and used[0] == "data":
                settled = syntax.settled(used)
                yield from (defined for defined in known.definitions if names.begins(defined, settled) or names.begins(settled, defined))
