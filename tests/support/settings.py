"""Parts of a configuration, checked by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.settings import document
from gateway.settings.document import Context, Located, Section


def problems_of(model: type[Section], declared: Mapping[str, object], folder: Path, environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """(key, message) of everything that is wrong with a section; the key is empty for the section itself."""
    parsed, lines = document.validate(Located("", dict(declared), {}), model)
    if parsed is not None:
        return [(".".join(map(str, place)), message) for place, message in document.contradictions(parsed, Context(folder, environ))]
    return [tuple(line.removeprefix(":1: ").split(": ", 1)) for line in lines]  # type: ignore[misc]
