"""``killcord report``: a post-mortem to paste, with evidence that can be verified."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import api, output
from gateway.cli.api import Api
from gateway.cli.failure import wrong_use
from gateway.core.incident import postmortem

Json = dict[str, Any]


def report(
    context: typer.Context,
    incident: Annotated[str, typer.Argument(help="The incident's id.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", help="Write it to this file.")] = None,
) -> None:
    """Write an incident's post-mortem in Markdown, with the entries it rests on and how to verify them."""
    client, told = api.of_environment(), output.of(context)
    story = client.get(f"/v1/incidents/{api.part(incident)}")
    heads = _heads(client, story)
    text = postmortem.markdown(story, heads["items"], heads["verifier_key"])
    value = {"incident_id": story["incident_id"], "file": None if out is None else str(out), "markdown": text}
    if out is None:
        told.value(value, text.rstrip("\n").split("\n"))
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise wrong_use(f"--out {out}: cannot be written: {error.strerror}") from error
    told.value(value, [f"The post-mortem of {story['incident_id']} is in {out}."])


def _heads(client: Api, story: Json) -> Json:
    """The newest signed heads; one is signed only where an entry of the story is behind them all."""
    signed = client.get("/v1/journal/heads")
    ends = {one["stream"]: one["seq"] for one in signed["items"]}
    places = (name.rpartition("/") for name in story["hashes"])
    if all(int(seq) <= ends.get(stream, 0) for stream, _, seq in places):
        return signed
    return client.post("/v1/journal/heads", {})
