"""A tool's answer: kept whole as far as the gateway looks into it, given up, and as expressions see it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping

from gateway.core.adapter import objects
from gateway.core.request import body as request_body
from gateway.core.request import coding
from gateway.model.call import Answer

BOUND = 1 << 20
"""Bytes of a body that are read to judge it: of an object, where more counts as unreadable, and of a write's reply, where more streams."""


async def gathered(answer: Answer, within: float | None = None) -> Answer:
    """The answer with its body, complete up to ``BOUND`` bytes; a longer one keeps its ``rest``.

    So does, where there is a bound of ``within`` seconds, one that takes longer and a stream of events.
    """
    if answer.rest is None or (within is not None and _streams(answer)):
        return answer
    parts, size = [answer.body], len(answer.body)
    try:
        async with asyncio.timeout(within):
            while size <= BOUND:
                chunk = await anext(answer.rest, None)
                if chunk is None:
                    return Answer(status=answer.status, headers=answer.headers, body=b"".join(parts))
                parts.append(chunk)
                size += len(chunk)
    except TimeoutError:
        pass  # it drips: what is judged by its status alone must not stay in flight for as long as the tool likes
    except BaseException:
        await discard(answer)
        raise
    return Answer(status=answer.status, headers=answer.headers, body=b"".join(parts), rest=answer.rest)


def _streams(answer: Answer) -> bool:
    return any(name.lower() == b"content-type" and value.lower().startswith(b"text/event-stream") for name, value in answer.headers)


async def discard(answer: Answer) -> None:
    """Give up what is still to come of an answer."""
    closing = getattr(answer.rest, "aclose", None)
    if closing is not None:
        await closing()


@functools.lru_cache(4096)
def _name(raw: bytes) -> str:
    return raw.decode("latin-1").lower()


def reply_document(answer: Answer, *, parsed: bool = True) -> dict[str, object]:
    """A tool's answer as expressions see it, as ``reply``: ``bytes`` without content codings, and ``body`` as JSON.

    Both are ``None`` if they are not complete, not to be parsed, or cannot be read; so is the body if it is no JSON.

    Names of headers are in lower case, and of repeated ones the first counts.
    """
    headers = {_name(name): value.decode("latin-1") for name, value in reversed(answer.headers)}  # so that the first one stays
    headers.pop("set-cookie", None)
    plain = None
    if parsed and answer.rest is None:
        plain = coding.plain(answer.headers, answer.body) if "content-encoding" in headers else answer.body
    return {"status": answer.status, "headers": headers, "body": request_body.json_value(plain), "bytes": plain}


def garbled(reply: Mapping[str, object]) -> str:
    """Why a body without a value that is JSON by its type (or, without one, by its beginning) cannot be read as that, as a phrase; empty
    if it can be, or there is none.
    """
    plain, headers = reply["bytes"], reply["headers"]
    if not plain or not isinstance(plain, bytes) or not isinstance(headers, Mapping):
        return ""
    content_type = str(headers.get("content-type", ""))
    called = objects.is_json(content_type) if content_type else request_body.begins_like_json(plain)
    return request_body.why_not_json(plain) or "" if called else ""


def unreadable(answer: Answer, reply: Mapping[str, object]) -> bool:
    """Whether a complete answer has a body of which nothing is known, since its coding is unknown or broken, or it expands to too much."""
    return answer.complete and reply["bytes"] is None
