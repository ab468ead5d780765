"""Answers as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import orjson
from aiohttp import web

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items, ascending, and the cursor to go on from; ``None`` where there are no more."""

    items: Sequence[Item]
    next: str | None


def json(value: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json")


def listed(page: Page[dict[str, object]]) -> web.Response:
    return json({"items": page.items, "next": page.next})
