"""The JSON Schemas that an adapter names for requests and replies, compiled once, and what a violation is called."""

from __future__ import annotations

from collections.abc import Mapping

import jsonschema_rs

from gateway.core.adapter import catalog, request_schema
from gateway.core.adapter.request_schema import RequestSchema
from gateway.settings.adapter import Site

_LONGEST = 64
# Parts of a rule that say, without the value, what would be right.
_LIMITS = ("limit", "types", "property")


def reply(site: Site, name: str | None) -> catalog.Conformity | None:
    """The check of replies by a schema; ``None`` if there is none, or a problem."""
    found = None if name is None else site.schema(name, "reply_schema")
    return None if found is None else found[0].is_valid


def request(site: Site, name: str | None) -> RequestSchema | None:
    """The check of arguments by a schema; ``None`` if there is none, or a problem."""
    found = None if name is None else site.schema(name, "request_schema")
    if found is None:
        return None
    validator, written = found
    if not isinstance(written, Mapping):
        site.report(f"{name} must be an object that describes the arguments", "request_schema")
        return None

    def fault(args: object) -> str | None:
        if validator.is_valid(args):
            return None
        return _violation(next(iter(validator.iter_errors(args))))

    return request_schema.read(written, fault)


def _violation(error: jsonschema_rs.ValidationError) -> str:
    """Place and rule of a violation, without the value."""
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step[:_LONGEST]}" for step in error.instance_path)
    kind = error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.AdditionalProperties):
        return f"args{place}: {', '.join(name[:_LONGEST] for name in sorted(kind.unexpected)[:3])} is not declared (additionalProperties)"
    limits = [str(value) for name in _LIMITS if (value := getattr(kind, name, None)) is not None]
    return f"args{place} breaks the rule {kind.name}" + (f" {limits[0]}" if limits else "")
