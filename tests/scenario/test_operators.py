"""Operators with tokens of their own: made by the command, kept as hashes, let in with what their role may do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from killcord_demo import web
from tests.support.erp import Erp
from tests.support.gateway import Gateway

Site = Callable[[str], Gateway]


def command(gateway: Gateway, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments], cwd=gateway.folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done
    return done.stdout.strip()


def test_each_role_may_what_it_may_and_no_token_is_kept(site: Site, erp: Erp) -> None:
    gateway = site(erp.url)
    gateway.settings["operators"] = {"tokens_file": "./operators.yaml"}
    tokens = {
        role: command(gateway, "operators", "add", f"the-{role}", "--role", role, "--file", "operators.yaml")
        for role in ("viewer", "operator", "orchestrator")
    }
    kept = (gateway.folder / "operators.yaml").read_text()
    assert not [token for token in tokens.values() if token in kept]
    gateway.start()

    def ask(role: str, method: str, path: str, body: object = None) -> web.Answer:
        return web.send(method, gateway.control + path, body, {"Authorization": f"Bearer {tokens[role]}"})

    wanted = {"tenant": erp.tenant, "agent_id": "agent", "scopes": ["erp:*"]}
    assert ask("viewer", "POST", "/v1/runs", wanted).status == 403
    assert ask("operator", "POST", "/v1/runs", wanted).status == 403
    opened = ask("orchestrator", "POST", "/v1/runs", wanted)
    assert opened.status == 201, opened
    run_id = opened.body["run"]["run_id"]
    order = {"scope": {"run": run_id}, "mode": "read_only", "reason": "a test says so"}
    assert ask("orchestrator", "POST", "/v1/orders", order).status == 403, "who feeds agents must not set them free"
    made = ask("operator", "POST", "/v1/orders", order)
    assert made.status == 201, made
    assert ask("viewer", "GET", f"/v1/runs/{run_id}").body["mode"] == "read_only"
    assert ask("orchestrator", "DELETE", f"/v1/orders/{made.body['order_id']}", {"reason": "no"}).status == 403
    by = [entry["by"] for entry in gateway.journal(run_id, last="order")]
    assert by == ["the-orchestrator", "the-operator"]
    assert web.send("GET", gateway.control + "/v1/runs", None, {"Authorization": "Bearer kcop_not-a-token"}).status == 401
