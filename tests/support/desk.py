"""Two tools on one adapter, in this process: issues of projects, that the gateway's agents and other people write side by side.

Issues stand under ``/v1/{tenant}/projects/{project}/issues/{id}``. Ids are counted in each project of each tool, so every project of both
has an issue 1. No version is used twice. For a moment after a write, reads may come from a replica that has not seen it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple
from urllib.parse import parse_qs

import orjson

from gateway.errors import UpstreamFailure
from gateway.model.call import Answer, Outgoing
from gateway.observe.metrics import ToolReplies

TOOLS = ("eu", "us")
PROJECTS = ("web", "api")

LAG = 0.01
"""Seconds for which a replica may answer with what was there before a write."""
LATE = 0.005
"""Seconds after which a write arrives whose connection was dropped first."""

_ADAPTER = """
system: desk
tenant: request.path.tenant
objects:
  issue: {path: "/v1/{tenant}/projects/{project}/issues/{id}", version: reply.headers.etag, state: reply.body}
actions:
  - {name: issue.read, match: {method: GET, path: "/v1/{tenant}/projects/{project}/issues/{id}"}, object: issue, effect: read}
  - name: issue.open
    match: {method: POST, path: "/v1/{tenant}/projects/{project}/issues"}
    creates: {object: issue, id: reply.body.id}
    effect: write
    class: reversible
    idempotency: {header: Idempotency-Key<own>}
    probe:
      applied: object.body.text == request.body.text
      find:
        path: "/v1/{tenant}/projects/{project}/issues"
        query: {text: request.body.text}
        items: reply.body.items
        id: object.body.id<whole>
      settle: 60ms
    compensation: {type: delete_created, by: issue.delete, auto: true}
  - name: issue.edit
    match: {method: PATCH, path: "/v1/{tenant}/projects/{project}/issues/{id}"}
    object: issue
    effect: write
    class: reversible
    guard: if_match
    idempotency: {header: Idempotency-Key<own>}
    probe: {applied: object.body.text == request.body.text, settle: 60ms}
    compensation: {type: restore_previous_version, by: issue.put, auto: true}
  - name: issue.put
    match: {method: PUT, path: "/v1/{tenant}/projects/{project}/issues/{id}"}
    object: issue
    effect: write
    class: reversible
    guard: if_match
    idempotency: {header: Idempotency-Key<own>}
    probe: {applied: object.body.text == request.body.text, settle: 60ms}
    compensation: {type: restore_previous_version, by: issue.put, auto: true, delete_created: issue.delete}
  - name: issue.delete
    match: {method: DELETE, path: "/v1/{tenant}/projects/{project}/issues/{id}"}
    object: issue
    effect: write
    class: reversible
    guard: if_match
    idempotency: {header: Idempotency-Key<own>}
    probe: {applied: "object == `null`", settle: 60ms}
    compensation: {type: restore_previous_version, by: issue.put, auto: true}
"""


def adapter(*, together: bool, whole: bool) -> str:
    """The adapter of both tools. ``together``: own key and content are looked up together; ``whole``: it knows a whole listing."""
    text = _ADAPTER.replace("<own>", ", own: together" if together else "")
    return text.replace("<whole>", "\n        whole: reply.body.whole" if whole else "")


State = Mapping[str, object]


class Name(NamedTuple):
    """An issue, among all tools."""

    tool: str
    tenant: str
    project: str
    id: str


class Day(Enum):
    """What becomes of a write: done, refused, lost before or after it was applied, applied after its connection was dropped, an error
    after it was applied.
    """

    GOOD = auto()
    REFUSED = auto()
    LOST_BEFORE = auto()
    LOST_AFTER = auto()
    LATE = auto()
    FAILED_AFTER = auto()


@dataclass(frozen=True, slots=True)
class Applied:
    """A write that took place: by which key (``None``: by somebody, not through the gateway), and what it made of what."""

    key: str | None
    name: Name
    text: object
    before: State | None
    after: State | None


@dataclass(slots=True)
class Desk:
    """``day`` says what becomes of the next write, ``lags`` whether a read comes from a replica."""

    day: Callable[[Outgoing], Day]
    lags: Callable[[Outgoing], bool]
    things: dict[Name, tuple[str, State]] = field(default_factory=dict)
    log: list[Applied] = field(default_factory=list)
    replies: ToolReplies = field(default_factory=ToolReplies)
    _replica: dict[Name, tuple[float, tuple[str, State] | None]] = field(default_factory=dict)
    _late: deque[tuple[float, Outgoing]] = field(default_factory=deque)
    _counted: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _versions: int = 0

    def now(self, name: Name) -> State | None:
        found = self.things.get(name)
        return None if found is None else found[1]

    def of(self, tenant: str) -> list[Applied]:
        return [one for one in self.log if one.name.tenant == tenant]

    def edit(self, name: Name, text: str | None) -> None:
        """Somebody else writes an issue's text, or removes it."""
        self._apply(None, name, text, None if text is None else {"id": name.id, "text": text})

    def open(self, tool: str, tenant: str, project: str, text: str) -> None:
        """Somebody else opens an issue."""
        self.edit(self._next(tool, tenant, project), text)

    async def send(self, request: Outgoing, fence: Callable[[], None]) -> Answer:
        await asyncio.sleep(0)
        fence()
        self._arrive()
        if request.method == "GET":
            return self._read(request)
        day = self.day(request)
        match day:
            case Day.REFUSED:
                return _answer(422, {"error": "no"})
            case Day.LOST_BEFORE:
                raise UpstreamFailure("the connection was lost", sent=True)
            case Day.LATE:
                loop = asyncio.get_running_loop()
                self._late.append((loop.time() + LATE, request))
                loop.call_at(self._late[-1][0], self._arrive)
                raise UpstreamFailure("the connection was lost", sent=True)
        answer = self._written(request)
        await asyncio.sleep(0)
        if day is Day.LOST_AFTER:
            raise UpstreamFailure("the connection was lost", sent=True)
        return _answer(500, {"error": "applied, and yet"}) if day is Day.FAILED_AFTER else answer

    def _arrive(self) -> None:
        """Apply the writes whose time has come. Looked at before each request too: a busy loop may call its timers late."""
        while self._late and self._late[0][0] <= asyncio.get_running_loop().time():
            self._written(self._late.popleft()[1])

    async def quiet(self) -> None:
        """Wait until nothing is on its way any more, as somebody does who has to say what took place."""
        while self._late:
            await asyncio.sleep(LATE)
            self._arrive()

    async def close(self) -> None:
        """There are no connections."""

    def _read(self, request: Outgoing) -> Answer:
        tool, (path, _, query) = request.tool, request.target.partition("?")
        _, _, tenant, _, project, _, *rest = path.split("/")
        if not rest:
            wanted = parse_qs(query).get("text", [None])[0]
            listed = [state for name, (_, state) in self.things.items() if name[:3] == (tool, tenant, project)]
            return _answer(200, {"items": [one for one in listed if wanted in (None, one["text"])], "whole": True})
        name = Name(tool, tenant, project, rest[0])
        found = self.things.get(name)
        since, old = self._replica.get(name, (0.0, None))
        if asyncio.get_running_loop().time() - since < LAG and self.lags(request):
            found = old
        return _answer(404, {"error": "there is none"}) if found is None else _answer(200, found[1], found[0])

    def _written(self, request: Outgoing) -> Answer:
        _, _, tenant, _, project, _, *rest = request.target.split("/")
        headers = {name.decode().lower(): value.decode() for name, value in request.headers}
        key, body = headers.get("idempotency-key"), orjson.loads(request.body) if request.body else {}
        name = Name(request.tool, tenant, project, rest[0]) if rest else self._next(request.tool, tenant, project)
        version, state = self.things.get(name, (None, None))
        match = headers.get("if-match")
        if (match is not None and match != version) or (headers.get("if-none-match") == "*" and state is not None):
            return _answer(412, {"error": "it is at another version"})
        if state is None and request.method in ("PATCH", "DELETE"):
            return _answer(404, {"error": "there is none"})
        after = None if request.method == "DELETE" else {"id": name.id, "text": body["text"]}
        self._apply(key, name, None if after is None else body["text"], after)
        return _answer(200, {}) if after is None else _answer(200 if rest else 201, after, self.things[name][0])

    def _next(self, tool: str, tenant: str, project: str) -> Name:
        self._counted[tool, tenant, project] += 1
        return Name(tool, tenant, project, str(self._counted[tool, tenant, project]))

    def _apply(self, key: str | None, name: Name, text: object, after: State | None) -> None:
        self._replica[name] = (asyncio.get_running_loop().time(), self.things.get(name))
        self.log.append(Applied(key, name, text, self.now(name), after))
        self._versions += 1
        self.things.pop(name, None)
        if after is not None:
            self.things[name] = (f'"{self._versions}"', after)


def _answer(status: int, body: object, version: str | None = None) -> Answer:
    headers = ((b"Content-Type", b"application/json"),)
    return Answer(status=status, headers=headers if version is None else (*headers, (b"ETag", version.encode())), body=orjson.dumps(body))
