"""A journal of any length, written through the store itself: whole calls of many runs, shaped like the line's."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from gateway.clients.clock import SystemClock
from gateway.clients.keys.vault import open_master_key, state_key
from gateway.core import timestamps
from gateway.core.codec.entry import of_fields
from gateway.core.codec.record import RUN
from gateway.core.request import idempotency
from gateway.model.effect import Charge, Key, KeyKind
from gateway.model.entries import IntentEntry, RefusalEntry
from gateway.model.entry import Sealed
from gateway.model.run import Limits, Rate, Run
from gateway.ports.journal import IntentRequest, Journal
from gateway.stores.sqlite import store
from gateway.stores.sqlite.log.opening import Expected

RUNS = 1000
PER_CALL = 3
"""Entries of one turn: a read, an intent and its outcome."""

_AT_ONCE = 1500
_KEPT_BODY = 220

Fields = dict[str, Any]
Note = Callable[[str], None]


async def written(data_dir: Path, count: int, note: Note) -> None:
    """A journal of at least ``count`` entries in ``data_dir``."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    clock = SystemClock()
    opened = await store.open_store(data_dir, clock, _expected(data_dir))
    try:
        runs = [_run(number, clock.now()) for number in range(min(RUNS, max(1, count // 10)))]
        await asyncio.gather(*(opened.journal.append(of_fields(_opened(run))) for run in runs))
        turns = -(-(count - len(runs)) // PER_CALL)
        for first in range(0, turns, _AT_ONCE):
            numbers = range(first, min(turns, first + _AT_ONCE))
            await _together(opened.journal, [_Turn(runs[number % len(runs)], number, clock.now()) for number in numbers])
            if first % (_AT_ONCE * 20) == 0:
                note(f"journal: {len(runs) + first * PER_CALL:,} of {count:,} entries written")
    finally:
        await opened.close()


def _expected(data_dir: Path) -> Expected:
    """With the key of the gateway that will start there: by another one it would project all entries again."""
    return Expected(key=state_key(open_master_key(data_dir / "keys")))


async def left_open(data_dir: Path, count: int, name: str) -> None:
    """So many more intents of which nobody says what came of them, as a gateway leaves them that is killed; ``name`` is new each time."""
    clock = SystemClock()
    opened = await store.open_store(data_dir, clock, _expected(data_dir))
    try:
        turns = [_Turn(_run(0, clock.now()), f"{name}-{number}", clock.now()) for number in range(count)]
        await asyncio.gather(*(opened.journal.intend(turn.opening()) for turn in turns))
    finally:
        await opened.close()


async def _together(journal: Journal, turns: list[_Turn]) -> None:
    """Many calls in few transactions: intents first, then what came of them."""
    for turn in turns:
        journal.post(of_fields(turn.read()))
    await asyncio.gather(*(journal.intend(turn.opening()) for turn in turns))
    ends: list[Awaitable[object]] = []
    for turn in turns:
        reply = _sealed()
        ends.append(journal.append(of_fields(turn.outcome(reply)), [reply]))
    await asyncio.gather(*ends)


class _Turn:
    """One agent's read of an invoice and its refund, as the journal tells them."""

    def __init__(self, run: Run, number: int | str, at: float) -> None:
        self._run = run
        self._number = number
        self._at = at
        digest = _digest(f"key {number}")
        self._key = Key(
            tenant=run.tenant, workflow_id=run.workflow_id, kind=KeyKind.CONTENT, digest=digest, content=_digest(digest), window=900.0
        )
        self._charges = tuple(
            Charge(scope, name, 1, 10**9)
            for scope in (f"run:{run.run_id}", f"workflow:{run.tenant}/{run.workflow_id}")
            for name in ("writes", "records")
        )

    def read(self) -> Fields:
        id_ = f"inv_{self._number}"
        path = f"/v1/tenants/{self._run.tenant}/invoices/{id_}"
        return self._entry("read", "invoice.read", "invoice", id_, path, "GET") | {
            "status": 200,
            "decision": self._decision(),
            "before_ref": f'ledger:invoice:{id_}:"v1"',
            "version": '"v1"',
        }

    def opening(self) -> IntentRequest:
        args = _sealed()
        fields = self._write("intent")
        fields["requested"] |= {"args_digest": f"sha256:{self._key.content}", "args_ref": args.ref}
        fields |= {
            "sent": {"method": "POST", "path": fields["requested"]["path"], "body_digest": f"sha256:{_digest('body')}"},
            "key": {"kind": self._key.kind.value, "digest": self._key.digest, "content": self._key.content, "window": 900},
            "charges": [{"scope": one.scope, "name": one.name, "amount": one.amount} for one in self._charges],
            "decision": self._decision(),
            "compensation": {"class": "compensatable", "type": "delete_created", "auto": True},
        }
        refused = self._entry("refusal", "refund.create", "refund", "", fields["requested"]["path"], "POST")
        refused |= {"code": "", "status": 429, "detail": "", "metered": True}
        intent, refusal = of_fields(fields), of_fields(refused)
        assert isinstance(intent, IntentEntry)
        assert isinstance(refusal, RefusalEntry)
        return IntentRequest(intent, lambda: refusal, self._charges, (args,))

    def outcome(self, reply: Sealed) -> Fields:
        return self._write("outcome", f"made-{self._number}") | {
            "intent": "bench/1",
            "result": "success",
            "verification": "none",
            "status": 201,
            "after_version": '"v1"',
            "after_ref": f'ledger:refund:made-{self._number}:"v1"',
            "reply_ref": reply.ref,
        }

    def _write(self, kind: str, id_: str = "") -> Fields:
        fields = self._entry(kind, "refund.create", "refund", id_, f"/v1/tenants/{self._run.tenant}/refunds", "POST")
        return fields | {"idempotency_key": idempotency.wire_key(self._key, 1), "attempt": 1}

    def _entry(self, kind: str, action: str, type_: str, id_: str, path: str, method: str) -> Fields:
        run = self._run
        return {
            **_common(run, kind, self._at),
            "step_id": f"auto-{self._number}",
            "tool": "ledger",
            "action": action,
            "target": {"system": "ledger", "type": type_, "id": id_, "tenant": run.tenant},
            "requested": {"method": method, "path": path},
            "epoch": 0,
        }

    def _decision(self) -> Fields:
        return {"id": f"dec_{self._number:>026}", "allow": True, "reasons": [], "revision": _digest("policy")[:16]}


def _run(number: int, now: float) -> Run:
    return Run(
        run_id=f"run_{number:06}",
        workflow_id=f"run_{number:06}",
        tenant=f"tenant-{number % 10}",
        agent_id="bench",
        task_class="default",
        scopes=("ledger:*",),
        limits=Limits(rate=Rate(1_000_000), steps=10**9, writes=10**9),
        opened_at=now,
        expires_at=now + 28_800,
    )


def _opened(run: Run) -> Fields:
    entry = _common(run, "run", run.opened_at)
    return entry | {"run": RUN.journal(run), "change": "opened", "by": "bench", "reason": "a journal of some length"}


def _common(run: Run, kind: str, at: float) -> Fields:
    return {
        "ts": timestamps.rfc3339(at),
        "kind": kind,
        "tenant": run.tenant,
        "workflow_id": run.workflow_id,
        "run_id": run.run_id,
        "generation": 1,
        "agent_id": run.agent_id,
        "task_class": run.task_class,
    }


def _sealed() -> Sealed:
    data = secrets.token_bytes(_KEPT_BODY)
    return Sealed(f"sha256:{hashlib.sha256(data).hexdigest()}", "acme", data)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
