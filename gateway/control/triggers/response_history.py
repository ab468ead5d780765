"""What was answered before in a run's generation: read from the journal once, then kept up with."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from gateway.core.policy import rules
from gateway.model.entries import ResponseEntry
from gateway.model.entry import Kind
from gateway.model.response import Earlier
from gateway.ports.journal import History, Query

_KEPT = 10_000
"""Generations of runs remembered; the one not asked for longest is read again."""
_PAGE = 1000

Generation = tuple[str, int]


@dataclass(frozen=True, slots=True)
class ResponseHistory:
    """A tool that is down has every read of a run asked about: the journal must not be read anew for each."""

    history: History
    _of: OrderedDict[Generation, deque[Earlier]] = field(default_factory=OrderedDict)

    async def of(self, run_id: str, generation: int) -> list[Earlier]:
        """The newest answers, oldest first."""
        key = (run_id, generation)
        if key not in self._of:
            self._of[key] = await self._read(run_id, generation)
            if len(self._of) > _KEPT:
                self._of.popitem(last=False)
        self._of.move_to_end(key)
        return list(self._of[key])

    def keep(self, run_id: str, generation: int, answer: Earlier) -> None:
        """One more was journaled."""
        known = self._of.get((run_id, generation))
        if known is not None:
            known.append(answer)

    async def _read(self, run_id: str, generation: int) -> deque[Earlier]:
        found: deque[Earlier] = deque(maxlen=rules.HISTORY)
        after: str | None = None
        while page := await self.history.entries(Query(run=run_id, kind=Kind.RESPONSE, after=after, limit=_PAGE)):
            mine = (one for one in page if isinstance(one, ResponseEntry) and one.generation == generation)
            found.extend(Earlier(one.name, one.at, one.action) for one in mine)
            after = str(page[-1].position)
        return found
