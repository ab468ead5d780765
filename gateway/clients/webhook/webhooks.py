"""Webhooks: orders, triggers and incidents told to the outside, from the journal and as far as it is durable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom

from gateway.clients.webhook.delivery import Cursor, Delivery
from gateway.clients.webhook.post import Post
from gateway.core.webhook import cloudevents
from gateway.model.entry import Fields, Position
from gateway.model.webhook import Topic, Webhook
from gateway.ports.clock import Clock
from gateway.ports.journal import History
from gateway.ports.projections import Registry

FOLDER = "webhooks"
FIRST_WAIT = 1.0
"""Seconds before an event is tried a second time."""

_TOPICS: dict[object, Topic] = {kind.value: topic for topic, kinds in cloudevents.KINDS.items() for kind in kinds}


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Deliveries that know nothing of each other: each is a routine of its own, and has its own place in the journal."""

    deliveries: tuple[Delivery, ...]
    post: Post

    def heard(self, fields: Fields, position: Position) -> None:
        """Hear of every entry as it enters the journal; rings the bell of those who have to tell of it. Never waits."""
        topic = _TOPICS.get(fields["kind"])
        if topic is not None:
            for delivery in self.deliveries:
                if topic in delivery.webhook.topics:
                    delivery.wake(position.seq)

    async def close(self) -> None:
        await self.post.close()


async def open_webhooks(
    declared: Sequence[Webhook],
    folder: Path,
    history: History,
    registry: Registry,
    clock: Clock,
    log: Callable[..., object],
    *,
    first: float = FIRST_WAIT,
) -> Webhooks:
    """Webhooks at their places in the journal, to be closed. ``folder`` keeps their cursors, a file for each.

    Raises:
        Misconfigured: a cursor cannot be read.
    """
    post, chance = Post(), SystemRandom().random
    stream = (await history.tail()).stream
    try:
        deliveries = tuple(
            Delivery(one, history, registry, Cursor(folder / f"{one.name}.json"), post, clock, chance, log, stream, first)
            for one in declared
        )
        for delivery in deliveries:
            await delivery.begin()
    except BaseException:
        await post.close()
        raise
    return Webhooks(deliveries, post)
