"""``policy replay``: what another bundle would have decided on the calls in the journal. It has nothing that could send a call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway import errors
from gateway.clients.clock import SystemClock
from gateway.clients.keys.vault import TenantVault, open_master_key
from gateway.clients.rego.engine import EmbeddedEngine
from gateway.core.policy import replay
from gateway.core.policy.replay import Decided, Ruling
from gateway.core.request import exact_json
from gateway.model.entries import DecisionRecord, IntentEntry, ReadEntry, RefusalEntry
from gateway.model.run import Run
from gateway.stores.sqlite import store

EVERY = 1_000
"""Decisions between two reports of progress."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One call on which the two bundles differ; ``reasons`` are the new one's, ``code: message``."""

    entry: str
    ts: str
    run_id: str
    tool: str
    action: str
    target: str
    was: Ruling
    now: Ruling
    reasons: tuple[str, ...]


@dataclass(slots=True)
class Replayed:
    """``same`` counts equal rulings; ``lost`` counts calls that cannot be decided again, by the reason."""

    revision: str
    same: Counter[Ruling] = field(default_factory=Counter)
    different: list[Difference] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)

    @property
    def decided(self) -> int:
        return self.same.total() + len(self.different)


async def run(data_dir: Path, bundle: Path, *, progress: Callable[[int, int], None]) -> Replayed:
    """Decide again, with ``bundle``, on every call that the journal has a decision of.

    ``progress`` gets the seq reached and the newest one. May run beside a gateway.

    Raises:
        Misconfigured: the journal or the bundle cannot be read.
    """
    clock = SystemClock()
    engine = EmbeddedEngine(bundle, mint=clock.mint, report=lambda *_: None)
    found = Replayed(engine.revision)
    try:
        with store.reading(data_dir) as journal:
            replaying = _Replay(journal, engine, TenantVault(journal.blobs, open_master_key(data_dir / "keys")), found)
            newest = journal.newest
            for count, entry in enumerate(journal.decided(after=0, until=newest), start=1):
                if isinstance(entry, ReadEntry | IntentEntry | RefusalEntry) and entry.decision is not None:
                    await replaying.decide_again(entry, entry.decision)
                if count % EVERY == 0:
                    progress(entry.position.seq, newest)
            progress(newest, newest)
    finally:
        await engine.close()
    return found


@dataclass(frozen=True, slots=True)
class _Replay:
    journal: store.Reading
    engine: EmbeddedEngine
    vault: TenantVault
    found: Replayed
    earlier: dict[tuple[str, int], Run | None] = field(default_factory=dict)

    async def decide_again(self, entry: Decided, recorded: DecisionRecord) -> None:
        run, found, target = await self._run(entry.run_id, entry.generation), self.found, entry.target
        if run is None:
            found.lost["its run is not in the journal"] += 1
            return
        try:
            decision = await self.engine.decide(replay.document(entry, run, *await self._sealed(entry)))
        except KeyError:
            found.lost["its record is incomplete, or its tenant was forgotten"] += 1
            return
        except (ValueError, errors.Refusal) as wrong:
            found.lost[f"its record is not a readable call ({type(wrong).__name__})"] += 1
            return
        was, now = replay.recorded(recorded), replay.ruling(decision)
        if was is now:
            found.same[was] += 1
            return
        assert target is not None, "a decision is about a target"
        reasons = tuple(f"{reason.code}: {reason.message}" for reason in decision.reasons)
        at, tool, action = str(entry.position), entry.tool or "", entry.action or ""
        found.different.append(Difference(at, entry.ts, entry.run_id, tool, action, target.name, was, now, reasons))

    async def _run(self, run_id: str, generation: int) -> Run | None:
        """The run as it was when the decision was made."""
        run = await self.journal.registry.run(run_id)
        if run is None or run.generation == generation:
            return run
        if (run_id, generation) not in self.earlier:
            self.earlier[run_id, generation] = self.journal.run_of(run_id, generation)
        return self.earlier[run_id, generation]

    async def _sealed(self, entry: Decided) -> tuple[object, Mapping[str, str] | None]:
        """The body and the query that were decided on; ``None`` for what was not sealed.

        Raises:
            KeyError: it is not there any more.
        """
        ref = None if entry.requested is None else entry.requested.args_ref
        if ref is None:
            return None, None
        plain = await self.vault.open(ref)
        if plain is None:
            raise KeyError("its arguments are not in the journal")
        kept: Any = exact_json.loads(plain)
        return kept["request"]["body"], kept["request"].get("query")
