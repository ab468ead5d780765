"""A place in an adapter's document at which to compile and check, for one tool's variables; it collects the problems found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

import jsonschema_rs
import orjson

from gateway.core.adapter import catalog, expression
from gateway.core.adapter.expression import Expression, Template
from gateway.settings.located import Located, Where

# What an expression can see depends on when it is evaluated.
BEFORE = frozenset({"request", "vars", "run"})
MATCHING = frozenset({"request", "vars"})
READING = frozenset({"reply", "vars"})
ITEM = frozenset({"object", "vars"})
AFTER = frozenset({"request", "reply", "vars", "run"})
PROBING = frozenset({"request", "object", "vars", "run"})
VERIFYING = PROBING | {"reply"}


@dataclass(frozen=True, slots=True)
class Site:
    located: Located
    folder: Path
    variables: Mapping[str, object]
    where: Where = ()
    problems: list[str] = field(default_factory=list)

    def at(self, *steps: str | int) -> Site:
        """The site of something in here; ``problems`` are shared."""
        return replace(self, where=(*self.where, *steps))

    def report(self, message: str, *steps: str | int) -> None:
        """Note a problem here, or at a place in here."""
        self.problems.append(self.located.problem((*self.where, *steps), message))

    def expression(self, text: str | None, roots: frozenset[str], *steps: str | int) -> Expression | None:
        """The compiled expression, ``None`` if there is none or a problem."""
        try:
            return None if text is None else expression.compile(text, roots=roots)
        except ValueError as error:
            self.report(str(error), *steps)
            return None

    def named(self, texts: Mapping[str, str] | Iterable[tuple[int, str]], *steps: str) -> dict[str, Expression]:
        """Expressions over the request by name, without those that have a problem."""
        items = texts.items() if isinstance(texts, Mapping) else texts
        built = {name: self.expression(text, BEFORE, *steps, name) for name, text in items}
        return {str(name): one for name, one in built.items() if one}

    def template(self, text: str, *steps: str | int) -> Template | None:
        """The template with the tool's variables in it, ``None`` if there is a problem."""
        try:
            return expression.parse(text, self.variables)
        except ValueError as error:
            self.report(str(error), *steps)
            return None

    def schema(self, name: str, *steps: str) -> catalog.Conformity | None:
        """A JSON Schema file of the adapter's folder as a check, ``None`` if there is a problem."""
        path = self.folder / name
        try:
            return jsonschema_rs.validator_for(orjson.loads(path.read_bytes()), retriever=_not_retrieved).is_valid
        except OSError as error:
            self.report(f"{path} cannot be read: {error.strerror}", *steps)
        except orjson.JSONDecodeError as error:
            self.report(f"{path} is not JSON: {error}", *steps)
        except ValueError as error:
            self.report(f"{path} is not a usable JSON Schema: {str(error).splitlines()[0]}", *steps)
        return None


def _not_retrieved(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is not fetched; put its content into the schema's own file")
