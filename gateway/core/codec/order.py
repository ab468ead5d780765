"""Orders and their scopes, in the journal and in the API."""

from __future__ import annotations

from gateway.core.codec.record import MODE, Codec, Form, Json, convert
from gateway.model.order import Order, Scope


def scope_json(scope: Scope) -> Json:
    """A scope as users write it: only what is given."""
    return {"all": True} if scope.everything else _scope_journal(scope)


def _scope_journal(scope: Scope) -> Json:
    return {name: value for name in Scope.__struct_fields__ if (value := getattr(scope, name))}


ORDER = Codec(
    Order,
    times=("created_at", "expires_at", "released_at"),
    forms={"mode": MODE, "scope": Form(_scope_journal, lambda document: convert(document, Scope), scope_json)},
    nulls=True,
    optional=("made",),
    hidden=("made",),
)
