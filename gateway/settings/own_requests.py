"""What an adapter declares of the gateway's own requests: compiled, and checked against what distinguishes its calls.

An own request without the header that said where a call went would read, or undo, what lies elsewhere: such an adapter does not load.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from gateway.core.adapter import dependencies
from gateway.core.adapter.carried import KNOWN, LANGUAGE, NEUTRAL_PREFIXES, Field, Own, neutral
from gateway.core.adapter.catalog import ActionType, Attached, Tool
from gateway.core.adapter.expression import ROOTS, Expression
from gateway.model.call import Effect
from gateway.settings.adapter import BEFORE, ActionDocument, AdapterDocument, CompensationDocument, InsteadDocument, ObjectDocument, Site

_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_KEY = re.compile(r"[\x21-\x7e]{1,64}")
_KEPT = re.compile(r"[a-z0-9-]{1,64}|[a-z0-9-]{2,63}\*", re.ASCII)
_OF_EACH_REPLY = "etag last-modified date server age set-cookie location content-range accept-ranges allow vary retry-after"
_OF_TOOL = frozenset(_OF_EACH_REPLY.split())
"""Headers of a reply that a tool makes for each reply."""
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+(;[ A-Za-z0-9=.+-]*)?")
_SECRET = re.compile(r"token|secret|passw|api[-_]?key|credential|signature|authorization", re.IGNORECASE)
_SET_BY_US = """
authorization proxy-authorization cookie host connection keep-alive proxy-connection upgrade te trailer transfer-encoding expect
content-length content-type content-encoding accept-encoding idempotency-key range if-range if-match if-none-match if-modified-since
if-unmodified-since forwarded via x-http-method x-http-method-override x-method-override
"""
_NEVER = frozenset(_SET_BY_US.split())
"""Headers that say whose a request is, how it is framed or on which condition it holds: the gateway sets these itself."""

_COMPENSATION_ONLY = frozenset({"if-unmodified-since"})
"""A condition that a compensation may add, and a read may not."""

Declared = Mapping[str, str | None]


def header_problem(name: str) -> str | None:
    """Why a header of this name cannot be declared, ``None`` if it can."""
    low = name.lower()
    if not _HEADER.fullmatch(name):
        return f"{name!r} is not the name of a header; use letters, digits and -"
    if low == "content-type":
        return f"{name} cannot be declared here; the content type of a compensation is its key content_type"
    if low in _NEVER or low.startswith(("killcord-", "x-forwarded-")):
        return f"{name} is set by the gateway itself; remove it"
    return None


def key_problem(name: str) -> str | None:
    """Why a query key of this name cannot be declared, ``None`` if it can."""
    return None if _KEY.fullmatch(name) else f"{name!r} is not a query key; use visible ASCII characters"


def looks_secret(name: str) -> bool:
    """Whether a header or query key of this name would carry a secret."""
    return _SECRET.search(name) is not None


def compiled(site: Site, adapter: AdapterDocument, one: ActionDocument) -> Own | None:
    """What own requests of an action carry: its own words before those of its object, and those before the adapter's.

    ``None`` if nothing of its calls has to be looked at: it declares nothing, and nothing is read, or undone, for it. ``site`` is the
    action's.
    """
    name = (one.creates.object if one.creates else one.object) or ""
    kind = adapter.objects.get(name)
    top = replace(site, where=())
    layers: list[tuple[Site, AdapterDocument | ObjectDocument | ActionDocument]] = [(top, adapter)]
    if kind is not None:
        layers.append((top.at("objects", name), kind))
    layers.append((site, one))
    headers: dict[str, Field] = {}
    query: dict[str, Field] = {}
    for at, layer in layers:
        headers |= {name.lower(): found for name, found in _fields(at, layer.headers, "headers")}
        query |= dict(_fields(at, layer.query, "query"))
    if not (headers or query) and not has_own_requests(one):
        return None
    kept = [header.lower() for header in kind.keep] if kind is not None else []
    own_key = {one.idempotency.header.lower()} if one.idempotency.header else set()
    credential = {site.fixed.credential} if site.fixed.credential else set()
    values = [dependencies.of(one.value) for one in (*headers.values(), *query.values())]
    return Own(
        headers=tuple(headers.values()),
        query=tuple(query.values()),
        known_headers=KNOWN | headers.keys() | site.fixed.headers | own_key | credential | set(kept),
        known_prefixes=(*NEUTRAL_PREFIXES, *(one[:-1] for one in kept if one.endswith("*"))),
        known_query=site.fixed.query.union(query),
        any_form="accept" in headers or "accept" in site.fixed.headers,
        sources=frozenset().union(*(one.headers for one in values)),
    )


def kept(site: Site, one: ObjectDocument) -> tuple[str, ...]:
    """The headers of an object's reply that a snapshot keeps, in lower case."""
    found = [name.lower() for name in one.keep]
    for place, name in enumerate(found):
        if not _KEPT.fullmatch(name):
            site.report(
                f"{one.keep[place]!r} is not the name of a header, nor one with a * at its end, such as x-amz-meta-*", "keep", place
            )
        elif name in _OF_TOOL or name in _NEVER - {"content-encoding"} or name.startswith("killcord-"):
            site.report(f"{one.keep[place]} is not part of an object: the tool or the gateway sets it; remove it", "keep", place)
    if found and one.state is None:
        site.report("belongs to a state; add one, such as state: reply.body", "keep")
    return tuple(dict.fromkeys(found))


def has_own_requests(one: ActionDocument) -> bool:
    """Whether the gateway reads, or undoes, something for this action's calls."""
    if one.effect is not Effect.WRITE:
        return False
    names = (one.object, one.creates, one.verify, one.probe, one.pending)
    return any(name is not None for name in names) or (one.compensation is not None and one.compensation.by is not None)


def attached(site: Site, one: CompensationDocument | InsteadDocument) -> Attached:
    """What a compensating call carries beside its body."""
    for name in one.headers:
        if name.lower() not in _COMPENSATION_ONLY and (problem := header_problem(name)) is not None:
            site.report(problem, "headers", name)
    for name in one.query:
        if (problem := key_problem(name)) is not None:
            site.report(problem, "query", name)
    kind = f"'{one.content_type}'" if one.content_type and _MEDIA_TYPE.fullmatch(one.content_type) else one.content_type
    return Attached(
        headers={name: site.expression(text, ROOTS, "headers", name) for name, text in one.headers.items()},
        query={name: site.expression(text, ROOTS, "query", name) for name, text in one.query.items()},
        content_type=site.expression(kind, ROOTS, "content_type"),
    )


def check(site: Site, adapter: AdapterDocument, tool: Tool, actions: Mapping[int, ActionType]) -> None:
    """Report what distinguishes calls, and what own requests could not say."""
    writes = {place: one for place, one in actions.items() if has_own_requests(adapter.actions[place])}
    _check_tenant(site, tool, writes.values())
    for place, action in writes.items():
        _check_matching(site.at("actions", place), action)
        _check_compensation(site.at("actions", place, "compensation"), adapter.actions[place], tool, action)


def _fields(site: Site, declared: Declared, key: str) -> Iterator[tuple[str, Field]]:
    """The declared headers or query keys that can be used; problems of the others are reported."""
    for name, text in declared.items():
        header = key == "headers"
        problem = header_problem(name) if header else key_problem(name)
        if header and name.lower() == site.fixed.credential:
            problem = f"{name} carries the tool's secret; remove it"
        if problem is not None:
            site.report(problem, key, name)
            continue
        value = site.expression(text, BEFORE, key, name)
        varies = value is not None and not value.roots.isdisjoint({"request", "run"})
        yield name, Field(name, value, places=varies and not (header and neutral(name.lower())))


def _check_tenant(site: Site, tool: Tool, writes: Iterable[ActionType]) -> None:
    """The tenant of a call has to stand in its own requests too."""
    wanted = dependencies.of(tool.tenant)
    for action in writes:
        own = action.own
        if own is None:
            continue
        sent = {low for one in own.headers if (low := one.name.lower()) in dependencies.of(one.value).headers} | site.fixed.headers
        keys = {one.name for one in own.query if one.name in dependencies.of(one.value).query} | site.fixed.query
        values = [dependencies.of(one.value) for one in (*own.headers, *own.query)]
        if wanted.unnamed:
            site.report("takes the tenant from all headers or query keys; name the one that it stands in", "tenant")
            return
        for name in sorted(wanted.headers - sent):
            site.report(_not_carried(f"the header {name}", _header_advice(name)), "tenant")
        for name in sorted(wanted.query - keys):
            site.report(_not_carried(f"the query key {name}", f"query: {{{name}: request.query.{_quoted(name)}}}"), "tenant")
        for path in sorted(wanted.body):
            if not any(path in one.body for one in values):
                text = ".".join(("request", "body", *map(_quoted, path)))
                site.report(_not_carried(text, f"what tells the tool the same, such as headers: {{X-Tenant: {text}}}"), "tenant")


def _not_carried(what: str, advice: str) -> str:
    return f"is {what}, which the gateway's own requests do not carry: they would reach another tenant's objects; add {advice}"


def _header_advice(name: str) -> str:
    return f"headers: {{{name.title()}: request.headers.{_quoted(name)}}}"


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else f'"{name}"'


def _check_matching(site: Site, action: ActionType) -> None:
    """What distinguishes an action may say where its calls go: own requests carry it, or the adapter says that it does not."""
    own = action.own
    if own is None:
        return
    places: list[tuple[tuple[str | int, ...], Expression | None]] = [
        (("match", "headers"), action.match_headers),
        (("match", "body"), action.match_body),
    ]
    places += [(("idempotency", "identity", number), one) for number, one in enumerate(action.idempotency.identity or ())]
    for place, one in places:
        found = dependencies.of(one)
        if found.unnamed:
            site.report("takes all headers or query keys; name the one that it needs", *place)
        for name in sorted(found.headers - own.known_headers):
            if not neutral(name) and name != LANGUAGE:  # own requests carry that along
                site.report(_undetermined(f"the header {name}", _header_advice(name), f"headers: {{{name.title()}: null}}"), *place)
        for name in sorted(found.query - own.known_query):
            advice = f"query: {{{name}: request.query.{_quoted(name)}}}"
            site.report(_undetermined(f"the query key {name}", advice, f"query: {{{name}: null}}"), *place)


def _undetermined(what: str, advice: str, otherwise: str) -> str:
    found = f"depends on {what}, which the gateway's own requests do not carry"
    return f"{found}; add {advice}, or {otherwise} if it does not select where the call goes"


def _check_compensation(site: Site, declared: ActionDocument, tool: Tool, action: ActionType) -> None:
    """The call that undoes an action carries what its own requests carry: the action that it is must accept these query keys."""
    undo = declared.compensation
    if undo is None or action.own is None:
        return
    sent = {one.name for one in action.own.query if one.value is not None}
    _check_places(site, undo, action.own)
    if undo.instead is not None:
        _check_places(site.at("instead"), undo.instead, action.own)
    ways = [("by", undo.by, undo.query), ("delete_created", undo.delete_created, undo.query)]
    if undo.instead is not None:
        ways.append(("instead", undo.instead.by, undo.instead.query))
    for key, name, attached in ways:
        by = tool.actions.get(name or "")
        if by is None or by.match_query is None:
            continue
        dropped = {name for name, text in attached.items() if text is None}
        for extra in sorted((sent | attached.keys()) - by.match_query - dropped):
            site.report(f"{name} does not accept the query key {extra}, which its call carries; add it to match.query of {name}", key)


def _check_places(site: Site, one: CompensationDocument | InsteadDocument, own: Own) -> None:
    """A compensation goes where its effect went: it cannot name another place."""
    headers = {found.name.lower() for found in own.headers if found.places}
    keys = {found.name for found in own.query if found.places}
    for key, names in (("headers", [name for name in one.headers if name.lower() in headers]), ("query", keys & one.query.keys())):
        for name in sorted(names):
            site.report(f"{name} says where a call goes, and the effect's own value is sent; remove it", key, name)
