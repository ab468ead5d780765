"""Responds to one trigger: policy decides what follows, and an order is in force before anything else is done.

Earlier responses of a run's generation are read from the journal once, then kept up to date.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from gateway import errors
from gateway.control.containment.containment import Containment
from gateway.core.authorization import gate
from gateway.core.codec import entry as codec
from gateway.core.incident import incidents
from gateway.core.policy import rules
from gateway.model.decision import Reason
from gateway.model.entries import ResponseEntry, TriggerEntry
from gateway.model.entry import Kind
from gateway.model.run import Mode, Order, Run, Scope
from gateway.model.trigger import Incident, Measure, PastResponse, Response, Trigger
from gateway.ports.clock import Clock
from gateway.ports.journal import History, Journal, Query
from gateway.ports.policy import Rules
from gateway.ports.projections import Incidents, Registry

VIOLATIONS = "violations"
"""The fact of a trigger that holds what is unsound about the run's state: ``[code, message]`` each."""

_REMEMBERED = 10_000

Signature = tuple[str | None, str | None, bool, bool]
"""What makes two triggers of one cause alike: effect, severity, whether the threshold was reached, and whether the state is unsound."""


@dataclass(slots=True)
class _Repeats:
    """Triggers of an incident that are alike and changed nothing: counted, and reported at the second, fourth, eighth and so on."""

    unreported: int = 0
    next_report: int = 1

    def is_reported(self) -> bool:
        """Count one more; whether it is reported."""
        self.unreported += 1
        if self.unreported < self.next_report:
            return False
        self.next_report *= 2
        return True


@dataclass(frozen=True, slots=True)
class _Case:
    """A trigger to respond to: ``known`` is the incident it joins, ``standing`` that incident's orders in force."""

    run: Run
    generation: int
    trigger: Trigger
    known: Incident | None = None
    standing: Sequence[Order] = ()

    @property
    def author(self) -> str:
        """Who the orders of this cause are made by."""
        return f"trigger:{self.trigger.name}"


@dataclass(frozen=True, slots=True)
class Responder:
    """The triggers of one run get their responses one after the other."""

    journal: Journal
    answered: ResponseHistory
    registry: Registry
    incidents: Incidents
    containment: Containment
    rules: Rules
    clock: Clock
    _repeats: dict[tuple[str, Signature], _Repeats] = field(default_factory=dict)

    async def __call__(self, run_id: str, generation: int, trigger: Trigger) -> Incident | None:
        """Respond to a trigger; the incident that it opened or joined, ``None`` if there is none.

        Raises:
            JournalUnavailable: the order is in force on this node, and not durable.
        """
        run = await self.registry.run(run_id)
        if run is None:
            return None
        known = await self.incidents.incident_of(run_id, generation, trigger.name)
        standing = () if known is None else self._standing(known)
        if known is not None and standing:  # a repeat changes nothing while the order of the first response stands
            repeats = self._repeats.get((known.incident_id, _signature(trigger)))
            if repeats is not None and not repeats.is_reported():
                return known
        case = _Case(run, generation, trigger, known, standing)
        trigger_entry = self._journal_trigger(case)
        response = await self._ask(case)
        order = await self._contain(case, response)
        incident = self._incident(case, response, order)
        entry = replace(
            self._response(case, response),
            trigger=trigger_entry,
            order_id=None if order is None else order.order_id,
            incident=incident,
            change=None if incident is None else "opened" if known is None else "updated",
        )
        await self.journal.append(entry)
        self._remember(case, response)
        return incident

    async def quarantine(self, run_id: str, trigger: Trigger) -> Order:
        """Quarantine a run if responding to its trigger failed. This reads nothing and does not ask policy.

        Raises:
            JournalUnavailable: it is in force on this node, and not durable.
        """
        why = f"{trigger.name}: Quarantined, because the response failed."
        return await self.containment.make(Scope(run=run_id), Mode.QUARANTINED, reason=why, by=f"trigger:{trigger.name}")

    async def about(self, run: Run, generation: int, trigger: Trigger) -> Response:
        """Policy's answer to an error that may be recoverable; journaled, and never an incident."""
        case = _Case(run, generation, trigger)
        response = await self._ask(case)
        self.journal.post(replace(self._response(case, response), trigger=trigger))
        self._remember(case, response)
        return response

    def _journal_trigger(self, case: _Case) -> str | None:
        """The position of the trigger's own entry. If it cannot be written, containment continues without it."""
        entry = TriggerEntry(
            **codec.owner(case.run, self.clock.now(), case.generation),
            trigger=case.trigger,
            incident_id=None if case.known is None else case.known.incident_id,
        )
        try:
            return str(self.journal.post(entry))
        except errors.JournalUnavailable:
            return None

    async def _ask(self, case: _Case) -> Response:
        run, violations = case.run, case.trigger.facts.get(VIOLATIONS)
        document = rules.response_document(
            trigger=case.trigger,
            run=run,
            mode=self.containment.replica.hold(run, case.generation, None, now=self.clock.now()).mode,
            counters=await self.registry.counters(f"run:{run.run_id}"),
            history=await self.answered.of(run.run_id, case.generation),
            violations=[Reason(code, message) for code, message in violations] if isinstance(violations, list) else None,
        )
        try:
            return rules.parse_response(await self.rules.ask(rules.RESPONSE, document))
        except errors.PolicyUnavailable as down:
            return rules.unanswered(f"policy did not answer ({down.detail})")

    async def _contain(self, case: _Case, response: Response) -> Order | None:
        """The order that the response requires: a new one, or one that this incident made before."""
        mode, run = response.action.mode, case.run
        if mode is None:
            return None
        scope = response.scope or Scope(run=run.run_id)
        # Orders for this cause that belong to no incident: a crash, or a failing journal, came between the order and its incident.
        holding = self.containment.replica.standing.of(run, now=self.clock.now())
        left = [one for one in holding if one.by == case.author and one.scope.run == run.run_id]
        if (held := incidents.sufficient_order([*case.standing, *left], scope, response)) is not None:
            await self.containment.make_durable(held)
            return held
        reason, no_fanout = f"{case.trigger.name}: {response.why}", response.action is Measure.NO_FANOUT
        return await self.containment.make(scope, mode, reason=reason, by=case.author, no_fanout=no_fanout)

    def _incident(self, case: _Case, response: Response, order: Order | None) -> Incident | None:
        now, known, trigger = self.clock.now(), case.known, case.trigger
        if known is not None:
            repeats = self._repeats.get((known.incident_id, _signature(trigger)), _Repeats())
            times = max(1, repeats.unreported)
            repeats.unreported = 0
            incident = incidents.add_trigger(known, trigger, response, stands=bool(case.standing), times=times, now=now)
        elif response.action.mode is None:
            return None
        else:
            incident = incidents.open_incident(self.clock.mint("inc"), case.run, case.generation, trigger, response, now=now)
        if (key := (incident.incident_id, _signature(trigger))) not in self._repeats:
            if len(self._repeats) >= _REMEMBERED:
                self._repeats.clear()
            self._repeats[key] = _Repeats()
        if order is None or order.order_id in incident.orders:
            return incident
        return replace(incident, orders=(*incident.orders, order.order_id))

    def _standing(self, incident: Incident) -> list[Order]:
        now = self.clock.now()
        found = [self.containment.order(name) for name in incident.orders]
        return [one for one in found if one is not None and gate.condition(one, None, now=now) == "standing"]

    def _remember(self, case: _Case, response: Response) -> None:
        self.answered.add(case.run.run_id, case.generation, PastResponse(case.trigger.name, self.clock.now(), response.action))

    def _response(self, case: _Case, response: Response) -> ResponseEntry:
        return ResponseEntry(
            **codec.owner(case.run, self.clock.now(), case.generation),
            name=case.trigger.name,
            action=response.action,
            verdict=response.verdict,
            rollback=response.rollback,
            why=response.why,
            revision=self.rules.revision,
        )


def _signature(trigger: Trigger) -> Signature:
    return trigger.effect, trigger.severity, trigger.count >= trigger.threshold, VIOLATIONS in trigger.facts


_KEPT = 10_000
"""Generations of runs remembered; the one not asked for longest is read again."""
_PAGE = 1000

Generation = tuple[str, int]


@dataclass(frozen=True, slots=True)
class ResponseHistory:
    """While a tool is down, each of a run's reads asks; the journal must not be read again for each."""

    history: History
    _of: OrderedDict[Generation, deque[PastResponse]] = field(default_factory=OrderedDict)

    async def of(self, run_id: str, generation: int) -> list[PastResponse]:
        """The newest answers, oldest first."""
        key = (run_id, generation)
        if key not in self._of:
            self._of[key] = await self._read(run_id, generation)
            if len(self._of) > _KEPT:
                self._of.popitem(last=False)
        self._of.move_to_end(key)
        return list(self._of[key])

    def add(self, run_id: str, generation: int, answer: PastResponse) -> None:
        """One more was journaled."""
        known = self._of.get((run_id, generation))
        if known is not None:
            known.append(answer)

    async def _read(self, run_id: str, generation: int) -> deque[PastResponse]:
        found: deque[PastResponse] = deque(maxlen=rules.HISTORY)
        after: str | None = None
        while page := await self.history.entries(Query(run=run_id, kind=Kind.RESPONSE, after=after, limit=_PAGE)):
            mine = (one for one in page if isinstance(one, ResponseEntry) and one.generation == generation)
            found.extend(PastResponse(one.name, one.at, one.action) for one in mine)
            after = str(page[-1].position)
        return found
