"""What policy said. Only ``Allow`` lifts the refusal a call begins with, or in shadow mode a denial that is waived in writing."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from gateway.model.run import Mode


class Reason(Struct, frozen=True, gc=False):
    code: str
    message: str


class Allow(Struct, frozen=True, kw_only=True):
    decision_id: str
    revision: str
    reasons: tuple[Reason, ...] = ()
    obligations: Mapping[str, object] = field(default_factory=dict)


class Deny(Struct, frozen=True, kw_only=True):
    decision_id: str
    revision: str
    reasons: tuple[Reason, ...] = ()


class Hold(Struct, frozen=True, kw_only=True):
    """Allowed, but only once a person has said so. ``redact`` is as an allow's obligation of that name."""

    decision_id: str
    revision: str
    reasons: tuple[Reason, ...] = ()
    approval: Mapping[str, object] = field(default_factory=dict)
    redact: tuple[str, ...] = ()


Decision = Allow | Deny | Hold


class Considered(Struct, frozen=True, kw_only=True):
    """Everything that was decided about one call, for its record. ``at`` is Unix seconds, ``mode`` the run's effective one.

    ``waived``: the decision is no allow and does not count, because the tool is in shadow mode. ``candidate`` is what the
    policy beside the active one says (a text where it could say nothing), ``None`` if there is none; it is never obeyed.
    ``counters`` are set if a rule can read them, ``approval`` after a person's approval: as policy saw it.
    ``active`` is the engine's revision when it was asked: what is sent must still be under the same one.
    """

    decision: Decision
    at: float
    mode: Mode
    waived: bool = False
    candidate: Decision | str | None = None
    counters: Mapping[str, int] | None = None
    approval: Mapping[str, object] | None = None
    active: str = ""
