"""Keys that sign leases and journal heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from gateway.model.run import Lease


class LeaseKeys(Protocol):
    """Signs and verifies leases; knows nothing of runs."""

    def sign(self, lease: Lease, *, now: float) -> str: ...

    def verify(self, token: str) -> Lease:
        """The claims of a token that this gateway signed for the data API; times are not judged.

        Raises:
            LeaseInvalid: signature, key id, algorithm, issuer, audience or a claim is not ours.
        """

    def jwks(self) -> Mapping[str, object]: ...


class HeadSigner(Protocol):
    def sign(self, stream: str, seq: int, chain_hash: str, ts: str) -> str:
        """A C2SP signed note over ``origin, size, root`` and a line of time."""

    @property
    def verifier_key(self) -> str:
        """The note's verifier key, ``name+hash+base64``."""
