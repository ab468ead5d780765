"""Findings: what a verifier or a rule engine proved about a run's state, put into the journal for the monitor to act on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from gateway.core.codec import entry as codec
from gateway.core.incident import findings
from gateway.core.incident.findings import Subject
from gateway.model.entries import FindingEntry
from gateway.model.entry import Position
from gateway.model.run import Run
from gateway.ports.clock import Clock
from gateway.ports.journal import History, Journal
from gateway.ports.projections import Incidents, Writes
from gateway.ports.vault import Vault

LARGEST = 16 * 1024
"""Bytes of a finding's evidence, as it is kept."""


class TooMuchEvidence(ValueError):
    """The evidence is larger than a finding keeps; the message says by how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """``kind`` is the verifier's own name for what is wrong; ``evidence`` a JSON object."""

    kind: str
    severity: str
    evidence: Mapping[str, object]
    by: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Reported:
    """``entry`` is where the finding stands, ``about`` the run's entries that its evidence was understood to be about; ``incident_id``
    the incident that it opened or joined, if any.
    """

    finding_id: str
    entry: str
    about: tuple[Position, ...]
    incident_id: str | None


@dataclass(frozen=True, slots=True)
class Findings:
    """Reports findings. ``journal`` is the one that the monitor watches: an append of a finding returns after the response to it."""

    journal: Journal
    vault: Vault
    incidents: Incidents
    writes: Writes
    history: History
    clock: Clock

    async def report(self, run: Run, finding: Finding) -> Reported:
        """Journal a finding and return once everything that it set off is answered: the order, if any, holds.

        The evidence is sealed under the run's tenant; its digest is of its JSON with sorted keys, without blanks. Which entries of the
        run it is about stands beside it in the clear.

        Raises:
            TooMuchEvidence: it is larger than :data:`LARGEST`; nothing was journaled.
            JournalUnavailable: the finding is not durable.
        """
        plain = _canonical(finding.evidence)
        sealed = await self.vault.seal(run.tenant, plain)
        about = await self._about(run, finding)
        entry = FindingEntry(
            **codec.owner(run, self.clock.now()),
            finding=finding.kind,
            finding_id=self.clock.mint("fnd"),
            severity=finding.severity,
            evidence_digest=f"sha256:{hashlib.sha256(plain).hexdigest()}",
            evidence_ref=sealed.ref,
            by=finding.by,
            reason=finding.reason,
            about=tuple(map(str, about.places)),
            unfound=about.unfound,
        )
        position = await self.journal.append(entry, (sealed,))
        incident = await self.incidents.incident_of(run.run_id, run.generation, findings.CAUSE)
        return Reported(entry.finding_id, str(position), about.places, None if incident is None else incident.incident_id)

    async def _about(self, run: Run, finding: Finding) -> Subject:
        named = findings.references(finding.evidence)
        places = [findings.place(name, self.journal.stream) for name in named.entries]
        mine = [place for place in places if place is not None and await self._is_of(run, place)]
        return findings.subject(named, mine, await self.writes.of_run(run.run_id) if named.objects else ())

    async def _is_of(self, run: Run, place: Position) -> bool:
        """Whether a place is an entry of the run, or of another of its workflow."""
        entry = await self.history.entry(place)
        return entry is not None and (entry.tenant, entry.workflow_id) == (run.tenant, run.workflow_id)


def _canonical(evidence: Mapping[str, object]) -> bytes:
    plain = orjson.dumps(evidence, option=orjson.OPT_SORT_KEYS, default=float)  # numbers came as decimals, exactly as written
    if len(plain) > LARGEST:
        raise TooMuchEvidence(f"is {len(plain)} bytes long, at most {LARGEST} are allowed; store the rest elsewhere and send its digest")
    return plain
