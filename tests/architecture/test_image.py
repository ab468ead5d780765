"""What the image may be made of: a linter's rules, and those that no linter knows."""

from __future__ import annotations

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.support import dockerfile
from tests.support.dockerfile import ROOT

STAGES = dockerfile.read()
BUILD, IMAGE = STAGES[0], STAGES[-1]
EVERY = [instruction for stage in STAGES for instruction in stage.instructions]


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    hadolint = str(Path(sys.executable).with_name("hadolint"))
    return subprocess.run([hadolint, "--no-color", "--failure-threshold", "style", path], capture_output=True, text=True, check=False)


def test_the_linter_finds_nothing() -> None:
    found = lint(ROOT / "Dockerfile")
    assert (found.returncode, found.stdout) == (0, "")
    assert "hadolint ignore" not in (ROOT / "Dockerfile").read_text()


def test_the_linter_finds_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "Dockerfile"
    wrong.write_text("FROM python:latest\nRUN pip install aiohttp\n")
    assert {"DL3007", "DL3013"} <= set(re.findall(r"DL\d{4}", lint(wrong).stdout))


def test_every_stage_stands_on_the_same_slim_image_by_its_version() -> None:
    assert len(STAGES) == 2
    assert {stage.base for stage in STAGES} == {BUILD.base}
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", BUILD.base)


def test_it_runs_as_a_user_that_kubernetes_can_see_is_not_root() -> None:
    user, _, group = IMAGE.last("USER").value.partition(":")
    assert int(user) >= 10_000
    assert int(group) >= 10_000


def test_everything_from_outside_is_pinned_by_hash_and_needs_no_compiler() -> None:
    commands = [one.strip() for step in EVERY if step.keyword == "RUN" for one in step.value.split("&&")]
    installs = [one for one in commands if re.search(r"\bpip (.* )?(install|wheel) -", one)]
    assert len(installs) == 4
    for install in installs:
        assert "--no-cache-dir" in install
        assert "--no-index" in install or {"--require-hashes", "--only-binary"} <= set(install.split()), install


def test_nothing_is_fetched_but_by_pip() -> None:
    assert {one.keyword for one in EVERY} <= {
        "WORKDIR", "COPY", "RUN", "LABEL", "ENV", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD",
    }  # fmt: skip
    text = (ROOT / "Dockerfile").read_text()
    assert not re.search(r"\b(curl|wget|git|apt-get|apt)\b|--index-url|--trusted-host|https?://(?!127\.0\.0\.1)", text)


def test_the_last_stage_has_no_tools_to_build_or_install_with() -> None:
    assert [one.words for one in IMAGE.all("COPY")] == [["--from=build", "/opt/killcord", "/opt/killcord"]]
    assert any("pip uninstall --yes setuptools wheel pip" in run.value for run in IMAGE.all("RUN"))
    assert any("uninstall --yes setuptools pip" in run.value for run in BUILD.all("RUN"))


def test_no_secret_is_built_in_or_asked_for() -> None:
    assert not [one for one in EVERY if one.keyword in ("ARG", "ENV") and re.search(r"(?i)token|secret|password|key", one.value)]


def test_what_is_written_is_one_volume() -> None:
    assert IMAGE.last("VOLUME").words == [IMAGE.last("WORKDIR").value]
    assert "PYTHONDONTWRITEBYTECODE=1" in IMAGE.last("ENV").words


def test_it_says_whether_it_is_well_and_starts_without_a_shell() -> None:
    assert re.search(r"CMD \[.*/healthz.*\]$", IMAGE.last("HEALTHCHECK").value)
    assert IMAGE.last("ENTRYPOINT").words == ["killcord"]
    assert IMAGE.last("CMD").words == ["serve", "--config", "/etc/killcord/killcord.yaml"]


def test_it_tells_what_it_is() -> None:
    labels = dict(word.split("=", 1) for word in IMAGE.last("LABEL").words)
    assert labels["org.opencontainers.image.title"] == "killcord"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.base.name"].endswith(IMAGE.base)


IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    copied = {word for copy in BUILD.all("COPY") for word in copy.words[:-1]}
    assert IGNORED[0] == "*"
    assert {line.removeprefix("!") for line in IGNORED if line.startswith("!")} == copied
    assert all((ROOT / word).exists() for word in copied)


@pytest.mark.parametrize("name", [".git", ".venv", "var", "killcord.yaml", "keys", ".env", "tests", "demo", "operators.yaml"])
def test_the_build_never_sees(name: str) -> None:
    assert not any(fnmatch(name, line.removeprefix("!")) for line in IGNORED if line.startswith("!"))
