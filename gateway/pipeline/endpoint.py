"""The handler of the data API: the line, with refusals turned into problem documents, counted and journaled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway import errors
from gateway.core.request import canonical
from gateway.model.call import Call, Head, Reply
from gateway.model.entries import RefusalEntry
from gateway.model.entry import Sealed
from gateway.observe.metrics import Observer
from gateway.pipeline import journal_entries, sealed_payloads
from gateway.pipeline.evidence import CallTrace, Denied, Sender
from gateway.pipeline.line import Line
from gateway.pipeline.reply import Replies
from gateway.pipeline.stages.authenticate import Authenticate, step_of
from gateway.pipeline.tool import Tool, Tools
from gateway.ports.clock import Clock
from gateway.ports.journal import Journal
from gateway.ports.triggers import TriggerMonitor
from gateway.ports.vault import Vault


@dataclass(slots=True)
class Endpoint:
    """``draining`` refuses new calls while those on the wire finish."""

    line: Line
    tools: Tools
    journal: Journal
    vault: Vault
    replies: Replies
    monitor: TriggerMonitor
    clock: Clock
    observer: Observer
    draining: bool = field(default=False)

    async def handle(self, call: Call, commit: Callable[[], None]) -> Reply:
        """Carry a call along the line; a refusal comes back as its problem document."""
        trace = CallTrace(call, self.clock.monotonic, commit)
        try:
            self._ready()
            reply = await self.line.handle(trace)
        except errors.Refusal as refused:
            reply = await self._refused(trace, refused)
            self.observer.refused(trace.call.tool, *_classified(trace), refused.code, trace.started, trace.marks)
        else:
            # What the call set off holds before its reply leaves: the run's next call meets it.
            known = trace.known
            if known is not None and await self.monitor.answered(known.run.run_id):
                reply = self.replies.as_of_now(reply, known)
            self.observer.passed(trace.call.tool, *_classified(trace), reply.status, trace.started, trace.marks)
        return reply

    async def preview(self, head: Head) -> Reply | None:
        """Refuse from the head alone a call that no body could make pass: its tool or lease is unknown, or its run is contained."""
        try:
            self._ready()
            name = canonical.split(head.target).tool
            run, lease = await self.line.authenticate.preview(name, head.headers)
            self.line.gate.precheck(run, lease, name)
        except errors.Refusal as refused:
            return self.reject(refused, head.headers)
        return None

    def reject(self, refusal: errors.Refusal, headers: Sequence[tuple[bytes, bytes]]) -> Reply:
        """The problem document for a request that never became a call; it is journaled if its headers show the sender."""
        sender = _sender(self.line.authenticate, headers)
        entry = self._post_early(refusal, sender)
        self.observer.refused("", "", "", refusal.code, self.clock.monotonic(), ())
        return self.replies.refused_early(refusal, sender, entry, close=True)

    def _ready(self) -> None:
        if self.draining:
            raise errors.Draining(retry_after=5.0)
        health = self.journal.health()
        if not health.ok:
            raise errors.JournalUnavailable(health.reason, retry_after=5.0)

    async def _refused(self, trace: CallTrace, refused: errors.Refusal) -> Reply:
        known = trace.known
        if known is None:
            sender = _sender(self.line.authenticate, trace.call.headers, self.tools.get(trace.call.tool))
            run = await self.line.authenticate.registry.run(sender.lease.run_id) if sender else None
            return self.replies.refused_early(refused, sender, self._post_early(refused, sender), run=run, tool=trace.call.tool)
        if isinstance(refused, errors.Overloaded):
            # Counted and not journaled: a shed call must cost less than one that is carried, and its run did nothing wrong.
            return self.replies.refused(refused, known, None, trace.metered)
        if isinstance(trace.last, Denied):
            refused.entry = await self._denied(trace.last)
        elif refused.entry is None:
            metered = trace.metered is not None
            refused.entry = self._post(journal_entries.refusal(known, trace.action, refused, self.clock.now(), metered=metered))
        await self.monitor.answered(known.run.run_id)
        return self.replies.refused(refused, known, refused.entry, trace.metered)

    async def _denied(self, denied: Denied) -> str | None:
        """Journal a denial with the arguments it was made on, so that another policy can be asked later."""
        known = denied.known
        try:
            args = await self.vault.seal(known.run.tenant, sealed_payloads.request(denied)) if known.call.sealed else None
        except errors.JournalUnavailable:
            return None
        return self._post(journal_entries.denied(denied, self.clock.now(), args), () if args is None else (args,))

    def _post_early(self, refusal: errors.Refusal, sender: Sender | None) -> str | None:
        """Journal a refusal of which only the lease is known, if that."""
        if sender is None:
            return None
        return self._post(journal_entries.early_refusal(sender.lease, refusal, self.clock.now()))

    def _post(self, entry: RefusalEntry, blobs: Sequence[Sealed] = ()) -> str | None:
        """The refusal stands whether or not it can be journaled."""
        try:
            return str(self.journal.post(entry, blobs))
        except errors.JournalUnavailable:
            return None


def _classified(trace: CallTrace) -> tuple[str, str]:
    """The name of the call's action and its effect, empty if it was not classified."""
    action = trace.action
    return ("", "") if action is None else (action.name, action.effect.value)


def _sender(authenticate: Authenticate, headers: Sequence[tuple[bytes, bytes]], tool: Tool | None = None) -> Sender | None:
    """The sender that the headers show, if they carry exactly one valid lease; it never causes another refusal."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        low = name.lower()
        if low in found and low in (b"authorization", b"killcord-lease"):
            return None
        found[low] = b"" if low in found else value
    try:
        return Sender(authenticate.claim(tool, found), step_of(found))
    except errors.Refusal:
        return None
