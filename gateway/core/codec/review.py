"""What people are asked, in the journal and in the API: tasks, approvals, and the checkpoints they choose from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.core import timestamps
from gateway.core.codec.record import POSITION, TARGET, WHOLE_TARGET, Codec, Form, Json, convert, each
from gateway.model.action import Compensation
from gateway.model.approval import Approval
from gateway.model.checkpoint import Checkpoint, Touched
from gateway.model.decision import Reason
from gateway.model.task import Evidence, Task

_EVIDENCE = Codec(Evidence)


class _TaskCodec(Codec[Task]):
    def read(self, document: Mapping[str, Any]) -> Task:
        """Tasks of earlier versions hold one ``wire_key``, and neither target nor evidence."""
        return super().read(document if "wire_keys" in document else {**document, "wire_keys": [document["wire_key"]]})


TASK = _TaskCodec(
    Task,
    times=("opened_at", "resolved_at"),
    forms={"target": WHOLE_TARGET, "evidence": Form(_EVIDENCE.journal, _EVIDENCE.read, _EVIDENCE.shown)},
)

_TOUCHED = Codec(Touched, forms={"target": TARGET, "receipt": POSITION})
CHECKPOINT = Codec(
    Checkpoint,
    times=("taken_at",),
    forms={
        "at": POSITION,
        "objects": each(Form(_TOUCHED.journal, _TOUCHED.read, _TOUCHED.shown)),
        "irreversible": each(POSITION),
        "compensations": each(POSITION),
    },
)

APPROVAL = Codec(
    Approval,
    times=("requested_at", "expires_at", "decided_at", "used_at"),
    forms={"target": TARGET, "reasons": each(Form(msgspec.to_builtins, lambda document: convert(document, Reason)))},
    hidden=("content", "request_ref"),
)


def approval_shown(approval: Approval) -> Json:
    """Without where its request is sealed; the digest of its arguments as other entries have it."""
    return APPROVAL.shown(approval) | {"args_digest": f"sha256:{approval.content}"}


def compensation_shown(value: Compensation) -> Json:
    """The declared compensation of an effect."""
    until = value.allowed_until
    return {
        "class": value.reversibility.value,
        "type": value.remedy.value,
        "auto": value.automatic,
        "allowed_until": None if until is None else timestamps.rfc3339(until),
    }
