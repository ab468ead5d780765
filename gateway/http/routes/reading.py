"""What is on record: the journal and its heads."""

from __future__ import annotations

from typing import Any

from gateway.http.api import follow, journal
from gateway.http.server import requests
from gateway.http.server.operators import Permission
from gateway.http.server.route import Route

ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/v1/journal",
        summary="Entries of the journal, as they are stored; one a line for `Accept: application/x-ndjson`.",
        permission=Permission.READ_JOURNAL,
        query=requests.ListEntries,
        answers={200: "a list of entries, ascending"},
        handler=journal.list_entries,
    ),
    Route(
        method="GET",
        path="/v1/journal/heads",
        summary="The latest signed head of each stream.",
        permission=Permission.READ_JOURNAL,
        answers={200: "a list of heads, with `verifier_key` and `tail`"},
        handler=journal.list_heads,
    ),
    Route(
        method="POST",
        path="/v1/journal/heads",
        summary="Sign a head over the newest entry now.",
        permission=Permission.READ_JOURNAL,
        answers={200: "a list of heads, with `verifier_key` and `tail`"},
        handler=journal.sign_head,
    ),
    Route(
        method="GET",
        path="/v1/journal/follow",
        summary="The journal as it grows.",
        permission=Permission.READ_JOURNAL,
        query=requests.Selection,
        answers={200: "server-sent events `entry`, with `<stream>/<seq>` as their id"},
        media="text/event-stream",
        handler=follow.follow,
    ),
    Route(
        method="GET",
        path="/v1/journal/{stream}/{seq}",
        summary="One entry, as it is stored.",
        permission=Permission.READ_JOURNAL,
        answers={200: "the entry"},
        handler=journal.one_entry,
    ),
)
