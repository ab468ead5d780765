"""What else policy is asked beside the decision on a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


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
