"""``killcord journal``: read it, take it along, check it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import api, evidence, output
from gateway.cli.failure import REFUSED, Failure, wrong_use
from gateway.cli.output import Output

app = typer.Typer(help="The journal.", no_args_is_help=True)

Json = dict[str, Any]
Run = Annotated[str | None, typer.Option(help="Only entries of this run.")]
Tenant = Annotated[str | None, typer.Option(help="Only entries of this tenant.")]
Kind = Annotated[str | None, typer.Option(help="Only entries of this kind, such as intent or order.")]


@app.command("tail")
def tail(
    context: typer.Context,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=1000, help="So many of the newest.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    run: Run = None,
    tenant: Tenant = None,
    kind: Kind = None,
) -> None:
    """The newest entries, oldest of them first; --json: one entry a line."""
    out, client = output.of(context), api.of_environment()
    end = client.get("/v1/journal/heads")["tail"]
    after = f"{end['stream']}/{end['seq']}"
    for line in _newest(client, lines, after, end, run=run, tenant=tenant, kind=kind):
        _print(out, line)
    if follow:
        for line in client.follow(run=run, tenant=tenant, kind=kind, after=after):
            _print(out, line)


@app.command("show")
def show(context: typer.Context, entry: Annotated[str, typer.Argument(help="Where it stands: STREAM/SEQ.", show_default=False)]) -> None:
    """One entry, whole."""
    stream, _, seq = entry.rpartition("/")
    if not stream or not seq.isdigit():
        raise wrong_use(f"{entry!r} names no entry; write STREAM/SEQ, as Killcord-Entry and 'killcord journal tail' do")
    found = api.of_environment().get(f"/v1/journal/{api.part(stream)}/{api.part(seq)}")
    output.of(context).value(found, json.dumps(found, indent=2, ensure_ascii=False).split("\n"))


@app.command("heads")
def heads(context: typer.Context) -> None:
    """The latest signed head of each stream, and the key that they verify under."""
    found = api.of_environment().get("/v1/journal/heads")
    out = output.of(context)
    out.table(
        found, ("STREAM", "SEQ", "HASH", "SIGNED"), ([one[name] for name in ("stream", "seq", "hash", "ts")] for one in found["items"])
    )
    if not out.as_json:
        out.tell(f"verifying key: {found['verifier_key']}")


@app.command("export")
def export(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="The file to write; replaced only once the export is whole.", show_default=False)],
    run: Run = None,
    tenant: Tenant = None,
) -> None:
    """Write the journal to a file: one canonical entry a line, then the signed heads."""
    told = output.of(context)
    written = evidence.export(api.of_environment(), out, run=run, tenant=tenant)
    told.value(written.value, [f"{written.entries} entries and {written.heads} signed head(s) are in {out}."])
    if run is not None or tenant is not None:
        told.tell("This is a part of the journal: its entries do not link, so it cannot be verified as a whole, and holds no heads.")
    if written.finding is not None:
        raise Failure(f"The export does not verify: {written.finding}. {evidence.PARTIAL}", value=written.value)


@app.command("verify")
def verify(
    context: typer.Context,
    file: Annotated[Path | None, typer.Option(help="An export, or a data_dir; without it, the journal of the running gateway.")] = None,
    heads: Annotated[Path | None, typer.Option(help="Anchored heads: a file of signed notes, or a folder of them.")] = None,
    key: Annotated[str | None, typer.Option(help="The trusted verifying key, NAME+HASH+BASE64; else the running gateway's.")] = None,
) -> None:
    """Check chain, heads and signatures; exit 1 names the first bad stream and seq."""
    out = output.of(context)
    checked = evidence.verify(file, heads, key)
    for warning in checked.warnings:
        out.tell(f"warning: {warning}")
    if checked.finding is not None:
        raise Failure(f"Not intact: {checked.finding}", code=REFUSED, value=checked.value)
    streams = ", ".join(f"{name} to {seq}" for name, seq in checked.streams.items()) or "no stream"
    out.value(checked.value, [f"Intact: {checked.entries} entries ({streams}), {checked.heads} signed head(s)."])


def _newest(client: api.Api, count: int, end: str, tail: Json, **wanted: str | None) -> Iterator[str]:
    """The last entries up to where the journal ended when we asked."""
    if not count:
        return
    filtered = any(value is not None for value in wanted.values())
    after: str | None = None if filtered else f"{tail['stream']}/{max(0, tail['seq'] - count)}"
    kept: deque[str] = deque(maxlen=count)
    while True:
        page = client.lines(**wanted, after=after, limit=1000)
        for line in page.lines:
            fields = json.loads(line)
            if fields["stream"] == tail["stream"] and fields["seq"] <= tail["seq"]:
                kept.append(line.decode().rstrip("\n"))
        if page.next is None or page.next == end:
            break
        after = page.next
    yield from kept


def _print(out: Output, line: str) -> None:
    """An entry: as it is for programs, its gist for people."""
    if out.as_json:
        out.line(line)
        return
    entry: Json = json.loads(line)
    target = entry.get("target") or {}
    aimed = f"{target['system']}:{target['type']}:{target['id']}" if target else ""
    parts = [
        f"{entry['stream']}/{entry['seq']}",
        entry["ts"],
        f"{entry['kind']:<14}",
        entry.get("run_id", "-"),
        entry.get("step_id", ""),
        entry.get("action", ""),
        aimed,
        (entry.get("order") or {}).get("mode", ""),
        entry.get("result") or entry.get("code") or entry.get("change") or "",
        entry.get("reason", ""),
    ]
    out.line(" ".join(str(part).replace("\n", " ") for part in parts if part))
