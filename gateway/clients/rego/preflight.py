"""A bundle loaded by a process of its own before a running gateway uses it.

The embedded engine lets no other thread run while it parses or evaluates. What takes long, or never ends, would hold up every call and
every order. In another process it holds up nothing, and can be ended.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

from gateway import errors
from gateway.clients.policy_bundle import Bundle
from gateway.clients.rego import loading

TIMEOUT = 60.0
"""Seconds. The starter bundle takes half of one."""

_PROGRAM = "from gateway.clients.rego import preflight; preflight.answer()"


async def load(bundle: Bundle, *, within: float = TIMEOUT) -> loading.Examined:
    """:func:`loading.load`, in another process.

    Raises:
        Misconfigured: the process did not end with an answer in time.
        OSError: it cannot be started now.
    """
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _PROGRAM, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(within):
            printed, said = await process.communicate(msgspec.msgpack.encode(bundle))
    except TimeoutError:
        raise errors.Misconfigured([f"the policies did not load and answer generated inputs within {within:g} s"]) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise errors.Misconfigured([f"the process that tests new policies ended with exit code {process.returncode}: {last}"])
    return msgspec.msgpack.decode(printed, type=loading.Examined)


def answer() -> None:
    """What the other process runs: a bundle on standard input, what was found on standard output."""
    bundle = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Bundle)
    sys.stdout.buffer.write(msgspec.msgpack.encode(loading.load(bundle)))
