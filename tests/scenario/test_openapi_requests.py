"""What Schemathesis makes of /openapi.json, sent to a real gateway with a token of every role.

It sends data that the schemas permit and data that they forbid. The first has to be accepted (or refused for the token, or for the state of
what it names), the second refused; every answer has to be as described, and none may be 500 or above.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.http.server.operators import Role
from gateway.settings import operators
from tests.support import gateway, real_tools
from tests.support.gateway import Gateway

# No schema can say these: which task classes there are, which checkpoints and entries a run has, which journal a cursor is of, which keys
# of evidence look alike, that a reason stands in the body or in the query.
CONFIGURATION = """
[checks]
unsupported_method.enabled = false
missing_required_header.enabled = false
ignored_auth.enabled = false

[[operations]]
include-path-regex = "^/v1/(admission|runs|rollbacks|journal|orders/[^/]*|incidents/[^/]*/recover|runs/[^/]*/(findings|resume))$"
checks.positive_data_acceptance.enabled = false
"""
NO_END = "/v1/journal/follow"
ROW = pytest.mark.reliability(fault="Any request that /openapi.json permits or forbids", case="no answer of 500 or above")
ROLES = [*(role.value for role in Role), "nobody"]
FEW = ("admin", "orchestrator", "nobody")
"""The roles of a short run: with most rights, with those of a program, with none."""
RUNS = [
    *(pytest.param(role, 1, marks=ROW) for role in FEW),
    *(pytest.param(role, 100, marks=pytest.mark.soak) for role in ROLES),
]


@pytest.fixture(scope="module")
def tokens() -> dict[str, str]:
    """The token of each role, and one that nobody has."""
    return {"nobody": "kcop_unknown"}


@pytest.fixture(scope="module")
def served(kinto_port: int, tmp_path_factory: pytest.TempPathFactory, tokens: dict[str, str]) -> Iterator[Gateway]:
    """A gateway with an operator of every role, whose ``tokens`` it makes."""
    folder = tmp_path_factory.mktemp("described")
    settings = gateway.settings(f"http://127.0.0.1:{kinto_port}/v1") | {"operators": {"tokens_file": "./operators.yaml"}}
    for role in Role:
        tokens[role.value] = operators.add(folder / "operators.yaml", role.value, role)
    with gateway.serving(Gateway(folder, settings)) as made:
        yield made


@pytest.mark.parametrize(("role", "examples"), RUNS)
def test_requests_are_judged_and_answered_as_the_description_says(
    served: Gateway, tokens: dict[str, str], tmp_path: Path, role: str, examples: int, record_property: Callable[[str, object], None]
) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    command = [real_tools.program("schemathesis"), "run", f"{served.control}/openapi.json", "--exclude-path", NO_END, "--phases", "fuzzing"]
    options = ["--header", f"Authorization: Bearer {tokens[role]}", "--max-examples", str(examples), "--seed", "1", "--continue-on-failure"]
    ran = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, timeout=3600, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    sent = re.search(r"(\d+) generated", ran.stdout)
    assert sent is not None, ran.stdout
    record_property("measured", f"{role}: {sent[1]} requests")
