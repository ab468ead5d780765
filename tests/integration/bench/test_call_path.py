"""How far a call walks is counted over a real gateway, on every thread."""

from __future__ import annotations

from bench import call_path


async def test_a_write_walks_further_than_a_read_and_reaches_the_journal() -> None:
    read, write = await call_path.measured(("read", "write"), warm_ups=1, counted=1)
    for walk in (read, write):
        assert walk.crossings == sum(walk.steps.values()) < walk.calls
        assert {file for step in walk.steps for file in step.split(" > ")} <= set(walk.files)
        assert all(file.startswith("gateway/") and file.endswith(".py") for file in walk.files)
    assert (write.calls, len(write.files)) > (read.calls, len(read.files))
    # The journal is written by a thread of its own.
    assert any("/sqlite/" in file and "writer" in file for file in write.files)
