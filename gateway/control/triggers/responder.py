"""Answers one trigger: policy says what follows, and where that is an order it holds before anything else is done.

Earlier answers of a run's generation are read from the journal once, then kept up with.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from msgspec.structs import replace

from gateway import errors
from gateway.control.containment.containment import Containment
from gateway.core.codec import entry as codec
from gateway.core.incident import incidents
from gateway.core.policy import rules
from gateway.model.decision import Reason
from gateway.model.entries import ResponseEntry, TriggerEntry
from gateway.model.entry import Kind, Position
from gateway.model.incident import Incident
from gateway.model.order import Order, Scope
from gateway.model.response import Earlier, Measure, Response
from gateway.model.run import Mode, Run
from gateway.model.trigger import Trigger
from gateway.ports.clock import Clock
from gateway.ports.journal import History, Journal, Query
from gateway.ports.projections import Registry
from gateway.ports.rules import Rules
from gateway.ports.triggers import Incidents

VIOLATIONS = "violations"
"""The fact of a trigger that holds what is unsound about the run's state: ``[code, message]`` each."""

_REMEMBERED = 10_000

Signature = tuple[str | None, str | None, bool, bool]
"""What makes two triggers of one cause alike: effect, severity, whether the threshold was reached, and whether the state is unsound."""


@dataclass(slots=True)
class _Quiet:
    """Triggers of an incident that were alike and changed nothing: counted, and told at the second, fourth, eighth and so on."""

    untold: int = 0
    told: int = 1


@dataclass(frozen=True, slots=True)
class Responder:
    """Triggers of one run are answered one after the other."""

    journal: Journal
    answered: ResponseHistory
    registry: Registry
    incidents: Incidents
    containment: Containment
    rules: Rules
    clock: Clock
    _quiet: dict[tuple[str, Signature], _Quiet] = field(default_factory=dict)

    async def __call__(self, run_id: str, generation: int, trigger: Trigger) -> Incident | None:
        """Respond to a trigger; the incident that it opened or joined, ``None`` if there is none.

        Raises:
            JournalUnavailable: the order is in force on this node, and not durable.
        """
        run = await self.registry.run(run_id)
        if run is None:
            return None
        known = await self.incidents.incident_of(run_id, generation, trigger.name)
        standing = [] if known is None else self._standing(known)
        if known is not None and (quiet := self._alike(known, standing, trigger)) is not None and not self._due(quiet):
            return known
        answer = _Answer(run, generation, trigger, known, standing)
        return await self._carried_out(answer, self._told(answer))

    async def to_be_safe(self, run_id: str, trigger: Trigger) -> Order:
        """Quarantine a run whose trigger could not be answered. Nothing is read for that, and nothing asked.

        Raises:
            JournalUnavailable: it is in force on this node, and not durable.
        """
        why = f"{trigger.name}: Quarantined, because the response failed."
        return await self.containment.make(Scope(run=run_id), Mode.QUARANTINED, reason=why, by=f"trigger:{trigger.name}")

    async def about(self, run: Run, generation: int, trigger: Trigger) -> Response:
        """Policy's answer to an error that may be recoverable; journaled, and never an incident."""
        response = await self._asked(run, generation, trigger)
        self.journal.post(self._response(run, generation, trigger, response, of=trigger))
        self._kept(run, generation, trigger, response)
        return response

    async def _carried_out(self, answer: _Answer, position: Position | None) -> Incident | None:
        run, trigger = answer.run, answer.trigger
        response = await self._asked(run, answer.generation, trigger)
        order = await self._contained(answer, response)
        incident = self._incident(answer, response, order)
        if incident is not None:
            self._remember(incident, trigger)
        change = None if incident is None else "opened" if answer.known is None else "updated"
        of = None if position is None else str(position)
        entry = self._response(run, answer.generation, trigger, response, of=of)
        order_id = None if order is None else order.order_id
        await self.journal.append(replace(entry, order_id=order_id, incident=incident, change=change))
        self._kept(run, answer.generation, trigger, response)
        return incident

    def _told(self, answer: _Answer) -> Position | None:
        """The trigger's own entry. Where it cannot be written, containment continues without it."""
        entry = TriggerEntry(
            **codec.owner(answer.run, self.clock.now(), answer.generation),
            trigger=answer.trigger,
            incident_id=None if answer.known is None else answer.known.incident_id,
        )
        try:
            return self.journal.post(entry)
        except errors.JournalUnavailable:
            return None

    async def _asked(self, run: Run, generation: int, trigger: Trigger) -> Response:
        document = rules.response_document(
            trigger=trigger,
            run=run,
            mode=self._mode(run, generation),
            counters=await self.registry.counters(f"run:{run.run_id}"),
            history=await self.answered.of(run.run_id, generation),
            violations=_violations(trigger),
        )
        try:
            return rules.parse_response(await self.rules.ask(rules.RESPONSE, document))
        except errors.PolicyUnavailable as down:
            return rules.unanswered(f"policy did not answer ({down.detail})")

    async def _contained(self, answer: _Answer, response: Response) -> Order | None:
        """The order that holds what the response asks to be held: a new one, or one that this incident made before."""
        mode = response.action.mode
        if mode is None:
            return None
        scope = response.scope or Scope(run=answer.run.run_id)
        held = incidents.held_by([*answer.standing, *self._left(answer)], scope, response)
        if held is not None:
            await self.containment.keep(held)
            return held
        return await self.containment.make(
            scope,
            mode,
            reason=f"{answer.trigger.name}: {response.why}",
            by=f"trigger:{answer.trigger.name}",
            no_fanout=response.action is Measure.NO_FANOUT,
        )

    def _incident(self, answer: _Answer, response: Response, order: Order | None) -> Incident | None:
        now, known = self.clock.now(), answer.known
        if known is not None:
            quiet = self._quiet.get((known.incident_id, _signature(answer.trigger)))
            times = max(1, quiet.untold) if quiet is not None else 1
            incident = incidents.joined(known, answer.trigger, response, stands=bool(answer.standing), times=times, now=now)
        elif response.action.mode is None:
            return None
        else:
            incident = incidents.begun(self.clock.mint("inc"), answer.run, answer.generation, answer.trigger, response, now=now)
        if order is None or order.order_id in incident.orders:
            return incident
        return replace(incident, orders=(*incident.orders, order.order_id))

    def _alike(self, known: Incident, standing: list[Order], trigger: Trigger) -> _Quiet | None:
        """What this trigger repeats, as long as the order that was the answer stands."""
        return self._quiet.get((known.incident_id, _signature(trigger))) if standing else None

    def _remember(self, incident: Incident, trigger: Trigger) -> None:
        alike = (incident.incident_id, _signature(trigger))
        if alike in self._quiet:
            self._quiet[alike].untold = 0
            return
        if len(self._quiet) >= _REMEMBERED:
            self._quiet.clear()
        self._quiet[alike] = _Quiet()

    def _due(self, quiet: _Quiet) -> bool:
        quiet.untold += 1
        if quiet.untold < quiet.told:
            return False
        quiet.told *= 2
        return True

    def _standing(self, incident: Incident) -> list[Order]:
        now = self.clock.now()
        found = [self.containment.order(name) for name in incident.orders]
        return [one for one in found if one is not None and one.released_at is None and (one.expires_at is None or one.expires_at > now)]

    def _left(self, answer: _Answer) -> list[Order]:
        """Orders on the run that were made for this cause and belong to no incident: their maker was interrupted before it
        journaled one, by a
        crash or by a journal that could not be written.
        """
        holding = self.containment.replica.standing.of(answer.run, now=self.clock.now())
        return [one for one in holding if one.by == f"trigger:{answer.trigger.name}" and one.scope.run == answer.run.run_id]

    def _mode(self, run: Run, generation: int) -> Mode:
        return self.containment.replica.hold(run, generation, None, now=self.clock.now()).mode

    def _kept(self, run: Run, generation: int, trigger: Trigger, response: Response) -> None:
        self.answered.keep(run.run_id, generation, Earlier(trigger.name, self.clock.now(), response.action))

    def _response(self, run: Run, generation: int, trigger: Trigger, response: Response, *, of: str | Trigger | None) -> ResponseEntry:
        return ResponseEntry(
            **codec.owner(run, self.clock.now(), generation),
            name=trigger.name,
            action=response.action,
            verdict=response.verdict,
            rollback=response.rollback,
            why=response.why,
            revision=self.rules.revision,
            trigger=of,
        )


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is being answered: ``known`` is the incident it joins, ``standing`` that incident's orders in force."""

    run: Run
    generation: int
    trigger: Trigger
    known: Incident | None
    standing: list[Order]


def _violations(trigger: Trigger) -> list[Reason] | None:
    found = trigger.facts.get(VIOLATIONS)
    return [Reason(code, message) for code, message in found] if isinstance(found, list) else None


def _signature(trigger: Trigger) -> Signature:
    return trigger.effect, trigger.severity, trigger.count >= trigger.threshold, VIOLATIONS in trigger.facts


_KEPT = 10_000
"""Generations of runs remembered; the one not asked for longest is read again."""
_PAGE = 1000

Generation = tuple[str, int]


@dataclass(frozen=True, slots=True)
class ResponseHistory:
    """A tool that is down has every read of a run asked about: the journal must not be read again for each."""

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
