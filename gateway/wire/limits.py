"""Every size and deadline of the wire, in one place."""

from __future__ import annotations

from msgspec import Struct


class Bounds(Struct, frozen=True, kw_only=True):
    """Of the agents' server. Sizes are bytes, times are seconds.

    ``connections`` bounds them over all clients, ``peer_connections`` those of one address, unless that is the machine's own.
    ``first_byte_timeout`` is how long a new connection may be silent; ``head_timeout`` and ``body_timeout`` run from the first byte
    of a head and from its end; ``idle_timeout`` is how long a connection may be silent between requests; ``write_timeout`` how long a
    client may leave a full buffer unread; ``linger`` how long input is thrown away after a refusal, so that the client can still read it.
    ``buffered_bytes`` bounds the request bytes held over all connections, ``pipelined_bytes`` what one connection may send before its
    call has ended.
    """

    head_bytes: int = 32 << 10
    line_bytes: int = 16 << 10
    fields: int = 100
    body_cap: int = 1 << 20
    chunks: int = 16_384
    trailer_bytes: int = 8 << 10
    pipelined_bytes: int = 64 << 10
    buffered_bytes: int = 256 << 20
    connections: int = 8_192
    peer_connections: int = 4_096
    first_byte_timeout: float = 5.0
    head_timeout: float = 10.0
    body_timeout: float = 10.0
    idle_timeout: float = 75.0
    write_timeout: float = 60.0
    linger: float = 1.0
    sweep: float = 0.25


class PoolBounds(Struct, frozen=True, kw_only=True):
    """Of the connections to one tool. Sizes are bytes, times are seconds.

    ``connections`` bounds one tool's connections, ``tenant_connections`` those that one tenant may use of them, ``waiting``
    how many calls may queue for one. ``idle_timeout`` is how long an unused connection is trusted. An answer whose declared
    length is at most ``whole_bytes`` is handed over complete; a longer one is streamed with about ``window_bytes`` bytes buffered.
    After a request longer than ``reuse_bytes`` a connection is not used again: the kernel takes what the tool has not read, so
    that an answer given before the request's end could not be distinguished from one given after it.
    """

    connections: int = 128
    tenant_connections: int = 64
    waiting: int = 4_096
    idle_timeout: float = 30.0
    head_bytes: int = 64 << 10
    whole_bytes: int = 64 << 10
    window_bytes: int = 256 << 10
    reuse_bytes: int = 64 << 10
