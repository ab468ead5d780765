"""What serves the operators' door: aiohttp's server, with a word of our own for what is no HTTP."""

from __future__ import annotations

from aiohttp import web

from gateway.http.server import guard, problem


class _Connection(web.RequestHandler):
    """One client's connection."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Nothing that came is repeated, in the answer or in a log: what is broken may hold a token all the same."""
        if request.writer.output_size > 0:
            raise ConnectionResetError("the answer has begun already")
        answer = problem.answer(problem.MalformedRequest() if status < 500 else problem.Unexpected())
        guard.hardened(answer)
        answer.force_close()
        return answer


class _Server(web.Server):
    """Makes a connection of ours for each client."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application behind connections of ours."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        made.__class__ = _Server
        return made
