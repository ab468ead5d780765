"""What OPA's answers mean: a result, a rule that failed on the call, or nothing to go by.

The way to an OPA: one exchange at a time, one deadline over all of it, and no answer but a whole one of JSON.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import orjson
from yarl import URL

from gateway import errors
from gateway.clients import policy_bundle
from gateway.core.request import body

_LONGEST_ID = 100
_UNREADABLE = "answered something other than a whole JSON object"
_FAILED_RULE = frozenset({"eval_type_error", "eval_builtin_error", "eval_conflict_error"})
"""OPA's codes for what a rule does on the same input again and again; others (a cancelled query, say) may not come back."""


class RuleFailed(Exception):
    """A rule cannot be applied to what OPA was asked about; ``where`` is the rule's place, as far as OPA says."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where


@dataclass(frozen=True, slots=True)
class Result:
    """``value`` is ``None`` if it is undefined; ``bundles`` are those that answered, with their revisions ('' for none)."""

    value: object
    decision_id: str | None
    bundles: Mapping[str, str]

    @property
    def revision(self) -> str:
        """What the bundles call themselves: one's revision, several as ``name=revision``; '' if one has none."""
        if not all(self.bundles.values()):
            return ""
        if len(self.bundles) == 1:
            return next(iter(self.bundles.values()))
        return ",".join(f"{name}={revision}" for name, revision in sorted(self.bundles.items()))


def parse_result(answer: Answer) -> Result:
    """What an answer of the Data API says, asked for with ``provenance=true``.

    Raises:
        RuleFailed: the rule cannot be applied to the document; it would fail again.
        PolicyUnavailable: the answer is not a JSON object that every reader reads alike, or something else failed.
    """
    try:
        shown = body.loads(answer.body)
    except errors.MalformedRequest as error:
        raise _unavailable(_UNREADABLE) from error
    if not isinstance(shown, dict):
        raise _unavailable(_UNREADABLE)
    if answer.status != 200:
        raise _failure(shown.get("errors"), answer.status)
    decision_id, provenance = shown.get("decision_id"), shown.get("provenance")
    bundles = provenance.get("bundles") if isinstance(provenance, dict) else None
    return Result(
        shown.get("result"),
        decision_id if isinstance(decision_id, str) and 0 < len(decision_id) <= _LONGEST_ID else None,
        {name: _revision(one) for name, one in bundles.items()} if isinstance(bundles, dict) else {},
    )


def _failure(found: object, status: int) -> Exception:
    failed = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    if status != 500 or not failed or not all(one.get("code") in _FAILED_RULE for one in failed):
        return _unavailable(f"answered with status {status}")
    where = failed[0].get("location")
    return RuleFailed(f"{where.get('file')}:{where.get('row')}" if isinstance(where, dict) else "an unknown place")


def parse_modules(answer: Answer) -> dict[str, str]:
    """Rego by id, of a 200 of the Policy API; empty for any other answer: it may be forbidden."""
    try:
        listed = orjson.loads(answer.body)["result"] if answer.status == 200 else []
        return {str(one["id"]): str(one["raw"]) for one in listed}
    except (ValueError, TypeError, KeyError):
        return {}


def revision_of(found: Mapping[str, str]) -> str:
    """A name for modules that come in no bundle: 12 hex digits of SHA-256 over ids and contents, tests left out."""
    digest = hashlib.sha256()
    for name, content in sorted(found.items()):
        if not name.endswith(policy_bundle.TEST_SUFFIX):
            digest.update(b"%d:%s%d:%s" % (len(name.encode()), name.encode(), len(content.encode()), content.encode()))
    return digest.hexdigest()[:12]


def _revision(provenance: object) -> str:
    found = provenance.get("revision") if isinstance(provenance, dict) else None
    return found if isinstance(found, str) else ""


CONNECTIONS = 64
KEPT = 15.0
"""Seconds that an idle connection is kept."""

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; ``body`` was sent as JSON, which is not to say that it is."""

    status: int
    body: bytes


class Channel:
    """Connections to one OPA, of a session of their own. Made while an event loop runs.

    ``base`` is ``http://host:port`` or ``https://...``, with a path if OPA lies under one; ``socket`` is the Unix
    socket to dial instead of what ``base`` names.
    """

    def __init__(self, base: str, socket: str = "", *, connections: int = CONNECTIONS) -> None:
        self._base = base
        connector = (
            aiohttp.UnixConnector(socket, limit=connections, keepalive_timeout=KEPT)
            if socket
            else aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEPT)
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=_HEADERS,
            skip_auto_headers=("User-Agent",),
            # Nothing of one answer may colour the next, and no environment variable leads elsewhere.
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            # One deadline of our own instead: it holds for the wait for a connection and for reading the answer as well.
            timeout=aiohttp.ClientTimeout(total=None),
        )

    def at(self, path: str) -> URL:
        """The URL of a path and query as they are to be sent."""
        return URL(self._base + path, encoded=True)

    async def ask(self, method: str, url: URL, body: bytes | None = None, *, within: float, most: int) -> Answer:
        """Send once and take the answer, all ``within`` so many seconds and of at most ``most`` bytes.

        aiohttp resends what is idempotent after a dropped connection: GET is, POST is not.

        Raises:
            PolicyUnavailable: no such answer came.
        """
        try:
            async with (
                asyncio.timeout(within),
                self._session.request(method, url, data=body, allow_redirects=False, raise_for_status=False) as response,
            ):
                if response.content_type != "application/json" or "Content-Encoding" in response.headers:
                    raise _unavailable(f"answered something other than JSON (status {response.status})")
                return Answer(response.status, await _bounded(response.content, most))
        except TimeoutError as error:
            raise _unavailable(f"did not answer within {within * 1000:g} ms") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _unavailable("cannot be reached, or dropped the request") from error

    async def close(self) -> None:
        await self._session.close()


async def _bounded(content: aiohttp.StreamReader, most: int) -> bytes:
    body = bytearray()
    while chunk := await content.readany():
        body += chunk
        if len(body) > most:
            raise _unavailable(f"answered more than {most} bytes")
    return bytes(body)


def _unavailable(what: str) -> errors.PolicyUnavailable:
    return errors.PolicyUnavailable(f"The policy engine {what}.", retry_after=1.0)
