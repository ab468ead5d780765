"""The tree of refusals and failures: a stable code, an HTTP status, whether trying again can help, and a hint an agent can act on.

A class's docstring is its message, and its name is its code: the API promises ``lease-missing`` for ``LeaseMissing``.
"""

from __future__ import annotations

import re
from typing import ClassVar


class Refusal(Exception):
    """The call was refused; nothing was sent to the tool.

    ``entry`` is its position in the journal (``stream/seq``), ``None`` if it is not yet journaled. ``fields`` are header
    fields of its own that the reply carries; ``status`` is its HTTP status.
    """

    code: ClassVar[str] = "refused"
    retryable: bool = False
    entry: str | None = None
    fields: tuple[tuple[bytes, bytes], ...] = ()
    status: int = 500
    hint: ClassVar[str] = "Ask the operator of this gateway."

    def __init_subclass__(cls, *, status: int = 500, retryable: bool = False, hint: str = hint) -> None:
        cls.status, cls.retryable, cls.hint = status, retryable, hint
        cls.code = re.sub(r"\B[A-Z]", r"-\g<0>", cls.__name__).lower()

    def __init__(self, detail: str | None = None, *, hint: str | None = None, retry_after: float | None = None, **members: object) -> None:
        self.detail = detail or " ".join((type(self).__doc__ or "").split())
        self.advice = hint or self.hint
        self.retry_after = retry_after
        self.members = members
        super().__init__(self.detail)


class MalformedRequest(
    Refusal, status=400, hint="Send one plain HTTP/1.1 request: canonical path, single-valued headers, one framing, strict JSON."
):
    """The request is malformed or ambiguous."""

    def __init__(self, detail: str | None = None, *, status: int = 400, hint: str | None = None) -> None:
        super().__init__(detail, hint=hint)
        self.status = status


class LeaseMissing(Refusal, status=401, hint="Send the run's lease as 'Authorization: Bearer <lease>' or 'Killcord-Lease: <lease>'."):
    """No lease came with the call."""


class LeaseInvalid(
    Refusal, status=401, hint="Ask the orchestrator for the run's current lease; a lease cannot be changed or reused elsewhere."
):
    """The lease is not one that this gateway gave to a run it knows."""


class LeaseExpired(Refusal, status=401, hint="Ask the orchestrator to renew the run's lease."):
    """The lease has ended."""


class LeaseRevoked(
    Refusal, status=403, hint="Stop: an operator or a trigger ended this run. Only an operator can resume it, with a new lease."
):
    """The run's lease was revoked permanently."""


class RunQuarantined(Refusal, status=403, hint="Stop: wait for an operator; nothing this run sends will pass."):
    """The run is quarantined: its state is kept as evidence."""


class RunPaused(Refusal, status=503, retryable=True, hint="Wait for the time in Retry-After, then send the same call again."):
    """The run is paused; the same call may pass later, and its key is kept."""


class RunReadOnly(Refusal, status=403, hint="Continue reading if that helps; ask a person to do the write."):
    """The run is read-only: its reads pass, its writes do not."""


class FanoutBlocked(Refusal, status=403, hint="Finish with the existing workers; an operator can release this order."):
    """The run may not start more workers or fan out."""


class PolicyDenied(Refusal, status=403, hint="Do not repeat the call unchanged; 'reasons' names the rule that denies it."):
    """Policy does not allow this call."""


class TenantBoundary(Refusal, status=403, hint="Work only on objects of the run's own tenant."):
    """The call aims at another tenant than the run's."""


class TenantUnknown(Refusal, status=403, hint="Name the tenant in the place that the tool's adapter expects."):
    """The tenant of the call's target cannot be resolved."""


class ActionUnknown(Refusal, status=403, hint="Use one of the tool's declared actions; an adapter's author can add this one."):
    """The tool's adapter declares no action that this call matches."""


class ApprovalRequired(
    Refusal, status=403, hint="Wait for the approval, then send the same call again; the gateway finds its approval automatically."
):
    """A person has to approve this call first."""


class ApprovalDenied(Refusal, status=403, hint="Do not repeat the call; choose another approach, or ask a person."):
    """A person denied this call."""


class ToolUnknown(Refusal, status=404, hint="The first path segment names the tool, as in the gateway's configuration."):
    """There is no tool of this name here."""


class InFlight(Refusal, status=409, retryable=True, hint="Wait for the time in Retry-After and send the same call again to get its reply."):
    """The same call is being carried out right now."""


class OutcomeUnknown(
    Refusal, status=409, hint="Do not repeat the call under another key: read the target's state, or wait until a person resolves the task."
):
    """An earlier attempt at this call may or may not have been applied; it is not sent again."""


class ReplyNotKept(Refusal, status=409, hint="Treat the call as done and read the target to see its state."):
    """This call was carried out before; its effect stands but its reply was not kept."""


class PreconditionChanged(Refusal, status=412, hint="Read the object again, decide on its present state, then write."):
    """The object is no longer at the version this run last saw."""


class BodyTooLarge(Refusal, status=413, hint="Send a smaller body; the operator can raise http.body_cap."):
    """The body exceeds ``http.body_cap``."""


class BodyTimeout(Refusal, status=408, retryable=True, hint="Send the whole request without pauses."):
    """The request did not arrive whole in time."""


class KeyReused(Refusal, status=422, hint="Use a new Idempotency-Key or a new Killcord-Step for a new call."):
    """This idempotency key (or step) already stands for a call with other content."""


class RateLimited(Refusal, status=429, retryable=True, hint="Wait for the time in Retry-After."):
    """The calls come faster than this run or tenant may send them."""


class BlastRadius(
    Refusal,
    status=403,
    hint="Stop; waiting does not help. 'violated-policies' names the limit: an admin can raise a run's own as it is resumed, up to that "
    "of its task class, which is in the configuration.",
):
    """The call would exceed a limit of the run."""


class ToolUnreachable(Refusal, status=502, retryable=True, hint="Nothing was applied unless 'outcome' says unknown; try again later."):
    """The tool could not be reached, or sent an invalid HTTP response."""


class ToolTimeout(Refusal, status=504, retryable=True, hint="Nothing was applied unless 'outcome' says unknown; try again later."):
    """The tool did not answer in time."""


class PolicyUnavailable(Refusal, status=503, retryable=True, hint="Try again after Retry-After; without a decision nothing is forwarded."):
    """The policy engine gave no usable decision; the call was not forwarded."""


class JournalUnavailable(
    Refusal, status=503, retryable=True, hint="Try again after Retry-After; the operator has to check the journal's disk."
):
    """The journal cannot be written; nothing is forwarded without it."""


class ContainmentStale(Refusal, status=503, retryable=True, hint="Try again after Retry-After."):
    """The gateway does not know the current containment orders."""


class Overloaded(
    Refusal, status=503, retryable=True, hint="Wait for the time in Retry-After, then send the same call again, and fewer at once."
):
    """The gateway has more calls than it can carry."""


class Draining(Refusal, status=503, retryable=True, hint="Try again after Retry-After; another or a restarted gateway will answer."):
    """The gateway is shutting down and takes no new calls."""


class UpstreamFailure(Exception):
    """A call to a tool that brought no whole answer; ``sent`` is false only where no byte of it can have left.

    ``permanent``: the same call fails again; else the failure is transient. ``hint`` says what to do about it.
    """

    def __init__(self, detail: str, *, sent: bool, late: bool = False, permanent: bool = False, hint: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.sent = sent
        self.late = late
        self.permanent = permanent
        self.hint = hint


class Misconfigured(Exception):
    """The configuration, an adapter or a policy cannot be used; ``problems`` says each in one line, with file and line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
