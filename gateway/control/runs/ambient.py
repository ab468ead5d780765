"""The run of calls that bring no lease, where a sidecar's configuration gives them one."""

from __future__ import annotations

from dataclasses import dataclass

from gateway import errors
from gateway.control.runs.runs import Runs
from gateway.core.authorization import admission
from gateway.model.run import Lease
from gateway.ports.clock import Clock


@dataclass(slots=True)
class Ambient:
    """``request`` is ``None`` where every call has to bring a lease of its own."""

    request: admission.Request | None
    runs: Runs
    clock: Clock
    _lease: Lease | None = None
    _until: float = 0.0

    def lease(self) -> Lease | None:
        return self._lease

    async def keep_open(self) -> None:
        """Open the run, and another one once the last has less than half of its time left.

        Raises:
            Misconfigured: its class does not let it be opened.
        """
        now = self.clock.now()
        if self.request is None or now < self._until:
            return
        try:
            opened = await self.runs.open(self.request, by="gateway", reason="ambient run")
        except (admission.TooWide, ValueError) as error:
            raise errors.Misconfigured([f"ambient_run: {error}"]) from error
        self._lease = self.runs.lease_of(opened.run, now)
        self._until = (now + opened.run.expires_at) / 2
