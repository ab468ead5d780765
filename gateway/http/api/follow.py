"""The journal as it grows: server-sent events."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiohttp import web

from gateway.http.api import journal
from gateway.http.server.fields import Nothing
from gateway.http.server.requests import Selection
from gateway.http.server.route import Asked

POLLED = 0.25
"""Seconds between two looks at the journal."""

KEEP_ALIVE = 10.0
"""Seconds of silence after which a comment is sent: a client that went away shows when it is written to."""

AT_ONCE = 500

CLOSING: web.AppKey[asyncio.Event] = web.AppKey("closing", asyncio.Event)
"""Set when the door shuts: streams end by themselves, so that nothing has to be cut."""


async def follow(asked: Asked[Selection, Nothing]) -> web.StreamResponse:
    """Durable entries from ``after`` (or ``Last-Event-ID``) on, else those that come from now on; ends with the client."""
    after = asked.request.headers.get("Last-Event-ID") or asked.query.after or await _end(asked)
    await journal.entries(asked.services, asked.operator, asked.query, after, 1)  # a wrong cursor is still a problem document here
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    with suppress(ConnectionResetError):
        await response.prepare(asked.request)
        await response.write(b": entries of the journal follow\n\n")
        await _send(asked, response, after)
    return response


async def _send(asked: Asked[Selection, Nothing], response: web.StreamResponse, after: str) -> None:
    closing = asked.request.app[CLOSING]
    silent = 0.0
    while not closing.is_set() and asked.request.transport is not None:
        end = await _end(asked)
        page = await journal.entries(asked.services, asked.operator, asked.query, after, AT_ONCE)
        for line in page.items:
            await response.write(b"id: %b\nevent: entry\ndata: %b\n\n" % (journal.position_of(line).encode(), line))
        # Nothing up to `end` is left to see: the next look need not pass over it again.
        after = page.next or (journal.position_of(page.items[-1]) if page.items else end)
        silent = 0.0 if page.items else silent + POLLED
        if silent >= KEEP_ALIVE:
            await response.write(b": still here\n\n")
            silent = 0.0
        if page.next is None:
            with suppress(TimeoutError):
                await asyncio.wait_for(closing.wait(), POLLED)


async def _end(asked: Asked[Selection, Nothing]) -> str:
    tail = await asked.services.history.tail()
    return f"{tail.stream}/{tail.seq}"
