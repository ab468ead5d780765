"""The compiled catalog of a tool: what its adapter declares. Source: adapters/<system>/adapter.yaml."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import force_setattr

from gateway.core.adapter import members
from gateway.core.adapter.carried import Own
from gateway.core.adapter.expression import Expression
from gateway.core.adapter.long_running import Pending
from gateway.core.adapter.members import CallMembers
from gateway.core.adapter.probing import Probe
from gateway.core.adapter.request_schema import RequestSchema
from gateway.core.adapter.template import Template
from gateway.core.adapter.versions import Guard
from gateway.model.call import BodyKind, Call, Effect, Remedy, Reversibility

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

Conformity = Callable[[object], bool]
"""Whether a reply's JSON body is as the adapter's schema declares it."""


class ObjectType(Struct, frozen=True, kw_only=True):
    """``version``, ``state`` and ``identity`` see the reply to a GET of ``template``. ``digest``: the version is a digest of that value.

    Without them an object has no version, none of its state is kept, and it is taken for the one that was asked for. ``keep`` are the
    headers that belong to its state: names in lower case, or what they begin with, before a ``*``.

    What follows from the rest is set with it. ``state_is_body``: the state is all of the reply's body; ``version_in_body``: it takes more
    of a reply than its headers to tell the version.
    """

    name: str
    template: Template
    version: Expression | None = None
    state: Expression | None = None
    identity: Expression | None = None
    digest: bool = False
    keep: tuple[str, ...] = ()
    state_is_body: bool = False
    version_in_body: bool = False

    def __post_init__(self) -> None:
        force_setattr(self, "state_is_body", self.state is not None and self.state.keys == ("reply", "body"))
        force_setattr(self, "version_in_body", self.version is not None and (self.version.keys or ())[:2] != ("reply", "headers"))


class Creates(Struct, frozen=True):
    """``id`` sees request and reply, and gives the new object's id."""

    object: str
    id: Expression


class Idempotency(Struct, frozen=True):
    """``header`` is that in which the tool accepts a key (``None``: only the gateway stores it); ``honoured``: the tool respects it.

    ``window`` (seconds) and ``identity`` are for keys made of content; ``identity`` ``None`` is the whole canonical body. ``together``: the
    agent's own key is looked up beside the content key.
    """

    header: bytes | None = None
    quoted: bool = False
    honoured: bool = False
    window: float = 900.0
    identity: tuple[Expression, ...] | None = None
    together: bool = False


class Pricing(Struct, frozen=True):
    """``records`` ``None`` is one record for a write."""

    records: Expression | None = None
    amounts: Mapping[str, Expression] = field(default_factory=dict)


class Verify(Struct, frozen=True):
    """``expect`` must be exactly true of the object read back, at the latest after ``within`` seconds."""

    expect: Expression
    within: float


class DryRun(Struct, frozen=True):
    """``when``: a call only shows what it would do. ``confirmed``: so does its reply; without it, one that names nothing that was made."""

    when: Expression
    confirmed: Expression | None = None


class Attached(Struct, frozen=True, kw_only=True):
    """What a compensating call carries beside its body; a value of ``None`` sends nothing.

    A ``content_type`` of ``None`` is the kept one, or JSON.
    """

    headers: Mapping[str, Expression | None] = field(default_factory=dict)
    query: Mapping[str, Expression | None] = field(default_factory=dict)
    content_type: Expression | None = None


class Instead(Struct, frozen=True, kw_only=True):
    """The alternative if a compensation comes too late; ``when`` sees the present object."""

    when: Expression
    remedy: Remedy
    by: str
    body: Expression | None = None
    attached: Attached = field(default_factory=Attached)


class Undo(Struct, frozen=True, kw_only=True):
    """A declared compensation. ``by`` is ``None`` if a person does it; ``body`` ``None`` is a call without one.

    ``delete_created`` names the action that takes away what an upsert created; ``within`` (seconds) ``None`` is no deadline.
    ``compared`` is what is compared of an object that was restored: its state, its content type, its kept headers.
    ``after`` names actions of the tool: it runs only once those of theirs in the same rollback are finished. ``instead`` is carried
    out in its place where that applies, under the same approval.

    What follows from the rest is set with it. ``made_of``: the ``roots`` of the call by ``by``.
    """

    remedy: Remedy
    by: str | None = None
    body: Expression | None = None
    automatic: bool = False
    within: float | None = None
    delete_created: str | None = None
    after: tuple[str, ...] = ()
    instead: Instead | None = None
    attached: Attached = field(default_factory=Attached)
    compared: tuple[str, ...] = ("state", "content-type")
    made_of: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        force_setattr(self, "made_of", self._roots(self.by or "", with_body=True))

    def attached_of(self, by: str) -> Attached:
        """What the call by this action carries beside its body."""
        return self.instead.attached if self.instead is not None and by == self.instead.by else self.attached

    def body_of(self, by: str) -> Expression | None:
        """The body of the call by this action."""
        return self.instead.body if self.instead is not None and by == self.instead.by else self.body

    def expressions(self, by: str, *, with_body: bool = True) -> tuple[Expression, ...]:
        """Those of which the call by this action is made."""
        attached, body = self.attached_of(by), self.body_of(by) if with_body else None
        declared = (body, attached.content_type, *attached.headers.values(), *attached.query.values())
        return tuple(one for one in declared if one is not None)

    def roots(self, by: str, *, with_body: bool = True) -> frozenset[str]:
        """What the call by this action is made of, such as ``request`` and ``snapshot``."""
        return self.made_of if with_body and by == self.by else self._roots(by, with_body=with_body)

    def _roots(self, by: str, *, with_body: bool) -> frozenset[str]:
        return frozenset[str]().union(*(one.roots for one in self.expressions(by, with_body=with_body)))


class Rule(Struct, frozen=True):
    """``then`` applies if ``when`` is exactly true; a ``when`` of ``None`` always applies."""

    when: Expression | None
    then: Reversibility


class ActionType(Struct, frozen=True, kw_only=True):
    """A declared action. ``match_query`` ``None`` is any key (reads alone). ``guard``: written only at the version known.

    ``success`` must be exactly true of a 2xx reply for it to be one; ``failed`` is exactly true of a reply that proves that nothing was
    applied, whatever its status. ``reply_conforms`` judges a reply's JSON body by the declared schema. ``fallback`` names the read that
    answers where this one cannot. Writes always have ``classes`` and ``undo``; reads never do. ``own`` is what the gateway's own requests
    for its calls carry, ``None`` if there is nothing to look at. ``match_headers`` and ``match_body`` are conditions of its
    ``match``. ``body_kind`` is what its body must be (``None``: JSON or a form; opaque: anything), ``request_schema`` judges its arguments.
    """

    name: str
    method: str
    template: Template
    effect: Effect
    match_headers: Expression | None = None
    match_body: Expression | None = None
    match_query: frozenset[str] | None = None
    object: str | None = None
    creates: Creates | None = None
    classes: tuple[Rule, ...] = ()
    guard: Guard | None = None
    idempotency: Idempotency = field(default_factory=Idempotency)
    cost: Pricing = field(default_factory=Pricing)
    verify: Verify | None = None
    probe: Probe | None = None
    undo: Undo | None = None
    fanout: bool = False
    snapshot: bool = True
    success: Expression | None = None
    failed: Expression | None = None
    dry_run: DryRun | None = None
    pending: Pending | None = None
    reply_conforms: Conformity | None = None
    fallback: str | None = None
    own: Own | None = None
    body_kind: BodyKind | None = None
    request_schema: RequestSchema | None = None

    @property
    def object_type(self) -> str | None:
        """The type of object it is aimed at or makes."""
        return self.creates.object if self.creates else self.object


_NO_MEMBERS = CallMembers()


class Tool(Struct, frozen=True, kw_only=True):
    """One tool's catalog; its consistency is the loader's business.

    What follows from the rest is set with it: ``tenant_capture`` is the path capture that is the tenant, ``None`` if the tenant stands
    elsewhere; ``index`` holds the actions by method and number of segments, in file order; ``members`` what an action
    reads of a call, and what others do that the call could be; ``own_names`` the captures that tell objects of a type apart (the
    tenant's stands in an object's name already).
    """

    name: str
    system: str
    tenant: Expression
    objects: Mapping[str, ObjectType]
    actions: Mapping[str, ActionType]
    variables: Mapping[str, object]
    unlisted_read: bool = False
    unlisted_write: bool = False
    tenant_capture: str | None = None
    index: Mapping[tuple[str, int], tuple[ActionType, ...]] = field(default_factory=dict)
    members: Mapping[str, CallMembers] = field(default_factory=dict)
    own_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        index: dict[tuple[str, int], tuple[ActionType, ...]] = {}
        for action in self.actions.values():
            for method in ("GET", "HEAD") if action.method == "GET" and action.effect is Effect.READ else (action.method,):
                key = (method, action.template.length)
                index[key] = (*index.get(key, ()), action)
        force_setattr(self, "index", index)
        force_setattr(self, "tenant_capture", capture_of(self.tenant))
        own = {one.name: tuple([name for name in one.template.names if name != self.tenant_capture]) for one in self.objects.values()}
        force_setattr(self, "own_names", own)
        force_setattr(self, "members", {name: _call_members(self.tenant, _beside(one, index)) for name, one in self.actions.items()})

    def members_of(self, action: ActionType | None, call: Call) -> CallMembers:
        """What is read of a call, also by actions that it would be if it spelt a member otherwise."""
        if action is None:
            segments = call.segments or ("",)
            candidates = self.index.get((call.method, len(segments)), ())
            action = next((one for one in candidates if one.template.match(segments) is not None), None)
        return _NO_MEMBERS if action is None else self.members[action.name]


def _beside(action: ActionType, index: Mapping[tuple[str, int], tuple[ActionType, ...]]) -> tuple[ActionType, ...]:
    same = index.get((action.method, action.template.length), ())
    return tuple(one for one in same if one.template.overlaps(action.template))


def _call_members(tenant: Expression, actions: Sequence[ActionType]) -> CallMembers:
    paths = members.of((tenant, *(one for action in actions for one in expressions(action))))
    schemas = [("request", "body", *path) for action in actions if action.request_schema for path in action.request_schema.paths]
    return CallMembers(members.under((*paths, *schemas), "request", "body"), members.under(paths, "request", "query"))


def expressions(action: ActionType) -> Iterator[Expression]:
    """Those of an action that may see the request."""
    found = [action.match_headers, action.match_body, action.success, action.cost.records, *action.cost.amounts.values()]
    found += [rule.when for rule in action.classes]
    found += action.idempotency.identity or ()
    found += [action.creates.id] if action.creates else []
    found += [action.verify.expect] if action.verify else []
    if action.probe:
        found += [action.probe.applied, *(action.probe.find.query.values() if action.probe.find else ())]
        found.append(action.probe.mark)
    found += [action.failed]
    found += [action.dry_run.when, action.dry_run.confirmed] if action.dry_run else []
    if pending := action.pending:
        found += [pending.done, pending.job, pending.when, pending.failed]
    if undo := action.undo:
        found += undo.expressions(undo.by or "")
        found += undo.expressions(undo.instead.by) if undo.instead else ()
    found += [one.value for one in (*action.own.headers, *action.own.query)] if action.own else []
    return (one for one in found if one is not None)


def capture_of(tenant: Expression) -> str | None:
    """The path capture that a tenant expression is, if it is just that."""
    keys = tenant.keys
    return keys[2] if keys is not None and len(keys) == 3 and keys[:2] == ("request", "path") else None


def undos(tools: Iterable[Tool]) -> dict[tuple[str, str], Undo]:
    """The declared compensations of all writes, by tool and action."""
    return {(tool.name, action.name): action.undo for tool in tools for action in tool.actions.values() if action.undo is not None}
