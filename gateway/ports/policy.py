"""What policy is asked: the decision on a call, and the rules beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from gateway.model.decision import Decision


class PolicyEngine(Protocol):
    @property
    def revision(self) -> str: ...

    def asks_for(self, name: str) -> bool:
        """Whether any rule could look at ``input.<name>``: what none looks at need not be gathered."""

    @property
    def arguments(self) -> tuple[tuple[str, ...], ...]:
        """What rules read of a call's arguments and query, as far as that is known, as paths of the input (``("args", "amount")``);
        ``*`` stands for any name, lists are not counted.
        """

    async def decide(self, document: Mapping[str, object]) -> Decision:
        """Decide on an input document.

        Raises:
            PolicyUnavailable: there is no usable decision within the deadline.
        """

    def health(self) -> tuple[bool, str]:
        """Whether the engine can decide, and a line about it."""


class Rules(Protocol):
    """``core.policy.rules`` has the documents to ask with, and what an answer means."""

    @property
    def revision(self) -> str: ...

    async def ask(self, rule: str, document: Mapping[str, object]) -> object:
        """What ``data.killcord.<rule>`` (``response.response``, say) is on an input document; ``None`` if it is undefined.

        A set comes as a sorted list.

        Raises:
            PolicyUnavailable: there is no answer: not within the deadline, or the rule cannot be applied to this document.
        """
