"""What a journal says, read as anybody may who has the file: durable entries only, in order, while a gateway writes them.

Everything here is told by the entries themselves and by what reached the tool; nothing is asked of a gateway.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from gateway.core.codec.entry import of_fields
from gateway.core.journal import projection
from gateway.model.call import Outgoing
from gateway.model.effect import State
from gateway.model.entry import Position
from gateway.model.run import Mode, Order, Run
from gateway.stores.sqlite import database
from gateway.stores.sqlite.projection import Tables
from gateway.stores.sqlite.reprojection import PROJECTED
from tests.support.invariants_tool import header

Entry = dict[str, Any]
GENESIS = "0" * 64
STATES = {"success": State.STANDING, "found": State.STANDING, "failed": State.FAILED, "denied": State.FAILED, "unknown": State.UNKNOWN}


@dataclass(frozen=True, slots=True)
class By:
    """Whose call it is, as its lease says."""

    run_id: str
    generation: int
    expires_at: float


@dataclass(slots=True)
class Effect:
    """One attempt of one write. ``results`` are (kind, result) of what was said of its outcome, in order; ``before`` is what the attempt
    before it was when its intent was taken, ``None`` for the first.
    """

    intent: Entry
    before: State | None
    state: State = State.IN_FLIGHT
    results: list[tuple[str, str]] = field(default_factory=list)
    compensated: int = 0
    sent: int = 0
    ill: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        return str(self.intent["idempotency_key"])

    @property
    def found(self) -> bool:
        """Whether nothing but the state of its object says that it was applied."""
        return bool(self.results) and self.results[-1][1] == "found"

    @property
    def logical(self) -> tuple[str, str, str]:
        return self.intent["tenant"], self.intent["workflow_id"], self.intent["key"]["digest"]

    @property
    def rollback(self) -> str | None:
        return self.intent.get("rollback_id")


@dataclass(frozen=True, slots=True)
class Sent:
    """A call whose first byte left: with what the journal held durably by then, and what it held against it."""

    request: Outgoing
    by: By | None
    effect: Effect | None
    against: str | None
    now: float


@dataclass(slots=True)
class Chronicle:
    """``read`` takes in what became durable since."""

    path: Path
    seq: int = 0
    hash: str = GENESIS
    lines: list[bytes] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    effects: dict[str, Effect] = field(default_factory=dict)
    attempts: dict[tuple[str, str, str], list[Effect]] = field(default_factory=lambda: defaultdict(list))
    orders: dict[str, list[tuple[int, Order]]] = field(default_factory=lambda: defaultdict(list))
    runs: dict[str, list[tuple[int, Run]]] = field(default_factory=lambda: defaultdict(list))
    revoked: dict[str, int] = field(default_factory=dict)
    rollbacks: dict[str, Entry] = field(default_factory=dict)
    nodes: dict[tuple[str, str], str] = field(default_factory=dict)
    handed: set[str] = field(default_factory=set)
    asked: set[tuple[str | None, str]] = field(default_factory=set)
    """Rollback and node of the compensations that a person was asked about."""
    sent: list[Sent] = field(default_factory=list)
    reads: list[Entry] = field(default_factory=list)
    heads: dict[tuple[str, int], str] = field(default_factory=dict)
    _reader: sqlite3.Connection = field(init=False)
    _again: sqlite3.Connection = field(init=False)
    _tables: Tables = field(init=False)

    def __post_init__(self) -> None:
        self._reader = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, isolation_level=None)
        self._again = sqlite3.connect(":memory:", isolation_level=None)
        for _, script in database.migrations():
            self._again.executescript(script)
        self._tables = Tables(self._again)

    def close(self) -> None:
        self._reader.close()
        self._again.close()

    def read(self) -> None:
        rows = self._reader.execute("SELECT seq, line FROM entries WHERE seq > ? ORDER BY seq", (self.seq,)).fetchall()
        if not rows:
            return
        self._again.execute("BEGIN")
        for seq, line in rows:
            self._link(seq, line)
            entry = orjson.loads(line)
            self._take(seq, entry)
            self._tables.apply(projection.changes(of_fields(entry), Position(entry["stream"], seq)), seq)
        self._tables.flush()
        self._again.execute("COMMIT")

    def unlike(self) -> Iterator[str]:
        """Where the tables that a gateway reads are not what the entries make of empty ones."""
        self._reader.execute("BEGIN")
        try:
            self.read()
            for table in PROJECTED:
                query = f"SELECT * FROM {table}"
                stored, projected = self._reader.execute(query).fetchall(), self._again.execute(query).fetchall()
                if stored != projected and (unlike := set(map(_row, stored)) ^ set(map(_row, projected))):
                    yield f"{table}: {unlike}"
        finally:
            self._reader.execute("COMMIT")

    def rewritten(self) -> bool:
        """Whether an entry that was durable is another now, or a head that was signed is none of them."""
        lines = [line for (line,) in self._reader.execute("SELECT line FROM entries WHERE seq <= ? ORDER BY seq", (self.seq,))]
        return lines != self.lines

    def signed(self) -> list[tuple[str, int, str]]:
        return self._reader.execute("SELECT stream, seq, hash FROM heads").fetchall()

    def counted(self, scope: str, name: str) -> int:
        row = self._reader.execute("SELECT used FROM counters WHERE scope = ? AND name = ?", (scope, name)).fetchone()
        return 0 if row is None else int(row[0])

    def state(self) -> list[object]:
        """What recovering is about, without who did it and when."""
        self.read()
        writes: list[object] = [(one.key, one.intent["action"], one.state, one.compensated) for one in self.effects.values()]
        rollbacks: list[object] = [(name, one["status"], one.get("residue")) for name, one in self.rollbacks.items()]
        tables = ("orders", "runs", "tasks", "approvals", "checkpoints")
        return [*writes, *rollbacks, *(self._reader.execute(f"SELECT * FROM {table}").fetchall() for table in tables)]

    def in_flight(self) -> list[str]:
        return [one.key for one in self.effects.values() if one.state is State.IN_FLIGHT]

    def run(self, run_id: str) -> Run:
        return self.runs[run_id][-1][1]

    def dead(self, run_id: str, generation: int) -> bool:
        """Whether a lease of this generation was cut, by what is durable."""
        return generation <= self.revoked.get(run_id, 0) or self.run(run_id).closed_at is not None

    def sends(self, request: Outgoing, by: By | None, now: float) -> None:
        """The first byte of a call is about to leave."""
        self.read()
        key = header(request, b"idempotency-key")
        effect = self.effects.get(key) if key is not None else None
        if effect is not None:
            effect.sent += 1
        self.sent.append(Sent(request, by, effect, self._against(request, by, effect, now), now))

    # What is against a call.

    def _against(self, request: Outgoing, by: By | None, effect: Effect | None, now: float) -> str | None:
        if effect is not None and effect.rollback is not None:
            return self._against_undoing(effect, now)
        if by is None:
            return "it is nobody's"
        if self.dead(by.run_id, by.generation):
            return f"generation {by.generation} of {by.run_id} was cut"
        if by.expires_at <= now:
            return f"the lease of {by.run_id} ended at {by.expires_at}, and it is {now}"
        for name in self.orders:
            order = self._standing(name, by.run_id, now)
            if order is not None and order.mode >= (Mode.PAUSED if request.method == "GET" else Mode.READ_ONLY):
                return f"order {name} ({order.mode.label}) holds {by.run_id}"
        return None

    def _against_undoing(self, effect: Effect, now: float) -> str | None:
        rollback = self.rollbacks[str(effect.rollback)]
        if rollback["status"] == "stopped":
            return f"rollback {effect.rollback} was stopped"
        for name, versions in self.orders.items():
            made = versions[0][1]
            if made.epoch <= rollback["epoch"] or (made.scope.run is not None and made.scope.tool is None):
                continue
            order = self._standing(name, effect.intent["run_id"], now)
            if order is not None and order.mode >= Mode.READ_ONLY:
                return f"order {name} ({order.mode.label}) was made after {effect.rollback} began"
        return None

    def _standing(self, name: str, run_id: str, now: float) -> Order | None:
        """An order as it holds a run, by the place of its entries alone."""
        versions, run = self.orders[name], self.run(run_id)
        made_at, made = versions[0]
        opened_at = self.runs[run_id][0][0]
        resumed_at = max((seq for seq, one in self.runs[run_id] if one.generation > 1 and _new(self.runs[run_id], one, seq)), default=0)
        scope = made.scope
        covers = (
            (scope.run in (None, run_id) or (scope.subtree and scope.run in run.ancestors))
            and scope.tenant in (None, run.tenant)
            and scope.agent in (None, run.agent_id)
            and scope.task_class in (None, run.task_class)
            and scope.tool in (None, "model")
        )
        if not covers and name not in run.inherited:
            return None
        if scope.run == run_id and scope.tool is None and made_at < resumed_at:
            return None
        if len(versions) > 1:
            released_at = versions[-1][0]
            kept = made.mode >= Mode.QUARANTINED and opened_at < released_at
            over = resumed_at > released_at and (scope.tool is None or made.mode < Mode.REVOKED)
            return made if kept and not over else None
        return None if made.expires_at is not None and made.expires_at <= now else made

    # Entries.

    def _link(self, seq: int, line: bytes) -> None:
        """``hash`` is of the hash before it and of the line without it, as anybody would re-compute it."""
        entry = orjson.loads(line)
        bare = orjson.dumps({name: value for name, value in entry.items() if name != "hash"}, option=orjson.OPT_SORT_KEYS)
        if seq != self.seq + 1 or entry["seq"] != seq:
            self.broken.append(f"{seq} follows {self.seq}")
        if entry["prev_hash"] != self.hash or entry["hash"] != hashlib.sha256(self.hash.encode() + bare).hexdigest():
            self.broken.append(f"{seq} does not link")
        self.seq, self.hash = seq, entry["hash"]
        self.heads[entry["stream"], seq] = self.hash
        self.lines.append(line)

    def _take(self, seq: int, entry: Entry) -> None:
        match entry["kind"]:
            case "intent":
                self._intended(entry)
            case "outcome" | "reconciliation":
                self._settled(entry)
            case "read":
                self.reads.append(entry)
            case "task":
                self.handed |= set(entry["task"]["wire_keys"])
            case "rollback" if "rollback" in entry:
                self.rollbacks[entry["rollback_id"]] = entry["rollback"]
            case "rollback" if entry.get("change") == "node":
                self.nodes[entry["rollback_id"], entry["node"]] = entry["state"]
                if "approval_id" in entry:
                    self.asked.add((entry["rollback_id"], entry["node"]))
            case "order" | "run":
                for change in projection.changes(of_fields(entry), Position(entry["stream"], seq)):
                    self._governed(seq, change)

    def _intended(self, entry: Entry) -> None:
        logical = entry["tenant"], entry["workflow_id"], entry["key"]["digest"]
        earlier = self.attempts[logical]
        effect = Effect(entry, earlier[-1].state if earlier else None)
        run = self.run(entry["run_id"])
        if entry["idempotency_key"] in self.effects:
            effect.ill.append("I4: a second intent of one attempt")
        if any(one.state is State.STANDING and one.intent["seq"] <= run.resumed_from for one in earlier):
            effect.ill.append("I10: a call from before the checkpoint is made again")
        for key in entry.get("compensates", ()):
            undone = self.effects[key]
            if undone.state not in (State.STANDING, State.COMPENSATED):
                effect.ill.append(f"I9: compensates {key}, which is {undone.state}")
            effect.ill += self._dependents(effect, undone)
        self.effects[effect.key] = effect
        earlier.append(effect)

    def _dependents(self, effect: Effect, undone: Effect) -> Iterator[str]:
        """Later effects of the rollback's runs on the same object that nobody has dealt with yet."""
        target, theirs = undone.intent["target"], set(effect.intent["compensates"])
        for other in self.effects.values():
            if (
                other.intent["seq"] > undone.intent["seq"]
                and other.rollback is None
                and other.intent["target"] == target
                and other.intent["run_id"] == effect.intent["run_id"]
                and other.key not in theirs
                and other.key not in self.handed
                and other.state not in (State.FAILED, State.COMPENSATED)
            ):
                yield f"I9: {other.key}, a later effect on {target['id']}, is {other.state}"

    def _settled(self, entry: Entry) -> None:
        effect, result = self.effects[entry["idempotency_key"]], entry["result"]
        legal = (
            effect.state is State.IN_FLIGHT
            if entry["kind"] == "outcome"
            else effect.state is (State.IN_FLIGHT if result == "unknown" else State.UNKNOWN)
        )
        if not legal:
            effect.ill.append(f"I4: {entry['kind']} {result} of what is {effect.state}")
        effect.results.append((entry["kind"], result))
        effect.state = STATES[result]
        if entry.get("target", {}).get("id"):
            effect.intent["target"] = entry["target"]
        if effect.state is State.STANDING and effect.rollback is not None and entry.get("verification") != "failed":
            for key in effect.intent["compensates"]:
                self.effects[key].state = State.COMPENSATED
                self.effects[key].compensated += 1

    def _governed(self, seq: int, change: projection.Change) -> None:
        match change:
            case projection.OrderChanged(order=order):
                self.orders[order.order_id].append((seq, order))
                if len(self.orders[order.order_id]) == 1 and order.mode is Mode.REVOKED and order.scope.tool is None:
                    for run_id in self.runs:
                        run = self.run(run_id)
                        if self._standing(order.order_id, run_id, 0.0) is not None and run.closed_at is None:
                            self.revoked[run_id] = max(self.revoked.get(run_id, 0), run.generation)
            case Run() as run:
                self.runs[run.run_id].append((seq, run))
                self.revoked[run.run_id] = max(self.revoked.get(run.run_id, 0), run.revoked)


def _row(row: tuple[object, ...]) -> tuple[object, ...]:
    """A row whose documents are distinguished by what they say."""
    return tuple(orjson.dumps(orjson.loads(value), option=orjson.OPT_SORT_KEYS) if isinstance(value, bytes) else value for value in row)


def _new(versions: list[tuple[int, Run]], run: Run, seq: int) -> bool:
    """Whether this version is the first of its generation."""
    return seq == min(at for at, one in versions if one.generation == run.generation)
