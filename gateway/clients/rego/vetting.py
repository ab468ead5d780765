"""What is wrong with a bundle before it is ever asked: names that nothing answers to, functions the gateway does not run, rules that
the gateway could not ask for, and rules that would mean one thing on the embedded engine and another on OPA.

Rego takes most misspelt names for "undefined", which silently switches a rule off. Here each is a problem with file and
line, and a guess at what was meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gateway.clients.rego import arguments, builtins, compiler_checks, entry_points, names, syntax
from gateway.clients.rego.builtins import Kind
from gateway.clients.rego.names import Names, Scope
from gateway.clients.rego.syntax import COMPREHENSIONS, Invocation, Module, Path
from gateway.core.policy import numbers

Found = Iterator[tuple[int, str]]
"""Lines and what is wrong there."""


def problems(modules: Sequence[Module], known: Names) -> list[str]:
    """One line each, ``policies/x.rego:12: what is wrong``; none for a bundle that can be used."""
    found = [f"{module.file}:{line}: {problem}" for module in modules for line, problem in _of_module(module, known)]
    for scope in (scope for scopes in known.definitions.values() for scope in scopes):
        found += [f"{scope.module.file}:{line}: {problem}" for line, problem in _of_rule(scope)]
    found += [f"{file}:{line}: {problem}" for file, line, problem in compiler_checks.of_names(known)]
    if not any(names.starts_with(path, entry_points.DECISION) for path in known.definitions):
        found.append(f"there is no rule {entry_points.RULE}; without it every call would be denied")
    return sorted({*found, *_entry_points(known)}, key=_by_place)


def _by_place(problem: str) -> tuple[str, int, str]:
    file, _, rest = problem.partition(":")
    line = rest.partition(":")[0]
    return file, int(line) if line.isdigit() else 0, problem


def _entry_points(known: Names) -> Iterator[str]:
    """A rule that is written so that the engines could not be asked for it alike."""
    for rule, form in entry_points.ASKED.items():
        path = entry_points.path_of(rule)
        for defined, (scope, *_) in known.definitions.items():
            if names.starts_with(defined, path) and (defined != path or scope.rule.arity is not None):
                yield f"{scope.module.file}:{scope.rule.line}: data.killcord.{rule} must be one rule, {form}"
        *above, last = path
        holder = known.datum(tuple(above))
        if isinstance(holder, Mapping) and last in holder:
            yield f"data.killcord.{rule} must be a rule, not data"


def _of_module(module: Module, known: Names) -> Found:
    if not names.starts_with(("data", *module.package), entry_points.ROOT):
        yield 1, f"package {'.'.join(module.package)} must lie under killcord"
    yield from compiler_checks.of_module(module)
    for imported in module.imports:
        yield from ((imported.line, problem) for problem in _path_problems(imported.path, module, known))


def _of_rule(scope: Scope) -> Found:
    module, rule, known = scope.module, scope.rule, scope.known
    for name in sorted({*rule.name[:1], *rule.bound} & builtins.RESERVED):
        yield rule.line, f"{name} is reserved by Rego; choose another name"
    for invocation in rule.invocations:
        yield from ((invocation.function.line, problem) for problem in _invocation_problems(invocation, scope))
    for reference in rule.references:
        path = scope.resolve(reference.path)
        yield from ((reference.line, problem) for problem in (_path_problems(path, module, known) if path else ()))
    for reference in rule.negated:
        if reference.path not in rule.asserted and _may_be_absent(reference.path, scope):
            yield reference.line, f"not: {syntax.dotted(reference.path)} may be absent, and engines differ then; {_NEGATE}"
    yield from compiler_checks.of_rule(scope)
    yield from _differences(scope)
    if cycle := _cycle(scope):
        yield rule.line, f"{'.'.join(rule.name)} refers to itself ({' -> '.join(cycle)}); Rego does not support recursion"


_NEGATE = "make the condition a rule of its own and write `not` before that rule's name"


def _may_be_absent(path: Path, scope: Scope) -> bool:
    """Whether a reference leads to a part of the input that not every call has."""
    found, schema = scope.resolve(path), scope.known.schema(scope.module)
    if not found or found[0] != "input" or not schema:
        return False
    for step in found[1:]:
        required = schema.get("required")
        if not isinstance(required, list) or step not in required:
            return True
        schema = names.part(names.part(schema, "properties"), step)
    return False


# --- functions -------------------------------------------------------------------------------------------------------


def _invocation_problems(invocation: Invocation, scope: Scope) -> Iterator[str]:
    name, known, function = invocation.name, scope.known, scope.resolve(invocation.function.path)
    defined = known.defined(function) if function else []
    if invocation.function.root in scope.rule.bound:
        yield f"{name} is hidden by the variable {invocation.function.root}; rename the variable"
    elif defined:
        arity = defined[0].rule.arity
        if arity is None:
            yield f"{name} is a rule here, not a function"
        elif len(invocation.arguments) not in (arity, arity + 1):
            yield f"{name} takes {arity}, not {len(invocation.arguments)} arguments"
    elif name in builtins.REFUSED:
        yield f"{name} may not be used: {builtins.REFUSED[name]}"
    elif name in builtins.ABSENT:
        yield f"there is no {name} in the embedded engine, only on a real OPA"
    elif function or name not in known.builtins:
        yield f"there is no function {name}{_guess(name, [*known.builtins, *_functions(known)])}"
    elif fault := compiler_checks.arity_fault(name, len(invocation.arguments)):
        yield fault
    if name == "object.get" and len(invocation.arguments) == 3:
        yield from _lookup_problems(invocation, scope)


def _functions(known: Names) -> Iterator[str]:
    for path, defined in known.definitions.items():
        if defined[0].rule.arity is not None:
            yield from (path[-1], ".".join(path[-2:]), ".".join(path))


def _lookup_problems(invocation: Invocation, scope: Scope) -> Iterator[str]:
    """``object.get(input.run, "tennant", "")`` misses as silently as a reference does."""
    base, key = syntax.reference_of(invocation.arguments[0]), invocation.arguments[1]
    keys = key["Array"]["items"] if "Array" in key else [key]
    path = scope.resolve(base.path) if base else None
    if path:
        yield from _path_problems((*path, *(syntax.text(each) for each in keys)), scope.module, scope.known)


# --- names -----------------------------------------------------------------------------------------------------------


def _path_problems(path: Path, module: Module, known: Names) -> Iterator[str]:
    if path[0] == "input":
        if schema := known.schema(module):
            yield from _field_problems(path, schema)
    elif path[0] == "data" and not _is_known(path, known):
        shown = syntax.dotted(path)
        guess = _guess(shown, [".".join(defined) for defined in known.definitions])
        yield f"there is no {shown}{guess}{'' if names.starts_with(path, entry_points.ROOT) else _landed(path, known)}"


def _landed(path: Path, known: Names) -> str:
    """Where data files are, for a rule that looks for one elsewhere."""
    meant = [file for file in known.bundle.unread if file.rpartition("/")[2].partition(".")[0] in path]
    unread = f"; {meant[0]} is not read: a data file is named data.json or data.yaml" if meant else ""
    placed = ", ".join(f"{file} is at {at}" for file, at in sorted(known.bundle.placed.items())[:3])
    return f"{unread}; {placed}: a data file stands under the path of its folder" if placed else unread


def _is_known(path: Path, known: Names) -> bool:
    if any(known.related(path)):
        return True
    node: object = known.data
    for step in syntax.static_prefix(path)[1:]:
        if not isinstance(node, Mapping):
            break
        if step not in node:
            return False
        node = node[step]
    return True


def _field_problems(path: Path, schema: Mapping[str, object]) -> Iterator[str]:
    """Follow a reference through the schema until it leaves what is ours, or is lost."""
    for at, step in enumerate(path[1:], start=1):
        here = syntax.dotted(path[:at])
        kind = schema.get("type")
        if kind not in ("array", "object"):
            if kind is not None:
                yield f"{here} is a {kind}, it has no fields"
            return
        if kind == "array" and step is not None:
            yield f"{here} is a list and has no field {step}"
            return
        fields = names.part(schema, "properties")
        if kind == "object" and step not in fields and not isinstance(schema.get("additionalProperties"), Mapping):
            if step is not None:
                yield f"there is no {here}.{step}{_guess(step, fields)}"
            return
        schema = names.member(schema, step)


def _guess(name: str, candidates: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, sorted(set(candidates)), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


# --- recursion -------------------------------------------------------------------------------------------------------


def _cycle(scope: Scope) -> list[str] | None:
    """The way from a rule back to itself.

    Checked here because the embedded engine follows a recursive function until the process dies of it.
    """
    start = scope.path
    ways: dict[tuple[str, ...], list[tuple[str, ...]]] = {start: [start]}
    waiting = [start]
    while waiting:
        at = waiting.pop()
        for used in _uses(at, scope.known):
            if used == start:
                return [".".join(path) for path in (*ways[at], start)]
            if used not in ways:
                ways[used] = [*ways[at], used]
                waiting.append(used)
    return None


def _uses(path: tuple[str, ...], known: Names) -> Iterator[tuple[str, ...]]:
    for scope in known.definitions[path]:
        for each in (*scope.rule.references, *(invocation.function for invocation in scope.rule.invocations)):
            used = scope.resolve(each.path)
            if used and used[0] == "data":
                yield from known.related(used)


# --- where engines differ --------------------------------------------------------------------------------------------

_FRACTION = (
    "fractional arithmetic differs between engines, inside round() too; have agents send whole numbers of the smallest unit (cents), "
    "and calculate with each of them rounded: round(input.args.quantity) * round(input.args.price) > 5000"
)
_DIVISION = "engines divide differently, inside round() too; multiply the other side: count(a) * 2 > count(b)"
_LARGE = (
    "engines differ beyond 64 bits, which a product of two numbers of a call, and sum(), can reach; "
    "compare it with a number that is written out"
)
_SUM = "sum: engines add fractions differently; sum whole numbers: sum([round(item.price) | some item in input.args.items])"
_DIGITS = "engines differ from the sixteenth digit on; write a number with at most 15 digits"
_REMAINDER = "%: only for counts and integers of the input; the embedded engine fails on others"
_OBJECT = "engines differ in object patterns that omit members; use x.kind"
_COMPREHENSION = "the embedded engine does not support a comprehension here; assign it in a body: found := [...]"
_NEGATIVE = "the embedded engine does not support negation; write 0 - x"
_SETS_BY_KEY = "engines differ in empty objects of sets; use sets, or objects"
_NUMBER = "the embedded engine supports whole numbers of up to 64 bits"


def _differences(scope: Scope) -> Found:
    rule = scope.rule
    yield from _fractions(rule.syntax, scope)
    for pattern in _patterns(rule.syntax):
        yield from ((node["Object"]["span"]["line"], _OBJECT) for node in syntax.nodes(pattern) if "Object" in node)
    yield from _unnamed_comprehensions(rule.syntax)
    head = rule.syntax.get("head") or {}
    if "RefBrack" in (head.get("Set") or {"refr": {}})["refr"]:
        yield rule.line, _SETS_BY_KEY
    for node in syntax.nodes(rule.syntax):
        if (arithmetic := node.get("ArithExpr")) and arithmetic["op"] == "Mod" and scope.kind(node) is not Kind.INTEGER:
            yield arithmetic["span"]["line"], _REMAINDER
        if negative := node.get("UnaryExpr"):
            yield negative["span"]["line"], _NEGATIVE
        value = (node.get("Number") or {}).get("value")
        if isinstance(value, float):
            span = node["Number"]["span"]
            if value.is_integer() and abs(value) >= 1 << 63:
                yield span["line"], _NUMBER
            elif numbers.digits(scope.module.source[span["start"] : span["end"]].decode()) > numbers.DIGITS:
                yield span["line"], _DIGITS
    for invocation in rule.invocations if scope.module.package not in builtins.HELD_TO_A_REFERENCE else ():
        is_builtin = scope.resolve(invocation.function.path) is None
        if is_builtin and (fault := arguments.fault(invocation.name, invocation.arguments, scope)):
            yield invocation.function.line, f"{invocation.name}: {fault}"


def _fractions(node: Any, scope: Scope, *, compared: bool = False) -> Found:
    """The outermost arithmetic whose result may have a fraction, or may be too large; that one may be ``compared`` with a literal."""
    if isinstance(node, list):
        for each in node:
            yield from _fractions(each, scope)
    if not isinstance(node, dict):
        return
    arithmetic, kind = node.get("ArithExpr"), scope.kind(node) if "ArithExpr" in node or "Call" in node or "Var" in node else None
    if arithmetic and arithmetic["op"] == "Div":
        yield arithmetic["span"]["line"], _DIVISION
    elif arithmetic and arithmetic["op"] != "Mod" and kind is None:
        yield arithmetic["span"]["line"], _FRACTION
    elif syntax.called_name(node) == "sum" and not _sums_whole_numbers(node, scope):
        yield node["Call"]["span"]["line"], _SUM
    elif kind is Kind.LARGE and not compared:
        yield next(iter(node.values()))["span"]["line"], _LARGE
    elif comparison := node.get("BoolExpr"):
        for side, other in (("lhs", "rhs"), ("rhs", "lhs")):
            yield from _fractions(comparison[side], scope, compared="Number" in comparison[other])
    elif (assigned := node.get("AssignExpr")) and assigned["op"] == "ColEq" and "Var" in assigned["lhs"]:
        yield from _fractions(assigned["rhs"], scope, compared=True)
    else:
        for value in node.values():
            yield from _fractions(value, scope)


def _sums_whole_numbers(node: Any, scope: Scope) -> bool:
    summed = node["Call"]["params"][0]
    terms = (
        summed["Array"]["items"] if "Array" in summed else [summed[kind]["term"] for kind in ("ArrayCompr", "SetCompr") if kind in summed]
    )
    return bool(terms) and all(scope.kind(term) in (Kind.INTEGER, Kind.WHOLE) for term in terms)


def _unnamed_comprehensions(tree: Mapping[str, Any]) -> Found:
    """Those that are no part of a statement: in a head above a body, in the value of an ``else``, in the term of another."""
    bodies = tree.get("bodies") or []
    outside: list[Any] = [body["assign"] for body in bodies] + [tree["head"] for _ in bodies[:1]]
    for node in syntax.nodes(tree):
        for comprehension in (node[kind] for kind in COMPREHENSIONS if kind in node):
            outside += [comprehension.get(part) for part in ("key", "term", "value")]
    for node in syntax.nodes(outside):
        yield from ((node[kind]["span"]["line"], _COMPREHENSION) for kind in COMPREHENSIONS if kind in node)


def _patterns(tree: Mapping[str, Any]) -> Iterator[Any]:
    """What values are taken apart by."""
    yield ((tree.get("head") or {}).get("Func") or {}).get("args")
    for node in syntax.nodes(tree):
        if assigned := node.get("AssignExpr"):
            yield assigned["lhs"]
            if assigned["op"] == "Eq" and any(syntax.variables(assigned["rhs"])):
                yield assigned["rhs"]
        elif some := node.get("SomeIn"):
            yield [some["key"], some["value"]]
