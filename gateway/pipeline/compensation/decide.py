"""May this compensation be made? Policy can turn it into a task, and nothing else; while it cannot be asked, the compensation waits."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.policy import rules
from gateway.core.rollback import effects
from gateway.model.decision import Allow, Considered
from gateway.pipeline.compensation.request import Conflict
from gateway.pipeline.evidence import Fresh, Permitted
from gateway.ports.clock import Clock
from gateway.ports.rollback import Compensating
from gateway.ports.rules import Rules


@dataclass(frozen=True, slots=True)
class DecideRecovery:
    rules: Rules
    clock: Clock

    async def __call__(self, fresh: Fresh, order: Compensating) -> Permitted:
        """Ask policy.

        Raises:
            Conflict: the time for it is over, policy wants a person to do it, or its answer cannot be used.
            PolicyUnavailable: there is no answer now.
        """
        known = fresh.known
        if (late := effects.late(order.effects, known.at)) is not None:
            raise Conflict(late)  # planned in time, and held up since: by an approver, or by its tool
        node = rules.node_document(order.node, order.effects)
        document = rules.recovery_document(node=node, run=known.run, mode=fresh.opened.mode, now=known.at)
        why_not = rules.parse_recovery(await self.rules.ask(rules.RECOVERY, document))
        if why_not is not None:
            raise Conflict(f"policy hands it to a person: {why_not}")
        allow = Allow(decision_id=self.clock.mint("dec"), revision=self.rules.revision)
        return Permitted(fresh=fresh, considered=Considered(decision=allow, at=known.at, mode=fresh.opened.mode, active=allow.revision))
