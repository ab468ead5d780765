"""What became of a write that its tool has accepted and not finished: asked at the place that the tool names, or of the object itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gateway.core import links, tasks
from gateway.core.adapter import resolve
from gateway.core.adapter.catalog import ActionType
from gateway.core.adapter.long_running import ACCEPTED, Pending, Phase
from gateway.core.adapter.objects import ObjectState
from gateway.core.request import canonical
from gateway.errors import MalformedRequest, UpstreamFailure
from gateway.model.call import Carried
from gateway.model.effect import KnownBy, State, Write
from gateway.model.entry import Result, Verification
from gateway.pipeline import journal_entries, postcondition, sealed_payloads
from gateway.pipeline.answers import reply_document
from gateway.pipeline.evidence import Before
from gateway.pipeline.tool import Tool, ToolReader, Tools, Unreadable
from gateway.ports.clock import Clock
from gateway.ports.journal import Journal
from gateway.ports.projections import Registry
from gateway.ports.vault import Vault

FIRST_PAUSE = 0.1
"""Seconds before the second poll; each later pause is twice as long, up to what the adapter declares."""


class Accepted(Struct, frozen=True):
    """An accepted write. ``document`` is what expressions see, with the reply that accepted it; ``made`` is the id that this names."""

    tool: Tool
    kind: ActionType
    captures: Mapping[str, str]
    document: Mapping[str, object]
    tenant: str
    carried: Carried
    made: str | None = None


class Polled(Struct, frozen=True):
    """``made`` is the id of what a create made, if it is known by now; ``seen`` the object that showed that it is done."""

    phase: Phase
    made: str | None = None
    seen: ObjectState | None = None


class Finished(Struct, frozen=True):
    """``UNKNOWN`` while it is pending; ``task_id`` is that of the person who is asked."""

    state: State
    task_id: str | None = None


@dataclass(frozen=True, slots=True)
class Polls:
    reader: ToolReader
    clock: Clock

    async def until_done(self, accepted: Accepted, pending: Pending) -> Polled:
        """Poll until it is done or failed, for as long as the agent's call waits."""
        deadline, pause = self.clock.monotonic() + pending.within, FIRST_PAUSE
        while True:
            polled = await self.poll(accepted, pending)
            left = deadline - self.clock.monotonic()
            if polled.phase is not Phase.PENDING or left <= 0:
                return polled
            await asyncio.sleep(min(pause, pending.every, left))
            pause *= 2

    async def poll(self, accepted: Accepted, pending: Pending) -> Polled:
        """Poll once. What cannot be asked stays pending."""
        try:
            if pending.on_object:
                seen = await self.object_of(accepted)
                phase = pending.phase({**accepted.document, "object": seen.document}) if seen.same else Phase.PENDING
                return Polled(phase, accepted.made, seen if phase is Phase.DONE else None)
            document = await self._job(accepted, pending)
        except (UpstreamFailure, KeyError, ValueError, MalformedRequest):
            return Polled(Phase.PENDING, accepted.made)
        made = accepted.made or resolve.created_id(accepted.tool.catalog, accepted.kind, accepted.captures, document)
        return Polled(pending.phase(document), made)

    async def object_of(self, accepted: Accepted) -> ObjectState:
        """The object that the write is about.

        Raises:
            UpstreamFailure: the tool did not show it.
            KeyError, ValueError: it is not known yet, or makes no path.
        """
        kind, made = accepted.kind, accepted.made
        if kind.creates is not None and made is None:
            raise KeyError("id")
        created = made if kind.creates is not None else None
        return await self.reader.object_state(accepted.tool, kind, accepted.captures, accepted.tenant, accepted.carried, created=created)

    async def _job(self, accepted: Accepted, pending: Pending) -> Mapping[str, object]:
        reply = await self.reader.job(accepted.tool, job_target(accepted, pending), accepted.tenant, accepted.carried)
        return {**accepted.document, "reply": reply}


def made_by(tool: Tool, kind: ActionType, captures: Mapping[str, str], document: Mapping[str, Any]) -> str | None:
    """The id of what a create made, by its own reply; ``None`` if that does not name it.

    The Location of a 202 may be that of a job (RFC 9110, 15.3.3): it counts only if it is a path of such an object.
    """
    reply = document["reply"]
    location = reply["headers"].get("location")
    if kind.creates is None or reply["status"] != ACCEPTED or location is None or _of_object(tool, kind, captures, location):
        return resolve.created_id(tool.catalog, kind, captures, document)
    others = {name: text for name, text in reply["headers"].items() if name != "location"}
    return resolve.created_id(tool.catalog, kind, captures, {**document, "reply": {**reply, "headers": others}})


def _of_object(tool: Tool, kind: ActionType, captures: Mapping[str, str], location: str) -> bool:
    """Whether a reference leads to an object of the type that an action makes."""
    found = links.reference(tool.link_base(kind.template.fill(captures)), location)
    try:
        segments = None if found is None else canonical.split(found.partition("#")[0]).segments
    except MalformedRequest:
        return False
    return segments is not None and tool.catalog.objects[kind.object_type or ""].template.match(segments) is not None


def job_target(accepted: Accepted, pending: Pending) -> str:
    """Path and query of the job that a reply names; it leads to the tool itself, by the rules for links and for paths.

    Raises:
        KeyError: the reply names none.
        ValueError, MalformedRequest: it leads elsewhere, or could be read as another path.
    """
    tool, kind = accepted.tool, accepted.kind
    reply = accepted.document["reply"]
    assert isinstance(reply, dict)
    named = reply["headers"].get("location") if pending.job is None else pending.job.search(accepted.document)
    if not isinstance(named, str) or not named:
        raise KeyError("job")
    found = links.reference(tool.link_base(kind.template.fill(accepted.captures)), named)
    if found is None and pending.job is not None and named.startswith("/") and not named.startswith("//"):
        found = f"/{tool.name}{named}"  # an adapter writes paths as it does elsewhere: without that of the base URL
    if found is None:
        raise ValueError(f"{named} does not lead to {tool.name}")
    target = canonical.split(found.partition("#")[0])
    return f"{target.path}?{target.raw_query}" if target.raw_query else target.path


@dataclass(frozen=True, slots=True)
class PendingWrites:
    """Writes that were still pending when the agent got its reply: asked for by the reconciler, also after a restart."""

    tools: Tools
    polls: Polls
    journal: Journal
    registry: Registry
    vault: Vault
    clock: Clock

    def patience(self, write: Write) -> float:
        """Seconds after which it may be done: the same call need not be sent before."""
        found = self._pending(write)
        return 1.0 if found is None else found[2].every

    async def __call__(self, write: Write) -> Finished | None:
        """Poll once, and journal what is known by now; ``None`` if it cannot be asked for any more.

        After the time that its adapter declares a person is asked.
        """
        found = self._pending(write)
        accepted = None if found is None else await self._accepted(write, *found[:2])
        if found is None or accepted is None:
            return None
        pending = found[2]
        polled = await self.polls.poll(accepted, pending)
        match polled.phase:
            case Phase.DONE:
                await self._done(write, replace(accepted, made=polled.made), polled.seen)
            case Phase.FAILED:
                await self._conclude(write, Result.FAILED, "the tool reports that it failed")
            case Phase.PENDING:
                return Finished(State.UNKNOWN, await self._given_up(write, pending))
        return Finished(State.STANDING if polled.phase is Phase.DONE else State.FAILED)

    def _pending(self, write: Write) -> tuple[Tool, ActionType, Pending] | None:
        tool = self.tools.get(write.tool)
        kind = None if tool is None else tool.catalog.actions.get(write.action)
        return None if tool is None or kind is None or kind.pending is None else (tool, kind, kind.pending)

    async def _accepted(self, write: Write, tool: Tool, kind: ActionType) -> Accepted | None:
        try:
            asked, replied = await self.vault.open(write.args_ref), await self.vault.open(write.reply_ref)
        except KeyError:  # forgotten with its tenant
            return None
        if asked is None or replied is None:
            return None
        request = sealed_payloads.request_from(asked, tool.catalog.variables)
        document = {**request.document, "reply": reply_document(sealed_payloads.reply_from(replied))}
        return Accepted(tool, kind, request.captures, document, write.key.tenant, request.carried, write.target.id or None)

    async def _done(self, write: Write, accepted: Accepted, shown: ObjectState | None) -> None:
        verification, seen = await self._verified(write, accepted, shown)
        before = await self._before(write)
        version = postcondition.left(before, None, seen or (shown if accepted.kind.verify is None else None))
        became = write if accepted.made is None else replace(write, target=replace(write.target, id=accepted.made))
        await self._conclude(became, Result.SUCCESS, "the tool reports it as done", verification=verification, version=version)

    async def _verified(self, write: Write, accepted: Accepted, shown: ObjectState | None) -> tuple[Verification, ObjectState | None]:
        """What the object shows of the declared postcondition; ``shown`` is the object that showed that it is done."""
        verify = accepted.kind.verify
        if verify is None:
            return Verification.NONE, None

        async def look() -> ObjectState | None:
            try:
                return await self.polls.object_of(accepted)
            except Unreadable:
                raise
            except (UpstreamFailure, KeyError, ValueError):
                return None

        ours = shown.version if shown is not None else None
        try:
            return await postcondition.read_back(verify, look, accepted.document, self.clock, before=write.before_version, ours=ours)
        except Unreadable:
            return Verification.NONE, None  # nothing is known of the object, so nothing is said of it

    async def _before(self, write: Write) -> Before:
        """The object before the write, as far as that was kept."""
        try:
            plain = await self.vault.open(write.snapshot_ref)
        except KeyError:  # forgotten with its tenant
            plain = None
        kept = None if plain is None else sealed_payloads.snapshot_from(plain)
        return Before(
            taken=write.existed is not None,
            version=write.before_version,
            exists=bool(write.existed) or write.before_version is not None,
            state=None if kept is None else kept.state,
            representation=None if kept is None else kept.representation,
        )

    async def _conclude(
        self,
        write: Write,
        result: Result,
        reason: str,
        *,
        verification: Verification = Verification.NONE,
        version: str | None = None,
    ) -> None:
        known_by = KnownBy.REPLY if result is Result.SUCCESS else None
        at = self.clock.now()
        entry = journal_entries.reconciliation(write, at, result=result, by="poll", reason=reason, known_by=known_by, after_version=version)
        await self.journal.append(replace(entry, verification=verification))

    async def _given_up(self, write: Write, pending: Pending) -> str | None:
        if self.clock.now() - write.at < pending.give_up:
            return None
        why = "its tool accepted it, and has not shown since that it is done"
        task = tasks.outcome_unknown((write,), why=why, seen=None, at=self.clock.now())
        if await self.registry.task(task.task_id) is None:
            owner = tasks.Owner(workflow_id=write.key.workflow_id, generation=write.generation, step_id=write.step_id)
            await self.journal.append(tasks.entry(task, owner))
        return task.task_id
