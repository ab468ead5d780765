"""A tool that brought no answer, as the agent is told."""

from __future__ import annotations

from gateway import errors


def refusal(lost: errors.UpstreamFailure, what: str, *, unknown: bool = False) -> errors.Refusal:
    """``unknown`` where the call may have been applied all the same: then trying again is not for the agent to do."""
    kind = errors.ToolTimeout if lost.late else errors.ToolUnreachable
    if not unknown:
        return kind(f"{what}: {lost.detail}.", outcome="not-sent")
    hint = "Do not send it again under another key: ask again with the same call, or read the target to see whether it was applied."
    refused = kind(f"{what}: {lost.detail}. It may or may not have been applied.", hint=hint, outcome="unknown")
    refused.retryable = False
    return refused
