"""The page of the documentation, written whole by a run: there is no figure in it that a person put there."""

from __future__ import annotations

from bench import tables
from bench.figures import Found
from bench.tables import Table

_HEAD = """# Performance

Written by `make bench`; nothing here is edited by hand, so run it again rather than change it. The figures are of one
machine and one run: what carries over to another machine are the ratios, which is why each is taken within a round, between
neighbours in time, and then the median of the rounds is.

How far one call walks through the code is counted by `python -m bench.call_path` (Python calls, files entered, steps from file to
file; `--out FILE` keeps them as JSON). That says nothing about speed, and needs neither peers nor a quiet machine.
"""

_PEERS = """## Who is compared

All of them stand in front of the same tool, a small server on raw asyncio protocols that keeps versioned objects. What is
measured is pinned to one core, with all that it needs to decide (OPA, the ext_authz server); load generator and tool share the other one.
The load is a closed loop on keep-alive connections (`c` of them); every status is checked, and a wrong one fails the run.

- **tool alone**: the load straight at a tool that has the measured core to itself. What it makes is the ceiling, and its CPU is the tool's.
- **aiohttp proxy**: a reverse proxy on aiohttp's server and client, streaming, on uvloop, with no logic (`bench/plain_proxy.py`). For a
  write with snapshot and verify it makes the same three calls, and compares nothing.
- **aiohttp proxy, asyncio**: the same on the loop that Python comes with, as it runs where nobody installs uvloop.
- **killcord's wire alone**: the gateway's wire layer as a bare proxy (`bench/wire_proxy.py`): the strict head check, the parser, the
  pool; no lease, no policy, no journal. It is the floor: what **killcord** takes beyond it is what the line costs.
- **killcord**: `killcord serve` with its embedded engine and the starter policies. A read ends in one journal entry, which may still be
  on its way to the disk; a write in two, both on the disk (fsync) before the reply. Each call is metered, each write
  charged; no body comes twice, so nothing is answered from the journal.
- **killcord + opa**: the same, asking a real OPA over HTTP for each call.
- **envoy**: Envoy as a plain proxy, one worker (`--concurrency 1`).
- **envoy + ext_authz**: Envoy asks a gRPC ext_authz server with the whole body, which evaluates the same Rego on the same input
  document with OPA as a library (`bench/authz`, in the manner of opa-envoy-plugin, without decision logs). Policy only: no
  lease, no limits, no journal.

CPU is user and system time of all processes of a row (`/proc/PID/stat`), a call. Latencies are what a client sees.
"""


def written(found: Found) -> str:
    """The whole page, as Markdown."""
    parts = [_HEAD, _run(found)]
    shown = tables.all_of(found)
    parts += [_section(shown[0]), _PEERS, *(_section(table) for table in shown[1:])]
    return "\n".join(parts)


def _run(found: Found) -> str:
    facts = {**found.machine, **{str(name): str(value) for name, value in found.settings.items()}}
    if found.fdatasync is not None:
        facts["fdatasync of 4 KiB on the journal's disk"] = f"{found.fdatasync * 1e3:.3f} ms, median"
    if found.others:
        facts["other work on the machine meanwhile"] = tables.others(found)
    facts["versions"] = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    facts["not taking part"] = "; ".join(found.skipped) or "nobody"
    return _section(Table("This run", ("", ""), tuple(facts.items())))


def _section(table: Table) -> str:
    lines = [f"## {table.title}", "", _line(table.columns), _line(["---"] * len(table.columns)), *(_line(row) for row in table.rows)]
    return "\n".join(lines) + "\n"


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
