"""``policy replay``: what another bundle would have decided on the calls in the journal. It has nothing that could send a call."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
from gateway.model.entries import DecisionRecord, Entry, IntentEntry, ReadEntry, RefusalEntry
from gateway.model.entry import Sealed
from gateway.model.run import Run
from gateway.stores.sqlite import store

AT_ONCE = 64
"""Entries in one page: their sealed bodies are fetched together, and progress is reported after each page."""

RUNS = 10_000
"""Runs in the cache; when it is full, it is emptied."""


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
            decided = journal.decided(after=0, until=newest)
            while page := list(itertools.islice(decided, AT_ONCE)):
                await replaying.decide_again(page)
                progress(page[-1].position.seq, newest)
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
    runs: dict[tuple[str, int], Run | None] = field(default_factory=dict)

    async def decide_again(self, page: Sequence[Entry]) -> None:
        """Decide again on the calls of these entries. One query fetches their sealed bodies."""
        calls = [
            (one, one.decision) for one in page if isinstance(one, ReadEntry | IntentEntry | RefusalEntry) and one.decision is not None
        ]
        sealed = await self.vault.fetch({ref for one, _ in calls if (ref := _args_ref(one)) is not None})
        for one, recorded in calls:
            await self._decide_again(one, recorded, sealed)

    async def _decide_again(self, entry: Decided, recorded: DecisionRecord, sealed: Mapping[str, Sealed]) -> None:
        run, found, target = await self._run(entry.run_id, entry.generation), self.found, entry.target
        if run is None:
            found.lost["its run is not in the journal"] += 1
            return
        try:
            decision = await self.engine.decide(replay.document(entry, run, *await self._body_and_query(entry, sealed)))
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
        if (run_id, generation) not in self.runs:
            run = await self.journal.registry.run(run_id)
            if run is not None and run.generation != generation:
                run = self.journal.run_of(run_id, generation)
            if len(self.runs) >= RUNS:
                self.runs.clear()
            self.runs[run_id, generation] = run
        return self.runs[run_id, generation]

    async def _body_and_query(self, entry: Decided, sealed: Mapping[str, Sealed]) -> tuple[object, Mapping[str, str] | None]:
        """The body and the query that were decided on; ``None`` for what was not sealed.

        Raises:
            KeyError: it is not there any more.
        """
        ref = _args_ref(entry)
        if ref is None:
            return None, None
        kept: Any = exact_json.loads(await self.vault.unseal(sealed[ref]))
        return kept["request"]["body"], kept["request"].get("query")


def _args_ref(entry: Decided) -> str | None:
    return None if entry.requested is None else entry.requested.args_ref
