"""The journal: entries as they are stored, byte for byte; the journal as it grows; its signed heads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import orjson
from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from gateway.core.codec import entry as codec
from gateway.core.codec.record import position_of
from gateway.http.server import paging, problem
from gateway.http.server.fields import OPEN, Cursor, Id, Page, Paged, Query, Timestamp
from gateway.http.server.operators import Permission
from gateway.http.server.request import Request, Services, found
from gateway.http.server.routing import JSON, Routes
from gateway.model.entry import Kind
from gateway.ports import journal

LINES = "application/x-ndjson"
EVENTS = "text/event-stream"

POLLED = 0.25
"""Seconds between two looks at the journal."""

KEEP_ALIVE = 10.0
"""Seconds of silence after which a comment is sent: only a write shows that a client went away."""

AT_ONCE = 500
"""Entries read at once for a client that follows."""

CLOSING: web.AppKey[asyncio.Event] = web.AppKey("closing", asyncio.Event)
"""Set when the server stops: streams then end normally, and none has to be cut."""

ROUTES = Routes()


class FollowJournal(Query):
    run: Id | None = None
    tenant: Id | None = None
    kind: Kind | None = None
    after: Cursor | None = Field(default=None, pattern=r"^[^/]{1,200}/[0-9]{1,16}$", description="`<stream>/<seq>`")


class ListEntries(FollowJournal, Paged):
    pass


class Inspection(TypedDict):
    """What is wrong with the stored journal beside its chain, one line each, and the newest signed notes of its anchor."""

    problems: list[str]
    anchored: list[str]


@OPEN
class Entry(TypedDict):
    """An entry as it is stored; its other members are those of its kind. Hashes are SHA-256, in hex."""

    stream: str
    seq: int
    ts: Timestamp
    kind: Kind
    hash: str
    prev_hash: str


class EntryPage(Page):
    """Entries, ascending, byte for byte as they are stored."""

    items: list[Entry]


class _Place(TypedDict):
    stream: str
    seq: int
    hash: str


class Tail(_Place):
    """The newest entry of the journal. While there is none, ``seq`` is 0 and ``ts`` empty."""

    ts: str


class Head(_Place):
    """The end of a stream at a time, signed: ``checkpoint`` is a C2SP signed note."""

    ts: Timestamp
    checkpoint: str


class HeadPage(Page):
    """The latest signed head of each stream, the key that they verify under, and where the journal ends now."""

    items: list[Head]
    verifier_key: str
    tail: Tail


@ROUTES.get("/v1/journal", Permission.READ_JOURNAL, {200: EntryPage}, also=LINES)
async def list_entries(request: Request, query: ListEntries) -> web.Response:
    """Entries of the journal, as they are stored; with `Accept: application/x-ndjson` one a line, and the cursor in `Killcord-Next`."""
    page = await _entries(request, query)
    if LINES in request.raw.headers.get("Accept", ""):
        headers = {} if page.next is None else {"Killcord-Next": page.next}
        return web.Response(body=b"".join(line + b"\n" for line in page.rows), content_type=LINES, headers=headers)
    # Put together from the stored bytes: what a reader hashes is what was chained.
    body = b'{"items":[%b],"next":%b}' % (b",".join(page.rows), orjson.dumps(page.next))
    return web.Response(body=body, content_type=JSON)


@ROUTES.get("/v1/journal/heads", Permission.READ_JOURNAL, {200: HeadPage})
async def list_heads(request: Request) -> HeadPage:
    """The latest signed head of each stream."""
    return await _heads(request.services)


@ROUTES.post("/v1/journal/heads", Permission.SIGN_HEADS, {200: HeadPage})
async def sign_head(request: Request) -> HeadPage:
    """Sign a head over the newest entry now. It writes nothing while the newest entry has one."""
    await request.services.sign_head()
    return await _heads(request.services)


@ROUTES.post("/v1/journal/inspection", Permission.SIGN_HEADS, {200: Inspection})
async def inspect(request: Request) -> Inspection:
    """Compare the tables with all entries, and the blobs with their digests. It takes minutes for a long journal."""
    if not request.operator.everywhere:
        raise problem.Forbidden("An inspection names objects of every tenant; this token is limited to some.")
    return {"problems": await request.services.inspect(), "anchored": request.services.anchored()}


@ROUTES.get(
    "/v1/journal/follow", Permission.READ_JOURNAL, {200: "server-sent events `entry`, with `<stream>/<seq>` as their id"}, media=EVENTS
)
async def follow_journal(request: Request, query: FollowJournal) -> web.StreamResponse:
    """The journal as it grows: from `after` or `Last-Event-ID` on, else what comes from now on."""
    after = request.raw.headers.get("Last-Event-ID") or query.after or await _end(request.services)
    await _entries(request, _listing_after(query, after, 1))  # a wrong cursor is still a problem document here
    response = web.StreamResponse(headers={"Content-Type": EVENTS})
    with suppress(ConnectionResetError):
        await response.prepare(request.raw)
        await response.write(b": entries of the journal follow\n\n")
        await _stream(request, query, response, after)
    return response


@ROUTES.get("/v1/journal/{stream}/{seq}", Permission.READ_JOURNAL, {200: Entry})
async def show_entry(request: Request, stream: str, seq: str) -> web.Response:
    """One entry, as it is stored."""
    position = position_of(f"{stream}/{seq}")
    line = None if position is None or position.seq >= 2**53 else await request.services.history.line(position)
    seen = line is not None and await request.sees(codec.decode(line))
    return web.Response(body=found(line if seen else None, f"entry {stream}/{seq}"), content_type=JSON)


async def _entries(request: Request, query: ListEntries) -> paging.Page[bytes]:
    """A page of what the operator may see of the journal.

    Raises:
        BadRequest: the cursor is not one of this journal.
    """

    async def fetch(*, after: str | None, limit: int) -> Sequence[bytes]:
        asked = journal.Query(run=query.run, tenant=query.tenant, kind=query.kind, after=after, limit=limit)
        try:
            return await request.services.history.lines(asked)
        except (ValueError, OverflowError) as wrong:
            raise problem.BadRequest(f"after: {wrong}") from wrong

    async def keep(line: bytes) -> bool:
        return request.operator.everywhere or await request.sees(codec.decode(line))

    return await paging.collect(fetch, _position, query, keep)


def _listing_after(query: FollowJournal, after: str, limit: int) -> ListEntries:
    """The list of the entries behind a cursor, which is the gateway's own or checked by the journal."""
    return ListEntries.model_construct(**{**dict(query), "after": after, "limit": limit})


async def _stream(request: Request, query: FollowJournal, response: web.StreamResponse, after: str) -> None:
    closing = request.raw.app[CLOSING]
    silent = 0.0
    while not closing.is_set() and request.raw.transport is not None:
        end = await _end(request.services)
        page = await _entries(request, _listing_after(query, after, AT_ONCE))
        for line in page.rows:
            await response.write(b"id: %b\nevent: entry\ndata: %b\n\n" % (_position(line).encode(), line))
        # Nothing up to `end` is left to see: the next look need not pass over it again.
        after = page.next or (_position(page.rows[-1]) if page.rows else end)
        silent = 0.0 if page.rows else silent + POLLED
        if silent >= KEEP_ALIVE:
            await response.write(b": still here\n\n")
            silent = 0.0
        if page.next is None:
            with suppress(TimeoutError):
                await asyncio.wait_for(closing.wait(), POLLED)


async def _end(services: Services) -> str:
    tail = await services.history.tail()
    return f"{tail.stream}/{tail.seq}"


def _position(line: bytes) -> str:
    """Where an entry stands: the cursor behind it."""
    return str(codec.position_in(line))


async def _heads(services: Services) -> HeadPage:
    tail = await services.history.tail()
    return {
        "items": [
            {"stream": one.stream, "seq": one.seq, "hash": one.hash, "ts": one.ts, "checkpoint": one.note}
            for one in await services.history.heads()
        ],
        "next": None,
        "verifier_key": services.head_signer.verifier_key,
        "tail": {"stream": tail.stream, "seq": tail.seq, "hash": tail.hash, "ts": tail.ts},
    }
