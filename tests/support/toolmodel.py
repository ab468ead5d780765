"""A tool in this process, behind ``ports.Upstream``: versioned objects, a log of all that it applied, and bad days to order.

Things live under ``/v1/tenants/{tenant}/{kind}/{id}``. No version is used twice. Keys are seen and not honoured: what is sent twice is
applied twice, and shows.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

import orjson

from gateway.errors import UpstreamFailure
from gateway.model.call import Answer, Outgoing
from gateway.observe.metrics import ToolReplies

Name = tuple[str, str, str]
State = Mapping[str, object]

ADAPTER = """
system: model
tenant: request.path.tenant
objects:
  doc: {path: "/v1/tenants/{tenant}/docs/{id}", version: reply.headers.etag, state: reply.body}
  note: {path: "/v1/tenants/{tenant}/notes/{id}", version: reply.headers.etag, state: reply.body}
  tally: {path: "/v1/tenants/{tenant}/tallies/{id}"}
actions:
  - {name: doc.read, match: {method: GET, path: "/v1/tenants/{tenant}/docs/{id}"}, object: doc, effect: read}
  - {name: note.list, match: {method: GET, path: "/v1/tenants/{tenant}/notes"}, object: note, effect: read}
  - name: doc.change
    match: {method: PATCH, path: "/v1/tenants/{tenant}/docs/{id}"}
    object: doc
    effect: write
    class: reversible
    guard: if_match
    idempotency: {header: Idempotency-Key}
    probe: {applied: "object.body.value == request.body.value", settle: 20ms}
    compensation: {type: restore_previous_version, by: doc.put, auto: true}
  - name: doc.put
    match: {method: PUT, path: "/v1/tenants/{tenant}/docs/{id}"}
    object: doc
    effect: write
    class: reversible
    guard: if_match
    idempotency: {header: Idempotency-Key}
    probe: {applied: "object.body.value == request.body.value", settle: 20ms}
    compensation: {type: restore_previous_version, by: doc.put, auto: true, delete_created: doc.delete}
  - name: doc.delete
    match: {method: DELETE, path: "/v1/tenants/{tenant}/docs/{id}"}
    object: doc
    effect: write
    class: reversible
    guard: if_match
    idempotency: {header: Idempotency-Key}
    probe: {applied: "object == `null`", settle: 20ms}
    compensation: {type: restore_previous_version, by: doc.put, auto: true}
  - name: doc.adjust
    match: {method: POST, path: "/v1/tenants/{tenant}/docs/{id}/adjust"}
    object: doc
    effect: write
    class: compensatable
    idempotency: {header: Idempotency-Key}
    probe: {applied: "object.body.last == request.body.ref", settle: 20ms}
    compensation:
      type: offsetting_action
      by: doc.adjust
      body: "{by: request.body.minus, minus: request.body.by, ref: join('', ['undo-', request.body.ref])}"
      auto: true
  - name: doc.stamp
    match: {method: POST, path: "/v1/tenants/{tenant}/docs/{id}/stamp"}
    object: doc
    effect: write
    class: compensatable
    idempotency: {header: Idempotency-Key}
    compensation: {type: manual_review}
  - name: note.make
    match: {method: POST, path: "/v1/tenants/{tenant}/notes"}
    creates: {object: note, id: reply.body.id}
    effect: write
    class: compensatable
    idempotency: {header: Idempotency-Key}
    probe:
      applied: "object.body.ref == request.body.ref"
      find: {path: "/v1/tenants/{tenant}/notes", query: {ref: request.body.ref}, items: reply.body.items, id: object.body.id}
      settle: 20ms
    compensation: {type: delete_created, by: note.delete, auto: true}
  - name: note.delete
    match: {method: DELETE, path: "/v1/tenants/{tenant}/notes/{id}"}
    object: note
    effect: write
    class: irreversible
    idempotency: {header: Idempotency-Key}
    probe: {applied: "object == `null`", settle: 20ms}
    compensation: {type: manual_review}
  - name: tally.add
    match: {method: POST, path: "/v1/tenants/{tenant}/tallies/{id}"}
    object: tally
    effect: write
    class: compensatable
    snapshot: false
    idempotency: {header: Idempotency-Key}
    compensation: {type: offsetting_action, by: tally.add, body: "{by: request.body.minus, minus: request.body.by}", auto: true}
"""


class Day(Enum):
    """What becomes of a write: done, refused, refused for now, given up on and applied later (``Tool.arrive``), lost before or after it
    was applied, an error after it was applied, or never reached.
    """

    GOOD = auto()
    REFUSED = auto()
    BUSY = auto()
    LATE = auto()
    LOST_BEFORE = auto()
    LOST_AFTER = auto()
    FAILED_AFTER = auto()
    UNREACHED = auto()


@dataclass(frozen=True, slots=True)
class Applied:
    """A write that took place: by which key (``None``: by somebody else, not through the gateway), and what it made of what."""

    key: str | None
    name: Name
    what: str
    before: State | None
    after: State | None


@dataclass(slots=True)
class Tool:
    """``day`` says what becomes of the next write, ``away`` whether a call does not reach it at all, which ``missed`` counts; ``strange``
    holds every request for something that is not there to be asked for.
    """

    day: Callable[[Outgoing], Day] = lambda _: Day.GOOD
    away: Callable[[Outgoing], bool] = lambda _: False
    missed: int = 0
    things: dict[Name, tuple[str, State]] = field(default_factory=dict)
    log: list[Applied] = field(default_factory=list)
    applied: Counter[str] = field(default_factory=Counter)
    strange: list[str] = field(default_factory=list)
    claimed: dict[str, str] = field(default_factory=dict)
    made: Counter[tuple[str, str]] = field(default_factory=Counter)
    hold: asyncio.Event | None = None
    """Writes that have left the gateway wait here."""
    writes: int = 0
    replies: ToolReplies = field(default_factory=ToolReplies)
    _late: list[Outgoing] = field(default_factory=list)
    versions: int = 0

    def now(self, name: Name) -> State | None:
        found = self.things.get(name)
        return None if found is None else found[1]

    def of(self, tenant: str) -> list[Applied]:
        return [one for one in self.log if one.name[0] == tenant]

    def edit(self, name: Name, state: State | None) -> None:
        """Somebody else writes, or removes."""
        self._apply(None, name, "edit", state)

    def arrive(self) -> None:
        """What was late is applied now, if it still can be."""
        while self._late:
            self._written(self._late.pop(0))

    async def send(self, request: Outgoing, fence: Callable[[], None]) -> Answer:
        await asyncio.sleep(0)
        if self.away(request):
            fence()
            self.missed += 1
            raise UpstreamFailure("nobody listens", sent=False)
        day = self.day(request) if request.method != "GET" else Day.GOOD
        fence()
        if day is Day.UNREACHED:
            raise UpstreamFailure("nobody listens", sent=False)
        await asyncio.sleep(0)
        if request.method == "GET":
            return self._read(request.target)
        self.writes += 1
        if self.hold is not None:
            await self.hold.wait()
        if day is Day.LATE:
            self._late.append(request)
            raise UpstreamFailure("no answer in time", sent=True)
        if day is Day.LOST_BEFORE:
            raise UpstreamFailure("the connection was lost", sent=True)
        if day is Day.REFUSED:
            return _answer(422, {"error": "no"})
        if day is Day.BUSY:
            return _answer(429, {"error": "not now"})
        answer = self._written(request)
        await asyncio.sleep(0)
        if day is Day.LOST_AFTER:
            raise UpstreamFailure("the connection was lost", sent=True)
        return _answer(500, {"error": "applied, and yet"}) if day is Day.FAILED_AFTER else answer

    async def close(self) -> None:
        """There are no connections."""

    def _read(self, target: str) -> Answer:
        path, _, query = target.partition("?")
        tenant, kind, *rest = path.split("/")[3:]
        if not rest:
            wanted = query.removeprefix("ref=")
            items = [{"id": name[2], **state} for name, (_, state) in self.things.items() if name[:2] == (tenant, kind)]
            return _answer(200, {"items": [item for item in items if not wanted or item.get("ref") == wanted]})
        found = self.things.get((tenant, kind, rest[0]))
        return _answer(404, {"error": "there is none"}) if found is None else _answer(200, found[1], found[0])

    def _written(self, request: Outgoing) -> Answer:
        tenant, kind, *rest = request.target.split("/")[3:]
        headers = {name.decode().lower(): value.decode() for name, value in request.headers}
        body = orjson.loads(request.body) if request.body else {}
        if kind not in ("docs", "notes", "tallies") or len(rest) > 2 or not tenant:
            self.strange.append(f"{request.method} {request.target}")
            return _answer(404, {"error": "there is no such thing"})
        if not rest:
            return self._create(tenant, kind, headers, body)
        name = (tenant, kind, rest[0])
        version, state = self.things.get(name, (None, None))
        match = headers.get("if-match")
        if (match is not None and match != version) or (headers.get("if-none-match") == "*" and state is not None):
            return _answer(412, {"error": "it is at another version"})
        if state is None and request.method != "PUT" and kind != "tallies":
            return _answer(404, {"error": "there is none"})
        what = {"PATCH": "change", "PUT": "put", "DELETE": "delete"}.get(request.method) or (rest[1] if len(rest) == 2 else "add")
        self._apply(headers.get("idempotency-key"), name, what, _changed(what, state or {}, body))
        return _answer(200, {}) if what == "delete" or kind == "tallies" else _answer(200, self.things[name][1], self.things[name][0])

    def _create(self, tenant: str, kind: str, headers: Mapping[str, str], body: State) -> Answer:
        self.made[tenant, kind] += 1
        name = (tenant, kind, f"{kind}-{self.made[tenant, kind]}")
        self._apply(headers.get("idempotency-key"), name, "make", body)
        told = self.claimed.get(str(body.get("ref")), name[2])
        return _answer(201, {"id": told, **body}, self.things[name][0])

    def _apply(self, key: str | None, name: Name, what: str, after: State | None) -> None:
        self.log.append(Applied(key, name, what, self.now(name), after))
        if key is not None:
            self.applied[key] += 1
        self.versions += 1
        self.things.pop(name, None)
        if after is not None:
            self.things[name] = (f'"{self.versions}"', after)


def _changed(what: str, state: State, body: State) -> State | None:
    match what:
        case "delete":
            return None
        case "put":
            return body
        case "change":
            return {**state, **body}
        case "adjust":
            return {**state, "sum": _number(state) + _number(body, "by"), "last": body["ref"]}
        case "add":
            return {"sum": _number(state) + _number(body, "by")}
        case _:
            return {**state, "stamped": True}


def _number(state: State, name: str = "sum") -> int:
    value = state.get(name, 0)
    assert isinstance(value, int)
    return value


def _answer(status: int, body: object, version: str | None = None) -> Answer:
    headers = ((b"Content-Type", b"application/json"),)
    return Answer(status=status, headers=headers if version is None else (*headers, (b"ETag", version.encode())), body=orjson.dumps(body))
