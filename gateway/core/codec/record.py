"""How each noun of the model is written as JSON, in the journal and in the API, and read back.

The journal holds times as whole microseconds, positions as ``stream/seq`` and no floats; the API shows times as RFC 3339. There is
one way to write a value; a noun's codec states what is special about it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import Any, Generic, TypeVar, get_args

import msgspec
from msgspec import Struct, structs

from gateway.core import limits, timestamps
from gateway.model.call import Compensation, Target
from gateway.model.decision import Reason
from gateway.model.entry import Position
from gateway.model.review import Approval, Evidence, Task
from gateway.model.rollback import Checkpoint, Node, Plan, Rollback, Touched
from gateway.model.run import Limits, Mode, Order, Rate, Run, Scope
from gateway.model.trigger import Incident, Trigger

Json = dict[str, object]
T = TypeVar("T", bound=Struct)

_DIGITS = 19
"""Of a seq: what has as many fits no integer of the store."""


class Form(Struct, frozen=True):
    """How one member differs from its value. ``show`` is its form in the API, if that differs from the journal's."""

    write: Callable[[Any], object]
    read: Callable[[Any], object]
    show: Callable[[Any], object] | None = None


def each(form: Form) -> Form:
    """The form of a list of such members."""
    show = form.show or form.write
    return Form(
        lambda values: [form.write(one) for one in values],
        lambda values: tuple([form.read(one) for one in values]),
        lambda values: [show(one) for one in values],
    )


class Codec(Generic[T]):
    """``times`` are the members that hold Unix seconds, ``forms`` those that are written in a form of their own. ``nulls``: the journal
    keeps members that are ``None``, but for the ``optional`` ones. The API shows every member but the ``hidden`` ones, ``None`` too.
    """

    def __init__(
        self,
        kind: type[T],
        *,
        times: Collection[str] = (),
        forms: Mapping[str, Form] | None = None,
        nulls: bool = False,
        optional: Collection[str] = (),
        hidden: Collection[str] = (),
    ) -> None:
        self.kind = kind
        self._nulls = nulls
        self._optional = frozenset(optional)
        self.times = frozenset(times)
        self.hidden = frozenset(hidden)
        self._forms = dict(forms or {}) | dict.fromkeys(times, _TIME)
        self._blank = {one.name: None for one in structs.fields(kind) if one.required and type(None) in get_args(one.type)}

    def journal(self, value: T) -> Json:
        """The value as its entries hold it."""
        document: Json = {}
        for name in self.kind.__struct_fields__:
            member = getattr(value, name)
            if member is not None:
                form = self._forms.get(name)
                document[name] = _plain(member) if form is None else form.write(member)
            elif self._nulls and name not in self._optional:
                document[name] = None
        return document

    def shown(self, value: T) -> Json:
        """The value as the API shows it."""
        document: Json = {}
        for name in self.kind.__struct_fields__:
            if name not in self.hidden:
                member, form = getattr(value, name), self._forms.get(name)
                document[name] = _plain(member) if form is None or member is None else (form.show or form.write)(member)
        return document

    def read(self, document: Mapping[str, Any]) -> T:
        """The value that an entry holds; members that it does not know are passed over.

        Raises:
            KeyError, ValueError, TypeError: it holds no such value.
        """
        members = self._blank | {name: document[name] for name in self.kind.__struct_fields__ if name in document}
        for name, form in self._forms.items():
            if (member := members.get(name)) is not None:
                members[name] = form.read(member)
        return convert(members, self.kind)


def convert(members: Mapping[str, Any], kind: type[T]) -> T:
    """A struct of these members, checked.

    Raises:
        ValueError: one is missing, or is of another type.
    """
    try:
        return msgspec.convert(members, kind)
    except msgspec.ValidationError as wrong:
        raise ValueError(str(wrong)) from wrong


def position_of(text: str) -> Position | None:
    """``stream/seq`` as a position; ``None`` if it is not one."""
    stream, _, seq = text.rpartition("/")
    return Position(stream, int(seq)) if stream and seq.isascii() and seq.isdigit() and len(seq) < _DIGITS else None


def _position(text: str) -> Position:
    stream, _, seq = text.rpartition("/")
    return Position(stream, int(seq))


def target_json(target: Target) -> Json:
    """A target with every member, as tasks and the API hold it; those of earlier versions name no tool."""
    shown: Json = {"system": target.system, "type": target.type, "id": target.id, "tenant": None}
    shown |= msgspec.to_builtins(target)
    return shown


def target_of(document: Mapping[str, Any]) -> Target:
    return convert(document, Target)


def with_tool(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """A document with ``target`` and ``tool``, in the target too: earlier versions named the tool only beside it."""
    target, tool = document.get("target"), document.get("tool")
    if tool is None or not isinstance(target, dict) or "tool" in target:
        return document
    return {**document, "target": {**target, "tool": tool}}


def _plain(member: object) -> object:
    match member:
        case tuple():
            return list(member)
        case Enum():
            return member.value
        case _:
            return member


_TIME = Form(timestamps.micros, timestamps.seconds, timestamps.rfc3339)
POSITION = Form(str, _position)
MODE = Form(lambda mode: mode.label, Mode.of)
TARGET = Form(msgspec.to_builtins, target_of)
"""A target without the tenant if it has none."""
WHOLE_TARGET = Form(target_json, target_of)


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


INCIDENT = Codec(Incident, times=("opened_at", "updated_at", "closed_at"))
ROLLBACK = Codec(
    Rollback,
    times=("started_at", "updated_at", "ended_at"),
    hidden=("status", "nodes", "since", "owner", "owner_epoch", "epoch", "plan_ref"),
)


class _TriggerCodec(Codec[Trigger]):
    """The layer stands beside the name that it follows from."""

    def journal(self, value: Trigger) -> Json:
        return super().journal(value) | {"layer": value.layer}


TRIGGER = _TriggerCodec(Trigger, times=("at",))


def rollback_shown(rollback: Rollback) -> Json:
    """A rollback as the API shows it: ``state`` is its status, without what its executor keeps."""
    return ROLLBACK.shown(rollback) | {"state": rollback.status.value}


def plan_json(plan: Plan) -> Json:
    """The plan; what a node has as by default is left out."""
    return {
        "nodes": [node_json(one) for one in plan.nodes],
        "joins": {name: list(members) for name, members in plan.joins.items()},
        "irreversible": plan.irreversible,
    }


def node_json(node: Node) -> Json:
    """One node, by the names of its fields."""
    shown: Json = msgspec.to_builtins(node)
    return shown | {"target": target_json(node.target)}


def plan_of(document: Mapping[str, Any]) -> Plan:
    """The plan that was written.

    Raises:
        KeyError, ValueError: it is not what ``plan_json`` gives.
    """
    return convert({**document, "nodes": [with_tool(one) for one in document["nodes"]]}, Plan)


_EVIDENCE = Codec(Evidence)


class _TaskCodec(Codec[Task]):
    def read(self, document: Mapping[str, Any]) -> Task:
        """Tasks of earlier versions hold one ``wire_key``, and neither target nor evidence."""
        return super().read(document if "wire_keys" in document else {**document, "wire_keys": [document["wire_key"]]})


TASK = _TaskCodec(
    Task,
    times=("opened_at", "resolved_at"),
    forms={"target": WHOLE_TARGET, "evidence": Form(_EVIDENCE.journal, _EVIDENCE.read, _EVIDENCE.shown)},
)

_TOUCHED = Codec(Touched, forms={"target": TARGET, "receipt": POSITION})
CHECKPOINT = Codec(
    Checkpoint,
    times=("taken_at",),
    forms={
        "at": POSITION,
        "objects": each(Form(_TOUCHED.journal, _TOUCHED.read, _TOUCHED.shown)),
        "irreversible": each(POSITION),
        "compensations": each(POSITION),
    },
)


class _ApprovalCodec(Codec[Approval]):
    def read(self, document: Mapping[str, Any]) -> Approval:
        return super().read(with_tool(document))


APPROVAL = _ApprovalCodec(
    Approval,
    times=("requested_at", "expires_at", "decided_at", "used_at"),
    forms={"target": TARGET, "reasons": each(Form(msgspec.to_builtins, lambda document: convert(document, Reason)))},
    hidden=("content", "request_ref"),
)


def approval_shown(approval: Approval) -> Json:
    """An approval without the reference to its sealed request; the digest of its arguments is as in other entries."""
    return APPROVAL.shown(approval) | {"args_digest": f"sha256:{approval.content}"}


def compensation_shown(value: Compensation) -> Json:
    """The declared compensation of an effect."""
    until = value.allowed_until
    return {
        "class": value.reversibility.value,
        "type": value.remedy.value,
        "auto": value.automatic,
        "allowed_until": None if until is None else timestamps.rfc3339(until),
    }


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_RESUMED = ("superseded", "resumed_from", "require_approval")
"""Members of a run that was resumed."""


def rate(word: str) -> Rate:
    """``50/s``, ``10/m``, ``5/h`` or ``3/90s``: what ``str`` of a rate gives."""
    count, _, unit = word.partition("/")
    return Rate(int(count), _UNITS[unit] if unit in _UNITS else float(unit.removesuffix("s")))


_LIMITS = Codec(Limits, forms={"rate": Form(str, rate)})


def limits_json(value: Limits) -> Json:
    """Limits with amounts in millionths, as the journal keeps them; absent if there is none."""
    shown = _LIMITS.journal(value)
    return shown | {"amount": dict(value.amount)} if value.amount else {name: one for name, one in shown.items() if name != "amount"}


def _limits(document: Mapping[str, Any]) -> Limits:
    return _LIMITS.read({**document, "amount": document.get("amount") or {}})


def _limits_shown(value: Limits) -> Json:
    """Amounts in units."""
    amounts = {name: one / limits.MILLION for name, one in value.amount.items()}
    return limits_json(value) | ({"amount": amounts} if amounts else {})


class _RunCodec(Codec[Run]):
    """Members that only a resume sets, or that are rarely there, are absent elsewhere."""

    def journal(self, value: Run) -> Json:
        document = super().journal(value)
        if not value.inherited:
            del document["inherited"]
        if value.generation == 1:
            for name in _RESUMED:
                del document[name]
        return document


RUN = _RunCodec(
    Run,
    times=("opened_at", "expires_at", "closed_at"),
    forms={"mode": MODE, "limits": Form(limits_json, _limits, _limits_shown)},
    nulls=True,
    hidden=("ancestors", "inherited", "revoked", "opened_under", "superseded", "resumed_from"),
)


def run_shown(run: Run, counters: Mapping[str, int], mode: str) -> Json:
    """A run as the API shows it; ``mode`` is the effective one."""
    document = RUN.shown(run) | {
        "mode": mode,
        "counters": {name: value / limits.MILLION if name.startswith("amount:") else value for name, value in sorted(counters.items())},
    }
    if run.generation == 1:
        del document["require_approval"]
    return document
