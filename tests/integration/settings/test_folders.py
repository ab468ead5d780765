"""The folders that a configuration names, at the start of a gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import errors
from gateway.app import gateway
from gateway.model.run import Mode, Scope
from gateway.settings import config as settings
from tests.unit.settings.test_config import ADAPTERS, LEAST


@pytest.mark.parametrize(("named", "said"), [("data_dir: ./file/var", "data_dir"), ("anchor: {file: ./file/heads}", "anchor.file")])
async def test_a_folder_that_cannot_be_made_stops_the_start_and_is_named(tmp_path: Path, named: str, said: str) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "policies").mkdir()
    (tmp_path / "killcord.yaml").write_text(f"{LEAST}adapters: [{ADAPTERS}]\n{named}\n")
    config = settings.load(tmp_path / "killcord.yaml", {})
    with pytest.raises(errors.Misconfigured, match=rf"killcord\.yaml: {said}: {tmp_path}/file/.* cannot be created \(Not a directory\)"):
        await gateway.assemble(config, lambda *_: None, lambda *_: None)


async def test_a_start_that_fails_late_reports_its_own_error_and_anchors_no_head(tmp_path: Path) -> None:
    (tmp_path / "policies" / "killcord" / "authz").mkdir(parents=True)
    (tmp_path / "policies" / "killcord" / "authz" / "x.rego").write_text('package killcord.authz\n\ndecision := {"allow": true}\n')
    (tmp_path / "killcord.yaml").write_text(f"{LEAST}adapters: [{ADAPTERS}]\ndata_dir: ./var\nanchor: {{file: ./heads}}\n")
    config = settings.load(tmp_path / "killcord.yaml", {})
    good = await gateway.assemble(config, lambda *_: None, lambda *_: None)
    await good.control.containment.make(Scope(tenant="acme"), Mode.READ_ONLY, reason="an entry to sign", by="test")
    await good.close()
    signed = {head.name: head.read_bytes() for head in (tmp_path / "heads").iterdir()}
    for head in (tmp_path / "heads").iterdir():
        head.unlink()
    (tmp_path / "var" / "keys" / "master.key").write_text("no key")
    with pytest.raises(errors.Misconfigured, match=r"master\.key"):
        await gateway.assemble(config, lambda *_: None, lambda *_: None)
    assert signed
    assert list((tmp_path / "heads").iterdir()) == []
