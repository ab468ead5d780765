"""A request of the data API, parsed once, as it is decided on and sent."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

Headers = tuple[tuple[bytes, bytes], ...]
"""Raw field lines in the order received; names as sent, values without surrounding blanks."""


class Call(Struct, frozen=True, kw_only=True, gc=False):
    """One framed, canonical request.

    ``path`` is the tool's own path: canonical, percent-encoded, without the tool's prefix, beginning with ``/``.
    ``segments`` are the same path decoded; ``raw_query`` goes to the tool as it stands, ``query`` is the same decoded
    (no key occurs twice). ``body`` is exactly what will be sent. ``args`` is the body as JSON where it is JSON (or a
    form, as an object of strings), else ``None``; no duplicate or look-alike keys, no NaN, bounded depth.
    """

    tool: str
    method: str
    path: str
    segments: tuple[str, ...]
    raw_query: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Headers = ()
    body: bytes = b""
    args: object = None

    @property
    def target(self) -> str:
        """Path and query as they are sent."""
        return f"{self.path}?{self.raw_query}" if self.raw_query else self.path
