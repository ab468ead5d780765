"""What policy said. Only ``Allow`` lifts the refusal a call begins with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Reason:
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    decision_id: str
    revision: str
    reasons: tuple[Reason, ...] = ()
    obligations: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    decision_id: str
    revision: str
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Allowed, but only once a person has said so."""

    decision_id: str
    revision: str
    reasons: tuple[Reason, ...] = ()
    approval: Mapping[str, object] = field(default_factory=dict)


Decision = Allow | Deny | Hold
