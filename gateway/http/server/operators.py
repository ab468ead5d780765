"""Who uses the control API, and what each role may do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    VERIFIER = "verifier"
    ORCHESTRATOR = "orchestrator"
    ADMIN = "admin"


class Permission(StrEnum):
    READ_RUNS = "read runs"
    OPEN_RUNS = "open runs"
    RENEW_LEASES = "renew leases"
    CLOSE_RUNS = "close runs"
    ADMIT = "ask for admission"
    READ_ORDERS = "read orders"
    ORDER = "contain and release"
    READ_JOURNAL = "read the journal"
    SIGN_HEADS = "sign heads of the journal"
    READ_TASKS = "read tasks"
    CHECKPOINT = "take checkpoints"
    RESUME = "resume runs"
    RAISE_LIMITS = "raise limits"
    RESOLVE_TASKS = "resolve tasks"
    READ_ROLLBACKS = "read rollbacks"
    ROLL_BACK = "roll back"
    REPORT_FINDINGS = "report findings"
    READ_INCIDENTS = "read incidents"
    READ_APPROVALS = "read approvals"
    SEE_REQUESTS = "see the requests that approvals are about"
    DECIDE_APPROVALS = "approve and deny"


_READING = frozenset(one for one in Permission if one.name.startswith("READ_"))
_WORK = {Permission.OPEN_RUNS, Permission.RENEW_LEASES, Permission.CLOSE_RUNS, Permission.ADMIT, Permission.CHECKPOINT}
_HELP = {
    *{Permission.ORDER, Permission.ROLL_BACK, Permission.RESUME, Permission.RESOLVE_TASKS},
    *{Permission.CLOSE_RUNS, Permission.CHECKPOINT, Permission.SIGN_HEADS, Permission.SEE_REQUESTS},
}

PERMITTED: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _READING,
    Role.APPROVER: _READING | {Permission.SEE_REQUESTS, Permission.DECIDE_APPROVALS},
    Role.VERIFIER: _READING | {Permission.REPORT_FINDINGS, Permission.SIGN_HEADS},
    Role.OPERATOR: _READING | _HELP,
    # Opens and ends work, and never weakens a containment: the program that starts agents must not be able to release them.
    Role.ORCHESTRATOR: frozenset({Permission.READ_RUNS, Permission.READ_JOURNAL, *_WORK}),
    Role.ADMIN: frozenset(Permission),
}


@dataclass(frozen=True, slots=True)
class Operator:
    """Who a token stands for, and the tenants and task classes it may touch (``*`` is every one)."""

    name: str
    role: Role
    tenants: tuple[str, ...] = ("*",)
    classes: tuple[str, ...] = ("*",)

    @property
    def everywhere(self) -> bool:
        """Whether it may touch every tenant and class."""
        return "*" in self.tenants and "*" in self.classes

    def may(self, permission: Permission) -> bool:
        return permission in PERMITTED[self.role]

    def covers(self, tenant: str | None, task_class: str | None) -> bool:
        """Whether it may touch a scope or an entry of this tenant and class; ``None`` stands for every tenant or class."""
        return _among(tenant, self.tenants) and _among(task_class, self.classes)


NOBODY = Operator("", Role.VIEWER, (), ())
"""The caller of a route that needs no token."""


def _among(word: object, words: Sequence[str]) -> bool:
    return "*" in words or word in words
