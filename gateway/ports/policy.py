"""The policy engine, as the line asks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from gateway.model.decision import Decision


class PolicyEngine(Protocol):
    @property
    def revision(self) -> str: ...

    def asks_for(self, name: str) -> bool:
        """Whether any rule could look at ``input.<name>``: what none looks at need not be gathered."""

    async def decide(self, document: Mapping[str, object]) -> Decision:
        """Decide on an input document.

        Raises:
            PolicyUnavailable: there is no usable decision within the deadline.
        """

    def health(self) -> tuple[bool, str]:
        """Whether the engine can decide, and a line about it."""
