"""Everything that orchestrators and authors of adapters may import.

``gateway.sdk.sync`` and ``gateway.sdk.aio`` are the clients, with the same methods; ``gateway.sdk.testing`` is what to test against.
What they return and raise is here.
"""

from gateway.sdk.messages import Admission, Checkpoint, Finding, Lost, Problem, Resumption, Superseded, refusal

__all__ = ["Admission", "Checkpoint", "Finding", "Lost", "Problem", "Resumption", "Superseded", "refusal"]
