"""Whose call is this? From the lease to the run, and the headers that are for the gateway alone."""

from __future__ import annotations

import base64
import binascii
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from itertools import compress
from operator import itemgetter

from msgspec import Struct
from msgspec.structs import replace

from gateway import errors
from gateway.core.authorization import gate
from gateway.core.request import idempotency
from gateway.model.call import Call, Headers
from gateway.model.run import Lease, Run
from gateway.pipeline.evidence import Known, Step
from gateway.pipeline.stages.meter import Progress, StepCounter
from gateway.pipeline.tool import Tool, Tools
from gateway.ports.clock import Clock
from gateway.ports.keys import LeaseKeys
from gateway.ports.projections import Registry
from gateway.ports.triggers import TriggerMonitor

_READ = frozenset({b"authorization", b"idempotency-key", b"if-match", b"traceparent"})
"""Headers that the gateway reads, beside those that begin with ``Killcord-``."""

_ALWAYS_STRIPPED = frozenset({b"authorization", b"idempotency-key"})
_STRIPPED = _ALWAYS_STRIPPED | {b"cookie", b"cookie2"}
"""All tools are one origin to a client with a cookie jar: it would send one tool's session to another."""
_NAME_OF, _VALUE_OF = itemgetter(0), itemgetter(1)
_NAME = re.compile(r"[\x21-\x7e]{1,128}")
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_CONFIDENCE = re.compile(r"0?\.[0-9]{1,18}|[01](\.0{0,18})?")
_CACHED = 20_000


@dataclass(frozen=True, slots=True)
class Authenticate:
    """``ambient`` gives the lease of calls that bring none (a sidecar on loopback), or ``None``."""

    tools: Tools
    keys: LeaseKeys
    registry: Registry
    steps: StepCounter
    monitor: TriggerMonitor
    clock: Clock
    ambient: Callable[[], Lease | None] = lambda: None
    _verified: OrderedDict[bytes, Lease] = field(default_factory=OrderedDict)

    async def __call__(self, call: Call) -> Known:
        tool = self._tool(call.tool)
        found, kept = _split_headers(call.headers, tool)
        now = self.clock.now()
        claimed = self.claim(tool, found)
        run = await self._judged(claimed, now)
        progress = await self.steps.next(run)
        self.monitor.begin_call(run, progress.steps)
        own, approval = found.get(b"idempotency-key"), found.get(b"killcord-approval")
        trace, confidence = found.get(b"traceparent"), found.get(b"killcord-confidence")
        return Known(
            call=tool.fixed(replace(call, headers=kept)),
            tool=tool,
            run=run,
            lease=claimed,
            step=_step(found, progress),
            at=now,
            own_key=None if own is None else _key(own),
            if_match=bool(found.get(b"if-match", b"").strip(b", \t")),
            trace_id=None if trace is None else _trace(trace),
            confidence=None if confidence is None else _confidence(confidence),
            approval=None if approval is None else _name(approval, "Killcord-Approval"),
        )

    async def preview(self, name: str, headers: Headers) -> tuple[Run, Lease]:
        """The run and the lease of a call, by its head alone; nothing is counted.

        Raises:
            ToolUnknown, LeaseMissing, LeaseInvalid, LeaseExpired, LeaseRevoked, MalformedRequest: no body could make it pass.
        """
        claimed = self.claim(self._tool(name), {name.lower(): value for name, value in headers})
        return await self._judged(claimed, self.clock.now()), claimed

    def _tool(self, name: str) -> Tool:
        tool = self.tools.get(name)
        if tool is None:
            raise errors.ToolUnknown(f"There is no tool named {name!r} here.")
        return tool

    async def _judged(self, claimed: Lease, now: float) -> Run:
        return gate.authenticate(claimed, await self.registry.run(claimed.run_id), now=now)

    def claim(self, tool: Tool | None, found: Mapping[bytes, bytes]) -> Lease:
        """The claims of the one lease that the headers (names in lower case) carry.

        Raises:
            LeaseMissing, LeaseInvalid, MalformedRequest: none, one that is not ours, or more than one.
        """
        token = _token(tool, found)
        if token is not None:
            return self._verify(token)
        ambient = self.ambient()
        if ambient is None:
            raise errors.LeaseMissing
        return ambient

    def _verify(self, token: bytes) -> Lease:
        digest = sha256(token).digest()
        if (known := self._verified.get(digest)) is not None:
            return known
        try:
            claimed = self.keys.verify(token.decode("ascii"))
        except UnicodeDecodeError as error:
            raise errors.LeaseInvalid from error
        self._verified[digest] = claimed
        if len(self._verified) > _CACHED:
            self._verified.popitem(last=False)
        return claimed


def _step(found: Mapping[bytes, bytes], progress: Progress) -> Step:
    """The step that a call takes: by its headers, or the next of its run, after the one before."""
    named, parent, before = found.get(b"killcord-step"), found.get(b"killcord-parent-step"), progress.last
    progress.last = f"auto-{progress.calls}" if named is None else _name(named, "Killcord-Step")
    parent_id = before if parent is None else _name(parent, "Killcord-Parent-Step")
    return Step(progress.last, parent_id, named is not None, parent is not None)


def _token(tool: Tool | None, found: Mapping[bytes, bytes]) -> bytes | None:
    authorization = found.get(b"authorization", b"")
    scheme, _, rest = authorization.partition(b" ")
    tokens = [found[b"killcord-lease"]] if b"killcord-lease" in found else []
    if scheme.lower() == b"bearer":
        tokens.append(rest.strip())
    elif scheme.lower() == b"basic" and tool is not None and tool.lease_basic:
        tokens.append(_password(rest))
    if tool is not None and tool.lease_header not in (None, b"authorization") and tool.lease_header in found:
        tokens.append(found[tool.lease_header])
    elif tool is not None and tool.lease_header == b"authorization" and authorization and not tokens:
        tokens.append(authorization)
    if len(tokens) > 1:
        raise errors.MalformedRequest("The call carries more than one lease.", hint="Send the lease in exactly one header.")
    return tokens[0] if tokens else None


def _password(encoded: bytes) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True).partition(b":")[2]
    except binascii.Error as error:
        raise errors.LeaseInvalid("The Basic credentials with the lease are not base64.") from error


def _split_headers(headers: Headers, tool: Tool) -> tuple[dict[bytes, bytes], Headers]:
    """The headers for the gateway, by name in lower case; and those that the tool, expressions and records may see."""
    split = _split_names(tuple(map(_NAME_OF, headers)), tool.lease_header, tool.cookies)
    found = dict(zip(split.names, map(_VALUE_OF, compress(headers, split.read)), strict=True))
    kept = tuple(compress(headers, split.kept))
    if b"if-match" in found and not found[b"if-match"].strip(b", \t"):
        # An If-Match without a tag is no condition: it must not take the place of the gateway's own.
        kept = tuple([pair for pair in kept if pair[0].lower() != b"if-match"])
    return found, kept


class _Split(Struct, frozen=True):
    """Which of a call's headers the gateway reads, those by ``names`` in lower case, and which go further."""

    names: tuple[bytes, ...]
    read: tuple[bool, ...]
    kept: tuple[bool, ...]


@lru_cache(512)
def _split_names(names: tuple[bytes, ...], lease_header: bytes | None, cookies: bool) -> _Split:
    """A client's calls have the same names again and again."""
    lower = [name.lower() for name in names]
    stripped = _ALWAYS_STRIPPED if cookies else _STRIPPED
    ours = [low.startswith(b"killcord-") or low == lease_header for low in lower]
    read = tuple([own or low in _READ for low, own in zip(lower, ours, strict=True)])
    kept = tuple([not own and low not in stripped for low, own in zip(lower, ours, strict=True)])
    return _Split(tuple(compress(lower, read)), read, kept)


def _checked(text: str, pattern: re.Pattern[str], problem: str) -> str:
    if not pattern.fullmatch(text):
        raise errors.MalformedRequest(problem)
    return text


def _name(value: bytes, header: str) -> str:
    return _checked(value.decode("latin-1"), _NAME, f"{header} is not 1 to 128 visible ASCII characters.")


def _key(value: bytes) -> str:
    """The agent's own key, without quotes: as long as clients make them, a blank inside it too."""
    key = idempotency.own_key(value.decode("latin-1"))
    return _checked(key, _KEY, "Idempotency-Key is not 1 to 255 printable ASCII characters, quoted or not.")


def step_of(found: Mapping[bytes, bytes]) -> str | None:
    """The step that a call names, as far as it is one."""
    text = found.get(b"killcord-step", b"").decode("latin-1")
    return text if _NAME.fullmatch(text) else None


def _trace(traceparent: bytes) -> str | None:
    parts = traceparent.split(b"-")
    return parts[1].decode("ascii") if len(parts) >= 4 and re.fullmatch(rb"[0-9a-f]{32}", parts[1]) else None


def _confidence(value: bytes) -> int:
    """How sure the agent says it is, in millionths."""
    text = _checked(value.decode("latin-1"), _CONFIDENCE, "Killcord-Confidence is not a number from 0 to 1, such as 0.85.")
    return int(Decimal(text) * 1_000_000)
