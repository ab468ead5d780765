"""What a call means: the action, its target, what it costs and what could undo it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field


class Effect(StrEnum):
    READ = "read"
    WRITE = "write"


class Reversibility(StrEnum):
    """The class of a write, declared before production in the tool's adapter."""

    REVERSIBLE = "reversible"
    COMPENSATABLE = "compensatable"
    IRREVERSIBLE = "irreversible"


class Remedy(StrEnum):
    """The types of compensation an adapter can declare."""

    RESTORE_PREVIOUS_VERSION = "restore_previous_version"
    DELETE_CREATED = "delete_created"
    REVERT_STATUS = "revert_status"
    OFFSETTING_ACTION = "offsetting_action"
    RELEASE = "release"
    CORRECTION_TASK = "correction_task"
    MANUAL_REVIEW = "manual_review"

    @property
    def by_action(self) -> bool:
        """Whether another action of the adapter carries it out (else a person does)."""
        return self not in (Remedy.CORRECTION_TASK, Remedy.MANUAL_REVIEW)


class Target(Struct, frozen=True, gc=False, omit_defaults=True):
    """The object a call is aimed at. ``id`` is empty where the call names a collection, or creates."""

    system: str
    type: str
    id: str
    tenant: str | None = None

    @property
    def object(self) -> str:
        """The object's name across calls: ``system:type:id``, with the tenant in front (ids repeat between tenants)."""
        return f"{self.tenant or ''}/{self.system}:{self.type}:{self.id}"

    def ref(self, version: str | None) -> str:
        """``erp:invoice:inv_88421:v12``; without quotes of an entity tag, and ``absent`` where there is no version."""
        return f"{self.system}:{self.type}:{self.id}:{version.strip(chr(34)) if version else 'absent'}"


class Cost(Struct, frozen=True, kw_only=True, gc=False):
    """What a write charges. Amounts in millionths; ``unpriced`` names costs that the adapter declares but the call does not state."""

    records: int = 0
    amounts: Mapping[str, int] = field(default_factory=dict)
    unpriced: tuple[str, ...] = ()


class Compensation(Struct, frozen=True, kw_only=True, gc=False):
    """How a standing effect can be compensated. ``allowed_until`` is Unix seconds; ``None`` is no deadline."""

    reversibility: Reversibility
    remedy: Remedy
    automatic: bool = False
    allowed_until: float | None = None
