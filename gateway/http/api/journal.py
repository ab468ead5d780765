"""The journal, read: entries as they are stored, byte for byte, and the signed heads."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from aiohttp import web

from gateway.core.codec import records
from gateway.http.server import answers, paging, problem, reach
from gateway.http.server.answers import Page
from gateway.http.server.fields import Nothing
from gateway.http.server.operators import Operator
from gateway.http.server.requests import ListEntries, Selection
from gateway.http.server.route import Asked
from gateway.http.server.services import Services
from gateway.model.entry import Head
from gateway.ports.journal import Query

LINES = "application/x-ndjson"


async def list_entries(asked: Asked[ListEntries, Nothing]) -> web.Response:
    """Entries, ascending. ``Accept: application/x-ndjson`` gives one a line, and the cursor in ``Killcord-Next``."""
    page = await entries(asked.services, asked.operator, asked.query, asked.query.after, asked.query.limit)
    if LINES in asked.request.headers.get("Accept", ""):
        headers = {} if page.next is None else {"Killcord-Next": page.next}
        return web.Response(body=b"".join(line + b"\n" for line in page.items), content_type=LINES, headers=headers)
    # Put together from the stored bytes: what a reader hashes is what was chained.
    body = b'{"items":[%b],"next":%b}' % (b",".join(page.items), orjson.dumps(page.next))
    return web.Response(body=body, content_type="application/json")


async def one_entry(asked: Asked[Nothing, Nothing]) -> web.Response:
    """One entry, as it is stored."""
    where = f"{asked.part('stream')}/{asked.part('seq')}"
    position = records.position_of(where)
    line = None if position is None or position.seq >= 2**53 else await asked.services.history.entry(position)
    if line is None or not await reach.entry(asked.services.registry, asked.operator, orjson.loads(line)):
        raise problem.NotFound(f"There is no entry {where}.")
    return web.Response(body=line, content_type="application/json")


async def list_heads(asked: Asked[Nothing, Nothing]) -> web.Response:
    """The latest signed head of each stream, the key they verify under, and where the journal ends now."""
    return answers.json(await _heads(asked.services))


async def sign_head(asked: Asked[Nothing, Nothing]) -> web.Response:
    """Sign the journal's newest entry now, then as above."""
    await asked.services.sign_head()
    return answers.json(await _heads(asked.services))


async def entries(services: Services, operator: Operator, wanted: Selection, after: str | None, limit: int) -> Page[bytes]:
    """A page of what an operator may see of the journal.

    Raises:
        BadRequest: the cursor is none of this journal's.
    """

    async def fetch(after: str | None, limit: int) -> Sequence[bytes]:
        kind = None if wanted.kind is None else wanted.kind.value
        try:
            return await services.history.entries(Query(run=wanted.run, tenant=wanted.tenant, kind=kind, after=after, limit=limit))
        except (ValueError, OverflowError) as wrong:
            raise problem.BadRequest(f"after: {wrong}") from wrong

    async def keep(line: bytes) -> bool:
        return operator.everywhere or await reach.entry(services.registry, operator, orjson.loads(line))

    return await paging.collect(fetch, position_of, keep, after=after, limit=limit)


def position_of(line: bytes) -> str:
    """Where an entry stands: the cursor behind it."""
    fields = orjson.loads(line)
    return f"{fields['stream']}/{fields['seq']}"


async def _heads(services: Services) -> dict[str, object]:
    tail = await services.history.tail()
    return {
        "items": [_shown(head) for head in await services.history.heads()],
        "next": None,
        "verifier_key": services.head_signer.verifier_key,
        "tail": {"stream": tail.stream, "seq": tail.seq, "hash": tail.hash, "ts": tail.ts},
    }


def _shown(head: Head) -> dict[str, object]:
    return {"stream": head.stream, "seq": head.seq, "hash": head.hash, "ts": head.ts, "checkpoint": head.note}
