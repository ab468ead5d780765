"""A call: the request of the data API as it is decided on and sent, what it means, and what crosses the wire for it.

What it means is its action and target, what it costs and what could undo it. What crosses the wire is a request head as framed, a
request to a tool, the tool's answer and the reply to the agent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct, field

Headers = tuple[tuple[bytes, bytes], ...]
"""Raw field lines in the order received; names as sent, values without surrounding blanks."""


class BodyKind(StrEnum):
    """What a request's body is to the gateway; what it cannot read is opaque."""

    NONE = "none"
    JSON = "json"
    FORM = "form"
    OPAQUE = "opaque"


class Call(Struct, frozen=True, kw_only=True, gc=False):
    """One framed, canonical request.

    ``path`` is the tool's own path: canonical, percent-encoded, without the tool's prefix, beginning with ``/``.
    ``segments`` are the same path decoded; ``raw_query`` goes to the tool as it stands, ``query`` is the same decoded
    (no key occurs twice). ``body`` is exactly what will be sent. ``args`` is the body as JSON if it is JSON (or a
    form, as an object of strings), else ``None``; no duplicate or look-alike keys, no NaN, bounded depth. ``kind`` is what the body is;
    of an opaque one ``unread`` says why. ``long_numbers``: its JSON may have a number of sixteen digits or more, or one with an exponent.
    """

    tool: str
    method: str
    path: str
    segments: tuple[str, ...]
    raw_query: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Headers = ()
    body: bytes = b""
    args: object = None
    kind: BodyKind = BodyKind.NONE
    long_numbers: bool = False
    unread: str | None = None

    @property
    def target(self) -> str:
        """Path and query as they are sent."""
        return f"{self.path}?{self.raw_query}" if self.raw_query else self.path

    @property
    def sealed(self) -> bool:
        """Whether a record of it needs sealed arguments."""
        return bool(self.body or self.raw_query)

    @property
    def recorded(self) -> str:
        """Path and query as they stand in the clear: of the query its keys alone. A value may be a secret, or about a person."""
        if not self.raw_query:
            return self.path
        return f"{self.path}?{'&'.join([pair.partition('=')[0] for pair in self.raw_query.split('&')])}"


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
    """The object a call is aimed at. ``id`` is empty if the call names a collection, or creates; else it is all that the object's path
    captures, joined by ``/``. ``tool`` is the configured tool: several may be of one system.

    ``place`` is a digest of what headers or query say of where it is (an account, say); empty where path and tenant say it all.
    """

    system: str
    type: str
    id: str
    tenant: str | None = None
    tool: str | None = None
    place: str = ""

    @property
    def object(self) -> str:
        """The object's name across calls: ids repeat between tenants, between tools of one system, and between places."""
        name = f"{self.tenant or ''}/{self.tool or ''}/{self.system}:{self.type}:{self.id}"
        return f"{name}@{self.place}" if self.place else name

    @property
    def name(self) -> str:
        """The object's name for people, without a version; with the tool in front if that is not called as its system is."""
        return f"{self._of_tool}{self.system}:{self.type}:{self.id or '(new)'}"

    @property
    def short(self) -> str:
        """The object's name without its system, where that is plain."""
        return f"{self._of_tool}{self.type}:{self.id or '(new)'}"

    @property
    def _of_tool(self) -> str:
        return "" if self.tool in (None, self.system) else f"{self.tool}/"

    def ref(self, version: str | None) -> str:
        """``erp:invoice:inv_88421:v12``; without quotes of an entity tag, and ``absent`` if there is no version."""
        return f"{self.system}:{self.type}:{self.id}:{_unquoted(version) if version else 'absent'}"


def _unquoted(version: str) -> str:
    weak = "W/" if version.startswith('W/"') else ""
    return weak + version.removeprefix(weak).strip('"')


class Carried(Struct, frozen=True, gc=False):
    """What the gateway's own requests for a call carry beside the path, by its adapter: names and values, as they are sent.

    ``undeclared`` names what came with the call, could say where it goes, and is not declared: headers in lower case, query keys behind
    a ``?``. ``place`` is a digest of the declared values that say where the call goes.
    """

    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    undeclared: tuple[str, ...] = ()
    place: str = ""


NOTHING_CARRIED = Carried()


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


class CompensationRecord(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The declared compensation in an entry; ``allowed_until`` is RFC 3339."""

    class_: Reversibility = field(name="class")
    type: Remedy
    auto: bool
    allowed_until: str | None = None

    @property
    def value(self) -> Compensation:
        until = None if self.allowed_until is None else datetime.fromisoformat(self.allowed_until).timestamp()
        return Compensation(reversibility=self.class_, remedy=self.type, automatic=self.auto, allowed_until=until)


class Head(Struct, frozen=True, kw_only=True, gc=False):
    """A request head whose every byte was checked. ``target`` is the origin-form target as sent.

    ``length`` is the declared body length, ``None`` if the body is chunked; 0 if there is none.
    """

    method: str
    target: str
    headers: Headers
    length: int | None = 0
    http_1_0: bool = False
    expects_continue: bool = False


class Outgoing(Struct, frozen=True, kw_only=True, gc=False):
    """A request to a tool, complete: nothing is added to it, re-quoted or dropped on the way out.

    ``timeout`` (seconds) bounds connect and first byte together, and each pause between chunks. ``retriable`` is true
    for reads alone: once, on a fresh connection, where a kept one turned out to be dead before any answer byte came.
    """

    tool: str
    tenant: str
    method: str
    target: str
    headers: Headers
    body: bytes = b""
    timeout: float = 10.0
    retriable: bool = False


class Answer(Struct, frozen=True, kw_only=True):
    """A tool's answer without hop-by-hop headers. ``body`` is what was read so far, ``rest`` what is still to come (``None``: complete).

    The owner of an answer with a ``rest`` must consume or close it (``aclose``): otherwise the pool loses its connection.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""
    rest: AsyncIterator[bytes] | None = None

    @property
    def complete(self) -> bool:
        return self.rest is None


class Reply(Struct, frozen=True, kw_only=True):
    """What the agent gets. ``rest`` as in :class:`Answer`; ``close`` ends the connection after it.

    ``bodiless_length`` is the Content-Length a HEAD or 304 reply declares without having a body.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""
    rest: AsyncIterator[bytes] | None = None
    close: bool = False
    bodiless_length: int | None = field(default=None)
