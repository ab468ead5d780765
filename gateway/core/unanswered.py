"""Which findings of a run nobody has answered, by the journal alone: none is lost to a crash, and none is answered twice. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.core import documents, suspicion
from gateway.core.triggers import verification
from gateway.core.triggers.thresholds import Thresholds
from gateway.core.triggers.watch import Event, Watch
from gateway.model.entry import Kind
from gateway.model.trigger import Trigger

KINDS = (Kind.FINDING, Kind.TRIGGER, Kind.RESPONSE, Kind.ORDER)
"""Of the entries that say it."""

Alike = tuple[int, str | None]
"""A generation and a severity: of two findings that are alike, the answer to one answers the other, while it stands."""


@dataclass(slots=True)
class _Heard:
    """``open`` are findings without an answer, by position; ``told`` the triggers of findings, by their own position."""

    open: dict[str, tuple[int, Trigger]] = field(default_factory=dict)
    told: dict[str, tuple[str, Alike]] = field(default_factory=dict)
    answered: set[Alike] = field(default_factory=set)

    def take(self, entry: Mapping[str, Any]) -> None:
        position = f"{entry['stream']}/{entry['seq']}"
        match entry["kind"]:
            case Kind.FINDING:
                event = Event(entry["stream"], entry["seq"], documents.instant(entry["ts"]), entry)
                fired = verification.finding(Watch(entry["generation"]), event, Thresholds())
                if fired is not None and (entry["generation"], fired.severity) not in self.answered:
                    self.open[position] = (entry["generation"], fired)
            case Kind.TRIGGER if entry["trigger"]["name"] == suspicion.TRIGGER:
                trigger = documents.trigger(entry["trigger"])
                self.told[position] = (trigger.evidence[-1], (entry["generation"], trigger.severity))
            case Kind.RESPONSE if (told := self.told.get(str(entry.get("trigger")))) is not None:
                finding, alike = told
                self.open = {name: one for name, one in self.open.items() if name != finding and (one[0], one[1].severity) != alike}
                self.answered.add(alike)
            case Kind.ORDER if entry["change"] == "released" and entry["order"]["by"] == f"trigger:{suspicion.TRIGGER}":
                self.answered.clear()  # what comes now is no repeat of what this order was the answer to


def findings(entries: Iterable[Mapping[str, Any]]) -> list[tuple[int, Trigger]]:
    """What a run's findings set off and nobody answered, oldest first, each with its generation; ``entries`` of ``KINDS``, ascending."""
    heard = _Heard()
    for entry in entries:
        heard.take(entry)
    return list(heard.open.values())
