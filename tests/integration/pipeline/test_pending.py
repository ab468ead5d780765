"""What a tool has accepted is not done until it shows: in the call, afterwards, after a restart, and in a rollback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from gateway.control.runs.checkpoints import NotVerified
from gateway.model.effect import State
from gateway.model.entry import Verification
from gateway.model.run import Mode
from gateway.pipeline import answers
from tests.support import rig
from tests.support.rig import Rig, code, header, until_async
from tests.support.shelf import Shelf, standing

ADAPTER = """
system: desk
tenant: run.tenant
objects:
  vm: {{path: "/vms/{{id}}", version: reply.headers.etag, state: reply.body}}
actions:
  - name: vm.create
    match: {{method: POST, path: "/vms"}}
    creates: {{object: vm, id: reply.body.vm}}
    effect: write
    class: compensatable
    {create}
    verify: {{expect: "object.body.size == request.body.size", within: 200ms}}
    compensation: {{type: delete_created, by: vm.delete, auto: true}}
  - name: vm.resize
    match: {{method: PATCH, path: "/vms/{{id}}"}}
    object: vm
    effect: write
    class: reversible
    {resize}
    compensation: {{type: restore_previous_version, by: vm.replace, auto: true}}
  - name: vm.replace
    match: {{method: PUT, path: "/vms/{{id}}"}}
    object: vm
    effect: write
    class: reversible
    compensation: {{type: manual_review}}
  - name: vm.delete
    match: {{method: DELETE, path: "/vms/{{id}}"}}
    object: vm
    effect: write
    class: irreversible
    {delete}
    compensation: {{type: manual_review}}
"""
JOB = "pending: {done: \"reply.body.state == 'done'\", failed: \"reply.body.state == 'failed'\", every: 50ms, within: %s, give_up: %s}"
OBJECT = "pending: {done: object.body.size == request.body.size, every: 50ms, within: %s}"


@dataclass(slots=True)
class Jobs:
    """Answers writes with 202 and a Location; ``finish`` ends a job as the test says."""

    shelf: Shelf
    state: str = "running"
    location: str = "http://{host}/jobs/1?token=SECRET"
    body: dict[str, object] = field(default_factory=dict)
    job: dict[str, object] = field(default_factory=dict)
    asked: int = 0
    status: int = 200
    only: str = ""

    async def answer(self, request: web.Request, body: bytes) -> web.StreamResponse | None:
        if request.path == "/jobs/1":
            self.asked += 1
            return web.json_response({"state": self.state, **self.job}, status=self.status)
        if request.method in ((self.only,) if self.only else ("POST", "PATCH")):
            return web.json_response(self.body, status=202, headers={"Location": self.location.format(host=request.host)})
        return None


@asynccontextmanager
async def desk(
    folder: Path, *, create: str = "snapshot: true", resize: str = "snapshot: true", delete: str = "snapshot: true"
) -> AsyncIterator[tuple[Rig, Shelf, Jobs]]:
    shelf = Shelf()
    jobs = Jobs(shelf)
    shelf.answer = jobs.answer
    shelf.put("/vms/1", size=1)
    adapter = ADAPTER.format(create=create, resize=resize, delete=delete)
    async with standing(shelf), rig.assembled(folder, port=shelf.port, adapter=adapter) as at:
        try:
            yield at, shelf, jobs
        finally:
            await at.gateway.control.supervisor.finish(5.0)


async def settled(at: Rig, run_id: str) -> State:
    """The state of the run's one write, after the reconciler has looked once more."""
    reconciler = at.gateway.recovery.reconciler
    reconciler._next.clear()
    await reconciler.tick()
    (write,) = await at.writes(run_id)
    return write.state


async def test_a_job_that_ends_soon_is_a_success_that_was_verified(tmp_path: Path) -> None:
    async with desk(tmp_path, create=JOB % ("10s", "1h")) as (at, shelf, jobs):

        async def later() -> None:
            await rig.until(lambda: jobs.asked)
            shelf.put("/vms/7", size=3)
            jobs.state, jobs.job = "done", {"vm": "7"}

        run = await at.open(scopes=("*",))
        _, reply = await asyncio.gather(later(), at.call(run.lease, "POST", "/vms", {"size": 3}))
        assert (reply.status, header(reply, "Killcord-Outcome"), header(reply, "Killcord-Verification")) == (202, None, "passed")
        assert header(reply, "Location") == "/ledger/jobs/1?token=SECRET"
        (write,) = await at.writes(run.run.run_id)
        assert (write.state, write.target.id, write.verification, write.pending) == (State.STANDING, "7", Verification.PASSED, False)
        assert jobs.asked > 1
        assert all(one.headers["authorization"] for one in shelf.seen if one.path.startswith("/jobs"))


async def test_a_job_that_takes_long_is_pending_until_it_shows(tmp_path: Path) -> None:
    async with desk(tmp_path, create=JOB % ("100ms", "1h")) as (at, shelf, jobs):
        run = await at.open(scopes=("*",))
        reply = await at.call(run.lease, "POST", "/vms", {"size": 3})
        assert (reply.status, header(reply, "Killcord-Outcome"), header(reply, "Killcord-Verification")) == (202, "pending", "none")
        (outcome,) = await at.journal(run.run.run_id, "outcome")
        assert (outcome["result"], outcome["pending"]) == ("unknown", True)
        assert b"SECRET" not in b"".join(path.read_bytes() for path in (tmp_path / "var").glob("journal.sqlite*"))

        again = await at.call(run.lease, "POST", "/vms", {"size": 3})
        assert (code(again), header(again, "Retry-After")) == ("outcome-unknown", "1")
        assert orjson.loads(again.body)["retryable"] is True
        assert len(shelf.writes) == 1
        with pytest.raises(NotVerified):
            await at.gateway.recovery.checkpoints.take(run.run, state_ref="s", label=None, by="test", reason="test")
        assert await settled(at, run.run.run_id) is State.UNKNOWN
        assert await at.journal(run.run.run_id, "task") == []

        shelf.put("/vms/7", size=3)
        jobs.state, jobs.job = "done", {"vm": "7"}
        assert await settled(at, run.run.run_id) is State.STANDING
        (write,) = await at.writes(run.run.run_id)
        assert (write.target.id, write.after_version, write.verification) == ("7", '"v1"', Verification.PASSED)
        replayed = await at.call(run.lease, "POST", "/vms", {"size": 3})
        assert (replayed.status, header(replayed, "Idempotent-Replayed")) == (202, "true")


async def test_many_pending_writes_are_no_uncertainty(tmp_path: Path) -> None:
    async with desk(tmp_path, create=JOB % ("1ms", "1h")) as (at, _, __):
        run = await at.open(scopes=("*",))
        for size in range(8):
            assert (await at.call(run.lease, "POST", "/vms", {"size": size})).status == 202
        assert await at.journal(run.run.run_id, "trigger") == []


async def test_a_job_that_fails_frees_the_key(tmp_path: Path) -> None:
    async with desk(tmp_path, create=JOB % ("100ms", "1h")) as (at, shelf, jobs):
        run = await at.open(scopes=("*",))
        await at.call(run.lease, "POST", "/vms", {"size": 3})
        jobs.state = "failed"
        assert await settled(at, run.run.run_id) is State.FAILED
        jobs.state = "running"
        assert (await at.call(run.lease, "POST", "/vms", {"size": 3})).status == 202
        assert len(shelf.writes) == 2


async def test_it_is_polled_after_a_restart(tmp_path: Path) -> None:
    async with desk(tmp_path, create=JOB % ("1ms", "1h")) as (at, _, __):
        run = await at.open(scopes=("*",))
        await at.call(run.lease, "POST", "/vms", {"size": 3})
    async with desk(tmp_path, create=JOB % ("1ms", "1h")) as (at, _, jobs):
        jobs.location = ""
        # The tool is at another port by now; what leads to the former one is not followed.
        assert await settled(at, run.run.run_id) is State.UNKNOWN


async def test_a_relative_location_is_polled_after_a_restart(tmp_path: Path) -> None:
    async with desk(tmp_path, create=JOB % ("1ms", "1h")) as (at, _, jobs):
        jobs.location = "jobs/1"
        run = await at.open(scopes=("*",))
        await at.call(run.lease, "POST", "/vms", {"size": 3})
    async with desk(tmp_path, create=JOB % ("1ms", "1h")) as (at, shelf, jobs):
        shelf.put("/vms/7", size=3)
        jobs.state, jobs.job = "done", {"vm": "7"}
        assert await settled(at, run.run.run_id) is State.STANDING


async def test_a_job_done_without_its_effect_fails_its_verification(tmp_path: Path) -> None:
    async with desk(tmp_path, create=JOB % ("1ms", "1h")) as (at, shelf, jobs):
        run = await at.open(scopes=("*",))
        await at.call(run.lease, "POST", "/vms", {"size": 3})
        shelf.put("/vms/7", size=1)
        jobs.state, jobs.job = "done", {"vm": "7"}
        assert await settled(at, run.run.run_id) is State.STANDING
        (write,) = await at.writes(run.run.run_id)
        assert write.verification is Verification.FAILED
        await at.gateway.control.monitor.idle()
        assert [one["trigger"]["name"] for one in await at.journal(run.run.run_id, "trigger")] == ["verify.postcondition-failed"]


VERIFIED = OBJECT + "\n    verify: {expect: object.body.colour == request.body.colour, within: 100ms}"


async def triggers(at: Rig, run_id: str) -> list[str]:
    await at.gateway.control.monitor.idle()
    return [one["trigger"]["name"] for one in await at.journal(run_id, "trigger")]


async def test_a_late_write_that_somebody_overwrites_is_superseded_and_not_failed(tmp_path: Path) -> None:
    async with desk(tmp_path, resize=VERIFIED % "1ms") as (at, shelf, _):
        run = await at.open(scopes=("*",))
        assert header(await at.call(run.lease, "PATCH", "/vms/1", {"size": 2, "colour": "red"}), "Killcord-Outcome") == "pending"
        shelf.put("/vms/1", size=2, colour="white")

        async def overwritten(request: web.Request, body: bytes) -> web.StreamResponse | None:
            if shelf.get("/vms/1")["colour"] == "white":
                shown = shelf.usual(request, body)
                shelf.put("/vms/1", size=9, colour="blue")
                return shown
            return None

        shelf.answer = overwritten
        assert await settled(at, run.run.run_id) is State.STANDING
        (write,) = await at.writes(run.run.run_id)
        assert write.verification is Verification.SUPERSEDED
        assert "verify.postcondition-failed" not in await triggers(at, run.run.run_id)


@pytest.mark.parametrize("fault", ["too large", "no JSON"])
async def test_a_late_write_whose_object_cannot_be_read_is_not_failed(tmp_path: Path, fault: str) -> None:
    async with desk(tmp_path, create=JOB % ("1ms", "1h")) as (at, shelf, jobs):
        run = await at.open(scopes=("*",))
        await at.call(run.lease, "POST", "/vms", {"size": 3})
        jobs.state, jobs.job = "done", {"vm": "7"}

        async def shown(request: web.Request, body: bytes) -> web.StreamResponse | None:
            if request.path != "/vms/7":
                return await jobs.answer(request, body)
            text = b'{"size": 3, "x": "' + b"x" * answers.BOUND + b'"}' if fault == "too large" else b'{"size": 3, "x": NaN}'
            return web.Response(body=text, content_type="application/json", headers={"ETag": '"v1"'})

        shelf.answer = shown
        assert await settled(at, run.run.run_id) is State.STANDING
        (write,) = await at.writes(run.run.run_id)
        assert write.verification is Verification.NONE
        assert await triggers(at, run.run.run_id) == []


@pytest.mark.parametrize(("size", "version"), [(2, None), (1, '"v1"')])
async def test_a_version_that_does_not_change_with_a_late_write_is_not_the_one_that_it_left(
    tmp_path: Path, size: int, version: str | None
) -> None:
    resize = JOB % ("1ms", "1h") + "\n    verify: {expect: object.body.size == request.body.size, within: 100ms}"
    async with desk(tmp_path, resize=resize) as (at, shelf, jobs):
        run = await at.open(scopes=("*",))
        await at.call(run.lease, "PATCH", "/vms/1", {"size": size})
        shelf.held["/vms/1"] = (1, {"size": size})
        jobs.state = "done"
        assert await settled(at, run.run.run_id) is State.STANDING
        (write,) = await at.writes(run.run.run_id)
        assert (write.verification, write.before_version, write.after_version) == (Verification.PASSED, '"v1"', version)


@pytest.mark.parametrize(
    "location", ["http://elsewhere.example/jobs/1", "//elsewhere.example/jobs/1", "../../../x/%2e%2e/jobs/1", "/a//b", ""]
)
async def test_a_location_elsewhere_is_not_followed_and_a_person_is_asked_in_the_end(tmp_path: Path, location: str) -> None:
    async with desk(tmp_path, create=JOB % ("1ms", "1ms")) as (at, shelf, jobs):
        jobs.location = location
        run = await at.open(scopes=("*",))
        assert header(await at.call(run.lease, "POST", "/vms", {"size": 3}), "Killcord-Outcome") == "pending"
        assert await settled(at, run.run.run_id) is State.UNKNOWN
        assert [one["task"]["kind"] for one in await at.journal(run.run.run_id, "task")] == ["outcome-unknown"]
        assert [one.method for one in shelf.seen] == ["POST"]


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_a_tool_that_does_not_show_the_job_decides_nothing(tmp_path: Path, status: int) -> None:
    async with desk(tmp_path, create=JOB % ("1ms", "1h")) as (at, _, jobs):
        jobs.status, jobs.state = status, "failed"
        run = await at.open(scopes=("*",))
        await at.call(run.lease, "POST", "/vms", {"size": 3})
        assert await settled(at, run.run.run_id) is State.UNKNOWN


async def test_the_object_itself_can_show_it(tmp_path: Path) -> None:
    async with desk(tmp_path, resize=OBJECT % "100ms") as (at, shelf, _):
        run = await at.open(scopes=("*",))
        assert header(await at.call(run.lease, "PATCH", "/vms/1", {"size": 2}), "Killcord-Outcome") == "pending"
        assert await settled(at, run.run.run_id) is State.UNKNOWN
        shelf.put("/vms/1", size=2)
        assert await settled(at, run.run.run_id) is State.STANDING
        (write,) = await at.writes(run.run.run_id)
        assert write.after_version == '"v2"'


async def test_an_object_that_shows_it_soon_tells_its_version(tmp_path: Path) -> None:
    async with desk(tmp_path, resize=OBJECT % "10s") as (at, shelf, _):

        async def later() -> None:
            await asyncio.sleep(0.2)
            shelf.put("/vms/1", size=2)

        run = await at.open(scopes=("*",))
        await asyncio.gather(later(), at.call(run.lease, "PATCH", "/vms/1", {"size": 2}))
        (write,) = await at.writes(run.run.run_id)
        assert (write.state, write.after_version) == (State.STANDING, '"v2"')


async def test_a_rollback_waits_for_it(tmp_path: Path) -> None:
    async with desk(tmp_path, create=JOB % ("1ms", "1h")) as (at, shelf, jobs):
        run = await at.open(scopes=("*",))
        await at.call(run.lease, "POST", "/vms", {"size": 3})
        await at.contain(run.run.run_id, Mode.QUARANTINED)
        rollbacks = at.gateway.recovery.rollbacks
        begun = await rollbacks.start(run.run.run_id, subtree=False, to="start", reason="test", by="ops")
        await asyncio.sleep(0.2)
        assert not (await rollbacks.view(begun.rollback_id)).rollback.status.ended
        assert [one.method for one in shelf.writes] == ["POST"]
        shelf.put("/vms/7", size=3)
        jobs.state, jobs.job = "done", {"vm": "7"}

        async def over() -> bool:
            return (await rollbacks.view(begun.rollback_id)).rollback.status.ended

        await until_async(over)
        assert (await rollbacks.view(begun.rollback_id)).rollback.status.value == "clean"
        assert [one.method for one in shelf.writes] == ["POST", "DELETE"]
        assert "/vms/7" not in shelf.held


async def test_a_bare_202_stands_but_nothing_is_built_on_it_and_nothing_undone_without_a_person(tmp_path: Path) -> None:
    async with desk(tmp_path) as (at, _, jobs):
        jobs.body = {"vm": "7"}
        run = await at.open(scopes=("*",))
        reply = await at.call(run.lease, "PATCH", "/vms/1", {"size": 2})
        assert (reply.status, header(reply, "Killcord-Outcome")) == (202, "pending")
        (write,) = await at.writes(run.run.run_id)
        assert (write.state, write.pending) == (State.STANDING, True)
        with pytest.raises(NotVerified, match="accepted by its tool"):
            await at.gateway.recovery.checkpoints.take(run.run, state_ref="s", label=None, by="test", reason="test")
        plan = await at.gateway.recovery.rollbacks.dry_run(run.run.run_id, subtree=False, to="start")
        assert all(not node.automatic for node in plan.nodes)


async def test_a_202_that_its_adapter_calls_a_success_is_one(tmp_path: Path) -> None:
    async with desk(tmp_path, resize='success: "reply.status == `202`"') as (at, _, __):
        run = await at.open(scopes=("*",))
        assert header(await at.call(run.lease, "PATCH", "/vms/1", {"size": 2}), "Killcord-Outcome") is None
        (write,) = await at.writes(run.run.run_id)
        assert (write.state, write.pending) == (State.STANDING, False)


async def test_a_compensation_that_is_only_accepted_is_waited_for_and_sent_once(tmp_path: Path) -> None:
    slow = JOB % ("1ms", "1h")
    async with desk(tmp_path, create="snapshot: true", delete=slow) as (at, shelf, jobs):
        jobs.only = "DELETE"
        run = await at.open(scopes=("*",))
        assert (await at.call(run.lease, "POST", "/vms", {"size": 3, "vm": "1"})).status == 201
        await at.contain(run.run.run_id, Mode.QUARANTINED)
        rollbacks = at.gateway.recovery.rollbacks
        begun = await rollbacks.start(run.run.run_id, subtree=False, to="start", reason="test", by="ops")

        async def asked() -> bool:
            return jobs.asked > 3

        await until_async(asked)
        assert not (await rollbacks.view(begun.rollback_id)).rollback.status.ended
        jobs.state = "done"
        del shelf.held["/vms/1"]

        async def over() -> bool:
            return (await rollbacks.view(begun.rollback_id)).rollback.status.ended

        await until_async(over)
        assert (await rollbacks.view(begun.rollback_id)).rollback.status.value == "clean"
        assert [one.method for one in shelf.writes] == ["POST", "DELETE"]


@pytest.mark.parametrize(("location", "made"), [("/jobs/1", ""), ("/vms/9", "9"), ("/vms/9/status", "")])
@pytest.mark.parametrize("create", ["", "pending: {done: \"reply.body.state == 'done'\", every: 50ms, within: 1s}"])
async def test_the_location_of_a_job_is_not_the_id_of_what_was_made(tmp_path: Path, create: str, location: str, made: str) -> None:
    """Another object has the id that the job has: it must not be taken for the new one, and then be removed. The job itself names that."""

    async def accept(request: web.Request, body: bytes) -> web.StreamResponse | None:
        if request.method == "POST":
            shelf.put("/vms/9", size=4, state="done")
            return web.json_response({}, status=202, headers={"Location": location})
        return web.json_response({"state": "done", "vm": "9"}) if request.path in ("/jobs/1", "/vms/9/status") else None

    shelf = Shelf(answer=accept)
    shelf.put("/vms/1", size=4)
    shelf.put("/vms/status", size=4)
    text = ADAPTER.format(create=create, resize="", delete="")
    text = text.replace("id: reply.body.vm", 'id: "reply.body.vm || segment(reply.headers.location, `-1`)"')
    async with standing(shelf), rig.assembled(tmp_path, port=shelf.port, adapter=text) as at:
        run = await at.open(scopes=("*",))
        assert (await at.call(run.lease, "POST", "/vms", {"size": 4})).status == 202
        (write,) = await at.writes(run.run.run_id)
        assert write.target.id == ("9" if create else made)
        await at.gateway.control.supervisor.finish(5.0)
