"""Errors of the control API as problem documents (RFC 9457), and the middleware that turns every exception into one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NotRequired

import orjson
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from typing_extensions import TypedDict

from gateway.core import limits
from gateway.core import problem as refusals
from gateway.errors import LeaseExpired, Refusal, RunPaused
from gateway.http.server.fields import OPEN
from gateway.ports.clock import Clock

MEDIA_TYPE = refusals.MEDIA_TYPE.decode()


@OPEN
class ProblemDocument(TypedDict):
    """What went wrong, and how to continue (RFC 9457). Members that do not apply are absent; some codes have members of their own."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    hint: str
    problems: NotRequired[list[str]]
    excess: NotRequired[list[str]]
    error_id: NotRequired[str]
    retry_after: NotRequired[float]


class Problem(Refusal):
    """The control API refuses the request, or failed: the docstring of each kind is its title, its name its code."""

    def __init__(self, detail: object = None, *, hint: str | None = None, **members: object) -> None:
        super().__init__(str(detail) if detail else None, hint=hint)
        self.members = members


class Unauthenticated(Problem, status=401, hint="Send 'Authorization: Bearer <token>'; 'killcord operators add' makes a token."):
    """The request has no operator token."""


class Forbidden(Problem, status=403, hint="Use a token whose role, tenants and task classes permit it."):
    """The token does not permit this."""


class ForeignHost(Problem, status=403, hint="Use one of the names in http.allowed_hosts of the gateway's configuration, or add this one."):
    """The Host or Origin of the request is not in http.allowed_hosts."""


class NotFound(Problem, status=404, hint="/openapi.json has the calls, the lists have the ids."):
    """No such object, or none that this token may see."""


class ScopeUnknown(
    Problem,
    status=404,
    hint="Correct the scope and send the order again. To contain what does not exist yet, send 'future': true (contain --future).",
):
    """The scope names something that this gateway does not know, or that this token may not see. Nothing was ordered."""


class MethodNotAllowed(Problem, status=405, hint="/openapi.json has the calls."):
    """This path does not take this method."""


class BadRequest(Problem, status=400, hint="Correct what 'problems' names; /openapi.json has the schema."):
    """The query or the body is not valid for this call."""

    def __init__(self, *problems: object) -> None:
        lines = [str(one) for one in problems]
        super().__init__("; ".join(lines), problems=lines)


class MalformedRequest(Problem, status=400, hint="Send one plain HTTP/1.1 request, with lines of at most 8 KiB."):
    """The request is not valid HTTP."""


class TooWide(Problem, status=400, hint="Request no more than the class and the parent permit; 'excess' lists what is too wide."):
    """The run asks for more than its class or its parent has."""


class Conflict(Problem, status=409, hint="Read its current state, then decide again."):
    """The state of the object does not allow this."""


class NotVerified(
    Problem,
    status=409,
    hint="Wait until the effects that 'effects' names are settled, or resolve their tasks; then try again, or name another checkpoint.",
):
    """Some effects of the run are not known or not verified."""


class NotReady(Problem, status=409, hint="Read the run's effects and tasks; then name a checkpoint, an entry or 'start'."):
    """No checkpoint can be chosen for the run without a person."""


class BodyTooLarge(Problem, status=413, hint="Send at most 1 MiB."):
    """The body is larger than 1 MiB."""


class BodyTimeout(Problem, status=408, hint="Send the whole request without pauses, and every chunk at its stated length."):
    """The body did not arrive in time."""


class UnsupportedMediaType(Problem, status=415, hint="Send the body as JSON, with 'Content-Type: application/json'."):
    """The Content-Type of the body is not JSON."""


class Internal(Problem, status=500, hint="Give 'error_id' to the administrator of this gateway: its log has the cause."):
    """Something failed inside the gateway."""


_STATE_OF_RUN = (RunPaused, LeaseExpired)
"""Refusals that mean the agent's lease or time where an agent gets them, and the state of a run here."""


def answer(refusal: Refusal, headers: Mapping[str, str] | None = None) -> web.Response:
    """The response for a problem, or for a refusal of the gateway's services, with the code that agents see too."""
    if isinstance(refusal, _STATE_OF_RUN):
        refusal.status = 409
    shown, own = refusals.document(refusal), dict(headers or {})
    if shown["status"] == 401 and isinstance(refusal, Problem):  # about the operator's token, not about some lease
        own[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="killcord"'
    if shown["status"] == 503 or refusal.retry_after is not None:
        own[hdrs.RETRY_AFTER] = str(limits.retry_after(refusal.retry_after or 1.0))
    return web.Response(status=refusal.status, body=orjson.dumps(shown), content_type=MEDIA_TYPE, headers=own)


def middleware(clock: Clock, log: Callable[[str, dict[str, object]], None]) -> Middleware:
    """The outermost middleware: every exception becomes a problem document, and an unexpected one reveals only its ``error_id``."""

    @web.middleware
    async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refusal as refusal:
            return answer(refusal)
        except web.HTTPException as raised:
            return _of_aiohttp(raised)
        except Exception as error:  # noqa: BLE001 - the edge
            error_id = clock.mint("err")
            log("request-failed", {"error_id": error_id, "path": request.path, "error": f"{type(error).__name__}: {error}"})
            return answer(Internal(error_id=error_id))

    return problems


def _of_aiohttp(raised: web.HTTPException) -> web.Response:
    if isinstance(raised, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(raised.allowed_methods))
        return answer(MethodNotAllowed(f"This path supports {allowed}."), {hdrs.ALLOW: allowed})
    if isinstance(raised, web.HTTPRequestEntityTooLarge):
        return answer(BodyTooLarge())
    if isinstance(raised, web.HTTPNotFound):
        return answer(NotFound())
    return answer(BadRequest(raised.reason))
