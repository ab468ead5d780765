"""Triggers, incidents and rollbacks, in the journal and in the API."""

from __future__ import annotations

from gateway.core.codec.record import Codec, Json
from gateway.model.incident import Incident
from gateway.model.rollback import Rollback
from gateway.model.trigger import Trigger

INCIDENT = Codec(Incident, times=("opened_at", "updated_at", "closed_at"))
ROLLBACK = Codec(
    Rollback,
    times=("started_at", "updated_at", "ended_at"),
    hidden=("status", "nodes", "since", "owner", "owner_epoch", "epoch", "plan_ref"),
)


class _TriggerCodec(Codec[Trigger]):
    """The layer stands beside the name that it follows from."""

    def journal(self, value: Trigger) -> Json:
        return super().journal(value) | {"layer": value.layer}


TRIGGER = _TriggerCodec(Trigger, times=("at",))


def rollback_shown(rollback: Rollback) -> Json:
    """A rollback as the API shows it: ``state`` is its status, without how it is driven."""
    return ROLLBACK.shown(rollback) | {"state": rollback.status.value}
