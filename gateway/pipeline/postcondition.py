"""What an object shows of a write: whether its declared postcondition holds, and the version that the write left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from gateway.core.adapter import dependencies, objects, resolve, versions
from gateway.core.adapter.catalog import Verify
from gateway.core.adapter.objects import Expected, ObjectState
from gateway.model.entry import Verification
from gateway.pipeline.evidence import Before
from gateway.ports.clock import Clock

FIRST_PAUSE: Final = 0.02
"""Seconds before the second look; each later pause is twice as long."""

Look = Callable[[], Awaitable[ObjectState | None]]
"""Reads the object; ``None`` if it cannot be read. What it raises passes through."""


async def read_back(
    declared: Verify,
    look: Look,
    document: Mapping[str, object],
    clock: Clock,
    *,
    before: str | None,
    ours: str | None,
    unseen: Verification = Verification.FAILED,
) -> tuple[Verification, ObjectState | None]:
    """Look until the postcondition holds or its time ends: what the object says of it, and the object where that is of use.

    ``before`` is the version before the write, ``ours`` the one that it left, as far as it is known; ``unseen`` what is said of an
    object that cannot be read.
    """
    deadline, pause = clock.monotonic() + declared.within, FIRST_PAUSE
    while True:
        seen = await look()
        if seen is not None and not seen.same:
            seen = None  # what another object shows says nothing of this one
        version = seen.version if seen is not None else None
        if seen is not None and seen.body_unknown and dependencies.depends_on(declared.expect, "object", "body"):
            return Verification.NONE, seen  # what is known of it does not say
        met = seen is not None and declared.expect.holds({**document, "object": seen.document})
        verdict = resolve.verification_of(met=met, before=before, ours=ours, seen=version)
        if verdict is not Verification.FAILED or clock.monotonic() >= deadline:
            return unseen if seen is None else verdict, seen if met else None
        await asyncio.sleep(min(pause, max(0.0, deadline - clock.monotonic())))
        pause *= 2


def left(before: Before, ours: str | None, seen: ObjectState | None) -> str | None:
    """The version that a write left, ``None`` if it is unknown, or did not change with the state: then it tells no later change either."""
    version = ours or (seen.version if seen is not None else None)
    if seen is None or not before.exists or not versions.same(before.version, version) or not versions.same(version, seen.version):
        return version
    return version if objects.difference(seen, Expected(True, before.state, before.representation)) is None else None
