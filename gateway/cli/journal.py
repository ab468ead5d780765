"""``killcord journal``: read, export and verify it.

What checks signatures is imported inside the functions: a containment must not wait for it.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import client, output
from gateway.cli.options import CONFIG, Config, OfRun, OfTenant, group
from gateway.cli.output import Failure, Output, columns, wrong_use
from gateway.errors import Misconfigured
from gateway.sdk.messages import Json, path
from gateway.sdk.sync import Killcord

app = group("The journal: read, export and verify it.")

_HEADS = columns("STREAM SEQ HASH SIGNED=ts")

Count = Annotated[int, typer.Option("--lines", "-n", min=0, max=1000, help="How many of the newest entries.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Print new entries as they come, until Ctrl-C.")]
Kind = Annotated[str | None, typer.Option(help="Only of this kind, such as intent or order.")]
Entry = Annotated[str, typer.Argument(help="The entry's position: STREAM/SEQ.")]
Out = Annotated[Path, typer.Option(help="The file to write; it is replaced only when the export is complete.")]
File = Annotated[Path | None, typer.Option(help="An export, or a data_dir; without it, the running gateway's journal.")]
Heads = Annotated[Path | None, typer.Option(help="Anchored heads: a file of signed notes, or a folder of such files.")]
Configured = Annotated[
    Path | None, typer.Option(help="A gateway's configuration: its data_dir, anchor and key are used; it may run or be stopped.")
]
Reason = Annotated[str, typer.Option(help="The reason; the journal records it.")]
Key = Annotated[str | None, typer.Option(help="The trusted verifying key, NAME+HASH+BASE64; without it, the running gateway's.")]


@app.command("tail")
def tail(
    context: typer.Context, lines: Count = 20, follow: Follow = False, run: OfRun = None, tenant: OfTenant = None, kind: Kind = None
) -> None:
    """Print the newest entries, oldest first. With --json: one entry per line."""
    out, gateway = output.of(context), client.connect()
    end = gateway.ask("GET", path("journal", "heads"))["tail"]
    for line in _newest(gateway, lines, end, run=run, tenant=tenant, kind=kind):
        _print(out, line)
    if follow:
        for line in gateway.follow(path("journal", "follow"), run=run, tenant=tenant, kind=kind, after=f"{end['stream']}/{end['seq']}"):
            _print(out, line)


@app.command("show")
def show(context: typer.Context, entry: Entry) -> None:
    """Print one entry with all its members."""
    stream, _, seq = entry.rpartition("/")
    if not stream or not seq.isdigit():
        raise wrong_use(f"{entry!r} is not the position of an entry; write STREAM/SEQ, as `killcord journal tail` prints it")
    client.show(context, path("journal", stream, seq), lambda found: json.dumps(found, indent=2, ensure_ascii=False).split("\n"))


@app.command("heads")
def heads(context: typer.Context) -> None:
    """Print the signed heads and their verifying key. They are the latest of each stream."""
    found, out = client.get(path("journal", "heads")), output.of(context)
    out.table(found, _HEADS, found["items"])
    out.hint(f"verifying key: {found['verifier_key']}")


@app.command("export")
def export(context: typer.Context, out: Out, run: OfRun = None, tenant: OfTenant = None) -> None:
    """Write the journal to a file. One canonical entry per line, then the signed heads."""
    from gateway.cli import evidence

    printed = output.of(context)
    value, finding = evidence.export(client.connect(), out, run=run, tenant=tenant)
    printed.value(value, ["{entries} entries and {heads} signed head(s) are in {file}.".format_map(value)])
    if run is not None or tenant is not None:
        printed.note("This is a part of the journal: its entries do not link, so it contains no heads and cannot be verified as a whole.")
    if finding is not None:
        raise Failure(f"The export does not verify: {finding}. {evidence.PARTIAL}", value=value)


@app.command("verify")
def verify(context: typer.Context, file: File = None, heads: Heads = None, key: Key = None, config: Configured = None) -> None:
    """Check chain, heads and signatures. Exits with code 1 and prints the first bad stream and seq if they are not intact.

    With --config, or --file of a data_dir, also the projections and the blobs.
    """
    from gateway.cli import evidence

    if config is not None:
        from gateway.app import journal_verification
        from gateway.settings import config as settings

        try:
            file, anchor, own = journal_verification.evidence_of(settings.load(config, secrets=False))
        except Misconfigured as wrong:
            raise output.problems(wrong.problems, code=output.WRONG_USE) from wrong
        heads, key = heads or anchor, key or own

    out = output.of(context)
    value, finding = evidence.verify(file, heads, key)
    for warning in value["warnings"]:
        out.note(f"warning: {warning}")
    if finding is not None:
        raise Failure(f"Not intact: {finding}", value=value)
    streams = ", ".join(f"{name} to {seq}" for name, seq in value["streams"].items()) or "no stream"
    out.value(value, [f"Intact: {value['entries']} entries ({streams}), {value['heads']} signed head(s)."])


@app.command("rebuild")
def rebuild(context: typer.Context, reason: Reason, config: Config = CONFIG) -> None:
    """Rebuild the projections from the entries. The gateway must be stopped; chain and heads are verified first."""
    from gateway.app import journal_rebuild
    from gateway.settings import config as settings

    if not reason.strip():
        raise wrong_use("--reason: write why; the reason is journaled")
    out = output.of(context)
    try:
        value = asyncio.run(journal_rebuild.rebuild(settings.load(config, secrets=False), reason))
    except Misconfigured as wrong:
        raise output.problems(wrong.problems, code=output.WRONG_USE) from wrong
    changed = ", ".join(value["tables"]) or "no table"
    out.value(value, [f"Rebuilt the projections from {value['entries']} entries; {changed} differed. The journal records the rebuild."])


def _newest(gateway: Killcord, count: int, end: Json, **wanted: str | None) -> Iterator[str]:
    """The last entries up to ``end``, where the journal ended before."""
    if not count:
        return
    from gateway.cli import evidence

    # Filtered entries may lie anywhere; without a filter the last ones are the last positions.
    filtered = any(value is not None for value in wanted.values())
    first = None if filtered else f"{end['stream']}/{max(0, end['seq'] - count)}"
    newest: deque[str] = deque(maxlen=count)
    for lines, following in evidence.pages(gateway, first, **wanted):
        for line in lines:
            entry = json.loads(line)
            if entry["stream"] == end["stream"] and entry["seq"] <= end["seq"]:
                newest.append(line.decode().rstrip("\n"))
        if following == f"{end['stream']}/{end['seq']}":
            break
    yield from newest


def _print(out: Output, line: str) -> None:
    """An entry: unchanged for programs, its main members for people."""
    out.line(line if out.as_json else _gist(json.loads(line)))


def _gist(entry: Json) -> str:
    parts = [
        f"{entry['stream']}/{entry['seq']}",
        entry["ts"],
        f"{entry['kind']:<14}",
        entry.get("run_id", "-"),
        entry.get("step_id"),
        entry.get("action"),
        entry.get("target") and output.target(entry),
        (entry.get("order") or {}).get("mode"),
        entry.get("result") or entry.get("code") or entry.get("change"),
        entry.get("reason"),
    ]
    return " ".join(str(part).replace("\n", " ") for part in parts if part)
