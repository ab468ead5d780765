"""The image, built from nothing by the Dockerfile's own steps: it starts, is well, and writes its volume alone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from killcord_demo import web
from tests.support import gateway, image
from tests.support.dockerfile import ROOT
from tests.support.image import Image

TOKEN = "test-0123456789-0123456789"


@pytest.fixture(scope="module")
def built() -> Iterator[Image]:
    scratch = Path(tempfile.mkdtemp(prefix="image-"))
    try:
        yield image.build(scratch)
    finally:
        image.remove(scratch)


@pytest.fixture(scope="module")
def locked(built: Image) -> Image:
    """With a configuration in its place, and its root read-only from here on."""
    shipped = "/opt/killcord/share/killcord"
    settings = gateway.settings("http://127.0.0.1:9/v1")
    settings["data_dir"] = built.here("/var/lib/killcord/data")
    settings["policy"]["path"] = built.here(f"{shipped}/policies/killcord")
    settings["adapters"] = [built.here(f"{shipped}/adapters")]
    config = Path(built.here("/etc/killcord/killcord.yaml"))
    config.write_text(yaml.safe_dump(settings))
    built.lock()
    return built


def test_it_holds_what_run_txt_names_and_killcord_and_nothing_else(built: Image) -> None:
    assert sorted(path.name for path in built.root.iterdir()) == ["etc", "opt", "var"]
    pinned = set(re.findall(r"^([a-z0-9-]+)(?:\[.*\])?==", (ROOT / "requirements" / "run.txt").read_text(), re.MULTILINE))
    listed = built.run(["python", "-c", "from importlib.metadata import distributions as d; print(*{one.name for one in d()})"])
    installed = {re.sub(r"[-_.]+", "-", name).lower() for name in listed.stdout.split()}
    assert installed - pinned == {"killcord"}, listed.stderr
    # What is only for other Python versions or systems is pinned and not installed.
    assert len(pinned - installed) <= 3, pinned - installed


def test_the_demo_is_not_in_it(built: Image) -> None:
    said = built.run(["killcord", "demo"])
    assert said.returncode == 2, said
    assert "killcord[demo]" in said.stderr


def test_nothing_can_be_installed_into_it(built: Image) -> None:
    assert built.run(["python", "-m", "pip", "--version"]).returncode == 1
    assert not (built.python / "bin" / "pip").exists()


def test_its_root_is_read_only_here_as_it_can_be_there(locked: Image) -> None:
    for place in ("/opt/killcord/new", "/etc/killcord/new", "/var/new"):
        path = str(locked.root) + place
        assert locked.run(["touch", path]).returncode == 1, path
    path = locked.here("/var/lib/killcord/new")
    assert locked.run(["touch", path]).returncode == 0
    assert locked.run(["rm", path]).returncode == 0


def test_it_starts_is_well_and_writes_its_volume_alone(locked: Image) -> None:
    settings = yaml.safe_load(Path(locked.here("/etc/killcord/killcord.yaml")).read_text())
    control = f"http://{settings['listen']['control']}"
    environ = {"ERP_AUTHORIZATION": "Basic eA==", "KILLCORD_BOOTSTRAP_TOKEN": TOKEN, "KILLCORD_URL": control}
    before = everything(locked)
    words = [locked.here(word) for word in (*locked.stage.last("ENTRYPOINT").words, *locked.stage.last("CMD").words)]
    command, variables = locked.command(words, environ)
    with open(locked.scratch / "killcord.log", "wb") as log:
        process = subprocess.Popen(command, env=variables, cwd=locked.workdir, stdout=log, stderr=subprocess.STDOUT)
    try:
        ready = control + "/readyz"
        gateway.wait_until(lambda: process.poll() is not None or web.send("GET", ready).status == 200, "the image to be ready")
        assert process.poll() is None, (locked.scratch / "killcord.log").read_text()
        asked = {"tenant": "acme", "agent_id": "a", "scopes": ["erp:*"]}
        assert web.send("POST", control + "/v1/runs", asked, {"Authorization": f"Bearer {TOKEN}"}).status == 201
        assert check_health(locked, environ) == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(gateway.DEADLINE) == 0
    finally:
        process.kill()
        process.wait()
    assert check_health(locked, environ) == 1
    assert everything(locked) == before
    assert Path(locked.here("/var/lib/killcord/data/journal.sqlite")).stat().st_size > 0


def check_health(locked: Image, environ: dict[str, str]) -> int:
    words = yaml.safe_load(locked.stage.last("HEALTHCHECK").value.partition(" CMD ")[2])
    return locked.run(words, environ).returncode


def everything(locked: Image) -> dict[str, tuple[int, int]]:
    """Every file and folder outside the volume, by when and how much was written."""
    volume = Path(locked.here("/var/lib/killcord"))
    found = {}
    for folder, _, files in os.walk(locked.root):
        if not Path(folder).is_relative_to(volume):
            for path in (folder, *(os.path.join(folder, name) for name in files)):
                state = os.lstat(path)
                found[path] = (state.st_mtime_ns, state.st_size)
    return found
