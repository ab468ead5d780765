"""What the gateway's own requests carry beside the path: the headers and query keys that say where a call goes, and in which form.

An own request is one that the gateway makes for a call: snapshot, verification, probe, listing, job, compensation. Pure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from urllib.parse import quote, unquote, urlencode

import orjson
from msgspec import Struct

from gateway.core.adapter import negotiation
from gateway.core.adapter.expression import Expression
from gateway.errors import MalformedRequest
from gateway.model.call import NOTHING_CARRIED, Carried, Headers

Document = Mapping[str, object]

# How a body is written, and what the client would like to get (RFC 9110, 9111, 9218, 9530, 7240).
_OF_HTTP = """
accept accept-charset accept-encoding accept-ranges allow content-digest content-disposition content-encoding content-length
content-location content-md5 content-type digest expect prefer priority repr-digest te trailer transfer-encoding
want-content-digest want-digest want-repr-digest
cache-control date expires if-match if-modified-since if-none-match if-range if-unmodified-since pragma range age
connection host keep-alive max-forwards proxy-connection upgrade upgrade-insecure-requests via
authorization cookie idempotency-key proxy-authorization
"""
# Who asks, and how the call is followed through logs and traces.
_OF_CLIENTS = """
dnt from origin purpose referer save-data user-agent x-client-data x-requested-with x-amz-user-agent x-goog-api-client
device-memory downlink dpr ect rtt viewport-width width
b3 baggage correlation-id elastic-apm-traceparent grpc-trace-bin newrelic request-id sentry-trace traceparent tracestate
uber-trace-id x-amz-content-sha256 x-amz-date x-amz-decoded-content-length x-amz-trailer x-amzn-trace-id x-client-request-id
x-client-trace-id x-cloud-trace-context x-correlation-id x-ms-client-request-id x-newrelic-id x-newrelic-transaction
x-ot-span-context x-request-id x-stripe-client-telemetry x-stripe-client-user-agent x-trace-id
"""
NEUTRAL = frozenset((_OF_HTTP + _OF_CLIENTS).split())
"""Headers that do not select what a call is about, or that the gateway handles itself: credentials, cookies, framing. Of Accept and
Prefer not every value is such, as ``negotiation`` tells.
"""

NEUTRAL_PREFIXES = (
    "sec-",
    "amz-sdk-",
    "x-amz-checksum-",
    "x-amz-meta-",
    "x-amz-sdk-",
    "x-b3-",
    "x-datadog-",
    "x-goog-meta-",
    "x-instana-",
    "x-ms-meta-",
    "x-stainless-",
    "ot-tracer-",
    "uberctx-",
)

LANGUAGE = "accept-language"

COOKIE = "cookie"
"""What a session's cookie is named where it passes the gateway: it may say whose data a call is about, and no own request carries it."""

KNOWN = NEUTRAL - {"prefer"}
"""Headers that need not be looked at, whatever their values are; Accept comes with nearly all calls, and is looked at apart."""

_NOT_FOR_READS = frozenset({"accept", "accept-datetime", "content-language"})
"""What own reads do not carry along though it is undeclared: which form they ask for is the adapter's to say, they see an object as it is
now, and they have no body.
"""

MAX_VALUE = 4_096
"""Characters of a carried value."""

HEADER, QUERY_KEY = "header", "query key"
_ONLY = {HEADER: " (a header: Latin-1 only)", QUERY_KEY: ""}
_VALUE = re.compile(r"[\x20-\x7e\xa0-\xff]*")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Field(Struct, frozen=True):
    """A declared header or query key; ``value`` ``None``: it is known, and not sent. ``places``: its value says where a call goes."""

    name: str
    value: Expression | None
    places: bool = False


class Own(Struct, frozen=True, kw_only=True):
    """What own requests of an action carry; ``known`` are the headers (lower case, or what they begin with) and query keys that may come
    with its calls without changing where they go. ``any_form``: the adapter declares Accept, so that the call's own says nothing more.
    ``sources`` are the headers (lower case) from which the values are taken.
    """

    headers: tuple[Field, ...] = ()
    query: tuple[Field, ...] = ()
    known_headers: frozenset[str] = KNOWN
    known_prefixes: tuple[str, ...] = NEUTRAL_PREFIXES
    known_query: frozenset[str] = frozenset()
    any_form: bool = False
    sources: frozenset[str] = frozenset()


def neutral(name: str) -> bool:
    """Whether a header (lower case) is known not to select anything."""
    return name in NEUTRAL or name.startswith(NEUTRAL_PREFIXES)


def carried(own: Own, document: Document, headers: Mapping[str, str], query: Mapping[str, str]) -> Carried:
    """What own requests of a call carry. ``headers`` (names in lower case) and ``query`` are the call's own.

    What the adapter does not declare, and could say where the call goes, is carried along as it was sent, and named ``undeclared``.
    An undeclared Accept-Language is carried along and not named: with it, own requests are about what the call was about.
    What the adapter declares with another value than the call's own is named too.

    Raises:
        MalformedRequest: a declared value cannot be sent.
    """
    unknown = [name for name in headers.keys() - own.known_headers if not name.startswith(own.known_prefixes)]
    extra = query.keys() - own.known_query if query else ()
    if (accept := headers.get("accept")) is not None and not own.any_form and negotiation.other_form(accept):
        unknown.append("accept")
    if not (own.headers or own.query or unknown or extra):
        return NOTHING_CARRIED
    along = {name: headers[name] for name in sorted(unknown)}
    language = negotiation.language(along.pop(LANGUAGE, ""))
    if "prefer" in along:
        along["prefer"] = negotiation.preferences(along["prefer"])
    undeclared = [name for name, value in along.items() if value or name != "prefer"]
    if not (own.headers or own.query or language or undeclared or extra):
        return NOTHING_CARRIED
    found = [(one, text) for one in own.headers if (text := _text(HEADER, one, document)) is not None]
    keys = [(one, text) for one in own.query if (text := _text(QUERY_KEY, one, document)) is not None]
    places = [[one.name.lower(), text] for one, text in found if one.places], [[one.name, text] for one, text in keys if one.places]
    other = _differing(
        own.headers, dict(found), {one: headers.get(one.name.lower()) for one in own.headers if not neutral(one.name.lower())}
    )
    others = _differing(own.query, dict(keys), {one: query.get(one.name) for one in own.query})
    return Carried(
        headers=(
            *((one.name, text) for one, text in found),
            *(((LANGUAGE, language),) if language else ()),
            *((name, along[name]) for name in undeclared if name not in _NOT_FOR_READS),
        ),
        query=(*((one.name, text) for one, text in keys), *((name, query[name]) for name in sorted(extra))),
        undeclared=(*sorted((*undeclared, *(name.lower() for name in other))), *(f"?{name}" for name in sorted((*extra, *others)))),
        place=hashlib.sha256(orjson.dumps(places)).hexdigest()[:16] if any(places) else "",
    )


def _differing(declared: tuple[Field, ...], values: Mapping[Field, str], sent: Mapping[Field, str | None]) -> list[str]:
    """The declared names to which the call itself gives another value than own requests carry: these would go elsewhere."""
    given = [(one, text) for one in declared if one.value is not None and (text := sent.get(one)) is not None]
    return [one.name for one, text in given if text != values.get(one)]


def refuse_repeated(own: Own, headers: Headers) -> None:
    """Refuse a call in which a header stands twice that its own requests carry: of two values the tool may take either.

    Raises:
        MalformedRequest: one does.
    """
    names = [low for name, _ in headers if (low := name.decode("latin-1").lower()) in own.sources]
    if len(names) != len(set(names)):
        raise MalformedRequest(f"A header of this call occurs twice: {max(names, key=names.count)}.", hint="Send it once.")


def fields(what: str, declared: Mapping[str, Expression | None], document: Document) -> tuple[tuple[str, str], ...]:
    """The values of a compensation's own headers or query keys, without those that have none. ``what`` they are: ``HEADER`` or
    ``QUERY_KEY``.

    Raises:
        MalformedRequest: a value cannot be sent.
    """
    found = ((name, _text(what, Field(name, value), document)) for name, value in declared.items())
    return tuple((name, text) for name, text in found if text is not None)


def with_query(path: str, *pairs: tuple[str, str]) -> str:
    """A path with these keys in its query, behind those that are there: no key stands twice."""
    there = path.partition("?")[2]
    taken = {unquote(pair.partition("=")[0]) for pair in there.split("&")} if there else ()
    added = urlencode([pair for pair in pairs if pair[0] not in taken], quote_via=quote, safe="")
    return f"{path}{'&' if there else '?'}{added}" if added else path


def merged(*layers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Headers of several origins: each name once, whatever its case, as the last layer that has it says."""
    found = {name.lower(): (name, value) for layer in layers for name, value in layer}
    return tuple(found.values())


def _text(what: str, one: Field, document: Document) -> str | None:
    value = one.value.search(document) if one.value is not None else None
    if value is None:
        return None
    text = ("true" if value else "false") if isinstance(value, bool) else str(value) if isinstance(value, (str, int)) else None
    allowed = text is not None and len(text) <= MAX_VALUE and not _CONTROLS.search(text)
    if text is None or not allowed or (what == HEADER and not _VALUE.fullmatch(text)):
        raise MalformedRequest(
            f"The {what} {one.name} that the adapter declares has a value that cannot be sent: it must be a text, a whole number or a "
            f"boolean, of at most {MAX_VALUE} characters and without control characters{_ONLY[what]}.",
            hint="Correct the header, query key or member from which the adapter takes this value.",
        )
    return text
