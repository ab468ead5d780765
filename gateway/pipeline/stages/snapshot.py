"""How is the target before the write? Its version guards the write, its state is what a rollback would restore."""

from __future__ import annotations

from dataclasses import dataclass

from gateway import errors
from gateway.core.authorization import approvals
from gateway.model.action import Target
from gateway.model.approval import Approval
from gateway.model.entry import Position
from gateway.pipeline import tool
from gateway.pipeline.evidence import Before, Held, Permitted
from gateway.pipeline.tool import ObjectState, ToolReads
from gateway.ports.approvals import Approvals
from gateway.ports.projections import Sightings


@dataclass(frozen=True, slots=True)
class Snapshot:
    reads: ToolReads
    sightings: Sightings
    approvals: Approvals

    async def __call__(self, permit: Permitted | Held) -> Before:
        """Read the target, and bind a guarded write to the version that the run last saw, else to this one.

        What a person has approved is approved for the target as it was shown: an approval of something else is void.

        Raises:
            PreconditionChanged: the run saw another version than the object has now; nothing needs to be sent to know.
            ToolUnreachable, ToolTimeout: the target cannot be read; what cannot be seen before is not written.
        """
        kind, target = permit.action.kind, permit.action.target
        if kind is None or not target.id or not kind.snapshot:
            return Before(taken=False)
        try:
            seen = await self.reads.object_state(permit.known.tool, kind, permit.action.captures, permit.known.run.tenant)
        except errors.UpstreamFailure as lost:
            raise tool.refusal(lost, "The target could not be read before the write") from lost
        if not seen.same:
            raise _other(target)
        if isinstance(permit, Permitted) and permit.approval is not None:
            await self._as_shown(permit.approval, target, seen)
        if not kind.guarded or permit.known.if_match:
            return _before(seen)
        last = await self.sightings.by_run(permit.known.run.run_id, target.object)
        if last is not None and last.version is not None and last.version != seen.version:
            raise changed(target.ref(last.version), target.ref(seen.version))
        # Only a PUT makes what is not there: it must not land on what someone made meanwhile.
        absent = not seen.exists and permit.known.call.method == "PUT"
        return _before(seen, guard=seen.version, guard_absent=absent)

    async def _as_shown(self, approval: Approval, target: Target, seen: ObjectState) -> None:
        if approvals.holds_for(approval, existed=seen.exists, version=seen.version):
            return
        was, now = target.ref(approval.version), target.ref(seen.version)
        await self.approvals.void(approval, f"it was given for {was}; the object is now {now}")
        detail = f"The approval was given for {was}; the object is now {now}. It is void, and nothing was sent."
        hint = "Read the object again; if the call is still meant, send it again to have a person asked anew."
        raise errors.PreconditionChanged(detail, hint=hint, approval_id=approval.approval_id)


def _other(target: Target) -> errors.PreconditionChanged:
    """What is there is not, or not only, what the call names: writing to it would change something that nobody meant."""
    thing = f"{target.system}:{target.type}:{target.id}"
    hint = "Look the object up again; the id may be an alias, or stand for several."
    return errors.PreconditionChanged(f"A read of {thing} gives another object, or several.", hint=hint, identity="other")


def changed(saw: str, now: str | None, *, entry: Position | None = None) -> errors.PreconditionChanged:
    detail = f"The run acted on {saw}; the object is now " + (f"{now}." if now else "at another version.")
    refused = errors.PreconditionChanged(detail)
    refused.entry = str(entry) if entry is not None else None
    return refused


def _before(seen: ObjectState, *, guard: str | None = None, guard_absent: bool = False) -> Before:
    return Before(taken=True, version=seen.version, state=seen.state, exists=seen.exists, guard=guard, guard_absent=guard_absent)
