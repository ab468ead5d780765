"""The call that undoes an effect, made from what was sealed with it: the adapter's expressions over request, reply and snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway import errors
from gateway.core.adapter import carried, catalog, objects, probing, resolve, versions
from gateway.core.adapter.objects import Expected, ObjectState
from gateway.core.request import canonical, exact_json
from gateway.model.call import Call, Carried, Head, Headers
from gateway.model.effect import Write
from gateway.model.rollback import CompensationKind, Node
from gateway.model.run import Run
from gateway.pipeline.compensation.node_outcome import Conflict
from gateway.pipeline.compensation.payloads import Payloads
from gateway.pipeline.sealed_payloads import Request, Snapshot
from gateway.pipeline.tool import Tools
from gateway.ports.vault import Vault

_OF_RUN = ("run_id", "workflow_id", "tenant", "agent_id", "task_class")
"""What a compensation's body sees of its run."""


_JSON = "application/json"
_RESTORES = (CompensationKind.RESTORES, CompensationKind.MAKES)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The one call that carries out a node. ``expects`` is how the object has to be afterwards, ``None`` if only the tool can show the
    result; ``carried`` what own requests for the effect carry.
    """

    call: Call
    expects: Expected | None
    carried: Carried


@dataclass(frozen=True, slots=True)
class CompensationRequests:
    tools: Tools
    vault: Vault

    def payloads(self, node: Node, writes: Sequence[Write], *, sent: bool = False) -> Payloads:
        """A reader of what was sealed with a node's effects, for one attempt. ``sent``: the node's call is to be sent."""
        return Payloads(self.vault, self.tools, node, writes, sent=sent)

    def needs_object(self, node: Node) -> bool:
        """Whether the compensation's request is made of the object as it is now.

        Raises:
            Conflict: its adapter no longer declares it.
        """
        return "object" in self._declared(node)[1].roots(node.by or "", with_body=node.with_body)

    async def prepare(self, node: Node, run: Run, writes: Sequence[Write], payloads: Payloads, now: ObjectState | None = None) -> Prepared:
        """The call that carries out a node. ``now`` is the object as it is, where the request is made of it.

        Raises:
            Conflict: what it takes was not kept, or cannot be put into a path, a header or a body.
        """
        kind, undo, by = self._declared(node)
        tool = self.tools[node.tool]
        original = next(one for one in writes if one.wire_key == node.original)
        request = await payloads.request(original)
        for write in writes:
            if (await payloads.request(write)).language != request.language:
                # A tool may keep an object for each language that it is asked for: one call brings back one of them.
                raise Conflict("its effects came with different Accept-Language, and the tool may keep an object for each")
        snapshot = await payloads.snapshot()
        path = _path(tool.catalog, kind, node, request.captures)
        document = await self._document(node, undo, payloads, request, snapshot, run, now)
        try:
            body, described = _body(node, undo, document, snapshot)
            target, headers = _attached(f"/{tool.name}{path}", undo.attached_of(node.by or ""), request.carried, document, described)
            head = Head(method=by.method, target=target, headers=headers, length=len(body))
            call = tool.fixed(_call(head, body))
        except errors.Refusal as error:
            raise Conflict(f"its compensation cannot be sent: {error.detail}") from error
        return Prepared(call, _expected(node, snapshot), request.carried)

    async def expects(self, node: Node, payloads: Payloads) -> Expected | None:
        """The expected state of a node's object; ``None`` if only the tool can show the result.

        Raises:
            Conflict: that was not kept.
        """
        return _expected(node, await payloads.snapshot())

    async def foreign_change(self, node: Node, writes: Sequence[Write], seen: ObjectState, payloads: Payloads) -> str | None:
        """What somebody else may have changed about an object that is at the version which the writes left; ``None`` if nothing.

        Raises:
            Conflict: what it takes to know that was not kept.
        """
        if node.does not in (CompensationKind.RESTORES, CompensationKind.REMOVES):
            return None  # it overwrites nothing
        coarse = seen.version is not None and versions.is_coarse(seen.version)
        snapshot = await payloads.snapshot() if node.does is CompensationKind.RESTORES else None
        asked: list[Any] = [(await payloads.request(one)).document["request"] for one in writes]
        shown = [None if one.reply_ref is None else (await payloads.reply(one.reply_ref))["body"] for one in writes]
        if (name := probing.differs_from_reply(seen.state, asked[-1]["body"], shown[-1])) is not None:
            return f"its {name}"
        before, replaced = None if snapshot is None else snapshot.state, any(one["method"] in ("PUT", "POST") for one in asked)
        if coarse and not probing.ours_alone(before, seen.state, [*asked, *shown], replaced=replaced):
            return "it within the second that its version names"
        kept = None if snapshot is None else snapshot.representation
        return None if kept is None else objects.foreign_change(seen, kept, [(one["method"], one["headers"]) for one in asked])

    def instead(self, node: Node) -> catalog.Instead | None:
        """What the adapter declares for an object that the node's compensation is too late for."""
        _, undo, _ = self._declared(node)
        return undo.instead

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

    async def _document(
        self,
        node: Node,
        undo: catalog.Undo,
        payloads: Payloads,
        request: Request,
        snapshot: Snapshot | None,
        run: Run,
        now: ObjectState | None,
    ) -> Mapping[str, object]:
        """What the compensation's expressions see, as far as they look."""
        roots = undo.roots(node.by or "", with_body=node.with_body)
        document: dict[str, object] = {**request.document, "run": {name: getattr(run, name) for name in _OF_RUN}}
        if now is not None:
            document["object"] = now.document
        if snapshot is not None:
            document["snapshot"] = snapshot.state
        if "request" in roots and request.redacted:
            raise Conflict("policy redacted part of its request, so that no call can compensate it")
        if "reply" in roots:
            document["reply"] = await payloads.reply(node.reply_ref)
        return document


def _call(head: Head, body: bytes) -> Call:
    """The call. A body that the data API would not take from an agent (what an object holds need not be what it takes) is not read."""
    try:
        return canonical.call(head, body)
    except errors.MalformedRequest:
        return msgspec.structs.replace(canonical.call(head, b""), body=body)


def _body(node: Node, undo: catalog.Undo, document: Mapping[str, object], snapshot: Snapshot | None) -> tuple[bytes, Mapping[str, str]]:
    """The body of the call, and the headers that describe it. A kept representation is brought back as it was, byte for byte.

    Raises:
        Conflict: there is no body, or none of the declared content type.
        MalformedRequest: the declared content type cannot be sent.
    """
    name = node.by or ""
    declared, of_type = undo.body_of(name), undo.attached_of(name).content_type
    if declared is None or not node.with_body:
        return b"", {}
    said = dict(carried.fields(carried.HEADER, {"Content-Type": of_type}, document))
    kept = snapshot.representation if snapshot is not None and node.does in _RESTORES else None
    of_object = {} if kept is None else dict(kept.headers)
    if kept is not None and kept.state_is_body and declared.keys == ("snapshot",):
        return kept.body, {**of_object, **({"Content-Type": kept.content_type} if kept.content_type else {}), **said}
    value = declared.search(document)
    if value is None:
        raise Conflict("the compensation's request cannot be built from the stored data")
    media_type = said.get("Content-Type", kept.content_type if kept is not None and objects.is_json(kept.content_type) else _JSON)
    described = {**of_object, "Content-Type": media_type}
    if objects.is_json(media_type):
        return exact_json.dumps(value), described
    if not isinstance(value, str):
        raise Conflict(f"the compensation's body cannot be written as {media_type}: only a text can")
    return value.encode(), described


def _attached(
    path: str, attached: catalog.Attached, of_effect: Carried, document: Mapping[str, object], described: Mapping[str, str]
) -> tuple[str, Headers]:
    """Target and headers of the call: what own requests for the effect carry, what describes its body, and what the compensation
    declares for itself: a name that it declares with null is not sent.

    Raises:
        MalformedRequest: a value cannot be sent.
    """
    headers = (*of_effect.headers, *described.items())
    if attached.headers:
        dropped = {name.lower() for name, value in attached.headers.items() if value is None}
        headers = tuple(pair for pair in headers if pair[0].lower() not in dropped)
        headers = (*headers, *carried.fields(carried.HEADER, attached.headers, document))
    query = of_effect.query
    if attached.query:
        own = {name: value for name, value in query if name not in attached.query or attached.query[name] is not None}
        query = tuple((own | dict(carried.fields(carried.QUERY_KEY, attached.query, document))).items())
    sent = tuple([(name.encode("ascii"), value.encode("latin-1")) for name, value in carried.merged(headers)])
    return (carried.with_query(path, *query) if query else path), sent


def _path(tool: catalog.Tool, kind: catalog.ActionType, node: Node, captures: Mapping[str, str]) -> str:
    try:
        return resolve.undo_path(tool, kind, node.by or "", captures, node.target.id)
    except (KeyError, ValueError) as error:
        if not node.target.id:
            raise Conflict("its object is unknown, and its compensation needs one") from error
        raise Conflict("the object's id is not valid in the path of its compensation") from error


def _expected(node: Node, snapshot: Snapshot | None) -> Expected | None:
    match node.does:
        case CompensationKind.RESTORES | CompensationKind.MAKES if snapshot is not None:
            return Expected(exists=True, state=snapshot.state, representation=snapshot.representation)
        case CompensationKind.REMOVES:
            return Expected(exists=False)
        case _:
            return None
