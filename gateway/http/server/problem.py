"""What goes wrong at the operators' door, as problem documents (RFC 9457); the one edge where any exception becomes an answer."""

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
    """What went wrong, and how to go on (RFC 9457). Members that do not apply are absent; some codes have members of their own."""

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
    """The request cannot be answered as asked."""

    code: ClassVar[str]
    status: ClassVar[int]
    hint: ClassVar[str]

    def __init__(self, detail: str | None = None, *, hint: str | None = None, **members: object) -> None:
        self.detail = detail or self.title
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


class Unauthenticated(Problem):
    """No operator's token came with the request."""

    code = "unauthenticated"
    status = 401
    hint = "Send 'Authorization: Bearer <token>'; 'killcord operators add' makes a token."


class Forbidden(Problem):
    """This token may not do this."""

    code = "forbidden"
    status = 403
    hint = "Use a token whose role, tenants and task classes cover it."


class ForeignHost(Problem):
    """The request came for, or from a page of, a host that this gateway is not."""

    code = "foreign-host"
    status = 403
    hint = "Use one of http.allowed_hosts of the gateway's configuration, or add this name there."


class NotFound(Problem):
    """There is nothing here under this name."""

    code = "not-found"
    status = 404
    hint = "Look at /openapi.json for the calls, and at the lists for names."


class WrongMethod(Problem):
    """This path takes other methods."""

    code = "method-not-allowed"
    status = 405
    hint = "Look at /openapi.json for the calls."


class BadRequest(Problem):
    """The request is not what this call takes."""

    code = "bad-request"
    status = 400
    hint = "Mend what 'problems' names; /openapi.json has the schema."

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems), problems=list(problems))


class MalformedRequest(Problem):
    """The request is not HTTP as it has to be."""

    code = "malformed-request"
    status = 400
    hint = "Send one plain HTTP/1.1 request; none of its lines is longer than 8 KiB."


class TooWide(Problem):
    """The run asks for more than its class or its parent has."""

    code = "too-wide"
    status = 400
    hint = "Ask for no more than the class and the parent give; 'excess' names what is too wide."


class Conflict(Problem):
    """The thing is not in a state in which this can be done."""

    code = "conflict"
    status = 409
    hint = "Look at it as it is now, and decide anew."


class NotVerified(Problem):
    """What the run did is not all known and verified."""

    code = "not-verified"
    status = 409
    hint = "Wait for the effects that 'effects' names, or have them decided; then try again, or name another checkpoint."


class NotReady(Problem):
    """The run is not ready to be recovered without a person."""

    code = "not-ready"
    status = 409
    hint = "Look at the run's effects and tasks; then name the checkpoint, the entry or 'start' yourself."


class BodyTooLarge(Problem):
    """The body is larger than this door takes."""

    code = "body-too-large"
    status = 413
    hint = "Send at most 1 MiB."


class BodyTimeout(Problem):
    """The body did not arrive whole in time."""

    code = "body-timeout"
    status = 408
    hint = "Send the whole request without pauses, and no chunk that is not as long as it says."


class WrongMedia(Problem):
    """The body is not JSON by its Content-Type."""

    code = "unsupported-media-type"
    status = 415
    hint = "Send the body as JSON, with 'Content-Type: application/json'."


class Unexpected(Problem):
    """Something failed inside the gateway."""

    code = "internal"
    status = 500
    hint = "Give 'error_id' to whoever runs this gateway: its log has the cause."


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> web.Response:
    """A problem as it goes out."""
    own = dict(headers or {})
    if problem.status == 401:
        own[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="killcord"'
    return web.Response(status=problem.status, body=orjson.dumps(problem.document), content_type=MEDIA_TYPE, headers=own)


def refused(refusal: Refusal) -> web.Response:
    """A refusal of the gateway's services as it goes out."""
    status = refusals.status_of(refusal)
    own: dict[str, str] = {}
    if status == 503 or refusal.retry_after is not None:
        own[hdrs.RETRY_AFTER] = str(limits.retry_after(refusal.retry_after or 1.0))
    return web.Response(status=status, body=orjson.dumps(refusals.document(refusal)), content_type=MEDIA_TYPE, headers=own)


def edge(clock: Clock, log: Callable[[str, dict[str, object]], None]) -> Middleware:
    """The outermost middleware: whatever is raised further in leaves as a problem document, and tells nothing of our insides."""

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
        return answer(WrongMethod(f"This path takes {allowed}."), {hdrs.ALLOW: allowed})
    if isinstance(raised, web.HTTPRequestEntityTooLarge):
        return answer(BodyTooLarge())
    if isinstance(raised, web.HTTPNotFound):
        return answer(NotFound())
    return answer(BadRequest(raised.reason))
