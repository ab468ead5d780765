"""What was sealed with the effects of one node of a plan, read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway import errors
from gateway.core.adapter import carried
from gateway.core.rollback import effects
from gateway.model.call import NOTHING_CARRIED, Carried
from gateway.model.effect import Write
from gateway.model.entry import Sealed
from gateway.model.rollback import Node
from gateway.pipeline import sealed_payloads
from gateway.pipeline.answers import reply_document
from gateway.pipeline.compensation.node_outcome import Conflict
from gateway.pipeline.sealed_payloads import Request, Snapshot
from gateway.pipeline.tool import Tools
from gateway.ports.vault import Vault


class Payloads:
    """Reads the payloads of one node, for one attempt. The first read fetches what the node is likely to need in one query; ``sent`` adds
    the replies that are needed before its call is sent. Each of them is decrypted and parsed once.

    Discard this object after the attempt: the tenant may be forgotten afterwards.

    Methods raise ``Conflict`` if what they read was not kept, or was forgotten with its tenant.
    """

    def __init__(self, vault: Vault, tools: Tools, node: Node, writes: Sequence[Write], *, sent: bool) -> None:
        self._vault = vault
        self._tools = tools
        self._node = node
        newest = writes[-1]
        originals = [one.args_ref for one in writes if one.wire_key == node.original]
        replies = (node.reply_ref, newest.reply_ref) if sent else ()
        self._needed = {ref for ref in (*originals, newest.args_ref, *replies, node.snapshot_ref) if ref is not None}
        self._sealed: Mapping[str, Sealed] | None = None
        self._requests: dict[str | None, Request] = {}
        self._replies: dict[str | None, dict[str, object]] = {}
        self._snapshot: Snapshot | None = None

    async def request(self, write: Write) -> Request:
        """The request of one of the node's effects."""
        if (known := self._requests.get(write.args_ref)) is not None:
            return known
        tool = self._tools[write.tool].catalog
        request = sealed_payloads.request_from(await self._open(write.args_ref, "its request"), tool.variables)
        kind = tool.actions.get(write.action)
        if kind is not None and kind.own is not None and request.carried == NOTHING_CARRIED:
            # An earlier version of the gateway, or of the adapter, did not look at what may have said where the call went.
            request = replace(request, carried=_recovered(kind.own, request))
        self._requests[write.args_ref] = request
        return request

    async def reply(self, ref: str | None) -> dict[str, object]:
        """A reply as expressions see it."""
        if (known := self._replies.get(ref)) is not None:
            return known
        reply = reply_document(sealed_payloads.reply_from(await self._open(ref, "its reply")))
        if ref in self._needed:  # the others are read one by one: a long chain's replies together may be large
            self._replies[ref] = reply
        return reply

    async def snapshot(self) -> Snapshot | None:
        """The object before the node's first effect; ``None`` if its compensation does not need that."""
        if self._snapshot is None and self._node.snapshot_ref is not None:
            self._snapshot = sealed_payloads.snapshot_from(await self._open(self._node.snapshot_ref, "the state before it"))
        return self._snapshot

    async def _open(self, ref: str | None, what: str) -> bytes:
        if self._sealed is None:
            self._sealed = await self._vault.fetch(self._needed)
        try:
            sealed = self._sealed.get(ref or "")
            plain = await (self._vault.open(ref) if sealed is None else self._vault.unseal(sealed))
        except KeyError as error:
            raise Conflict(f"{what} was forgotten with its tenant") from error
        if plain is None:
            raise Conflict(f"{what} was not kept")
        return plain


def _recovered(own: carried.Own, request: Request) -> Carried:
    """What the gateway's own requests for an effect carry, derived from the headers and query that were sealed with it.

    Raises:
        Conflict: something undeclared may have said where the call went, or a value cannot be sent.
    """
    asked: Any = request.document["request"]
    try:
        found = carried.carried(own, request.document, asked["headers"], asked.get("query") or {})
    except errors.MalformedRequest as error:
        raise Conflict(f"its compensation cannot be sent: {error.detail}") from error
    if found.undeclared:
        raise Conflict(effects.why_destination_unknown(found.undeclared))
    if any(name == carried.LANGUAGE for name, _ in found.headers):
        raise Conflict("an earlier version of the gateway read its object without its Accept-Language, perhaps in another language")
    return found
