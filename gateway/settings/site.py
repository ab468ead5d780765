"""A place to compile at: which document, for which tool's variables; it collects the problems that compiling finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import jsonschema_rs
import orjson

from gateway.core.adapter import catalog, expression, template
from gateway.core.adapter.expression import Expression
from gateway.core.adapter.template import Template
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
    problems: list[str] = field(default_factory=list)

    def tell(self, where: Where, message: str) -> None:
        self.problems.append(self.located.problem(where, message))

    def expression(self, where: Where, text: str, roots: frozenset[str]) -> Expression | None:
        """The compiled expression, ``None`` where there is a problem."""
        try:
            return expression.compile(text, roots=roots)
        except ValueError as error:
            self.tell(where, str(error))
            return None

    def optional(self, where: Where, text: str | None, roots: frozenset[str]) -> Expression | None:
        return None if text is None else self.expression(where, text, roots)

    def template(self, where: Where, text: str) -> Template | None:
        """The template with the tool's variables in it, ``None`` where there is a problem."""
        try:
            return template.parse(text, self.variables)
        except ValueError as error:
            self.tell(where, str(error))
            return None

    def schema(self, where: Where, name: str) -> catalog.Conformity | None:
        """A JSON Schema file of the adapter's folder as a check, ``None`` where there is a problem."""
        path = self.folder / name
        try:
            return jsonschema_rs.validator_for(orjson.loads(path.read_bytes()), retriever=_not_retrieved).is_valid
        except OSError as error:
            self.tell(where, f"{path} cannot be read: {error.strerror}")
        except orjson.JSONDecodeError as error:
            self.tell(where, f"{path} is no JSON: {error}")
        except ValueError as error:
            self.tell(where, f"{path} is no usable JSON Schema: {str(error).splitlines()[0]}")
        return None


def _not_retrieved(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is not fetched; put what it holds into the schema's own file")
