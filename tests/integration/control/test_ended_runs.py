"""What a gateway remembers of runs that have ended: nothing without a bound, and enough to stop their calls in flight."""

from __future__ import annotations

import asyncio
import functools
import gc
import re
from pathlib import Path

import pytest

from gateway.pipeline.stages import decide, meter
from gateway.stores import memory
from gateway.stores.sqlite import views
from tests.support import rig
from tests.support.rig import code
from tests.support.site import INVOICE, site

BOUND = 8
ID = re.compile(r"ended-\d+")


async def test_closed_runs_are_remembered_by_bounded_caches_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred runs, each opened, used for a write and closed; every cache is bounded to eight."""
    monkeypatch.setattr(memory, "_KEPT", BOUND)
    monkeypatch.setattr(meter, "_KEPT", BOUND)
    monkeypatch.setattr(decide, "_CALLERS", BOUND)
    monkeypatch.setattr(views, "RunCache", functools.partial(views.RunCache, bound=BOUND))
    async with rig.assembled(tmp_path) as made:
        for number in range(100):
            made.ledger.put("acme", "invoices", "inv_1", status="open", number=number)
            opened = await made.open(run_id=f"ended-{number}")
            assert (await made.call(opened.lease, "PATCH", INVOICE.format(1), {"status": "paid"})).status == 200
            await made.gateway.control.runs.close(f"ended-{number}", by="test", reason="done")
        await made.journal()
        assert [names for names in remembered() if len(names) > BOUND] == []


@pytest.mark.parametrize("ending", ["close", "resume"])
async def test_a_call_in_flight_is_not_sent_after_its_run_has_ended(tmp_path: Path, ending: str) -> None:
    """The call came before the end and reaches its socket long after the end is durable."""
    async with site(tmp_path) as at:
        run = await at.rig.open(run_id="ended-1")
        at.rig.ledger.hold = asyncio.Event()
        call = asyncio.ensure_future(at.rig.call(run.lease, "PATCH", INVOICE.format(1), {"status": "paid"}))
        await rig.until(lambda: at.rig.ledger.seen)
        if ending == "resume":
            await at.ask("POST", "/v1/orders", {"scope": {"run": "ended-1"}, "mode": "read_only", "reason": "look"})
        status, answer = await at.ask(
            "POST", f"/v1/runs/ended-1/{ending}", {"reason": "done"} | ({"checkpoint": "start"} if ending == "resume" else {})
        )
        assert status in (200, 201), answer
        at.rig.ledger.hold.set()
        assert code(await call) == "lease-revoked"
        assert at.rig.ledger.writes == []


def remembered() -> list[set[str]]:
    """The runs of the test that each container in memory names."""
    gc.collect()
    containers = (one for one in gc.get_objects() if isinstance(one, dict | list | set | tuple))
    return [{name[0] for text in gc.get_referents(one) if isinstance(text, str) and (name := ID.search(text))} for one in containers]
