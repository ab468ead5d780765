"""What a play is made of: values alone. ``stage.py`` is where they are carried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from killcord_demo import erp
from killcord_demo.relay import Fault


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the agent. ``thing`` is a collection or a record of it (``invoices/inv-1001``); ``{n}`` counts the times, from 1."""

    says: str
    method: str
    thing: str
    data: Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    tenant: str = erp.TENANT


@dataclass(frozen=True, slots=True)
class Calls:
    """What the agent does in a row, ``times`` over."""

    calls: tuple[Call, ...]
    times: int = 1


@dataclass(frozen=True, slots=True)
class Edit:
    """What a person does to an invoice, in the ERP itself."""

    says: str
    invoice: str
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class VerifierReport:
    """What a verifier reports about the run."""

    says: str
    kind: str
    severity: str
    evidence: Mapping[str, object]


Act = Calls | Edit | VerifierReport

NEXT = Call("sets inv-1003 to 'approved'", "PATCH", "invoices/inv-1003", {"status": "approved"})
"""What the agent would do next; by then it must not get through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """``fault`` is what is wrong between gateway and ERP. ``action`` and ``rollback`` are what policy has to answer to the last act."""

    trigger: str
    title: str
    acts: tuple[Act, ...]
    action: str
    rollback: bool = False
    fault: Fault | None = None
    scopes: tuple[str, ...] = ("erp:*",)
    limits: Mapping[str, int] = field(default_factory=dict)


def agent(*calls: Call, times: int = 1) -> Calls:
    return Calls(calls, times)


def reads(thing: str, **more: str) -> Call:
    return Call(f"reads {thing.rpartition('/')[2]}", "GET", thing, headers=more)


def sets(invoice: str, status: str, headers: Mapping[str, str] | None = None) -> Call:
    return Call(f"sets {invoice} to {status!r}", "PATCH", f"invoices/{invoice}", {"status": status}, headers or {})
