"""Gateways killed with SIGKILL in the middle of rollbacks, and started again: every effect is compensated once, counted at the tool."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from killcord_demo import web
from tests.support.gateway import CHECKOUT, wait_until
from tests.support.ports import free_port
from tests.support.toolmodel import ADAPTER

KILLS = [24, pytest.param(2000, marks=pytest.mark.soak)]
SITES = 2
SLOW = 0.05
"""Seconds that a write is under way at the tool, both before and after it is applied."""
DOCS, NOTES = 40, 10
TOKEN = "a-token-that-is-long-enough-for-this"


@pytest.mark.parametrize("kills", KILLS)
def test_a_gateway_that_is_killed_again_and_again_takes_every_effect_back_once(tmp_path: Path, kills: int) -> None:
    with ThreadPoolExecutor(SITES) as sites:
        done = [sites.submit(_killed, tmp_path / f"site-{number}", number, kills // SITES) for number in range(SITES)]
        assert sum(one.result() for one in done) >= kills


def _killed(folder: Path, seed: int, kills: int) -> int:
    """Rollback after rollback, until there were as many kills."""
    chance, count = random.Random(seed), 0
    with _site(folder) as site:
        while count < kills:
            tenant = f"t{count}"
            site.start()
            run_id = site.worked(tenant)
            site.slow(SLOW)
            rollback = site.roll_back(run_id)
            while not site.over(rollback, within=chance.random() * 0.35):
                site.kill()
                count += 1
                site.start()
            told = site.ask("GET", f"/v1/rollbacks/{rollback}").body
            assert (told["state"], told["residue"]) == ("clean", []), f"{told}"
            site.check(tenant, run_id)
            site.slow(0.0)
            site.kill()
    return count


@dataclass
class Site:
    """A tool and a gateway, each a process."""

    folder: Path
    tool: str
    forks: subprocess.Popen[str]
    data: str
    control: str
    process: int = 0
    lives: int = field(default=0)

    def start(self) -> None:
        assert self.forks.stdin is not None
        assert self.forks.stdout is not None
        self.forks.stdin.write("start\n")
        self.forks.stdin.flush()
        self.process = int(self.forks.stdout.readline())
        self.lives += 1
        wait_until(lambda: web.send("GET", f"{self.control}/readyz").status == 200, f"a gateway in {self.folder} to be ready")

    def kill(self) -> None:
        assert self.forks.stdout is not None
        os.kill(self.process, signal.SIGKILL)
        assert self.forks.stdout.readline() == "ended\n"

    def ask(self, method: str, path: str, body: object = None) -> web.Answer:
        return web.send(method, self.control + path, body, {"Authorization": f"Bearer {TOKEN}"})

    def slow(self, seconds: float) -> None:
        assert web.send("PUT", f"{self.tool}/slow", seconds).status == 200

    def worked(self, tenant: str) -> str:
        """A run that made documents, changed them, some of them twice, and made notes."""
        opened = self.ask("POST", "/v1/runs", {"tenant": tenant, "agent_id": "agent", "scopes": ["model:*"]}).body
        calls: list[tuple[str, str, object]] = []
        for number in range(DOCS // 2):
            calls.append(("PUT", f"docs/d{number}", {"value": number, "sum": 0}))
            calls.append(("PATCH", f"docs/d{number}", {"value": number + 1}))
        calls += [("POST", "notes", {"ref": f"{tenant}-{number}"}) for number in range(NOTES)]
        for method, path, body in calls:
            headers = {"Authorization": f"Bearer {opened['lease']}"}
            answer = web.send(method, f"{self.data}/model/v1/tenants/{tenant}/{path}", body, headers)
            assert answer.status in (200, 201), answer
        return str(opened["run"]["run_id"])

    def roll_back(self, run_id: str) -> str:
        assert self.ask("POST", "/v1/orders", {"scope": {"run": run_id}, "mode": "quarantined", "reason": "x"}).status == 201
        begun = self.ask("POST", "/v1/rollbacks", {"scope": {"run": run_id}, "reason": "x"})
        assert begun.status == 202, begun
        return str(begun.body["rollback_id"])

    def over(self, rollback: str, *, within: float) -> bool:
        """Whether it comes to its end in that time."""
        until = time.monotonic() + within
        while True:
            if self.ask("GET", f"/v1/rollbacks/{rollback}?nodes=false").body["state"] not in ("running", "needs_operator"):
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(max(0.0, min(0.1, until - time.monotonic())))

    def check(self, tenant: str, run_id: str) -> None:
        """At the tool: no key twice, every thing as before; in the journal: each effect compensated by one applied compensation."""
        log: list[dict[str, Any]] = [one for one in web.send("GET", f"{self.tool}/log").body if one["name"][0] == tenant]
        keys = Counter(one["key"] for one in log)
        assert max(keys.values()) == 1, f"applied twice: {keys.most_common(3)}"
        left = {tuple(one["name"]): one["after"] for one in log}
        assert set(left.values()) == {None}, f"not compensated: {left}"
        undone: Counter[str] = Counter()
        after: str | None = ""
        while after is not None:
            page = self.ask("GET", f"/v1/journal?run={run_id}&kind=intent&limit=1000" + (f"&after={after}" if after else "")).body
            for entry in page["items"]:
                if entry["idempotency_key"] in keys:
                    undone.update(entry.get("compensates", []))
            after = page["next"]
        assert (len(undone), set(undone.values())) == (DOCS + NOTES, {1}), undone


@contextmanager
def _site(folder: Path) -> Iterator[Site]:
    tool, data, control = free_port(), free_port(), free_port()
    described = folder / "adapters" / "model"
    described.mkdir(parents=True)
    (described / "adapter.yaml").write_text(ADAPTER.replace("settle: 20ms", "settle: 500ms"))
    config = folder / "killcord.yaml"
    settings = {
        "listen": {"data": f"127.0.0.1:{data}", "control": f"127.0.0.1:{control}"},
        "data_dir": "./var",
        "policy": {"engine": "embedded", "path": str(CHECKOUT / "policies" / "killcord")},
        "adapters": ["./adapters"],
        "tools": {"model": {"adapter": "model", "base_url": f"http://127.0.0.1:{tool}"}},
        "triggers": {"blast.rate": "off"},
        "task_classes": {"default": {"tenants": ["*"], "scopes": ["*"], "ttl": "1h"}},
    }
    config.write_text(yaml.safe_dump(settings))
    environ = {**os.environ, "KILLCORD_BOOTSTRAP_TOKEN": TOKEN}
    python = [sys.executable, "-m"]
    with (
        subprocess.Popen([*python, "tests.support.toolmodel_served", str(tool)], cwd=CHECKOUT) as served,
        subprocess.Popen(
            [*python, "tests.support.failpoints_forks", str(config)],
            cwd=CHECKOUT,
            env=environ,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as forks,
    ):
        site = Site(folder, f"http://127.0.0.1:{tool}", forks, f"http://127.0.0.1:{data}", f"http://127.0.0.1:{control}")
        try:
            wait_until(lambda: web.send("GET", f"{site.tool}/log").status == 200, "the tool")
            yield site
        finally:
            if site.process and forks.poll() is None:
                with suppress(ProcessLookupError):
                    os.kill(site.process, signal.SIGKILL)
            forks.kill()
            served.kill()
