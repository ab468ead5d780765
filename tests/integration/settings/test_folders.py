"""The folders that a configuration names, at the start of a gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import errors
from gateway.app import gateway
from gateway.settings import loading
from tests.unit.settings.test_loading import ADAPTERS, LEAST


@pytest.mark.parametrize(("named", "said"), [("data_dir: ./file/var", "data_dir"), ("anchor: {file: ./file/heads}", "anchor.file")])
async def test_a_folder_that_cannot_be_made_stops_the_start_and_is_named(tmp_path: Path, named: str, said: str) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "policies").mkdir()
    (tmp_path / "killcord.yaml").write_text(f"{LEAST}adapters: [{ADAPTERS}]\n{named}\n")
    config = loading.load(tmp_path / "killcord.yaml", {})
    with pytest.raises(errors.Misconfigured, match=rf"killcord\.yaml: {said}: {tmp_path}/file/.* cannot be created \(Not a directory\)"):
        await gateway.assemble(config, lambda *_: None, lambda *_: None)
