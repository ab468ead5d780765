"""The search of a listing for what a create of unknown outcome may have made."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from gateway.core import reconciliation
from gateway.core.adapter import probing, resolve
from gateway.core.reconciliation import Conclusion, Listed
from gateway.errors import UpstreamFailure
from gateway.model.effect import Write
from gateway.pipeline.stages.probed_write import ProbedWrite, ProbedWrites, ProbeResult
from gateway.pipeline.tool import ToolReader
from gateway.ports.projections import Writes


@dataclass(frozen=True, slots=True)
class ListingSearch:
    probed_writes: ProbedWrites
    reader: ToolReader
    writes: Writes

    async def __call__(self, probed: ProbedWrite, *, settled: bool) -> ProbeResult:
        """Judge a create by the listing that its probe declares.

        Raises:
            UpstreamFailure: the tool did not answer with a listing.
            KeyError, ValueError: the listing's path cannot be filled, or not safely.
        """
        write, request = probed.write, probed.request
        reply = await self.reader.listing(probed.tool, probed.probe, request.captures, request.document, write.key.tenant, request.carried)
        page = probing.page_of(probed.probe, {**request.document, "reply": reply}, write.wire_key)
        items = None if page.items is None else tuple([one for one in page.items if not await self._known(probed, one)])
        marked = tuple([one for one in items or () if one.marked])
        rivals = await self._rivals(probed, items[0]) if items and len(items) == 1 else ()
        judgement = reconciliation.by_listing(
            Listed(count=None if items is None else len(items), marked=len(marked), whole=page.whole, settled=settled), rivals
        )
        if judgement.conclusion not in (Conclusion.PROVEN, Conclusion.FOUND):
            return ProbeResult(judgement)
        (item,) = marked or items or ()
        made = resolve.joined_id(probed.tool.catalog, probed.kind, request.captures, item.id)
        after = await self._as_made(probed, made) if judgement.conclusion is Conclusion.PROVEN else None
        return ProbeResult(judgement, after=after, made=made)

    async def _known(self, probed: ProbedWrite, item: probing.Item) -> bool:
        """Whether another create is known to have made a listed object."""
        write = probed.write
        made = resolve.joined_id(probed.tool.catalog, probed.kind, probed.request.captures, item.id)
        target = replace(write.target, id=made)
        writes = await self.writes.of_object(target)
        return any(one.action == write.action and one.wire_key != write.wire_key and reconciliation.definite(one) for one in writes)

    async def _rivals(self, probed: ProbedWrite, item: probing.Item) -> list[Write]:
        """Other creates of unknown outcome that may have made a listed object."""
        write, rivals = probed.write, []
        for other in await self.writes.unsettled():
            alike = (other.tool, other.action, other.target.tenant) == (write.tool, write.action, write.target.tenant)
            if not alike or other.target.id or other.wire_key == write.wire_key:
                continue
            theirs = await self.probed_writes.open(other)
            if theirs is None or theirs.request.redacted or theirs.applied(item.document):
                rivals.append(other)
        return rivals

    async def _as_made(self, probed: ProbedWrite, made: str) -> str | None:
        """The version at which what was found is still as the create asked for; ``None`` if that does not show."""
        request = probed.request
        try:
            seen = await self.reader.object_state(
                probed.tool, probed.kind, request.captures, probed.write.key.tenant, request.carried, created=made
            )
        except (UpstreamFailure, ValueError, KeyError):
            return None
        verify = probed.kind.verify
        asked = verify is not None and verify.expect.holds({**request.document, "object": seen.document})
        return seen.version if asked and seen.same else None
