"""The story as the journal tells it: a row a call or order, similar neighbours grouped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import groupby
from typing import Any

from rich import box
from rich.table import Table

_COLUMNS = ("seq", "time", "step", "action", "target", "before -> after", "result", "verified", "can it be undone")
_SHOWN = 5
"""So many calls in a row on one object are shown; of more, the first two and the last two."""

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    seq: str
    time: str
    step: str
    action: str = ""
    target: str = ""
    versions: str = ""
    result: str = ""
    verification: str = ""
    undo: str = ""

    @property
    def about(self) -> str:
        """The object that a call was about; empty for all else."""
        return self.target if self.step else ""


def table(entries: Sequence[Entry], effects: Sequence[Mapping[str, Any]]) -> Table:
    """``entries`` are a run's, oldest first; ``effects`` its writes as they stand now."""
    shown = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=(0, 1), pad_edge=False, collapse_padding=True)
    for name in _COLUMNS:
        shown.add_column(name, overflow="fold")
    for row in grouped(list(rows(entries, effects))):
        shown.add_row(*astuple(row))
    return shown


def rows(entries: Sequence[Entry], effects: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    """A row for everything but intents, which their outcomes speak for."""
    intents = {f"{entry['stream']}/{entry['seq']}": entry for entry in entries if entry["kind"] == "intent"}
    standing = {effect["outcome"]: effect for effect in effects}
    for entry in entries:
        match entry["kind"]:
            case "outcome":
                yield _write(entry, intents[entry["intent"]], standing[f"{entry['stream']}/{entry['seq']}"])
            case "order":
                yield Row(
                    *_begin(entry), action=f"-> {entry['order']['mode']}", target=f"by {entry['by']}", result=f"order {entry['change']}"
                )
            case "run":
                yield Row(*_begin(entry), target=f"by {entry['by']}", result=f"run {entry['change']}")
            case "read" | "replay" | "refusal":
                yield _call(entry)


def grouped(found: Sequence[Row]) -> Iterator[Row]:
    """Long stretches of calls on one object cut short, with a row that says how many are left out."""
    for about, group in groupby(found, key=lambda row: row.about):
        stretch = list(group)
        if not about or len(stretch) <= _SHOWN:
            yield from stretch
            continue
        yield from stretch[:2]
        yield Row("...", "", "", f"{len(stretch) - 4} more like these")
        yield from stretch[-2:]


def _write(outcome: Entry, intent: Entry, effect: Mapping[str, Any]) -> Row:
    return Row(
        *_begin(outcome),
        action=outcome["action"],
        target=_target(outcome),
        versions=f"{_version(intent.get('before_ref'))} -> {_version(outcome.get('after_ref'))}",
        result=outcome["result"],
        verification=outcome["verification"],
        undo=_undo(effect),
    )


def _call(entry: Entry) -> Row:
    match entry["kind"]:
        case "read":
            result = str(entry["status"])
        case "replay":
            result = f"replay of {entry['replay_of'].rpartition('/')[2]}"
        case _:
            result = entry["code"]
    versions = _version(entry["before_ref"]) if "before_ref" in entry else ""
    return Row(*_begin(entry), action=entry.get("action", ""), target=_target(entry), versions=versions, result=result)


def _begin(entry: Entry) -> tuple[str, str, str]:
    return str(entry["seq"]), entry["ts"][11:21], entry.get("step_id", "")


def _target(entry: Entry) -> str:
    target = entry.get("target")
    return f"{target['type']}:{_short(target['id'], 8) or '(all)'}" if target else ""


def _version(ref: str | None) -> str:
    """``..61747`` of ``erp:invoice:inv-1001:1795552961747``: enough to tell two apart, in a narrow column."""
    if ref is None:
        return "(none)"
    version = ref.rpartition(":")[2]
    return version if len(version) <= 7 else f"..{version[-5:]}"


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[:most]}.."


def _undo(effect: Mapping[str, Any]) -> str:
    undo = effect["compensation"]
    if not effect["can_undo"]:
        return f"no: {effect.get('why_not', undo['type'])}"
    until = undo.get("allowed_until")
    declared: str = undo["class"]
    return declared + (f" until {until[5:16].replace('T', ' ')}Z" if until else "")
