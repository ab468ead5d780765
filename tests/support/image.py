"""The image without Docker: the Dockerfile's own steps in a scratch folder, and what comes of them run with its root read-only.

A stage's root is one folder, the base image's Python a venv beside it. Each stage is built at the same place and then moved away, so that
paths written down at its build hold in the stage that copies from it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import dockerfile
from tests.support.dockerfile import ROOT, Instruction, Stage

PLACES = ("/opt/killcord", "/src", "/var/lib/killcord", "/etc/killcord")
"""All that the steps may name by an absolute path; each lies in the scratch folder here."""

_ABSOLUTE = re.compile(r"(?<![\w/.:*-])/[\w./-]+")
_CONFINED = ("--bounding-set", "-dac_override,-dac_read_search,-fowner", "--inh-caps", "-dac_override,-dac_read_search,-fowner")
"""What makes root heed permissions as the image's user does."""


@dataclass(slots=True)
class Image:
    """A stage as it was built. ``environ`` is what ``ENV`` says, and nothing from outside."""

    scratch: Path
    stage: Stage
    python: Path
    environ: dict[str, str] = field(default_factory=dict)
    workdir: Path = Path()

    @property
    def root(self) -> Path:
        return self.scratch / "root"

    def here(self, text: str) -> str:
        """The text with the image's paths as they are here.

        Raises:
            ValueError: it names a path that would be one of this machine.
        """
        foreign = [path for path in _ABSOLUTE.findall(text) if not path.startswith(PLACES)]
        if foreign:
            raise ValueError(f"{', '.join(foreign)}: no place of the image; add it to PLACES")
        return _ABSOLUTE.sub(lambda path: str(self.root) + path[0], text)

    def command(self, words: list[str], environ: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
        """Arguments and environment that run words of the image as its user would: no permission to write but what modes give."""
        confined = ["setpriv", *_CONFINED, "--"] if os.geteuid() == 0 else []
        outside = {"HOME": "/nonexistent", "TMPDIR": "/nonexistent", **environ}
        return [*confined, *words], {**self.environ, **outside}

    def run(self, words: list[str], environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command, variables = self.command(words, environ or {})
        return subprocess.run(command, env=variables, cwd=self.workdir, capture_output=True, text=True, check=False, timeout=60)

    def lock(self) -> None:
        """Nothing can be written from here on but what is under the volume."""
        volume = Path(self.here(self.stage.last("VOLUME").words[0]))
        for path in [self.root, *self.root.rglob("*")]:
            if not path.is_symlink() and path != volume and volume not in path.parents:
                path.chmod(path.stat().st_mode & 0o555)


def build(scratch: Path, source: Path = ROOT) -> Image:
    """Carry out every step of the Dockerfile; the last stage is left in place."""
    stages = dockerfile.read(source / "Dockerfile")
    for stage in stages[:-1]:
        image = _built(scratch, stage, source)
        image.root.rename(scratch / stage.name)
    return _built(scratch, stages[-1], source)


def remove(scratch: Path) -> None:
    """Delete the folder, locked or not."""
    for folder, _, _ in os.walk(scratch):
        os.chmod(folder, 0o700)
    shutil.rmtree(scratch)


def _built(scratch: Path, stage: Stage, source: Path) -> Image:
    python = scratch / f"python-for-{stage.name or 'image'}"
    subprocess.run([sys.executable, "-m", "venv", str(python)], check=True)
    image = Image(scratch, stage, python, {"PATH": f"{python / 'bin'}:/usr/bin:/bin"})
    image.root.mkdir()
    image.workdir = image.root
    for instruction in stage.instructions:
        _STEPS.get(instruction.keyword, _nothing)(image, instruction, source)
    return image


def _run(image: Image, step: Instruction, _: Path) -> None:
    owner = image.stage.last("USER").value.split(":") if image.stage.all("USER") else ["", ""]
    command = image.here(step.value).replace(f"-o {owner[0]}", f"-o {os.getuid()}").replace(f"-g {owner[1]}", f"-g {os.getgid()}")
    # As in a build: the registry's settings come from outside. Its cache is left on, which the image has no use for.
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    # Should the stand-in for the image's Python not be found, pip must not touch this machine's.
    outside["PIP_REQUIRE_VIRTUALENV"] = "1"
    shell = ["/bin/sh", "-euc", command.replace("--no-cache-dir ", "")]
    done = subprocess.run(shell, cwd=image.workdir, env={**outside, **image.environ}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"RUN {step.value}\n{done.stdout}\n{done.stderr}"


def _copy(image: Image, step: Instruction, source: Path) -> None:
    *origins, target = step.words
    if origins[0].startswith("--from="):
        tree = image.scratch / origins.pop(0).removeprefix("--from=")
        origins, ignored = [origin.lstrip("/") for origin in origins], None
    else:
        tree, ignored = source, shutil.ignore_patterns("__pycache__", "*.pyc")
    goal = Path(image.here(target)) if target.startswith("/") else image.workdir / target
    for origin in origins:
        if (tree / origin).is_dir():
            shutil.copytree(tree / origin, goal, symlinks=True, dirs_exist_ok=True, ignore=ignored)
        else:
            goal.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree / origin, goal)


def _workdir(image: Image, step: Instruction, _: Path) -> None:
    image.workdir = Path(image.here(step.value))
    image.workdir.mkdir(parents=True, exist_ok=True)


def _env(image: Image, step: Instruction, _: Path) -> None:
    for word in step.words:
        name, value = word.split("=", 1)
        image.environ[name] = image.here(value).replace("$PATH", image.environ["PATH"])


def _nothing(image: Image, step: Instruction, source: Path) -> None:
    """Says something about the image and changes none of its files."""


_STEPS = {"RUN": _run, "COPY": _copy, "WORKDIR": _workdir, "ENV": _env}
