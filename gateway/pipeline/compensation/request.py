"""The call that undoes an effect, made from what was sealed with it: the adapter's expressions over request, reply and snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from gateway import errors
from gateway.core.adapter import catalog, resolve
from gateway.core.request import canonical
from gateway.model.call import Call, Head
from gateway.model.effect import Write
from gateway.model.rollback import CompensationKind, Node
from gateway.model.run import Run
from gateway.pipeline import sealed_payloads
from gateway.pipeline.tool import Expected, Tool, Tools, reply_document
from gateway.ports.vault import Vault

_OF_RUN = ("run_id", "workflow_id", "tenant", "agent_id", "task_class")
"""What a compensation's body sees of its run."""


class Conflict(Exception):
    """The effect cannot, or must not, be undone by a call; the message says why. ``seen`` is the version the object is at."""

    def __init__(self, why: str, *, seen: str | None = None) -> None:
        super().__init__(why)
        self.seen = seen


class Needless(Conflict):
    """There is nothing left to undo."""


@dataclass(frozen=True, slots=True)
class CompensationRequests:
    tools: Tools
    vault: Vault

    async def prepare(self, node: Node, run: Run, effects: Sequence[Write]) -> tuple[Call, Expected | None]:
        """The one call that carries out a node, and how the object has to be afterwards; ``None`` if only the tool can show the result.

        Raises:
            Conflict: what it takes was not kept, or cannot be put into a path or a body.
        """
        kind, undo, by = self._declared(node)
        tool = self.tools[node.tool]
        original = next(one for one in effects if one.wire_key == node.original)
        request = await self._request(original, tool)
        snapshot = await self._snapshot(node)
        path = _path(tool.catalog, kind, node, request.captures)
        body = await self._body(node, undo, request, snapshot, run)
        headers = ((b"Content-Type", b"application/json"),) if body else ()
        try:
            call = canonical.call(Head(method=by.method, target=f"/{tool.name}{path}", headers=headers, length=len(body)), body)
        except errors.MalformedRequest as error:
            raise Conflict(f"its compensation cannot be sent: {error.detail}") from error
        return call, _expected(node, snapshot)

    async def expects(self, node: Node) -> Expected | None:
        """The expected state of a node's object; ``None`` if only the tool can show the result.

        Raises:
            Conflict: that was not kept.
        """
        return _expected(node, await self._snapshot(node))

    def instead(self, node: Node) -> catalog.Instead | None:
        """What the adapter declares for an object that the node's compensation is too late for."""
        _, undo, _ = self._declared(node)
        return undo.instead

    async def captures(self, effects: Sequence[Write]) -> Mapping[str, str]:
        """The captures of the newest effect's path, by which its object is read.

        Raises:
            Conflict: it was not kept.
        """
        newest = effects[-1]
        return (await self._request(newest, self.tools[newest.tool])).captures

    def action(self, node: Node, name: str | None) -> catalog.ActionType | None:
        """An action of the node's tool, by its name."""
        tool = self.tools.get(node.tool)
        return tool.catalog.actions.get(name or "") if tool is not None else None

    def _declared(self, node: Node) -> tuple[catalog.ActionType, catalog.Undo, catalog.ActionType]:
        """The action that is undone, its declared compensation, and the action that carries that out."""
        kind, by = self.action(node, node.action), self.action(node, node.by)
        if kind is None or kind.undo is None or by is None:
            raise Conflict("its adapter no longer declares the compensation")
        return kind, kind.undo, by

    async def _request(self, write: Write, tool: Tool) -> sealed_payloads.Request:
        plain = await self._unsealed(write.args_ref, "its request")
        return sealed_payloads.request_from(plain, tool.catalog.variables)

    async def _snapshot(self, node: Node) -> Mapping[str, Any] | None:
        if node.snapshot_ref is None:
            return None
        kept: dict[str, Any] = orjson.loads(await self._unsealed(node.snapshot_ref, "the state before it"))
        return kept

    async def _body(
        self, node: Node, undo: catalog.Undo, request: sealed_payloads.Request, snapshot: Mapping[str, Any] | None, run: Run
    ) -> bytes:
        declared = undo.body_of(node.by or "")
        if declared is None or not node.with_body:
            return b""
        document: dict[str, object] = {**request.document, "run": {name: getattr(run, name) for name in _OF_RUN}}
        if snapshot is not None:
            document["snapshot"] = snapshot["state"]
        if declared.roots >= {"request"} and request.redacted:
            raise Conflict("policy redacted part of its request, so that no call can compensate it")
        if "reply" in declared.roots:
            document["reply"] = reply_document(sealed_payloads.reply_from(await self._unsealed(node.reply_ref, "its reply")))
        value = declared.search(document)
        if value is None:
            raise Conflict("the compensation's request cannot be built from the stored data")
        return orjson.dumps(value)

    async def _unsealed(self, ref: str | None, what: str) -> bytes:
        try:
            plain = await self.vault.open(ref)
        except KeyError as error:
            raise Conflict(f"{what} was forgotten with its tenant") from error
        if plain is None:
            raise Conflict(f"{what} was not kept")
        return plain


def _path(tool: catalog.Tool, kind: catalog.ActionType, node: Node, captures: Mapping[str, str]) -> str:
    try:
        return resolve.undo_path(tool, kind, node.by or "", captures, node.target.id)
    except (KeyError, ValueError) as error:
        if not node.target.id:
            raise Conflict("its object is unknown, and its compensation needs one") from error
        raise Conflict("the object's id is not valid in the path of its compensation") from error


def _expected(node: Node, snapshot: Mapping[str, Any] | None) -> Expected | None:
    match node.does:
        case CompensationKind.RESTORES | CompensationKind.MAKES if snapshot is not None:
            return Expected(exists=True, state=snapshot["state"])
        case CompensationKind.REMOVES:
            return Expected(exists=False)
        case _:
            return None
