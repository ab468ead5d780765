"""The compiled catalog of a tool: what its adapter declares, and which action a call is. Source: adapters/<system>/adapter.yaml."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct, field
from msgspec.structs import force_setattr

from gateway.core.adapter.expression import Expression, Template
from gateway.model.call import Call, Effect, Remedy, Reversibility

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

Conformity = Callable[[object], bool]
"""Whether a reply's JSON body is as the adapter's schema declares it."""


class ObjectType(Struct, frozen=True, kw_only=True):
    """``version``, ``state`` and ``identity`` see the reply to a GET of ``template``.

    Without them an object has no version, none of its state is kept, and it is taken for the one that was asked for.
    """

    name: str
    template: Template
    version: Expression | None = None
    state: Expression | None = None
    identity: Expression | None = None


class Creates(Struct, frozen=True):
    """``id`` sees request and reply, and gives the new object's id."""

    object: str
    id: Expression


class Idempotency(Struct, frozen=True):
    """``header`` is that in which the tool accepts a key (``None``: only the gateway stores it); ``honoured``: the tool respects it.

    ``window`` (seconds) and ``identity`` are for keys made of content; ``identity`` ``None`` is the whole canonical body.
    """

    header: bytes | None = None
    quoted: bool = False
    honoured: bool = False
    window: float = 900.0
    identity: tuple[Expression, ...] | None = None


class Pricing(Struct, frozen=True):
    """``records`` ``None`` is one record for a write."""

    records: Expression | None = None
    amounts: Mapping[str, Expression] = field(default_factory=dict)


class Verify(Struct, frozen=True):
    """``expect`` must be exactly true of the object read back, at the latest after ``within`` seconds."""

    expect: Expression
    within: float


class Listing(Struct, frozen=True, kw_only=True):
    """The listing to search for a create of unknown outcome: a GET of ``template`` with ``query``, its ``items`` and their ``id``."""

    template: Template
    query: Mapping[str, Expression]
    items: Expression
    id: Expression


class Probe(Struct, frozen=True):
    """``applied`` must be exactly true of the object (each item of ``find``); its absence counts only after ``settle`` seconds."""

    applied: Expression
    settle: float
    find: Listing | None = None


class Instead(Struct, frozen=True, kw_only=True):
    """The alternative if a compensation comes too late; ``when`` sees the present object."""

    when: Expression
    remedy: Remedy
    by: str
    body: Expression | None = None


class Undo(Struct, frozen=True, kw_only=True):
    """A declared compensation. ``by`` is ``None`` if a person does it; ``body`` ``None`` is a call without one.

    ``delete_created`` names the action that takes away what an upsert created; ``within`` (seconds) ``None`` is no deadline.
    ``after`` names actions of the tool: it runs only once those of theirs in the same rollback are finished. ``instead`` is carried
    out in its place where that applies, under the same approval.
    """

    remedy: Remedy
    by: str | None = None
    body: Expression | None = None
    automatic: bool = False
    within: float | None = None
    delete_created: str | None = None
    after: tuple[str, ...] = ()
    instead: Instead | None = None

    def body_of(self, by: str) -> Expression | None:
        """The body of the call by this action."""
        return self.instead.body if self.instead is not None and by == self.instead.by else self.body


class Rule(Struct, frozen=True):
    """``then`` applies if ``when`` is exactly true; a ``when`` of ``None`` always applies."""

    when: Expression | None
    then: Reversibility


class ActionType(Struct, frozen=True, kw_only=True):
    """A declared action. ``query`` ``None`` is any key (reads alone). ``guarded``: written with If-Match of the version known.

    ``demands`` must be exactly true of a 2xx reply for it to be a success. ``reply_conforms`` judges a reply's JSON body by
    the declared schema. ``fallback`` names the read that answers where this one cannot. Writes always have ``classes`` and
    ``undo``; reads never do.
    """

    name: str
    method: str
    template: Template
    effect: Effect
    headers: Expression | None = None
    body: Expression | None = None
    query: frozenset[str] | None = None
    object: str | None = None
    creates: Creates | None = None
    classes: tuple[Rule, ...] = ()
    guarded: bool = False
    idempotency: Idempotency = field(default_factory=Idempotency)
    cost: Pricing = field(default_factory=Pricing)
    verify: Verify | None = None
    probe: Probe | None = None
    undo: Undo | None = None
    fanout: bool = False
    snapshot: bool = True
    demands: Expression | None = None
    reply_conforms: Conformity | None = None
    fallback: str | None = None

    @property
    def object_type(self) -> str | None:
        """The type of object it is aimed at or makes."""
        return self.creates.object if self.creates else self.object


class Tool(Struct, frozen=True, kw_only=True):
    """One tool's catalog; its consistency is the loader's business.

    What follows from the rest is set with it: ``tenant_capture`` is the path capture that is the tenant, ``None`` if the tenant stands
    elsewhere; ``index`` holds the actions by method and number of segments, in file order.
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

    def __post_init__(self) -> None:
        index: dict[tuple[str, int], tuple[ActionType, ...]] = {}
        for action in self.actions.values():
            for method in ("GET", "HEAD") if action.method == "GET" and action.effect is Effect.READ else (action.method,):
                key = (method, action.template.length)
                index[key] = (*index.get(key, ()), action)
        force_setattr(self, "index", index)
        force_setattr(self, "tenant_capture", capture_of(self.tenant))


class Matched(Struct, frozen=True):
    """``captures`` are decoded segments by name."""

    action: ActionType
    captures: Mapping[str, str]


class Unmatched(Struct, frozen=True):
    """No action: ``name`` is ``unlisted.read`` or ``unlisted.write``, ``allowed`` whether the adapter lets it on to policy.

    ``reason`` is a sentence for the agent.
    """

    name: str
    effect: Effect
    allowed: bool
    reason: str


def capture_of(tenant: Expression) -> str | None:
    """The path capture that a tenant expression is, if it is just that."""
    keys = tenant.keys
    return keys[2] if keys is not None and len(keys) == 3 and keys[:2] == ("request", "path") else None


def undos(tools: Iterable[Tool]) -> dict[tuple[str, str], Undo]:
    """The declared compensations of all writes, by tool and action."""
    return {(tool.name, action.name): action.undo for tool in tools for action in tool.actions.values() if action.undo is not None}


def match(tool: Tool, call: Call) -> Matched | Unmatched:
    """The first action, in file order, that a call is. Literal segments are compared decoded and exactly."""
    segments = call.segments or ("",)
    reason = f"{tool.name} declares no action for {call.method} on this path"
    for action in tool.index.get((call.method, len(segments)), ()):
        captures = action.template.match(segments)
        if captures is None:
            continue
        if action.query is not None and (extra := call.query.keys() - action.query):
            reason = f"{action.name} does not accept the query key {min(extra)!r}"
            continue
        if (action.headers or action.body) and not _fits(action, tool, call, captures):
            reason = f"the headers or body of this call do not match {action.name}"
            continue
        return Matched(action, captures)
    return _unmatched(tool, call, reason)


def request_document(call: Call, captures: Mapping[str, str]) -> dict[str, object]:
    """The call as expressions see it as ``request``; the agent's credentials and ``Killcord-*`` are left out."""
    return {"method": call.method, "path": captures, "query": call.query, "headers": _headers(call), "body": call.args}


def document(tool: Tool, call: Call, captures: Mapping[str, str], run: Mapping[str, object] | None = None) -> dict[str, object]:
    """What expressions see before a reply: ``request``, ``vars`` and, if given, ``run``."""
    return {"request": request_document(call, captures), "vars": tool.variables, "run": run}


def _fits(action: ActionType, tool: Tool, call: Call, captures: Mapping[str, str]) -> bool:
    seen = document(tool, call, captures)
    return all(expression.holds(seen) for expression in (action.headers, action.body) if expression is not None)


def _headers(call: Call) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw, value in call.headers:
        name = raw.decode("latin-1").lower()
        if name in ("authorization", "cookie") or name.startswith("killcord-"):
            continue
        text = value.decode("latin-1")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def _unmatched(tool: Tool, call: Call, reason: str) -> Unmatched:
    if call.method in SAFE_METHODS:
        return Unmatched("unlisted.read", Effect.READ, tool.unlisted_read, reason)
    return Unmatched("unlisted.write", Effect.WRITE, tool.unlisted_write, reason)
