"""The tree of refusals and failures: a stable code, whether trying again can help, and a hint an agent can act on.

A class's docstring is its message, and its name is its code: the API promises ``lease-missing`` for ``LeaseMissing``.
``core.problem`` gives each code its HTTP status.
"""

from __future__ import annotations

import re
from typing import ClassVar


class Refusal(Exception):
    """The call was refused; nothing was sent to the tool.

    ``entry`` is its position in the journal (``stream/seq``), ``None`` if it is not yet journaled. ``fields`` are header
    fields of its own that the reply carries; ``status`` is its HTTP status if its code alone does not say it.
    """

    code: ClassVar[str] = "refused"
    retryable: bool = False
    entry: str | None = None
    fields: tuple[tuple[bytes, bytes], ...] = ()
    status: int | None = None
    hint: ClassVar[str] = "Ask the operator of this gateway."

    def __init_subclass__(cls) -> None:
        cls.code = re.sub(r"\B[A-Z]", r"-\g<0>", cls.__name__).lower()

    def __init__(self, detail: str | None = None, *, hint: str | None = None, retry_after: float | None = None, **members: object) -> None:
        self.detail = detail or " ".join((type(self).__doc__ or "").split())
        self.advice = hint or self.hint
        self.retry_after = retry_after
        self.members = members
        super().__init__(self.detail)


class MalformedRequest(Refusal):
    """The request is not one that the gateway and the tool are sure to read alike."""

    hint = "Send one plain HTTP/1.1 request: canonical path, single-valued headers, one framing, strict JSON."
    status: int = 400

    def __init__(self, detail: str | None = None, *, status: int = 400, **more: object) -> None:
        super().__init__(detail)
        self.status = status


class LeaseMissing(Refusal):
    """No lease came with the call."""

    hint = "Send the run's lease as 'Authorization: Bearer <lease>' or 'Killcord-Lease: <lease>'."


class LeaseInvalid(Refusal):
    """The lease is not one that this gateway gave to a run it knows."""

    hint = "Ask the orchestrator for the run's current lease; a lease cannot be changed or reused elsewhere."


class LeaseExpired(Refusal):
    """The lease has ended."""

    hint = "Ask the orchestrator to renew the run's lease."


class LeaseRevoked(Refusal):
    """The run's lease was cut; it does not come back."""

    hint = "Stop: an operator or a trigger ended this run. Only an operator can resume it, with a new lease."


class RunQuarantined(Refusal):
    """The run is quarantined: its state is kept as evidence."""

    hint = "Stop: wait for an operator; nothing this run sends will pass."


class RunPaused(Refusal):
    """The run is paused; the same call may pass later, and its key is kept."""

    retryable = True
    hint = "Wait for the time in Retry-After, then send the same call again."


class RunReadOnly(Refusal):
    """The run is read-only: its reads pass, its writes do not."""

    hint = "Continue reading if that helps; ask a person to do the write."


class FanoutBlocked(Refusal):
    """The run may not start more workers or fan out."""

    hint = "Finish with the existing workers; an operator can release this order."


class PolicyDenied(Refusal):
    """Policy does not allow this call."""

    hint = "Do not repeat the call unchanged; 'reasons' names the rule that denies it."


class TenantBoundary(Refusal):
    """The call aims at another tenant than the run's."""

    hint = "Work only on objects of the run's own tenant."


class TenantUnknown(Refusal):
    """The tenant of the call's target cannot be resolved."""

    hint = "Name the tenant in the place that the tool's adapter expects."


class ActionUnknown(Refusal):
    """The tool's adapter declares no action that this call matches."""

    hint = "Use one of the tool's declared actions; an adapter's author can add this one."


class ApprovalRequired(Refusal):
    """A person has to approve this call first."""

    hint = "Wait for the approval, then send the same call again; the gateway finds its approval automatically."


class ApprovalDenied(Refusal):
    """A person denied this call."""

    hint = "Do not repeat the call; choose another approach, or ask a person."


class ToolUnknown(Refusal):
    """There is no tool of this name here."""

    hint = "The first path segment names the tool, as in the gateway's configuration."


class InFlight(Refusal):
    """The same call is being carried out right now."""

    retryable = True
    hint = "Wait for the time in Retry-After and send the same call again to get its reply."


class OutcomeUnknown(Refusal):
    """An earlier attempt at this call may or may not have been applied; it is not sent again."""

    hint = "Do not repeat the call under another key: read the target's state, or wait until a person resolves the task."


class ReplyNotKept(Refusal):
    """This call was carried out before; its effect stands but its reply was not kept."""

    hint = "Treat the call as done and read the target to see its state."


class PreconditionChanged(Refusal):
    """The object is no longer at the version this run last saw."""

    hint = "Read the object again, decide on its present state, then write."


class BodyTooLarge(Refusal):
    """The body is larger than the gateway decides on."""

    hint = "Send a smaller body; the operator can raise http.body_cap."


class BodyTimeout(Refusal):
    """The request did not arrive whole in time."""

    retryable = True
    hint = "Send the whole request without pauses."


class KeyReused(Refusal):
    """This idempotency key (or step) already stands for a call with other content."""

    hint = "Use a new Idempotency-Key or a new Killcord-Step for a new call."


class RateLimited(Refusal):
    """The calls come faster than this run or tenant may send them."""

    retryable = True
    hint = "Wait for the time in Retry-After."


class BlastRadius(Refusal):
    """The call would take the run past what it may touch."""

    hint = "Stop, and leave the rest to a person: 'violated-policies' names the limit; an operator can open another run."


class ToolUnreachable(Refusal):
    """The tool could not be reached or did not answer as HTTP asks."""

    retryable = True
    hint = "Nothing was applied unless 'outcome' says unknown; try again later."


class ToolTimeout(Refusal):
    """The tool did not answer in time."""

    retryable = True
    hint = "Nothing was applied unless 'outcome' says unknown; try again later."


class PolicyUnavailable(Refusal):
    """The policy engine gave no usable decision; the call was not forwarded."""

    retryable = True
    hint = "Try again after Retry-After; without a decision nothing is forwarded."


class JournalUnavailable(Refusal):
    """The journal cannot be written; nothing is forwarded without it."""

    retryable = True
    hint = "Try again after Retry-After; the operator has to check the journal's disk."


class ContainmentStale(Refusal):
    """The gateway does not know the current containment orders."""

    retryable = True
    hint = "Try again after Retry-After."


class Draining(Refusal):
    """The gateway is shutting down and takes no new calls."""

    retryable = True
    hint = "Try again after Retry-After; another or a restarted gateway will answer."


class UpstreamFailure(Exception):
    """A call to a tool that brought no whole answer; ``sent`` is false only where no byte of it can have left."""

    def __init__(self, detail: str, *, sent: bool, late: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.sent = sent
        self.late = late


class Misconfigured(Exception):
    """The configuration, an adapter or a policy cannot be used; ``problems`` says each in one line, with file and line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
