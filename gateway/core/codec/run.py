"""Runs and their limits, in the journal and in the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.core import limits
from gateway.core.codec.record import MODE, Codec, Form, Json
from gateway.model.run import Limits, Rate, Run

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_RESUMED = ("superseded", "resumed_from", "require_approval")
"""Members of a run that was resumed."""


def rate(word: str) -> Rate:
    """``50/s``, ``10/m``, ``5/h`` or ``3/90s``: what ``str`` of a rate gives."""
    count, _, unit = word.partition("/")
    return Rate(int(count), _UNITS[unit] if unit in _UNITS else float(unit.removesuffix("s")))


_LIMITS = Codec(Limits, forms={"rate": Form(str, rate)})


def limits_json(value: Limits) -> Json:
    """Limits with amounts in millionths, as the journal keeps them; absent if there is none."""
    shown = _LIMITS.journal(value)
    return shown | {"amount": dict(value.amount)} if value.amount else {name: one for name, one in shown.items() if name != "amount"}


def _limits(document: Mapping[str, Any]) -> Limits:
    return _LIMITS.read({**document, "amount": document.get("amount") or {}})


def _limits_shown(value: Limits) -> Json:
    """Amounts in units."""
    amounts = {name: one / limits.MILLION for name, one in value.amount.items()}
    return limits_json(value) | ({"amount": amounts} if amounts else {})


class _RunCodec(Codec[Run]):
    """Members that only a resume sets, or that are rarely there, are absent elsewhere."""

    def journal(self, value: Run) -> Json:
        document = super().journal(value)
        if not value.inherited:
            del document["inherited"]
        if value.generation == 1:
            for name in _RESUMED:
                del document[name]
        return document


RUN = _RunCodec(
    Run,
    times=("opened_at", "expires_at", "closed_at"),
    forms={"mode": MODE, "limits": Form(limits_json, _limits, _limits_shown)},
    nulls=True,
    hidden=("ancestors", "inherited", "revoked", "opened_under", "superseded", "resumed_from"),
)


def run_shown(run: Run, counters: Mapping[str, int], mode: str) -> Json:
    """A run as the API shows it; ``mode`` is the effective one."""
    document = RUN.shown(run) | {
        "mode": mode,
        "counters": {name: value / limits.MILLION if name.startswith("amount:") else value for name, value in sorted(counters.items())},
    }
    if run.generation == 1:
        del document["require_approval"]
    return document
