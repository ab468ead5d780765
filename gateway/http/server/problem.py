"""Errors of the control API as problem documents (RFC 9457), and the middleware that turns every exception into one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, NotRequired

import orjson
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from typing_extensions import TypedDict

from gateway.core import limits
from gateway.core import problem as refusals
from gateway.errors import Refusal
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


class Problem(Exception):
    """The request is refused or failed: the docstring of each kind is its title."""

    code: ClassVar[str]
    status: ClassVar[int]
    hint: ClassVar[str]
    """What to do about it, a sentence."""

    def __init_subclass__(cls, *, code: str, status: int) -> None:
        cls.code, cls.status = code, status

    def __init__(self, detail: object = None, *, hint: str | None = None, **members: object) -> None:
        self.detail = str(detail or self.title)
        self.advice = hint or self.hint
        self.members = members
        super().__init__(self.detail)

    @property
    def title(self) -> str:
        return " ".join((type(self).__doc__ or "").split())

    @property
    def document(self) -> Mapping[str, object]:
        own: ProblemDocument = {
            "type": f"urn:killcord:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "retryable": False,
            "hint": self.advice,
        }
        return {**own, **self.members}


class Unauthenticated(Problem, code="unauthenticated", status=401):
    """The request has no operator token."""

    hint = "Send 'Authorization: Bearer <token>'; 'killcord operators add' makes a token."


class Forbidden(Problem, code="forbidden", status=403):
    """The token does not permit this."""

    hint = "Use a token whose role, tenants and task classes permit it."


class ForeignHost(Problem, code="foreign-host", status=403):
    """The Host or Origin of the request is not in http.allowed_hosts."""

    hint = "Use one of the names in http.allowed_hosts of the gateway's configuration, or add this one."


class NotFound(Problem, code="not-found", status=404):
    """No such object, or none that this token may see."""

    hint = "/openapi.json has the calls, the lists have the ids."


class WrongMethod(Problem, code="method-not-allowed", status=405):
    """This path does not take this method."""

    hint = "/openapi.json has the calls."


class BadRequest(Problem, code="bad-request", status=400):
    """The query or the body is not valid for this call."""

    hint = "Correct what 'problems' names; /openapi.json has the schema."

    def __init__(self, *problems: object) -> None:
        lines = [str(one) for one in problems]
        super().__init__("; ".join(lines), problems=lines)


class MalformedRequest(Problem, code="malformed-request", status=400):
    """The request is not valid HTTP."""

    hint = "Send one plain HTTP/1.1 request, with lines of at most 8 KiB."


class TooWide(Problem, code="too-wide", status=400):
    """The run asks for more than its class or its parent has."""

    hint = "Request no more than the class and the parent permit; 'excess' lists what is too wide."


class Conflict(Problem, code="conflict", status=409):
    """The state of the object does not allow this."""

    hint = "Read its current state, then decide again."


class NotVerified(Problem, code="not-verified", status=409):
    """Some effects of the run are not known or not verified."""

    hint = "Wait until the effects that 'effects' names are settled, or resolve their tasks; then try again, or name another checkpoint."


class NotReady(Problem, code="not-ready", status=409):
    """No checkpoint can be chosen for the run without a person."""

    hint = "Read the run's effects and tasks; then name a checkpoint, an entry or 'start'."


class BodyTooLarge(Problem, code="body-too-large", status=413):
    """The body is larger than 1 MiB."""

    hint = "Send at most 1 MiB."


class BodyTimeout(Problem, code="body-timeout", status=408):
    """The body did not arrive in time."""

    hint = "Send the whole request without pauses, and every chunk at its stated length."


class WrongMedia(Problem, code="unsupported-media-type", status=415):
    """The Content-Type of the body is not JSON."""

    hint = "Send the body as JSON, with 'Content-Type: application/json'."


class Unexpected(Problem, code="internal", status=500):
    """Something failed inside the gateway."""

    hint = "Give 'error_id' to the administrator of this gateway: its log has the cause."


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> web.Response:
    """The response for a problem."""
    own = dict(headers or {})
    if problem.status == 401:
        own[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="killcord"'
    return web.Response(status=problem.status, body=orjson.dumps(problem.document), content_type=MEDIA_TYPE, headers=own)


def refused(refusal: Refusal) -> web.Response:
    """The response for a refusal of the gateway's services, with the code that agents see too."""
    status = refusals.status_of(refusal)
    own: dict[str, str] = {}
    if status == 503 or refusal.retry_after is not None:
        own[hdrs.RETRY_AFTER] = str(limits.retry_after(refusal.retry_after or 1.0))
    return web.Response(status=status, body=orjson.dumps(refusals.document(refusal)), content_type=MEDIA_TYPE, headers=own)


def edge(clock: Clock, log: Callable[[str, dict[str, object]], None]) -> Middleware:
    """The outermost middleware: every exception becomes a problem document, and an unexpected one reveals only its ``error_id``."""

    @web.middleware
    async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Problem as problem:
            return answer(problem)
        except Refusal as refusal:
            return refused(refusal)
        except web.HTTPException as raised:
            return _of_aiohttp(raised)
        except Exception as error:  # noqa: BLE001 - the edge
            error_id = clock.mint("err")
            log("request-failed", {"error_id": error_id, "path": request.path, "error": f"{type(error).__name__}: {error}"})
            return answer(Unexpected(error_id=error_id))

    return problems


def _of_aiohttp(raised: web.HTTPException) -> web.Response:
    if isinstance(raised, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(raised.allowed_methods))
        return answer(WrongMethod(f"This path supports {allowed}."), {hdrs.ALLOW: allowed})
    if isinstance(raised, web.HTTPRequestEntityTooLarge):
        return answer(BodyTooLarge())
    if isinstance(raised, web.HTTPNotFound):
        return answer(NotFound())
    return answer(BadRequest(raised.reason))
