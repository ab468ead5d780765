"""A write of unknown outcome as its adapter declares its probe, with its request as it was sealed; and what a probe says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.core.adapter import catalog, probing
from gateway.core.reconciliation import Judgement
from gateway.model.effect import Write
from gateway.pipeline import sealed_payloads
from gateway.pipeline.tool import Tool, Tools
from gateway.ports.vault import Vault


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a look at the tool says. ``version`` is the object's, ``after`` the one that the write is known to have left, and ``made`` the
    id of what a create made.
    """

    judgement: Judgement
    version: str | None = None
    after: str | None = None
    made: str | None = None


@dataclass(frozen=True, slots=True)
class ProbedWrite:
    """A write whose adapter declares a probe, and its request as it was sealed."""

    write: Write
    tool: Tool
    kind: catalog.ActionType
    probe: probing.Probe
    request: sealed_payloads.Request

    def applied(self, document: Mapping[str, object] | None) -> bool:
        return self.probe.applied.holds({**self.request.document, "object": document})

    def marked(self, document: Mapping[str, object] | None) -> bool:
        """Whether the object holds the write's own mark."""
        return document is not None and probing.marked(self.probe, {**self.request.document, "object": document}, self.write.wire_key)


@dataclass(frozen=True, slots=True)
class ProbedWrites:
    """Reads the writes that can be probed: their adapters' declarations, and what was sealed with them."""

    tools: Tools
    vault: Vault

    def settle_time(self, write: Write) -> float | None:
        """Seconds after which a late apply is out of the question; ``None`` if the write cannot be probed."""
        tool = self.tools.get(write.tool)
        kind = tool.catalog.actions.get(write.action) if tool is not None else None
        if kind is None or kind.probe is None or write.args_ref is None or not (write.target.id or kind.probe.find):
            return None
        return kind.probe.settle

    async def open(self, write: Write) -> ProbedWrite | None:
        """The write with its request; ``None`` if its adapter declares no probe, or its request was not kept."""
        tool = self.tools.get(write.tool)
        kind = tool.catalog.actions.get(write.action) if tool is not None else None
        if tool is None or kind is None or kind.probe is None:
            return None
        plain = await self.vault.open(write.args_ref)
        if plain is None:
            return None
        return ProbedWrite(write, tool, kind, kind.probe, sealed_payloads.request_from(plain, tool.catalog.variables))

    async def language(self, write: Write) -> str | None:
        """The language that own requests for a write ask for, ``None`` if that was not kept."""
        try:
            plain = await self.vault.open(write.args_ref)
        except (KeyError, ValueError):
            return None
        return None if plain is None else sealed_payloads.request_from(plain, {}).language

    async def state_before(self, write: Write) -> object:
        """The state before it, ``None`` if its object did not exist or was not read."""
        plain = await self.vault.open(write.snapshot_ref)
        kept = None if plain is None else sealed_payloads.snapshot_from(plain)
        return None if kept is None else kept.state
